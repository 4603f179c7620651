"""People who run the platform. Their tokens are no API keys, and API keys are not theirs."""

import hashlib
import hmac
from collections.abc import Sequence
from typing import TypedDict, Unpack

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from irisx.kernel.clock import now
from irisx.kernel.db import transaction
from irisx.kernel.errors import Conflict, Unauthorized
from irisx.kernel.ids import public_id, row_key
from irisx.settings import get_settings
from irisx.tenancy import audit, passwords, rows, tokens
from irisx.tenancy.access import Actor, Admin
from irisx.tenancy.models import AdminRole, AdminUser

#: The actor behind the installation's own token (`IRISX_ADMIN_TOKEN`); no row has this id.
INSTALLATION = "adm_0"


class AdminFields(TypedDict, total=False):
    """What may be changed of an administrator."""

    name: str
    role: AdminRole
    password: str
    active: bool


def create(by: Actor, *, email: str, name: str, password: str, role: AdminRole) -> AdminUser:
    """Raises Conflict EMAIL_TAKEN if there is an administrator with this e-mail."""
    row = AdminUser(
        email=email.lower(), name=name, role=role, password_hash=passwords.hash_password(password)
    )
    try:
        with transaction() as session:
            session.add(row)
            audit.created(session, by, row)
    except IntegrityError:
        raise Conflict("There is an administrator with this e-mail.", code="EMAIL_TAKEN") from None
    return row


def get(admin_id: int) -> AdminUser:
    with transaction() as session:
        return rows.fetch(session, AdminUser, admin_id, tenant_id=None)


def list_page(*, limit: int, offset: int) -> tuple[Sequence[AdminUser], int]:
    with transaction() as session:
        return rows.page(session, select(AdminUser), limit=limit, offset=offset)


def change(by: Actor, admin_id: int, **fields: Unpack[AdminFields]) -> AdminUser:
    """Set the given fields."""
    values = passwords.hashed({**fields})
    with transaction() as session:
        row = rows.fetch(session, AdminUser, admin_id, tenant_id=None, lock=True)
        before = audit.snapshot(row)
        rows.assign(row, values)
        audit.updated(session, by, row, before)
    return row


def delete(by: Actor, admin_id: int) -> None:
    """Raises Conflict for oneself."""
    with transaction() as session:
        row = rows.fetch(session, AdminUser, admin_id, tenant_id=None, lock=True)
        if by.name == row.public_id:
            raise Conflict("You can't delete yourself.", code="CANNOT_DELETE_SELF")
        audit.deleted(session, by, row)
        session.delete(row)


def sign_in(email: str, password: str) -> str:
    """A token for an administrator. Raises as `users.sign_in` does."""
    passwords.count_attempt(f"admin/{email}")
    query = select(AdminUser).where(AdminUser.email == email.lower(), AdminUser.active)
    with transaction() as session:
        row = session.scalar(query)
    if not passwords.matches(row.password_hash if row else None, password) or row is None:
        raise Unauthorized("E-mail or password is wrong.", code="INVALID_CREDENTIALS")
    with transaction() as session:
        session.get_one(AdminUser, row.id).last_login_at = now()
    return tokens.issue(tokens.Audience.ADMIN, row.public_id, row.password_hash)


def authenticate(token: str, *, request_id: str, ip: str | None) -> Admin:
    """The administrator behind the installation's token or one of `sign_in`."""
    installation = get_settings().admin_token
    if installation is not None and hmac.compare_digest(
        _digest(installation.get_secret_value()), _digest(token)
    ):
        return Admin(name=INSTALLATION, role=AdminRole.ADMIN, request_id=request_id, ip=ip)
    try:
        claims = tokens.read(tokens.Audience.ADMIN, token)
    except Unauthorized as error:
        code = "INVALID_ADMIN_TOKEN" if error.code == Unauthorized.code else error.code
        raise Unauthorized(error.message, code=code) from None
    with transaction() as session:
        row = session.get(AdminUser, row_key("adm", claims.subject))
    if row is None or not row.active or not claims.issued_under(row.password_hash):
        raise Unauthorized("This token is not valid any more.", code="INVALID_ADMIN_TOKEN")
    return Admin(name=public_id("adm", row.id), role=row.role, request_id=request_id, ip=ip)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
