"""People of a tenant, who sign in with e-mail and password."""

from collections.abc import Sequence
from typing import TypedDict, Unpack

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from irisx.kernel.clock import now
from irisx.kernel.db import transaction
from irisx.kernel.errors import Conflict, Forbidden, Unauthorized
from irisx.kernel.ids import row_key
from irisx.tenancy import audit, features, passwords, rows, tokens
from irisx.tenancy.access import Actor, Caller, check_grant
from irisx.tenancy.models import Tenant, TenantStatus, User


class UserFields(TypedDict, total=False):
    """What may be changed of a user."""

    name: str
    permissions: list[str]
    password: str
    active: bool


def create(
    by: Actor, tenant_id: int, *, email: str, name: str, password: str, permissions: list[str]
) -> User:
    """Raises Conflict EMAIL_TAKEN if the tenant has a user with this e-mail."""
    check_grant(by, permissions)
    row = User(
        tenant_id=tenant_id,
        email=email.lower(),
        name=name,
        password_hash=passwords.hash_password(password),
        permissions=permissions,
    )
    try:
        with transaction() as session:
            session.add(row)
            audit.created(session, by, row)
    except IntegrityError:
        raise Conflict("This tenant has a user with this e-mail.", code="EMAIL_TAKEN") from None
    return row


def get(tenant_id: int, user_id: int) -> User:
    with transaction() as session:
        return rows.fetch(session, User, user_id, tenant_id=tenant_id)


def list_page(tenant_id: int, *, limit: int, offset: int) -> tuple[Sequence[User], int]:
    mine = select(User).where(User.tenant_id == tenant_id)
    with transaction() as session:
        return rows.page(session, mine, limit=limit, offset=offset)


def change(by: Actor, tenant_id: int, user_id: int, **fields: Unpack[UserFields]) -> User:
    """Set the given fields."""
    values = passwords.hashed({**fields})
    with transaction() as session:
        row = rows.fetch(session, User, user_id, tenant_id=tenant_id, lock=True)
        # Whoever sets the password of somebody who may do more could then do more.
        check_grant(by, [*row.permissions, *fields.get("permissions", ())])
        before = audit.snapshot(row)
        rows.assign(row, values)
        audit.updated(session, by, row, before)
    return row


def delete(by: Actor, tenant_id: int, user_id: int) -> None:
    with transaction() as session:
        row = rows.fetch(session, User, user_id, tenant_id=tenant_id, lock=True)
        check_grant(by, row.permissions)
        audit.deleted(session, by, row)
        session.delete(row)


def sign_in(email: str, password: str, tenant_id: int | None) -> str:
    """A token for a person. Raises Unauthorized INVALID_CREDENTIALS, TooManyRequests.

    `tenant_id` is needed only where the e-mail belongs to people of several tenants.
    """
    passwords.count_attempt(email)
    query = select(User).where(User.email == email.lower(), User.active)
    if tenant_id is not None:
        query = query.where(User.tenant_id == tenant_id)
    with transaction() as session:
        found = session.scalars(query.limit(2)).all()
    user = found[0] if len(found) == 1 else None
    # Checked outside of the transaction: argon2 takes tens of milliseconds.
    if not passwords.matches(user.password_hash if user else None, password) or user is None:
        raise Unauthorized(
            "E-mail or password is wrong, or tenant_id is needed.", code="INVALID_CREDENTIALS"
        )
    with transaction() as session:
        session.get_one(User, user.id).last_login_at = now()
    return tokens.issue(tokens.Audience.TENANT, user.public_id, user.password_hash)


def authenticate(token: str, *, request_id: str, ip: str | None) -> Caller:
    """The caller behind a token. Raises as `api_keys.authenticate` does."""
    claims = tokens.read(tokens.Audience.TENANT, token)
    with transaction() as session:
        found = session.execute(
            select(User, Tenant.status)
            .join(Tenant, Tenant.id == User.tenant_id)
            .where(User.id == row_key("usr", claims.subject), User.active)
        ).one_or_none()
        if found is None or not claims.issued_under(found[0].password_hash):
            raise Unauthorized("This token is not valid any more.")
        user, tenant_status = found
        disabled = features.disabled(session, user.tenant_id)
    if tenant_status is not TenantStatus.ACTIVE:
        raise Forbidden("This tenant is not active.", code="TENANT_INACTIVE")
    return Caller(
        name=user.public_id,
        tenant_id=user.tenant_id,
        permissions=frozenset(user.permissions),
        disabled_features=disabled,
        request_id=request_id,
        ip=ip,
    )
