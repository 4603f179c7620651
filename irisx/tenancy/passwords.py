"""Passwords of people, kept as argon2id hashes (RFC 9106)."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeVar

import gevent
from argon2 import PasswordHasher
from argon2.exceptions import VerificationError

from irisx.kernel.errors import TooManyRequests
from irisx.kernel.ratelimit import limiter

Result = TypeVar("Result")

#: Tries a minute to sign in as one person, from wherever.
ATTEMPTS = 10

_hasher = PasswordHasher()


def hash_password(password: str) -> str:
    return _in_thread(_hasher.hash, password)


def hashed(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields of a change with `password`, if given, as the column's hash."""
    if "password" in fields:
        fields["password_hash"] = hash_password(fields.pop("password"))
    return fields


def matches(password_hash: str | None, password: str) -> bool:
    """Whether it is the password. Without a hash it takes as long and is False, so that the time
    of the answer does not tell whether there is such a person."""
    known = password_hash or _nobody()
    return _in_thread(_verified, known, password) and password_hash is not None


def count_attempt(person: str) -> None:
    """Raises TooManyRequests after ATTEMPTS in a minute."""
    usage = limiter().hit(f"sign-in:{person.lower()}", ATTEMPTS)
    if usage.exceeded:
        raise TooManyRequests(
            "Too many tries to sign in as this person.",
            headers={"Retry-After": str(usage.retry_after_seconds)},
        )


def _verified(password_hash: str, password: str) -> bool:
    try:
        return _hasher.verify(password_hash, password)
    except VerificationError:
        return False


def _in_thread(work: Callable[..., Result], *arguments: str) -> Result:
    """It takes tens of milliseconds, in which other greenlets go on."""
    result: Result = gevent.get_hub().threadpool.apply(work, arguments)
    return result


@lru_cache
def _nobody() -> str:
    return _hasher.hash("the password of nobody")
