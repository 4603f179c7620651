"""Public ids. A row's bigint key is shown with its kind's prefix (`whk_17`), a call's as `CA…`."""

import re
import secrets
from uuid import UUID

from irisx.kernel.errors import NotFound

_SID = re.compile(r"CA([0-9a-f]{32})\Z")
_MAX_KEY = 2**63 - 1


def public_id(prefix: str, key: int) -> str:
    """`public_id("whk", 17)` is `whk_17`."""
    return f"{prefix}_{key}"


def row_key(prefix: str, text: str) -> int:
    """The bigint behind a public id. An id that can't exist is NotFound, as one that does not."""
    head, sep, digits = text.partition("_")
    if head != prefix or not sep or not re.fullmatch(r"[0-9]{1,19}", digits):
        raise NotFound(f"There is no {prefix} with the id {text!r}.")
    key = int(digits)
    if key > _MAX_KEY:
        raise NotFound(f"There is no {prefix} with the id {text!r}.")
    return key


def call_sid(uuid: UUID) -> str:
    """`CA` and the 32 hex digits of the call's channel uuid."""
    return f"CA{uuid.hex}"


def call_uuid(sid: str) -> UUID:
    """The channel uuid behind a call's sid; NotFound if it is no sid."""
    match = _SID.match(sid)
    if match is None:
        raise NotFound(f"There is no call with the sid {sid!r}.")
    return UUID(match[1])


def token(prefix: str, bits: int = 192) -> str:
    """A secret to hand out once, recognisable by its prefix (secret scanners look for it)."""
    return f"{prefix}_{secrets.token_urlsafe(bits // 8)}"
