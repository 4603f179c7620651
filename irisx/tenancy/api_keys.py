"""API keys: `irx_live_…` and `irx_test_…`, of which only the SHA-256 is kept."""

import hashlib
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypedDict, Unpack

from sqlalchemy import func, select, update

from irisx.kernel.clock import now
from irisx.kernel.db import transaction
from irisx.kernel.errors import Forbidden, NotFound, Unauthorized, invalid
from irisx.kernel.ids import public_id, token
from irisx.tenancy import audit
from irisx.tenancy.access import Actor, Caller, check_grant
from irisx.tenancy.models import ApiKey, Tenant, TenantStatus
from irisx.tenancy.settings import TenantSettings

_VISIBLE_CHARS = 14
#: A key revoked in another process is refused here after this time at the latest.
_CACHE_SECONDS = 2.0
_LAST_USED_EVERY = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Issued:
    """A new key; `secret` is shown this once."""

    row: ApiKey
    secret: str


class KeyFields(TypedDict, total=False):
    """What may be changed of a key."""

    name: str
    permissions: list[str]
    rate_limit: int | None
    expires_at: datetime | None
    active: bool


def create(
    by: Actor,
    tenant_id: int,
    *,
    name: str,
    permissions: list[str],
    rate_limit: int | None = None,
    expires_at: datetime | None = None,
    test: bool = False,
) -> Issued:
    """Issue a key. A caller can't issue one that may do more than itself."""
    if isinstance(by, Caller) and by.test and not test:
        raise Forbidden("A test key can create test keys only.")
    secret = token("irx_test" if test else "irx_live")
    with transaction() as session:
        tenant = session.get_one(Tenant, tenant_id)
        _check(by, tenant, {"permissions": permissions, "rate_limit": rate_limit})
        row = ApiKey(
            tenant_id=tenant_id,
            name=name,
            prefix=secret[:_VISIBLE_CHARS],
            key_hash=_digest(secret),
            permissions=permissions,
            rate_limit=rate_limit,
            expires_at=expires_at,
            test=test,
        )
        session.add(row)
        session.flush()
        target = public_id("key", row.id)
        audit.record(
            session, by, "api_key.created", target, tenant_id=tenant_id, after=audit.snapshot(row)
        )
    return Issued(row, secret)


def get(tenant_id: int, key_id: int) -> ApiKey:
    with transaction() as session:
        row = session.scalar(
            select(ApiKey).where(ApiKey.tenant_id == tenant_id, ApiKey.id == key_id)
        )
    if row is None:
        raise NotFound("There is no API key with this id.")
    return row


def list_page(tenant_id: int, *, limit: int, offset: int) -> tuple[list[ApiKey], int]:
    """Keys of a tenant, oldest first, and how many there are."""
    mine = select(ApiKey).where(ApiKey.tenant_id == tenant_id)
    with transaction() as session:
        rows = session.scalars(mine.order_by(ApiKey.id).limit(limit).offset(offset)).all()
        total = session.scalar(select(func.count()).select_from(mine.subquery()))
    return list(rows), total or 0


def change(by: Actor, tenant_id: int, key_id: int, **fields: Unpack[KeyFields]) -> ApiKey:
    """Set the given fields."""
    with transaction() as session:
        row = session.scalar(
            select(ApiKey)
            .where(ApiKey.tenant_id == tenant_id, ApiKey.id == key_id)
            .with_for_update()
        )
        if row is None:
            raise NotFound("There is no API key with this id.")
        _check(by, session.get_one(Tenant, tenant_id), fields)
        before = audit.snapshot(row)
        for name, value in fields.items():
            setattr(row, name, value)
        session.flush()
        audit.record(
            session,
            by,
            "api_key.updated",
            public_id("key", key_id),
            tenant_id=tenant_id,
            before=before,
            after=audit.snapshot(row),
        )
    forget_cached()
    return row


def revoke(by: Actor, tenant_id: int, key_id: int) -> None:
    """Delete a key; requests with it are refused from now on."""
    with transaction() as session:
        row = session.scalar(
            select(ApiKey).where(ApiKey.tenant_id == tenant_id, ApiKey.id == key_id)
        )
        if row is None:
            raise NotFound("There is no API key with this id.")
        audit.record(
            session,
            by,
            "api_key.revoked",
            public_id("key", key_id),
            tenant_id=tenant_id,
            before=audit.snapshot(row),
        )
        session.delete(row)
    forget_cached()


def _check(by: Actor, tenant: Tenant, fields: KeyFields) -> None:
    """A key has known permissions only and, made by a caller, none beyond the caller's."""
    check_grant(by, fields.get("permissions", ()))
    if not isinstance(by, Caller):
        return
    ceiling = TenantSettings.model_validate(tenant.settings).max_rate_limit
    if (fields.get("rate_limit") or 0) > ceiling:
        raise invalid("rate_limit", f"at most {ceiling} a minute for this tenant")


# --- authentication ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Known:
    key: ApiKey
    tenant_status: TenantStatus
    read_at: float


_cache: dict[str, _Known] = {}
_CACHE_MAX = 10_000


def forget_cached() -> None:
    """Read every key anew: one was changed, or a tenant's status was."""
    _cache.clear()


def authenticate(secret: str, *, request_id: str, ip: str | None) -> Caller:
    """The caller behind a key.

    Raises Unauthorized INVALID_API_KEY; Forbidden API_KEY_INACTIVE (disabled, expired) or
    TENANT_INACTIVE.
    """
    digest = _digest(secret)
    known = _cache.get(digest)
    if known is None or time.monotonic() - known.read_at > _CACHE_SECONDS:
        known = _read(digest)
    key = known.key
    if not key.active:
        raise Forbidden("This API key is disabled.", code="API_KEY_INACTIVE")
    if key.expires_at is not None and key.expires_at <= now():
        raise Forbidden("This API key has expired.", code="API_KEY_INACTIVE")
    if known.tenant_status is not TenantStatus.ACTIVE:
        raise Forbidden("This tenant is not active.", code="TENANT_INACTIVE")
    return Caller(
        name=public_id("key", key.id),
        tenant_id=key.tenant_id,
        permissions=frozenset(key.permissions),
        test=key.test,
        rate_limit=key.rate_limit,
        request_id=request_id,
        ip=ip,
    )


def _read(digest: str) -> _Known:
    _cache.pop(digest, None)
    moment = now()
    with transaction() as session:
        found = session.execute(
            select(ApiKey, Tenant.status)
            .join(Tenant, Tenant.id == ApiKey.tenant_id)
            .where(ApiKey.key_hash == digest)
        ).one_or_none()
        if found is None:
            raise Unauthorized("This API key is not valid.")
        key, tenant_status = found
        if key.last_used_at is None or key.last_used_at < moment - _LAST_USED_EVERY:
            session.execute(
                update(ApiKey)
                .where(ApiKey.id == key.id)
                .values(last_used_at=moment)
                .execution_options(synchronize_session=False)
            )
            key.last_used_at = moment
        session.flush()
        session.expunge(key)
    if len(_cache) >= _CACHE_MAX:
        _cache.clear()
    known = _Known(key, tenant_status, time.monotonic())
    _cache[digest] = known
    return known


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
