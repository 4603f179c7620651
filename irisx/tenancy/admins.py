"""People who run the platform. Their tokens are no API keys, and API keys are not theirs."""

import hashlib
import hmac
from collections.abc import Sequence
from typing import TypedDict, Unpack

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from irisx.kernel.clock import now
from irisx.kernel.db import transaction
from irisx.kernel.errors import Conflict, NotFound, Unauthorized
from irisx.kernel.ids import public_id, row_key
from irisx.settings import get_settings
from irisx.tenancy import audit, passwords, tokens
from irisx.tenancy.access import Actor, Admin
from irisx.tenancy.models import AdminUser

#: The actor behind the installation's own token (`IRISX_ADMIN_TOKEN`).
INSTALLATION = "adm_0"


class AdminFields(TypedDict, total=False):
    """What may be changed of an administrator."""

    name: str
    password: str
    active: bool


def create(by: Actor, *, email: str, name: str, password: str) -> AdminUser:
    """Raises Conflict if there is an administrator with this e-mail."""
    row = AdminUser(
        email=email.lower(),
        name=name,
        role="admin",
        password_hash=passwords.hash_password(password),
    )
    try:
        with transaction() as session:
            session.add(row)
            session.flush()
            _record(session, by, "admin.created", row.id, after=audit.snapshot(row))
    except IntegrityError:
        raise Conflict("There is an administrator with this e-mail.", code="EMAIL_TAKEN") from None
    return row


def get(admin_id: int) -> AdminUser:
    with transaction() as session:
        return _fetch(session, admin_id)


def list_page(*, limit: int, offset: int) -> tuple[Sequence[AdminUser], int]:
    with transaction() as session:
        rows = session.scalars(
            select(AdminUser).order_by(AdminUser.id).limit(limit).offset(offset)
        ).all()
        return rows, session.scalar(select(func.count()).select_from(AdminUser)) or 0


def change(by: Actor, admin_id: int, **fields: Unpack[AdminFields]) -> AdminUser:
    """Set the given fields."""
    with transaction() as session:
        row = _fetch(session, admin_id)
        before = audit.snapshot(row)
        values = dict(fields)
        if password := values.pop("password", None):
            row.password_hash = passwords.hash_password(str(password))
        for name, value in values.items():
            setattr(row, name, value)
        session.flush()
        _record(session, by, "admin.updated", admin_id, before=before, after=audit.snapshot(row))
    return row


def delete(by: Actor, admin_id: int) -> None:
    if by.name == public_id("adm", admin_id):
        raise Conflict("You can't delete yourself.", code="CANNOT_DELETE_SELF")
    with transaction() as session:
        row = _fetch(session, admin_id)
        _record(session, by, "admin.deleted", admin_id, before=audit.snapshot(row))
        session.delete(row)


def sign_in(email: str, password: str) -> str:
    """A token for an administrator."""
    with transaction() as session:
        row = session.scalar(
            select(AdminUser).where(AdminUser.email == email.lower(), AdminUser.active)
        )
    if not passwords.matches(row.password_hash if row else None, password) or row is None:
        raise Unauthorized("E-mail or password is wrong.", code="INVALID_CREDENTIALS")
    with transaction() as session:
        session.get_one(AdminUser, row.id).last_login_at = now()
    return tokens.issue(tokens.Audience.ADMIN, public_id("adm", row.id))


def authenticate(token: str, *, request_id: str, ip: str | None) -> Admin:
    """The administrator behind the installation's token or one of `sign_in`."""
    installation = get_settings().admin_token
    if installation is not None and hmac.compare_digest(
        _digest(installation.get_secret_value()), _digest(token)
    ):
        return Admin(name=INSTALLATION, request_id=request_id, ip=ip)
    try:
        admin_id = row_key("adm", tokens.read(tokens.Audience.ADMIN, token))
    except Unauthorized as error:
        code = error.code if error.code == "TOKEN_EXPIRED" else "INVALID_ADMIN_TOKEN"
        raise Unauthorized(error.message, code=code) from None
    with transaction() as session:
        row = session.get(AdminUser, admin_id)
    if row is None or not row.active:
        raise Unauthorized("This administrator may not sign in.", code="INVALID_ADMIN_TOKEN")
    return Admin(name=public_id("adm", admin_id), request_id=request_id, ip=ip)


def _fetch(session: Session, admin_id: int) -> AdminUser:
    row = session.get(AdminUser, admin_id)
    if row is None:
        raise NotFound("There is no administrator with this id.")
    return row


def _record(
    session: Session,
    by: Actor,
    action: str,
    admin_id: int,
    *,
    before: dict[str, object] | None = None,
    after: dict[str, object] | None = None,
) -> None:
    target = public_id("adm", admin_id)
    audit.record(session, by, action, target, tenant_id=None, before=before, after=after)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
