"""Which voice assistants a tenant has, for those who lead calls to them."""

from sqlalchemy import select

from irisx.kernel.db import transaction
from irisx.kernel.ids import row_key
from irisx.tenancy.assistant_models import VoiceAssistant


def exists(tenant_id: int, assistant_id: str) -> bool:
    """Whether `asst_3` is one of the tenant's. Raises NotFound for what is no such id."""
    mine = select(VoiceAssistant.id).where(
        VoiceAssistant.tenant_id == tenant_id,
        VoiceAssistant.id == row_key(VoiceAssistant.PREFIX, assistant_id),
    )
    with transaction() as session:
        return session.scalar(mine) is not None
