"""Live control of calls that are under way, as the API asks for it over the bus."""

from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pytest
import soundfile

from irisx.kernel.db import transaction
from irisx.kernel.errors import Conflict, ValidationError
from irisx.settings import get_settings
from irisx.telephony.calls.live import LiveCall
from irisx.telephony.calls.models import CallEvent, Recording
from tests.contract.rig import ALSO_STAYS, ANSWERS, BUSY, RINGS, STAYS, STAYS_TOO, Rig
from tests.waiting import wait_until

_RATE = 8000


def tone_of(hertz: int) -> Path:
    """0.4 s of a tone where the switch may read it."""
    path = get_settings().home / "prompts" / f"tone{hertz}.wav"
    path.parent.mkdir(parents=True, exist_ok=True)
    time = np.arange(int(0.4 * _RATE)) / _RATE
    soundfile.write(path, 0.4 * np.sin(2 * np.pi * hertz * time), _RATE, subtype="PCM_16")
    return path


@pytest.fixture
def tone() -> Path:
    return tone_of(700)


def seconds_of(hertz: int, sound: "np.ndarray[Any, np.dtype[np.float64]]") -> float:
    """How long the tone is heard: frames of 20 ms in which more than a fifth of it is."""
    frames = sound[: len(sound) // 160 * 160].reshape(-1, 160)
    wave = np.exp(-2j * np.pi * hertz * np.arange(160) / _RATE)
    return float((np.abs(frames @ wave) / 80 > 0.08).sum()) * 0.02


def answered(line: Rig, number: str = STAYS, **columns: object) -> UUID:
    call_id = line.place(line.far_end(number), **columns)
    line.wait_status(call_id, "in-progress")
    return call_id


def conversation(line: Rig) -> UUID:
    """A customer who talks to somebody."""
    partner = {"type": "number", "to": line.far_end(ALSO_STAYS)}
    call_id = answered(line, options={"on_answer": partner, "ring_timeout_s": 30})
    line.wait_line(call_id, "call.bridged")
    return call_id


def ended(line: Rig, call_id: UUID) -> None:
    line.command(call_id, "end")
    line.wait_status(call_id, "completed")
    wait_until(lambda: not line.switch_channels())


def test_a_prompt_is_played_and_its_end_told(line: Rig, tone: Path) -> None:
    call_id = answered(line)
    line.command(call_id, "play", path=str(tone), loops=2)
    wait_until(lambda: line.timeline(call_id).count("playback.ended") == 2)
    ended(line, call_id)


def test_a_recording_is_stereo_and_holds_nothing_of_a_pause(line: Rig) -> None:
    """Card numbers are said while it is paused. A busy switch may write less than was heard."""
    before, secret, after = 700, 1100, 1500
    call_id = answered(line)
    started = line.command(call_id, "record", action="start")
    line.wait_line(call_id, "recording.started")
    with pytest.raises(Conflict, match="already"):
        line.command(call_id, "record", action="start")
    for played, (hertz, action) in enumerate(
        ((before, "pause"), (secret, "resume"), (after, "stop")), 1
    ):
        line.command(call_id, "play", path=str(tone_of(hertz)))
        wait_until(lambda n=played: line.timeline(call_id).count("playback.ended") == n)
        line.command(call_id, "record", action=action)
        if action == "pause":
            line.told(f"uuid_recv_dtmf {call_id} 7")
            line.wait_line(call_id, "dtmf.received")
    line.wait_line(call_id, "recording.stopped")
    with transaction() as session:
        row = session.query(Recording).filter_by(call_id=call_id).one()
        pressed = session.query(CallEvent).filter_by(call_id=call_id, type="dtmf.received").one()
    assert pressed.data["digit"] == ""
    assert started == {"recording_id": row.id}
    sound, rate = soundfile.read(get_settings().recording_path / row.path)
    assert rate == _RATE and sound.shape[1] == 2
    heard = {hertz: seconds_of(hertz, sound[:, 1]) for hertz in (before, secret, after)}
    assert heard[secret] == 0
    assert 0.1 < heard[before] < 0.5
    assert 0.1 < heard[after] < 0.5
    ended(line, call_id)


def test_a_call_that_is_to_be_recorded_is_from_its_answer_on(line: Rig) -> None:
    call_id = answered(line, ANSWERS, record=True)
    line.wait_status(call_id, "completed", timeout=20)
    line.wait_line(call_id, "recording.stopped")


def test_an_answered_call_is_connected_with_its_destination(line: Rig) -> None:
    call_id = conversation(line)
    wait_until(lambda: len(line.switch_channels()) == 2)
    ended(line, call_id)


def test_a_held_customer_is_told_of_and_comes_back(line: Rig) -> None:
    call_id = conversation(line)
    line.command(call_id, "hold")
    with pytest.raises(Conflict, match="on hold"):
        line.command(call_id, "hold")
    line.command(call_id, "unhold")
    wait_until(lambda: line.timeline(call_id).count("call.bridged") == 2, 10)
    with pytest.raises(Conflict, match="not on hold"):
        line.command(call_id, "unhold")
    ended(line, call_id)


def test_both_legs_can_be_muted(line: Rig) -> None:
    call_id = conversation(line)
    for leg in ("customer", "partner"):
        line.command(call_id, "mute", leg=leg)
        line.command(call_id, "unmute", leg=leg)
    ended(line, call_id)


def test_a_blind_transfer_connects_the_customer_with_somebody_else(line: Rig) -> None:
    call_id = conversation(line)
    first = line.switch.calls[str(call_id)].partner
    other = line.far_end(ANSWERS)
    line.command(call_id, "transfer", to={"type": "number", "to": other})
    wait_until(lambda: line.timeline(call_id).count("call.bridged") == 2, 10)
    assert first not in line.switch_channels()
    line.wait_status(call_id, "completed", timeout=20)  # the new partner hangs up


def test_an_attended_transfer_joins_the_customer_with_the_third_party(line: Rig) -> None:
    call_id = conversation(line)
    partner = line.switch.calls[str(call_id)].partner
    third = line.far_end(STAYS_TOO)
    line.command(call_id, "consult", to={"type": "number", "to": third})
    line.wait_line(call_id, "consult.connected")
    line.command(call_id, "consult_complete")
    wait_until(lambda: partner not in line.switch_channels(), 10)
    call = line.switch.calls[str(call_id)]
    wait_until(lambda: call.partner is not None and call.partner != partner)
    wait_until(lambda: len(line.switch_channels()) == 2)
    ended(line, call_id)


def test_a_canceled_consultation_brings_customer_and_partner_together_again(line: Rig) -> None:
    call_id = conversation(line)
    call = line.switch.calls[str(call_id)]
    partner = call.partner
    third = line.far_end(STAYS_TOO)
    line.command(call_id, "consult", to={"type": "number", "to": third})
    line.wait_line(call_id, "consult.connected")
    line.command(call_id, "consult_cancel")
    wait_until(lambda: call.partner == partner, 10)
    wait_until(lambda: len(line.switch_channels()) == 2, 10)
    ended(line, call_id)


def test_a_consultation_that_is_busy_brings_them_together_again(line: Rig) -> None:
    call_id = conversation(line)
    call = line.switch.calls[str(call_id)]
    partner = call.partner
    line.command(call_id, "consult", to={"type": "number", "to": line.far_end(BUSY)})
    line.wait_line(call_id, "consult.failed")
    wait_until(lambda: call.partner == partner, 10)
    ended(line, call_id)


def consulting(line: Rig, third: str) -> tuple[UUID, LiveCall, str, str]:
    """A conversation whose partner talks to a third party: the call, and the two's channels."""
    call_id = conversation(line)
    call = line.switch.calls[str(call_id)]
    partner = call.partner
    line.command(call_id, "consult", to={"type": "number", "to": line.far_end(third)})
    wait_until(lambda: len(line.switch_channels()) == 3, 10)
    if third != RINGS:
        line.wait_line(call_id, "consult.connected")
        # FreeSWITCH ends both legs if one leaves before their media are joined.
        wait_until(lambda: line.told(f"uuid_getvar {partner} bridge_uuid") == call.consult)
    assert partner is not None and call.consult is not None
    return call_id, call, partner, call.consult


@pytest.mark.parametrize("who", ["partner", "third"])
def test_who_hangs_up_in_a_consultation_leaves_the_others_talking(line: Rig, who: str) -> None:
    """A partner who does has transferred the call."""
    call_id, call, partner, third = consulting(line, STAYS_TOO)
    goes, stays = (partner, third) if who == "partner" else (third, partner)
    line.told(f"uuid_kill {goes}")
    wait_until(lambda: call.partner == stays, 10)
    wait_until(lambda: len(line.switch_channels()) == 2, 10)
    ended(line, call_id)


def test_a_customer_whom_partner_and_third_party_leave_is_not_left_alone(line: Rig) -> None:
    call_id, _, partner, third = consulting(line, RINGS)
    line.told(f"uuid_kill {partner}")
    line.told(f"uuid_kill {third}")
    line.wait_status(call_id, "completed")
    wait_until(lambda: not line.switch_channels(), 10)


@pytest.mark.parametrize("parted_by", ["consult", "hold"])
def test_a_blind_transfer_lets_go_of_whom_the_customer_was_parted_from(
    line: Rig, parted_by: str
) -> None:
    if parted_by == "consult":
        call_id, call, partner, third = consulting(line, STAYS_TOO)
        before = {partner, third}
    else:
        call_id = conversation(line)
        call = line.switch.calls[str(call_id)]
        before = {str(call.partner)}
        line.command(call_id, "hold")
    line.command(call_id, "transfer", to={"type": "number", "to": line.far_end(ANSWERS)})
    wait_until(lambda: call.partner is not None and call.partner not in before, 10)
    wait_until(lambda: not before & set(line.switch_channels()))
    line.wait_status(call_id, "completed", timeout=20)


def test_a_customer_who_hangs_up_on_hold_ends_the_call_for_both(line: Rig) -> None:
    call_id = conversation(line)
    line.command(call_id, "hold")
    line.told(f"uuid_kill {call_id}")
    line.wait_status(call_id, "completed")
    wait_until(lambda: not line.switch_channels(), 10)


def test_digits_are_sent_and_nonsense_is_refused(line: Rig) -> None:
    call_id = answered(line)
    line.command(call_id, "dtmf", digits="12*#", duration_ms=120)
    for hostile in ("1;${system(touch /tmp/owned)}", "1\napi status", ""):
        with pytest.raises(ValidationError):
            line.command(call_id, "dtmf", digits=hostile)
    ended(line, call_id)
