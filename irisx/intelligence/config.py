"""A tenant's AI settings: read by every use of a model, changed by `PUT /v1/ai/config`."""

from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from irisx.intelligence.models import AiConfig
from irisx.kernel import crypto, http
from irisx.kernel.clock import now
from irisx.kernel.db import transaction
from irisx.kernel.errors import ValidationError, invalid
from irisx.kernel.ids import public_id
from irisx.kernel.jobs import wake
from irisx.tenancy import audit
from irisx.tenancy.access import Actor

#: Woken by every change: what rests on a model may have to be made again.
TOPIC = "ai.config"
#: Fields that are kept encrypted, by what a request calls them.
_SECRETS = {
    "api_key": "api_key_encrypted",
    "translation_api_key": "translation_key_encrypted",
}
_URLS = {"base_url": "base_url", "translation_url": "url"}


def of(tenant_id: int) -> AiConfig:
    """The tenant's settings; the defaults where it has set none."""
    with transaction() as session:
        row = session.get(AiConfig, tenant_id)
    return row or _defaults(tenant_id)


def _defaults(tenant_id: int) -> AiConfig:
    return AiConfig(tenant_id=tenant_id, redact=[])


def change(by: Actor, tenant_id: int, fields: dict[str, Any]) -> AiConfig:
    """Set the given fields (columns, or a secret's name without `_encrypted`); null clears one."""
    for name, shown in _URLS.items():
        if fields.get(name):
            http.check_url(shown, fields[name])
    values = {
        _SECRETS.get(name, name): crypto.encrypt(value) if name in _SECRETS and value else value
        for name, value in fields.items()
    }
    with transaction() as session:
        session.execute(insert(AiConfig).values(tenant_id=tenant_id).on_conflict_do_nothing())
        mine = select(AiConfig).where(AiConfig.tenant_id == tenant_id).with_for_update()
        row = session.scalars(mine).one()
        before = audit.snapshot(row)
        if (wanted := values.pop("transcribe_recordings", None)) is not None:
            row.transcribe_since = (row.transcribe_since or now()) if wanted else None
        for name, value in values.items():
            setattr(row, name, value)
        _check(row, fields)
        session.flush()
        session.refresh(row)
        target = public_id("ten", tenant_id)
        after = audit.snapshot(row)
        audit.record(
            session,
            by,
            "ai_config.updated",
            target,
            tenant_id=tenant_id,
            before=before,
            after=after,
        )
    wake(TOPIC)
    return row


def _check(row: AiConfig, fields: dict[str, Any]) -> None:
    """Settings that make sense together."""
    models = ("chat_model", "embedding_model", "transcription_model")
    if row.base_url is None and (orphans := [name for name in models if getattr(row, name)]):
        raise ValidationError(
            f"{orphans[0]}: needs base_url",
            details=[{"field": name, "message": "needs base_url"} for name in orphans],
        )
    if row.translation_provider == "libretranslate" and row.translation_url is None:
        raise invalid("url", "required for the provider libretranslate")
    # A key goes to the host that it was given for, and to no other.
    for url, key in (("base_url", "api_key"), ("translation_url", "translation_api_key")):
        moved = url in fields and fields[url] is not None and key not in fields
        if moved and getattr(row, _SECRETS[key]) is not None:
            setattr(row, _SECRETS[key], None)
