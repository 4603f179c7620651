"""Which voice assistants a tenant has, for those who lead calls to them."""

from typing import Any

from sqlalchemy import select

from irisx.kernel.db import transaction
from irisx.kernel.ids import row_key
from irisx.tenancy.assistant_models import VoiceAssistant


def exists(tenant_id: int, assistant_id: str) -> bool:
    """Whether `asst_3` is one of the tenant's."""
    return _find(tenant_id, assistant_id) is not None


def escalation(tenant_id: int, assistant_id: str) -> dict[str, Any] | None:
    """The destination of callers whom the assistant can't help, if there is one."""
    row = _find(tenant_id, assistant_id)
    return row.escalation if row is not None else None


def _find(tenant_id: int, assistant_id: str) -> VoiceAssistant | None:
    mine = select(VoiceAssistant).where(
        VoiceAssistant.tenant_id == tenant_id,
        VoiceAssistant.id == row_key(VoiceAssistant.PREFIX, assistant_id),
    )
    with transaction() as session:
        return session.scalar(mine)
