"""Who hears whom while a supervisor is on a call: every party holds a tone of its own."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select

from irisx.kernel.db import transaction
from irisx.kernel.errors import Conflict
from irisx.settings import get_settings
from irisx.telephony.calls.models import Recording
from irisx.telephony.esl import commands
from irisx.telephony.esl.errors import CommandRefused
from irisx.telephony.supervision.models import SupervisionRecord
from irisx.telephony.supervision.state import Status
from irisx.tenancy.models import PhoneNumber, Tenant
from tests.contract.rig import (
    AGENT,
    COLLEAGUE,
    CUSTOMER,
    HUMS,
    SUPERVISOR,
    Line,
    Machine,
    Rig,
)
from tests.contract.test_recovery import EngineProcess, engine_process, restart
from tests.sandbox.sound import level, seconds
from tests.waiting import wait_until

#: A tone of a far end is some 9800 of 32767; what is not there is under 100.
_HEARD = 3000
_SECONDS = 0.5


@dataclass
class Conversation:
    """A customer with an agent. `legs`: channels by the number of their far end."""

    line: Line
    call_id: UUID
    legs: dict[str, str]

    def supervise(self, mode: str, supervisor: str = SUPERVISOR) -> None:
        self.line.command(self.call_id, "supervise", supervisor=supervisor, mode=mode)

    def joined(self, mode: str, number: str = SUPERVISOR) -> None:
        """Ring a supervisor, who answers."""
        self.supervise(mode, self.line.far_end(number))

        def active() -> SupervisionRecord | None:
            found = [row for row in self.records() if row.supervisor == number]
            return found[0] if found and found[0].status is Status.ACTIVE else None

        row = wait_until(active, 10)
        assert row is not None
        self.legs[number] = str(row.id)

    def heard(self) -> dict[str, set[str]]:
        """Whose tones each party hears, by a recording of its channel."""
        directory = get_settings().taps_path
        directory.mkdir(parents=True, exist_ok=True)
        files = {who: directory / f"{uuid4()}.wav" for who in self.legs}
        # Later than whatever is mixed in on the channel: it holds what goes out to the party.
        options = {
            "RECORD_STEREO": "true",
            "RECORD_PRE_BUFFER_FRAMES": "1",
            "enable_file_write_buffering": "false",
        }
        apis = [
            commands.uuid_record_start(self.legs[who], str(file), limit_s=2, options=options)
            for who, file in files.items()
        ]
        # A channel that goes elsewhere meanwhile refuses, or ends its recording: it is asked again.
        with suppress(CommandRefused):
            self.line.observer.pipeline([api.foreground for api in apis])
        with suppress(AssertionError):
            wait_until(lambda: all(_long(file) for file in files.values()), 3)
        return {
            who: {
                other
                for other, hertz in HUMS.items()
                if other in self.legs and level(file, hertz, 1, 0.1, _SECONDS) > _HEARD
            }
            for who, file in files.items()
            if _long(file)
        }

    def hear(self, **expected: str) -> None:
        """Wait until everybody hears whom they should: `customer="agent supervisor"`."""
        wanted = {
            _NAMES[who]: {_NAMES[name] for name in others.split()}
            for who, others in expected.items()
        }
        heard: dict[str, set[str]] = {}

        def right() -> bool:
            heard.clear()
            heard.update(self.heard())
            return all(heard.get(who) == others for who, others in wanted.items())

        try:
            wait_until(right, 20)
        except AssertionError:
            pytest.fail(f"wanted {wanted}, heard {heard}")

    def end(self) -> None:
        self.line.command(self.call_id, "end")
        self.line.wait_status(self.call_id, "completed")
        wait_until(lambda: not self.line.switch_channels(), 10)

    def records(self) -> list[SupervisionRecord]:
        with transaction() as session:
            return list(session.scalars(select(SupervisionRecord)))


_NAMES = {
    "customer": CUSTOMER,
    "agent": AGENT,
    "supervisor": SUPERVISOR,
    "colleague": COLLEAGUE,
}


def _long(file: Path) -> bool:
    return file.exists() and file.stat().st_size > 1000 and seconds(file) >= _SECONDS


@pytest.fixture
def talk(line: Rig) -> Conversation:
    return conversation(line)


@pytest.fixture
def mortal(
    running_switch: Machine, tenant: Tenant, number: PhoneNumber
) -> Iterator[tuple[Conversation, EngineProcess]]:
    """A conversation in the hands of an engine that can be killed."""
    with (
        Line.on(running_switch, tenant, number.number) as line,
        engine_process(running_switch) as engine,
    ):
        yield conversation(line), engine


def conversation(line: Line) -> Conversation:
    agent = {"type": "number", "to": line.far_end(AGENT)}
    call_id = line.place(line.far_end(CUSTOMER), options={"on_answer": agent}, record=True)
    line.wait_line(call_id, "call.bridged")
    wait_until(lambda: len(line.switch_channels()) == 2)
    partner = next(leg for leg in line.switch_channels() if leg != str(call_id))
    return Conversation(line, call_id, {CUSTOMER: str(call_id), AGENT: partner})


MODES = {
    "listen": {"customer": "agent", "agent": "customer", "supervisor": "customer agent"},
    "whisper": {
        "customer": "agent",
        "agent": "customer supervisor",
        "supervisor": "customer agent",
    },
    "barge": {
        "customer": "agent supervisor",
        "agent": "customer supervisor",
        "supervisor": "customer agent",
    },
    "takeover": {"customer": "supervisor", "agent": "", "supervisor": "customer"},
}


def test_each_mode_and_back_again_on_the_same_leg(talk: Conversation) -> None:
    talk.joined("listen")
    talk.hear(**MODES["listen"])
    for mode in ("whisper", "barge", "takeover", "barge", "takeover", "whisper", "listen"):
        talk.supervise(mode)
        talk.hear(**MODES[mode])
    assert len(talk.line.switch_channels()) == 3
    assert len(talk.records()) == 1
    talk.end()
    wait_until(lambda: talk.records()[0].status is Status.ENDED)


def test_a_whisper_is_in_no_recording(talk: Conversation) -> None:
    """Neither in one that began before the whisper, nor in one that began during it."""
    talk.joined("whisper")
    talk.hear(**MODES["whisper"])
    talk.line.command(talk.call_id, "record", action="stop")
    talk.line.wait_line(talk.call_id, "recording.stopped")
    talk.line.command(talk.call_id, "record", action="start")
    talk.hear(**MODES["whisper"])
    talk.line.command(talk.call_id, "record", action="stop")
    wait_until(lambda: talk.line.timeline(talk.call_id).count("recording.stopped") == 2)
    talk.end()
    with transaction() as session:
        paths = session.scalars(select(Recording.path)).all()
    assert len(paths) == 2
    for path in paths:
        file = get_settings().recording_path / path
        assert seconds(file) > _SECONDS
        assert level(file, HUMS[CUSTOMER], 0) > 1000
        assert level(file, HUMS[AGENT], 1) > 1000
        assert max(level(file, HUMS[SUPERVISOR], side) for side in (0, 1)) < 100


def test_a_supervisor_follows_the_customer_through_a_transfer(talk: Conversation) -> None:
    talk.joined("whisper")
    agent = talk.legs.pop(AGENT)
    colleague = talk.line.far_end(COLLEAGUE)
    talk.line.command(talk.call_id, "transfer", to={"type": "number", "to": colleague})
    wait_until(lambda: talk.line.timeline(talk.call_id).count("call.bridged") == 2, 10)
    known = {*talk.legs.values(), agent}

    def newcomer() -> str | None:
        return next((leg for leg in talk.line.switch_channels() if leg not in known), None)

    talk.legs[COLLEAGUE] = wait_until(newcomer, 10)
    talk.hear(
        customer="colleague", colleague="customer supervisor", supervisor="customer colleague"
    )
    talk.end()


@pytest.mark.parametrize("mode", ["whisper", "takeover"])
def test_a_supervisor_outlives_the_engine(
    mortal: tuple[Conversation, EngineProcess], mode: str
) -> None:
    talk, engine = mortal
    talk.joined(mode)
    talk.hear(**MODES[mode])
    restart(engine)
    talk.hear(**MODES[mode])
    talk.supervise("barge")
    talk.hear(**MODES["barge"])
    assert talk.line.timeline(talk.call_id).count("supervisor.joined") == 1
    talk.end()


def test_who_left_while_no_engine_was_there_is_known_to_have_left(
    mortal: tuple[Conversation, EngineProcess],
) -> None:
    talk, engine = mortal
    talk.joined("listen")
    engine.kill()
    talk.line.observer.api(commands.uuid_kill(talk.legs[SUPERVISOR]))
    wait_until(lambda: len(talk.line.switch_channels()) == 2)
    engine.start()
    wait_until(lambda: talk.records()[0].status is Status.ENDED)
    talk.end()


def test_a_supervisor_who_stops_gives_the_customer_back(talk: Conversation) -> None:
    talk.joined("takeover")
    talk.hear(**MODES["takeover"])
    talk.line.command(talk.call_id, "supervise_stop", supervisor=SUPERVISOR)
    del talk.legs[SUPERVISOR]
    talk.hear(customer="agent", agent="customer")
    with pytest.raises(Conflict, match="not on the call"):
        talk.line.command(talk.call_id, "supervise_stop", supervisor=SUPERVISOR)
    talk.end()


def test_a_supervisor_who_took_over_ends_the_call_by_hanging_up(talk: Conversation) -> None:
    talk.joined("takeover")
    talk.hear(**MODES["takeover"])
    talk.line.observer.api(commands.uuid_kill(talk.legs[SUPERVISOR]))
    talk.line.wait_status(talk.call_id, "completed")
    wait_until(lambda: not talk.line.switch_channels(), 10)


def test_two_supervisors_and_the_one_who_has_the_customer(talk: Conversation) -> None:
    talk.joined("listen")
    talk.supervise("takeover")
    talk.joined("whisper", COLLEAGUE)
    talk.hear(
        customer="supervisor",
        supervisor="customer colleague",
        colleague="customer supervisor",
        agent="",
    )
    talk.end()


def test_a_customer_alone_is_listened_to_or_taken_over(line: Rig) -> None:
    call_id = line.place(line.far_end(CUSTOMER))
    line.wait_status(call_id, "in-progress")
    talk = Conversation(line, call_id, {CUSTOMER: str(call_id)})
    for mode in ("whisper", "barge"):
        with pytest.raises(Conflict, match="Nobody is connected"):
            talk.supervise(mode)
    talk.joined("listen")
    talk.hear(customer="", supervisor="customer")
    talk.supervise("takeover")
    talk.hear(customer="supervisor", supervisor="customer")
    talk.end()


def test_a_supervisor_who_is_not_reached_is_told_of(talk: Conversation) -> None:
    busy = "+15555550102"
    talk.supervise("listen", talk.line.far_end(busy))
    talk.line.wait_line(talk.call_id, "supervisor.left")
    assert [row.reason for row in talk.records()] == ["USER_BUSY"]
    talk.hear(customer="agent", agent="customer")
    talk.end()


def test_the_call_ends_before_the_supervisor_answers(talk: Conversation) -> None:
    rings = "+15555550103"
    talk.supervise("listen", talk.line.far_end(rings))
    wait_until(lambda: len(talk.line.switch_channels()) == 3)
    talk.end()
    wait_until(lambda: talk.records()[0].status is Status.ENDED)
