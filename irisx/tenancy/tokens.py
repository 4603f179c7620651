"""JWTs of people who signed in (RFC 7519, HS256)."""

import hashlib
import hmac
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any

import jwt

from irisx.kernel.clock import now
from irisx.kernel.crypto import derive_key
from irisx.kernel.errors import Unauthorized

LIFETIME = timedelta(hours=12)


class Audience(StrEnum):
    """Whom a token is for; one of another audience is refused."""

    TENANT = "irisx:tenant"
    ADMIN = "irisx:admin"


@dataclass(frozen=True, slots=True)
class Claims:
    """What a token says. `subject`: public id of the person."""

    subject: str
    password: str

    def issued_under(self, password_hash: str) -> bool:
        """False after a change of password: it ends all sessions."""
        return hmac.compare_digest(self.password, _stamp(password_hash))


def issue(audience: Audience, subject: str, password_hash: str) -> str:
    """A token for the person with this public id."""
    moment = now()
    claims = {
        "aud": audience,
        "sub": subject,
        "pwd": _stamp(password_hash),
        "iat": moment,
        "exp": moment + LIFETIME,
    }
    return jwt.encode(claims, derive_key("jwt"), algorithm="HS256")


def read(audience: Audience, token: str) -> Claims:
    """The claims of a token of ours; Unauthorized (TOKEN_EXPIRED, INVALID_API_KEY) otherwise."""
    try:
        claims: dict[str, Any] = jwt.decode(
            token,
            derive_key("jwt"),
            algorithms=["HS256"],
            audience=audience,
            options={"require": ["exp", "sub", "aud", "pwd"]},
        )
    except jwt.ExpiredSignatureError:
        raise Unauthorized("This token has expired.", code="TOKEN_EXPIRED") from None
    except jwt.InvalidTokenError:
        raise Unauthorized("This token is not valid.") from None
    return Claims(str(claims["sub"]), str(claims["pwd"]))


def _stamp(password_hash: str) -> str:
    return hashlib.sha256(password_hash.encode()).hexdigest()[:16]
