"""`/v1/users`: the people of a tenant, and their signing in."""

from typing import Annotated, Any

from pydantic import Field

from irisx.api.auth import PUBLIC
from irisx.api.http import Rate, Router
from irisx.api.people import Email, NewPassword, SignIn, Token
from irisx.api.schemas import (
    UNSET,
    Answer,
    Body,
    Name,
    OffsetPagination,
    OffsetQuery,
    PublicId,
    Success,
    Timestamp,
    listed,
)
from irisx.tenancy import tokens, users
from irisx.tenancy.access import Caller
from irisx.tenancy.models import User as UserRow

router = Router("Users")

UserId = Annotated[int, PublicId("usr")]
Permissions = Annotated[list[str], Field(max_length=200)]


class TenantSignIn(SignIn):
    tenant_id: Annotated[int, PublicId("ten")] | None = Field(
        None, description="Needed where the e-mail belongs to people of several tenants."
    )


class NewUser(Body):
    email: Email
    name: Name
    password: NewPassword
    permissions: Permissions


class UserChange(Body):
    name: Name = UNSET
    password: NewPassword = UNSET
    permissions: Permissions = UNSET
    active: bool = UNSET


class User(Answer):
    id: UserId
    email: str
    name: str
    permissions: list[str]
    active: bool
    last_login_at: Timestamp | None
    created_at: Timestamp


class Users(Answer):
    users: list[User]
    pagination: OffsetPagination


@router.post("/v1/auth/login", access=PUBLIC, rate=Rate.SIGN_IN, answer=Token, also={401: ""})
def sign_in(body: TenantSignIn) -> dict[str, Any]:
    """Sign in with e-mail and password; the token goes into Authorization: Bearer."""
    token = users.sign_in(body.email, body.password, body.tenant_id)
    return {"token": token, "expires_in": tokens.LIFETIME.total_seconds()}


@router.get("/v1/users", access="users:read", answer=Success[Users])
def list_users(caller: Caller, query: OffsetQuery) -> dict[str, Any]:
    """List users."""
    rows, total = users.list_page(caller.tenant_id, limit=query.limit, offset=query.offset)
    return listed("users", rows, query, total)


@router.post("/v1/users", access="users:write", answer=User, status=201)
def create_user(caller: Caller, body: NewUser) -> UserRow:
    """Create a user. A caller grants only permissions that it has itself."""
    return users.create(caller, caller.tenant_id, **dict(body))


@router.get("/v1/users/<user_id>", access="users:read", answer=User)
def get_user(caller: Caller, user_id: UserId) -> UserRow:
    """Get a user."""
    return users.get(caller.tenant_id, user_id)


@router.put("/v1/users/<user_id>", access="users:write", answer=User)
def update_user(caller: Caller, user_id: UserId, body: UserChange) -> UserRow:
    """Update a user. A new password ends all sessions."""
    return users.change(caller, caller.tenant_id, user_id, **body.model_dump(exclude_unset=True))


@router.delete("/v1/users/<user_id>", access="users:write")
def delete_user(caller: Caller, user_id: UserId) -> None:
    """Delete a user."""
    users.delete(caller, caller.tenant_id, user_id)
