"""`/admin/users`: the people who run the platform, and their signing in."""

from typing import Annotated, Any

from irisx.api.auth import ADMIN, PUBLIC
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
from irisx.tenancy import admins, tokens
from irisx.tenancy.access import Admin
from irisx.tenancy.models import AdminRole, AdminUser

router = Router("Admin User Management")

AdminId = Annotated[int, PublicId("adm")]


class NewAdministrator(Body):
    email: Email
    name: Name
    password: NewPassword
    role: AdminRole = AdminRole.ADMIN


class AdministratorChange(Body):
    name: Name = UNSET
    password: NewPassword = UNSET
    role: AdminRole = UNSET
    active: bool = UNSET


class Administrator(Answer):
    id: AdminId
    email: str
    name: str
    role: AdminRole
    active: bool
    last_login_at: Timestamp | None
    created_at: Timestamp


class Administrators(Answer):
    users: list[Administrator]
    pagination: OffsetPagination


@router.post("/admin/auth/login", access=PUBLIC, rate=Rate.SIGN_IN, answer=Token, also={401: ""})
def admin_sign_in(body: SignIn) -> dict[str, Any]:
    """Sign in as an administrator; the token goes into Authorization: Bearer."""
    token = admins.sign_in(body.email, body.password)
    return {"token": token, "expires_in": tokens.LIFETIME.total_seconds()}


@router.get("/admin/users", access=ADMIN, answer=Success[Administrators])
def admin_list_users(query: OffsetQuery) -> dict[str, Any]:
    """List admin users."""
    rows, total = admins.list_page(limit=query.limit, offset=query.offset)
    return listed("users", rows, query, total)


@router.post("/admin/users", access=ADMIN, answer=Administrator, status=201)
def admin_create_user(caller: Admin, body: NewAdministrator) -> AdminUser:
    """Create an admin user. A `viewer` reads everything and changes nothing."""
    return admins.create(caller, **dict(body))


@router.get("/admin/users/<admin_id>", access=ADMIN, answer=Administrator)
def admin_get_user(admin_id: AdminId) -> AdminUser:
    """Get an admin user."""
    return admins.get(admin_id)


@router.put("/admin/users/<admin_id>", access=ADMIN, answer=Administrator)
def admin_update_user(caller: Admin, admin_id: AdminId, body: AdministratorChange) -> AdminUser:
    """Update an admin user. A new password ends all sessions."""
    return admins.change(caller, admin_id, **body.model_dump(exclude_unset=True))


@router.delete("/admin/users/<admin_id>", access=ADMIN)
def admin_delete_user(caller: Admin, admin_id: AdminId) -> None:
    """Delete an admin user; not oneself."""
    admins.delete(caller, admin_id)
