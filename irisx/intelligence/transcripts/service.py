"""What a tenant sees of transcripts."""

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from irisx.intelligence import providers
from irisx.intelligence.transcripts.models import Transcript
from irisx.intelligence.transcripts.transcribe import TOPIC
from irisx.kernel.db import transaction
from irisx.kernel.jobs import wake


def of_recording(tenant_id: int, call_id: UUID, recording_id: int) -> Transcript:
    """The transcript of a recording that is stored; one that was never asked for is begun.

    Raises NotConfigured where nothing recognizes speech.
    """
    mine = select(Transcript).where(
        Transcript.tenant_id == tenant_id, Transcript.recording_id == recording_id
    )
    with transaction() as session:
        row = session.scalars(mine).one_or_none()
    if row is not None:
        return row
    providers.recognizer(tenant_id)
    new = insert(Transcript).values(tenant_id=tenant_id, call_id=call_id, recording_id=recording_id)
    with transaction() as session:
        session.execute(new.on_conflict_do_nothing(index_elements=["recording_id"]))
        row = session.scalars(mine).one()
    wake(TOPIC)
    return row
