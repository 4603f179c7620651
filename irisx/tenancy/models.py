"""Rows of the tenancy room."""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, ClassVar

from sqlalchemy import BigInteger, ForeignKey, Index, Numeric, UniqueConstraint, func, text
from sqlalchemy.orm import Mapped, mapped_column

from irisx.kernel.db import Base, Row, text_enum
from irisx.kernel.ids import public_id


class Noun(Row):
    """Mixin: a row with a public id (`key_3`), by which the audit log names it."""

    PREFIX: ClassVar[str]

    @property
    def public_id(self) -> str:
        return public_id(self.PREFIX, self.id)


class TenantStatus(StrEnum):
    ACTIVE = "active"
    SUSPENDED = "suspended"
    DELETED = "deleted"


class Tenant(Noun, Base):
    """A customer of the platform; everything else belongs to one. `settings`: TenantSettings."""

    PREFIX = "ten"
    __tablename__ = "tenants"

    name: Mapped[str]
    status: Mapped[TenantStatus] = mapped_column(
        text_enum(TenantStatus), default=TenantStatus.ACTIVE
    )
    settings: Mapped[dict[str, Any]] = mapped_column(default=dict)
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())


class User(Noun, Base):
    """A person of a tenant, who signs in for a JWT."""

    PREFIX = "usr"
    __tablename__ = "users"

    tenant_id: Mapped[int] = mapped_column(ForeignKey("tenants.id"))
    email: Mapped[str]
    name: Mapped[str]
    password_hash: Mapped[str]
    permissions: Mapped[list[str]]
    active: Mapped[bool] = mapped_column(default=True)
    last_login_at: Mapped[datetime | None]

    __table_args__ = (UniqueConstraint("tenant_id", "email"),)


class AdminRole(StrEnum):
    """What an administrator may do: everything, or read everything."""

    ADMIN = "admin"
    VIEWER = "viewer"


class AdminUser(Noun, Base):
    """A person who runs the platform; never a tenant's API key."""

    PREFIX = "adm"
    __tablename__ = "admin_users"

    email: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    role: Mapped[AdminRole] = mapped_column(text_enum(AdminRole), default=AdminRole.ADMIN)
    password_hash: Mapped[str]
    active: Mapped[bool] = mapped_column(default=True)
    last_login_at: Mapped[datetime | None]


class ApiKey(Noun, Base):
    """A program's credential. Only its SHA-256 and a visible prefix are stored.

    `test` keys reach the sandbox switch and sandbox providers only. `rate_limit`: requests a
    minute, in place of the standard limit.
    """

    PREFIX = "key"
    __tablename__ = "api_keys"

    tenant_id: Mapped[int] = mapped_column(ForeignKey("tenants.id"), index=True)
    name: Mapped[str]
    prefix: Mapped[str]
    key_hash: Mapped[str] = mapped_column(unique=True)
    permissions: Mapped[list[str]]
    rate_limit: Mapped[int | None]
    test: Mapped[bool] = mapped_column(default=False)
    active: Mapped[bool] = mapped_column(default=True)
    expires_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]


class DestinationType(StrEnum):
    """What an inbound call to a number reaches."""

    FLOW = "flow"
    QUEUE = "queue"
    AGENT = "agent"
    ASSISTANT = "assistant"
    NUMBER = "number"
    SIP = "sip"


class PhoneNumber(Noun, Base):
    """A DID, E.164. Without a tenant it is in the platform's pool.

    `destination`: `{"type": DestinationType, "id": …}` or `{"type": "number" | "sip", "to": …}`.
    """

    PREFIX = "num"
    __tablename__ = "phone_numbers"

    number: Mapped[str] = mapped_column(unique=True)
    tenant_id: Mapped[int | None] = mapped_column(ForeignKey("tenants.id"), index=True)
    name: Mapped[str | None]
    destination: Mapped[dict[str, Any] | None]


class Carrier(Noun, Base):
    """A SIP trunk. Calls leave by it when a prefix matches; calls from its host are let in.

    `prefixes`: digits without `+`, "" matches every number. `priority`: lower is tried first;
    `cost` (per minute) decides between equal ones. `max_cps`, `max_concurrent`: None is no cap.
    `sandbox`: a carrier of the sandbox switch.
    """

    PREFIX = "car"
    __tablename__ = "carriers"

    name: Mapped[str] = mapped_column(unique=True)
    host: Mapped[str]
    port: Mapped[int]
    transport: Mapped[str]
    username: Mapped[str | None]
    password_encrypted: Mapped[str | None]
    register: Mapped[bool] = mapped_column(default=False)
    prefixes: Mapped[list[str]]
    priority: Mapped[int] = mapped_column(default=100)
    cost: Mapped[Decimal] = mapped_column(Numeric(12, 6), default=0)
    max_cps: Mapped[int | None]
    max_concurrent: Mapped[int | None]
    enabled: Mapped[bool] = mapped_column(default=True)
    sandbox: Mapped[bool] = mapped_column(default=False)
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())

    @property
    def gateway(self) -> str:
        """Name of the FreeSWITCH gateway: from the key, since names are an admin's free text."""
        return f"carrier_{self.id}"


class SipAccount(Noun, Base):
    """Credentials with which a person's phone registers on the agents' profile.

    User name and password are generated; the password is shown once, kept encrypted since SIP
    digest needs it (RFC 3261 §22.4). `mailbox`: whose messages light its lamp; None: its own,
    which has the name of its id.
    """

    PREFIX = "sip"
    __tablename__ = "sip_accounts"

    tenant_id: Mapped[int] = mapped_column(ForeignKey("tenants.id"), index=True)
    name: Mapped[str]
    username: Mapped[str] = mapped_column(unique=True)
    password_encrypted: Mapped[str]
    mailbox: Mapped[str | None]


class FeatureDefault(Base):
    """What tenants without a choice of their own have, where it differs from the catalogue's."""

    __tablename__ = "feature_defaults"

    key: Mapped[str] = mapped_column(primary_key=True)
    enabled: Mapped[bool]


class TenantFeature(Base):
    __tablename__ = "tenant_features"

    tenant_id: Mapped[int] = mapped_column(ForeignKey("tenants.id"), primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    enabled: Mapped[bool]


class SwitchNode(Base):
    """What an administrator decided about a FreeSWITCH node; a draining one gets no new calls."""

    __tablename__ = "switch_nodes"

    name: Mapped[str] = mapped_column(primary_key=True)
    draining: Mapped[bool]


class AuditEntry(Row, Base):
    """Who changed what, from where. `before` and `after` hold no secrets.

    `action`: `phone_number.created`; `target`: public id of what was changed; `actor`: `key_3`,
    `usr_4`, `adm_1` or `system`.
    """

    __tablename__ = "audit_log"

    tenant_id: Mapped[int | None] = mapped_column(BigInteger)
    actor: Mapped[str]
    action: Mapped[str]
    target: Mapped[str]
    ip: Mapped[str | None]
    request_id: Mapped[str | None]
    before: Mapped[dict[str, Any] | None]
    after: Mapped[dict[str, Any] | None]

    __table_args__ = (Index("ix_audit_log_tenant", "tenant_id", "id"),)


class IdempotencyKey(Base):
    """An answer kept 24 h so that a repeated POST is not carried out twice.

    `status` None: the first request is still under way.
    """

    __tablename__ = "idempotency_keys"

    scope: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    fingerprint: Mapped[str]
    status: Mapped[int | None]
    body: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (Index("ix_idempotency_keys_created_at", text("created_at")),)
