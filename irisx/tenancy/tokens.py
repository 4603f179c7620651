"""JWTs of people who signed in (RFC 7519, HS256)."""

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


def issue(audience: Audience, subject: str) -> str:
    """A token for the person with this public id."""
    moment = now()
    claims = {"aud": audience, "sub": subject, "iat": moment, "exp": moment + LIFETIME}
    return jwt.encode(claims, derive_key("jwt"), algorithm="HS256")


def read(audience: Audience, token: str) -> str:
    """The public id that a token was issued for; Unauthorized if it is not one of ours."""
    try:
        claims: dict[str, Any] = jwt.decode(
            token,
            derive_key("jwt"),
            algorithms=["HS256"],
            audience=audience,
            options={"require": ["exp", "sub", "aud"]},
        )
    except jwt.ExpiredSignatureError:
        raise Unauthorized("This token has expired.", code="TOKEN_EXPIRED") from None
    except jwt.InvalidTokenError:
        raise Unauthorized("This token is not valid.") from None
    return str(claims["sub"])
