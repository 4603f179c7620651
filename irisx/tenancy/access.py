"""Who acts: what every view knows about its caller and hands to the services."""

from collections.abc import Iterable
from dataclasses import dataclass

from irisx.kernel.errors import Forbidden, invalid
from irisx.tenancy.models import AdminRole

#: Areas of the specification; a permission is `area:read` or `area:write`, `*` is all of them.
AREAS = (
    "agents", "ai", "amd", "analytics", "api-keys", "audit-log", "billing", "business-messaging",
    "callbacks", "calls", "campaigns", "chat", "contacts", "conversations", "email", "events",
    "ivr", "messaging", "quality",
    "queues", "recordings", "reports", "scripts", "settings", "sip-accounts", "sms", "social",
    "sso", "stir-shaken", "supervisor", "translation", "usage", "users", "video", "voice",
    "wallboard", "webhooks", "whatsapp", "workspace",
)  # fmt: skip
ALL = "*"
PERMISSIONS = frozenset(f"{area}:{verb}" for area in AREAS for verb in ("read", "write"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Whoever changes something, as the audit log names it: `key_3`, `usr_4`, `adm_1`."""

    name: str
    request_id: str | None = None
    ip: str | None = None


#: IRISX itself: the command line, the first start.
SYSTEM = Actor(name="system")


@dataclass(frozen=True, slots=True, kw_only=True)
class Admin(Actor):
    """A person who runs the platform."""

    role: AdminRole

    def require_writer(self) -> None:
        """Raises Forbidden for a viewer."""
        if self.role is not AdminRole.ADMIN:
            raise Forbidden("A viewer reads everything and changes nothing.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller(Actor):
    """A program or a person of a tenant.

    `test`: a test key, whose calls and messages reach the sandbox only.
    `rate_limit`: the standard requests a minute of this key; None: the platform's.
    """

    tenant_id: int
    permissions: frozenset[str]
    test: bool = False
    rate_limit: int | None = None
    idempotency_key: str | None = None
    disabled_features: frozenset[str] = frozenset()

    def may(self, permission: str) -> bool:
        return permission in self.permissions or ALL in self.permissions

    def require(self, permission: str) -> None:
        """Raises Forbidden, naming the permission that is missing, or FEATURE_DISABLED."""
        area = permission.partition(":")[0]
        if area in self.disabled_features:
            raise Forbidden(f"{area} is switched off for this tenant.", code="FEATURE_DISABLED")
        if not self.may(permission):
            raise Forbidden(f"This needs the permission {permission!r}, which you do not have.")


def check_grant(by: Actor, permissions: Iterable[str]) -> None:
    """Permissions are known ones, and a caller hands out no more than it has."""
    wanted = set(permissions)
    if unknown := wanted - PERMISSIONS - {ALL}:
        raise invalid("permissions", f"there is no permission {', '.join(sorted(unknown))}")
    if isinstance(by, Caller) and ALL not in by.permissions and (excess := wanted - by.permissions):
        raise Forbidden(f"You can't grant {', '.join(sorted(excess))}: you do not have it.")
