"""`/v1/api-keys`: the keys of the caller's tenant."""

from typing import Annotated, Any

from pydantic import Field

from irisx.api.http import Router
from irisx.api.schemas import (
    UNSET,
    Answer,
    Body,
    Moment,
    Name,
    OffsetPagination,
    OffsetQuery,
    PublicId,
    Success,
    Timestamp,
    listed,
)
from irisx.tenancy import api_keys
from irisx.tenancy.access import Caller
from irisx.tenancy.models import ApiKey

router = Router("API Keys")

KeyId = Annotated[int, PublicId("key")]
Permissions = Annotated[list[str], Field(max_length=200)]
RateLimit = Annotated[int, Field(ge=1, le=1_000_000)]


class NewKey(Body):
    name: Name
    permissions: Permissions = Field(
        min_length=1, description="`area:read`, `area:write`, or `*` for everything."
    )
    rate_limit: RateLimit | None = Field(
        None, description="Standard requests a minute; the other classes follow in proportion."
    )
    expires_at: Moment | None = None
    test: bool = Field(False, description="Reaches the sandbox switch and providers only.")


class KeyChange(Body):
    name: Name = UNSET
    permissions: Permissions = UNSET
    rate_limit: RateLimit | None = UNSET
    expires_at: Moment | None = UNSET
    active: bool = UNSET


class Key(Answer):
    id: KeyId
    name: str
    prefix: str
    permissions: list[str]
    rate_limit: int | None
    test: bool
    active: bool
    expires_at: Timestamp | None
    last_used_at: Timestamp | None
    created_at: Timestamp


class IssuedKey(Key):
    key: str = Field(description="The key itself, shown this once.")


class Keys(Answer):
    api_keys: list[Key]
    pagination: OffsetPagination


@router.get("/v1/api-keys", access="api-keys:read", answer=Success[Keys])
def list_api_keys(caller: Caller, query: OffsetQuery) -> dict[str, Any]:
    """List API keys."""
    rows, total = api_keys.list_page(caller.tenant_id, limit=query.limit, offset=query.offset)
    return listed("api_keys", rows, query, total)


@router.post("/v1/api-keys", access="api-keys:write", answer=IssuedKey, status=201)
def create_api_key(caller: Caller, body: NewKey) -> dict[str, Any]:
    """Create an API key. A caller grants only permissions that it has itself."""
    return issued_answer(api_keys.create(caller, caller.tenant_id, **dict(body)))


@router.get("/v1/api-keys/<key_id>", access="api-keys:read", answer=Key)
def get_api_key(caller: Caller, key_id: KeyId) -> ApiKey:
    """Get an API key."""
    return api_keys.get(caller.tenant_id, key_id)


@router.put("/v1/api-keys/<key_id>", access="api-keys:write", answer=Key)
def update_api_key(caller: Caller, key_id: KeyId, body: KeyChange) -> ApiKey:
    """Update an API key: fields that are left out stay as they are."""
    return api_keys.change(caller, caller.tenant_id, key_id, **body.model_dump(exclude_unset=True))


@router.delete("/v1/api-keys/<key_id>", access="api-keys:write")
def revoke_api_key(caller: Caller, key_id: KeyId) -> None:
    """Revoke an API key, at once."""
    api_keys.revoke(caller, caller.tenant_id, key_id)


def issued_answer(issued: api_keys.Issued) -> dict[str, Any]:
    return {**dict(Key.model_validate(issued.row)), "key": issued.secret}
