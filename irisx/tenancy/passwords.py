"""Passwords of people, kept as argon2id hashes (RFC 9106)."""

from argon2 import PasswordHasher
from argon2.exceptions import VerificationError

_hasher = PasswordHasher()
#: Checked when there is no such person, so that the time of the answer tells nothing.
_NOBODY = _hasher.hash("nobody has this password")


def hash_password(password: str) -> str:
    return _hasher.hash(password)


def matches(password_hash: str | None, password: str) -> bool:
    try:
        _hasher.verify(password_hash or _NOBODY, password)
    except VerificationError:
        return False
    return password_hash is not None
