"""API keys: `irx_live_…` and `irx_test_…`, of which only the SHA-256 is kept."""

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypedDict, Unpack

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from irisx.kernel.clock import now
from irisx.kernel.db import transaction
from irisx.kernel.errors import Forbidden, Unauthorized, invalid
from irisx.kernel.ids import token
from irisx.tenancy import audit, features, rows
from irisx.tenancy.access import Actor, Caller, check_grant
from irisx.tenancy.models import ApiKey, Tenant, TenantStatus
from irisx.tenancy.settings import TenantSettings

_VISIBLE_CHARS = 14
#: A key revoked in another process is refused here after this time at the latest.
_CACHE_SECONDS = 2.0
_CACHE_MAX = 10_000
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
    with transaction() as session:
        _check(session, by, tenant_id, {"permissions": permissions, "rate_limit": rate_limit})
        session.add(row)
        audit.created(session, by, row)
    return Issued(row, secret)


def get(tenant_id: int, key_id: int) -> ApiKey:
    with transaction() as session:
        return rows.fetch(session, ApiKey, key_id, tenant_id=tenant_id)


def list_page(tenant_id: int, *, limit: int, offset: int) -> tuple[Sequence[ApiKey], int]:
    mine = select(ApiKey).where(ApiKey.tenant_id == tenant_id)
    with transaction() as session:
        return rows.page(session, mine, limit=limit, offset=offset)


def change(by: Actor, tenant_id: int, key_id: int, **fields: Unpack[KeyFields]) -> ApiKey:
    """Set the given fields."""
    with transaction() as session:
        row = rows.fetch(session, ApiKey, key_id, tenant_id=tenant_id, lock=True)
        _check(session, by, tenant_id, fields)
        before = audit.snapshot(row)
        rows.assign(row, {**fields})
        audit.updated(session, by, row, before)
    forget_cached()
    return row


def revoke(by: Actor, tenant_id: int, key_id: int) -> None:
    """Delete a key; requests with it are refused from now on."""
    with transaction() as session:
        row = rows.fetch(session, ApiKey, key_id, tenant_id=tenant_id)
        audit.deleted(session, by, row)
        session.delete(row)
    forget_cached()


def _check(session: Session, by: Actor, tenant_id: int, fields: KeyFields) -> None:
    """A key has known permissions only and, made by a caller, no more than the caller's."""
    check_grant(by, fields.get("permissions", ()))
    if not isinstance(by, Caller):
        return
    tenant = session.get_one(Tenant, tenant_id)
    ceiling = TenantSettings.model_validate(tenant.settings).max_rate_limit
    if (fields.get("rate_limit") or 0) > ceiling:
        raise invalid("rate_limit", f"at most {ceiling} a minute for this tenant")


# --- authentication ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Known:
    """A key as it was a moment ago. `caller`: without what differs by request."""

    tenant_id: int
    name: str
    permissions: frozenset[str]
    test: bool
    rate_limit: int | None
    active: bool
    expires_at: datetime | None
    tenant_status: TenantStatus
    disabled_features: frozenset[str]
    read_at: float


_cache: dict[str, _Known] = {}


def forget_cached() -> None:
    """Read every key anew: one was changed, or its tenant was."""
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
    if not known.active:
        raise Forbidden("This API key is disabled.", code="API_KEY_INACTIVE")
    if known.expires_at is not None and known.expires_at <= now():
        raise Forbidden("This API key has expired.", code="API_KEY_INACTIVE")
    if known.tenant_status is not TenantStatus.ACTIVE:
        raise Forbidden("This tenant is not active.", code="TENANT_INACTIVE")
    return Caller(
        name=known.name,
        tenant_id=known.tenant_id,
        permissions=known.permissions,
        test=known.test,
        rate_limit=known.rate_limit,
        disabled_features=known.disabled_features,
        request_id=request_id,
        ip=ip,
    )


def _read(digest: str) -> _Known:
    """The key as it is now, remembered; it counts as used."""
    _cache.pop(digest, None)
    with transaction() as session:
        found = session.execute(
            select(ApiKey, Tenant.status)
            .join(Tenant, Tenant.id == ApiKey.tenant_id)
            .where(ApiKey.key_hash == digest)
        ).one_or_none()
        if found is None:
            raise Unauthorized("This API key is not valid.")
        key, tenant_status = found
        _mark_used(session, key)
        disabled = features.disabled(session, key.tenant_id)
    if len(_cache) >= _CACHE_MAX:
        _cache.clear()
    known = _Known(
        tenant_id=key.tenant_id,
        name=key.public_id,
        permissions=frozenset(key.permissions),
        test=key.test,
        rate_limit=key.rate_limit,
        active=key.active,
        expires_at=key.expires_at,
        tenant_status=tenant_status,
        disabled_features=disabled,
        read_at=time.monotonic(),
    )
    _cache[digest] = known
    return known


def _mark_used(session: Session, key: ApiKey) -> None:
    moment = now()
    if key.last_used_at is None or key.last_used_at < moment - _LAST_USED_EVERY:
        # Not through the row: a key that is revoked at this moment is then no error.
        mark = update(ApiKey).where(ApiKey.id == key.id).values(last_used_at=moment)
        session.execute(mark.execution_options(synchronize_session=False))


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
