"""People of a tenant, who sign in with e-mail and password."""

from collections.abc import Sequence
from typing import TypedDict, Unpack

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from irisx.kernel.clock import now
from irisx.kernel.db import transaction
from irisx.kernel.errors import Conflict, Forbidden, NotFound, Unauthorized
from irisx.kernel.ids import public_id, row_key
from irisx.tenancy import audit, passwords, tokens
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
    """Raises Conflict if the tenant has a user with this e-mail."""
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
            session.flush()
            _record(session, by, "user.created", row, before=None)
    except IntegrityError:
        raise Conflict("This tenant has a user with this e-mail.", code="EMAIL_TAKEN") from None
    return row


def get(tenant_id: int, user_id: int) -> User:
    with transaction() as session:
        return _fetch(session, tenant_id, user_id)


def list_page(tenant_id: int, *, limit: int, offset: int) -> tuple[Sequence[User], int]:
    mine = select(User).where(User.tenant_id == tenant_id)
    with transaction() as session:
        rows = session.scalars(mine.order_by(User.id).limit(limit).offset(offset)).all()
        return rows, session.scalar(select(func.count()).select_from(mine.subquery())) or 0


def change(by: Actor, tenant_id: int, user_id: int, **fields: Unpack[UserFields]) -> User:
    """Set the given fields."""
    check_grant(by, fields.get("permissions", []))
    with transaction() as session:
        row = _fetch(session, tenant_id, user_id)
        # A password or a permission set by someone who may do less would be a way up.
        check_grant(by, row.permissions)
        before = audit.snapshot(row)
        values = dict(fields)
        if password := values.pop("password", None):
            row.password_hash = passwords.hash_password(str(password))
        for name, value in values.items():
            setattr(row, name, value)
        session.flush()
        _record(session, by, "user.updated", row, before=before)
    return row


def delete(by: Actor, tenant_id: int, user_id: int) -> None:
    with transaction() as session:
        row = _fetch(session, tenant_id, user_id)
        check_grant(by, row.permissions)
        audit.record(
            session,
            by,
            "user.deleted",
            public_id("usr", user_id),
            tenant_id=tenant_id,
            before=audit.snapshot(row),
        )
        session.delete(row)


def sign_in(email: str, password: str, tenant_id: int | None) -> str:
    """A token for a person.

    `tenant_id` is needed only where the e-mail belongs to people of several tenants.
    """
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
    return tokens.issue(tokens.Audience.TENANT, public_id("usr", user.id))


def authenticate(token: str, *, request_id: str, ip: str | None) -> Caller:
    """The caller behind a token. Raises as `api_keys.authenticate` does."""
    user_id = row_key("usr", tokens.read(tokens.Audience.TENANT, token))
    with transaction() as session:
        found = session.execute(
            select(User, Tenant.status)
            .join(Tenant, Tenant.id == User.tenant_id)
            .where(User.id == user_id)
        ).one_or_none()
    if found is None or not found[0].active:
        raise Unauthorized("This user may not sign in any more.")
    user, tenant_status = found
    if tenant_status is not TenantStatus.ACTIVE:
        raise Forbidden("This tenant is not active.", code="TENANT_INACTIVE")
    return Caller(
        name=public_id("usr", user.id),
        tenant_id=user.tenant_id,
        permissions=frozenset(user.permissions),
        request_id=request_id,
        ip=ip,
    )


def _fetch(session: Session, tenant_id: int, user_id: int) -> User:
    row = session.scalar(select(User).where(User.tenant_id == tenant_id, User.id == user_id))
    if row is None:
        raise NotFound("There is no user with this id.")
    return row


def _record(
    session: Session, by: Actor, action: str, row: User, *, before: dict[str, object] | None
) -> None:
    audit.record(
        session,
        by,
        action,
        public_id("usr", row.id),
        tenant_id=row.tenant_id,
        before=before,
        after=audit.snapshot(row),
    )
