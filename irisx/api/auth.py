"""From a request's headers to its caller, and what an operation asks of the caller."""

import re
from dataclasses import dataclass
from enum import Enum
from uuid import uuid4

from flask import Request

from irisx.kernel.errors import Unauthorized, invalid
from irisx.tenancy import admins, api_keys, users
from irisx.tenancy.access import Admin, Caller


class Access(Enum):
    """Who may use an operation that needs no tenant's permission."""

    PUBLIC = "public"
    ADMIN = "admin"


PUBLIC = Access.PUBLIC
ADMIN = Access.ADMIN

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}\Z")
_IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e]{1,255}\Z")


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a request brings to prove who sent it."""

    api_key: str | None
    bearer: str | None


def request_id(request: Request) -> str:
    """The client's own X-Request-Id if it is a plain token, else a new one."""
    given = request.headers.get("X-Request-Id", "")
    return given if _REQUEST_ID.match(given) else f"req_{uuid4().hex}"


def idempotency_key(request: Request) -> str | None:
    key = request.headers.get("Idempotency-Key")
    if key is not None and not _IDEMPOTENCY_KEY.match(key):
        raise invalid("Idempotency-Key", "1 to 255 printable ASCII characters without spaces")
    return key


def credentials(request: Request) -> Credentials:
    kind, _, value = request.headers.get("Authorization", "").partition(" ")
    bearer = value.strip() if kind.lower() == "bearer" else None
    return Credentials(request.headers.get("X-API-Key") or None, bearer or None)


def tenant_caller(given: Credentials, *, request_id: str, ip: str | None) -> Caller:
    """The caller by API key or by the token of a user who signed in."""
    if given.api_key is not None:
        return api_keys.authenticate(given.api_key, request_id=request_id, ip=ip)
    if given.bearer is not None:
        return users.authenticate(given.bearer, request_id=request_id, ip=ip)
    raise Unauthorized(
        "Send an API key in X-API-Key, or a token as Authorization: Bearer.",
        code="MISSING_API_KEY",
    )


def admin_caller(given: Credentials, *, request_id: str, ip: str | None) -> Admin:
    """The administrator by token; an API key is never one."""
    if given.bearer is None:
        raise Unauthorized(
            "Administration needs an administrator's token as Authorization: Bearer.",
            code="MISSING_ADMIN_TOKEN",
        )
    return admins.authenticate(given.bearer, request_id=request_id, ip=ip)
