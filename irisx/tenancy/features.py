"""Feature flags: areas of the API that an administrator switches off, for all or for a tenant."""

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from irisx.kernel.db import transaction
from irisx.kernel.errors import NotFound, invalid
from irisx.tenancy import audit
from irisx.tenancy.access import Actor
from irisx.tenancy.models import FeatureDefault, Tenant, TenantFeature

#: Area of permissions -> what switching it off takes away. All are on unless switched off.
CATALOGUE = {
    "ai": "The AI engine and the knowledge base; assistants' calls go on.",
    "amd": "Settings, results and feedback of answering-machine detection; calls go on detecting.",
    "calls": "Placing, controlling and listing calls.",
    "campaigns": "Outbound campaigns, their contacts and do-not-call lists.",
    "email": "Sending email, templates, campaigns, automation; what is accepted goes on.",
    "events": "The live stream of events.",
    "ivr": "Writing, trying and publishing IVR flows and prompts; calls in flows go on.",
    "contacts": "Keeping, importing and exporting contacts and lists.",
    "conversations": "Reading and answering conversations; messages go on.",
    "messaging": "Provider accounts, suppressions and the message log; messages go on.",
    "recordings": "Listening to, listing and deleting recordings.",
    "sms": "Sending and listing text messages.",
    "translation": "Translating texts and detecting languages.",
    "whatsapp": "Sending and listing WhatsApp messages, templates and media.",
    "webhooks": "Webhooks and their deliveries.",
}


@dataclass(frozen=True, slots=True)
class Flag:
    """`enabled` as it holds; `own` if the tenant has a choice of its own."""

    key: str
    description: str
    enabled: bool
    own: bool = False


def disabled(session: Session, tenant_id: int) -> frozenset[str]:
    """Keys of the features that the tenant does not have."""
    return frozenset(flag.key for flag in _flags(session, tenant_id) if not flag.enabled)


def flags(tenant_id: int | None = None) -> list[Flag]:
    """Every feature, as it holds for a tenant or by default."""
    with transaction() as session:
        if tenant_id is not None:
            _require_tenant(session, tenant_id)
        return _flags(session, tenant_id)


def set_default(by: Actor, key: str, enabled: bool) -> Flag:
    """What tenants without a choice of their own have."""
    if key not in CATALOGUE:
        raise NotFound(f"There is no feature {key!r}.")
    statement = insert(FeatureDefault).values(key=key, enabled=enabled)
    with transaction() as session:
        session.execute(
            statement.on_conflict_do_update(index_elements=["key"], set_={"enabled": enabled})
        )
        after = {"enabled": enabled}
        audit.record(session, by, "feature.updated", key, tenant_id=None, after=after)
    return Flag(key, CATALOGUE[key], enabled)


def set_for_tenant(by: Actor, tenant_id: int, choices: dict[str, bool]) -> list[Flag]:
    """Switch features of one tenant; those not named stay as they are."""
    if unknown := choices.keys() - CATALOGUE.keys():
        raise invalid("features", f"there is no feature {', '.join(sorted(unknown))}")
    with transaction() as session:
        _require_tenant(session, tenant_id)
        for key, enabled in choices.items():
            statement = insert(TenantFeature).values(tenant_id=tenant_id, key=key, enabled=enabled)
            session.execute(
                statement.on_conflict_do_update(
                    index_elements=["tenant_id", "key"], set_={"enabled": enabled}
                )
            )
            after = {"enabled": enabled}
            audit.record(session, by, "feature.updated", key, tenant_id=tenant_id, after=after)
        return _flags(session, tenant_id)


def _flags(session: Session, tenant_id: int | None) -> list[Flag]:
    default = {row.key: row.enabled for row in session.scalars(select(FeatureDefault))}
    mine = select(TenantFeature).where(TenantFeature.tenant_id == tenant_id)
    own = {row.key: row.enabled for row in session.scalars(mine)} if tenant_id else {}
    return [
        Flag(key, description, own.get(key, default.get(key, True)), key in own)
        for key, description in CATALOGUE.items()
    ]


def _require_tenant(session: Session, tenant_id: int) -> None:
    if session.get(Tenant, tenant_id) is None:
        raise NotFound("There is no tenant with this id.")
