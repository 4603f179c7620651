"""Live audio taps on every switch."""

import time
from collections.abc import Iterator
from typing import Any

import gevent
import numpy as np
import pytest

from irisx.media.taps import Cause, Consumer, Report, Tap, messages
from irisx.media.taps.consumer import Samples
from irisx.media.taps.service import TapService
from irisx.settings import get_settings
from irisx.telephony import engine, taps
from irisx.telephony.calls.live import LiveCall
from irisx.telephony.switch import Switch
from tests.contract.rig import STAYS, Rig
from tests.sipp import Sipp, wideband
from tests.waiting import wait_until

_TONE = "tone_stream://%(3000,0,440)"


class Levels(Consumer):
    """How loud each side was at its loudest; the times of frames."""

    made: list["Levels"]

    def __init__(self, tap: Tap, args: dict[str, Any]) -> None:
        self.said = self.heard = self.frames = 0
        self.ended: Cause | None = None
        self.made.append(self)
        tap.report("ready", args)

    def hear(self, said: Samples, heard: Samples | None) -> None:
        assert heard is not None
        self.frames += 1
        self.said = max(self.said, int(np.abs(said.astype(int)).max()))
        self.heard = max(self.heard, int(np.abs(heard.astype(int)).max()))

    def end(self, cause: Cause) -> None:
        self.ended = cause


class Media:
    """The taps of a media process, in this one."""

    def __init__(self) -> None:
        self.service = TapService({"levels": Levels})
        self.greenlet = gevent.spawn(self.service.run)

    def kill(self) -> None:
        """As SIGKILL does it: nothing is reported, what was not read stays unread."""
        self.service._taps.end_all = lambda: None  # type: ignore[method-assign]
        self.greenlet.kill()


@pytest.fixture
def media(line: Rig) -> Iterator[Media]:
    Levels.made = []
    started = Media()
    wait_until(lambda: messages.is_alive(line.switch.name))
    yield started
    started.greenlet.kill()


@pytest.fixture
def reports(monkeypatch: pytest.MonkeyPatch) -> list[Report]:
    taken: list[Report] = []

    def take(switch: Switch, call: LiveCall, report: Report) -> None:
        taken.append(report)

    monkeypatch.setitem(engine._LISTENERS, "levels", take)
    return taken


def call_of(line: Rig) -> LiveCall:
    call_id = line.place(line.far_end(STAYS))
    line.wait_status(call_id, "in-progress")
    return line.switch.calls[str(call_id)]


def test_both_sides_of_a_call_are_heard_apart_while_it_goes_on(
    line: Rig, media: Media, reports: list[Report]
) -> None:
    call = call_of(line)
    tap = taps.start(line.switch, call, "levels", {"a": 1}, stereo=True)
    wait_until(lambda: Levels.made and Levels.made[0].frames > 10)
    levels = Levels.made[0]
    assert levels.heard < 100
    line.switch.execute(call.uuid, ("playback", _TONE))
    wait_until(lambda: levels.heard > 3000)
    assert list(get_settings().taps_path.glob("*.r8")) == []
    taps.stop(line.switch, call, tap)
    wait_until(lambda: len(reports) == 2)
    assert not call.taps
    assert levels.ended is Cause.STOPPED
    assert [(report.type, report.data) for report in reports] == [
        ("ready", {"a": 1}),
        ("ended", {"cause": "stopped"}),
    ]
    assert line.row(call.id).status == "in-progress"


def test_a_hang_up_ends_the_tap(line: Rig, media: Media, reports: list[Report]) -> None:
    call = call_of(line)
    taps.start(line.switch, call, "levels", {}, stereo=True)
    wait_until(lambda: Levels.made and Levels.made[0].frames > 1)
    line.command(call.id, "end")
    wait_until(lambda: Levels.made[0].ended is Cause.STOPPED)


def test_a_wideband_call_is_heard_at_8_khz(line: Rig, media: Media, reports: list[Report]) -> None:
    if line.sandbox:
        pytest.skip("the sandbox has narrowband calls only")
    phone = Sipp(wideband(), hold_ms=50, trace=False, timeout=60)
    line.far_ends.append(phone)
    line.carrier(STAYS, phone.port)
    call_id = line.place(STAYS)
    line.wait_status(call_id, "in-progress")
    rate = line.told(f"uuid_getvar {call_id} read_rate")
    assert rate == "16000"
    call = line.switch.calls[str(call_id)]
    line.switch.execute(call.uuid, ("playback", "tone_stream://%(20000,0,440)"))
    taps.start(line.switch, call, "levels", {}, stereo=True)
    wait_until(lambda: Levels.made and Levels.made[0].frames > 10)
    levels, began, before = Levels.made[0], time.monotonic(), Levels.made[0].frames
    wait_until(lambda: levels.frames > before + 100, 10)
    assert 1.6 < time.monotonic() - began < 4  # 100 frames of 20 ms; at 16 kHz it is half of it


def test_the_call_goes_on_when_the_media_process_is_lost(
    line: Rig, media: Media, reports: list[Report]
) -> None:
    call = call_of(line)
    taps.start(line.switch, call, "levels", {}, stereo=True)
    wait_until(lambda: Levels.made and Levels.made[0].frames > 1)
    media.kill()
    again = Media()
    wait_until(lambda: reports and reports[-1].type == "ended")
    assert reports[-1].data == {"cause": "lost"} and not call.taps
    taps.start(line.switch, call, "levels", {}, stereo=True)
    wait_until(lambda: Levels.made[-1].frames > 1)
    line.command(call.id, "end")
    assert line.wait_status(call.id, "completed").reason == "NORMAL_CLEARING"
    again.greenlet.kill()
