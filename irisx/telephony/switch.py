"""One FreeSWITCH node: its connection, the calls on it, and what is asked of it in verbs."""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Protocol
from uuid import UUID

import gevent
import structlog
from gevent.event import Event as Signal

from irisx.settings import get_settings
from irisx.telephony import missed
from irisx.telephony.acd.entering import Entering
from irisx.telephony.calls import ended
from irisx.telephony.calls.journal import Journal
from irisx.telephony.calls.live import LiveCall
from irisx.telephony.esl import commands
from irisx.telephony.esl.commands import Api, Endpoint
from irisx.telephony.esl.connection import Address, Connection, Job
from irisx.telephony.esl.dispatch import Dispatcher
from irisx.telephony.esl.errors import CommandRefused, Disconnected, EslError
from irisx.telephony.esl.wire import Event

log = structlog.get_logger()

#: Whose phone a leg is: an agent's key.
AGENT_VARIABLE = "irisx_agent"

_FORGET_EVERY_SECONDS = 0.05
#: Dumps asked for in one write: some 8 kB each, and events wait behind them.
_DUMPS = 100
#: Masking acts on what is written, so the half second that the switch holds back by default would
#: be masked too early, and shown too early after it.
_RECORDING = {"RECORD_STEREO": "true", "RECORD_MIN_SEC": "0", "RECORD_PRE_BUFFER_FRAMES": "1"}


class Distribution(Protocol):
    """What calls ask of the engine's queues (`acd/center.py`)."""

    def enter(
        self,
        switch: "Switch",
        call: LiveCall,
        queue_id: str,
        entering: Entering,
        rate: str | None = None,
    ) -> None: ...
    def resume(self, switch: "Switch", call: LiveCall, dump: Event) -> None: ...
    def take_up(self, keys: int) -> Callable[[], None]: ...
    def engaged(self, call: LiveCall, agent_id: int, leg: str, *, talks: bool) -> None: ...
    def released(self, call: LiveCall, agent_id: int, leg: str) -> None: ...


class Switch:
    """A node. `calls`: customer legs by channel; `legs`: every channel of a call.

    `draining`: it keeps its calls and gets no new ones. `center`: the engine's queues.
    """

    def __init__(
        self,
        url: str,
        *,
        sandbox: bool,
        journal: Journal,
        on_event: Callable[["Switch", Event], None],
        on_up: Callable[["Switch"], None],
        on_down: Callable[["Switch", str], None],
    ) -> None:
        address = Address.parse(url)
        self.name = "sandbox" if sandbox else str(address)
        self.sandbox = sandbox
        self.journal = journal
        self.capacity = get_settings().node_max_calls
        self.draining = False
        self.center: Distribution | None = None
        self.api_expansion: bool | None = None
        self.version = ""
        self.calls: dict[str, LiveCall] = {}
        self.legs: dict[str, LiveCall] = {}
        #: Calls of which recovery has not yet found out everything: no command reaches them.
        self.taking_up: set[str] = set()
        self._forget: list[Api] = []
        self._something_to_forget = Signal()
        self.dispatcher = Dispatcher(lambda event: on_event(self, event), self._call_of)
        self.connection = Connection(
            url,
            self.dispatcher.dispatch,
            lambda: on_up(self),
            lambda reason: on_down(self, reason),
        )
        gevent.spawn(self._forgetting)

    def _call_of(self, event: Event) -> str | None:
        channel = event.uuid
        if channel is None:
            return None
        call = self.legs.get(channel)
        return call.uuid if call else event.variable("irisx_call_id") or channel

    @property
    def free_share(self) -> float:
        """What part of the node's capacity is free; 0 or less: it takes no more calls."""
        return 1 - len(self.calls) / self.capacity

    @property
    def takes_calls(self) -> bool:
        return self.connection.up and not self.draining and self.free_share > 0

    # -- what is asked of it ----------------------------------------------------------------------

    def adopt(self, call: LiveCall) -> None:
        """The call lives on this node from now on."""
        self.calls[call.uuid] = call
        self.legs[call.uuid] = call

    def drop(self, channel: str) -> None:
        """A channel is gone."""
        self.legs.pop(channel, None)
        self.calls.pop(channel, None)

    def run(self, *apis: Api) -> None:
        """Several quick API commands in one write; one that is refused doesn't stop the others.

        What concerns a channel that has just gone is refused: that is ordinary. Raises
        Disconnected or CommandTimeout.
        """
        try:
            self.connection.pipeline([api.foreground for api in apis])
        except CommandRefused as error:
            log.debug("switch.refused", switch=self.name, error=str(error))

    def execute(self, channel: str, *steps: tuple[str, str], event_lock: bool = True) -> None:
        """Queue applications on a channel, (name, argument) each, and don't wait for them."""
        self.connection.execute_all(channel, list(steps), event_lock=event_lock)

    def dial(
        self, call: LiveCall, endpoint: Endpoint, variables: Mapping[str, str], channel: UUID
    ) -> Job:
        """Ring one endpoint as a leg of the call and park who answers. The job ends with that."""
        own = {"origination_uuid": str(channel), **leg_variables(call), **variables}
        return self.connection.bgapi(commands.originate([endpoint], own, keep_end=True))

    def exists(self, channel: str) -> bool:
        return self.connection.api(commands.uuid_exists(channel)) == "true"

    def is_answered(self, channel: str) -> bool:
        dump = self.dump(channel)
        return dump is not None and dump.get("Answer-State") == "answered"

    def recording_file(self, call: LiveCall) -> str | None:
        """The file that the call is being recorded into."""
        path = call.recording_path
        return None if path is None else str(get_settings().recording_path / path)

    def dump(self, channel: str) -> Event | None:
        """All that the switch knows of a channel; None if it is gone."""
        try:
            text = self.connection.api(commands.uuid_dump(channel))
        except CommandRefused:
            return None
        return Event(text.encode())

    def dumps(self, channels: Iterable[str]) -> dict[str, Event]:
        """All that the switch knows of each channel that is there, asked in few writes."""
        found: dict[str, Event] = {}
        waiting = list(channels)
        for begin in range(0, len(waiting), _DUMPS):
            some = waiting[begin : begin + _DUMPS]
            texts = self.connection.answers([commands.uuid_dump(each) for each in some])
            found |= {
                channel: Event(text.encode())
                for channel, text in zip(some, texts, strict=True)
                if text is not None
            }
        return found

    def start_recording(self, call: LiveCall, at: datetime) -> str:
        """Record the customer's leg in stereo: caller left, what it hears right.

        Returns the file's path relative to the recordings directory.
        """
        call.recordings += 1
        name = f"{at:%Y/%m/%d}/{call.tenant_id}/{call.sid}-{call.recordings}.wav"
        file = get_settings().recording_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        self.connection.api(commands.uuid_record_start(call.uuid, str(file), options=_RECORDING))
        self.run(commands.uuid_setvar(call.uuid, "irisx_recording", name))
        return name

    def forget_end(self, channel: str) -> None:
        """The channel's end is in the database: the switch need not keep it any longer."""
        self._forget.append(commands.hash_delete(missed.REALM, channel))
        self.forget_unknown_end(channel)

    def forget_unknown_end(self, channel: str) -> None:
        """The channel was of no call of ours. That it was perhaps missed is another note."""
        self._forget.append(commands.hash_delete(ended.REALM, channel))
        self._something_to_forget.set()

    def _forgetting(self) -> None:
        while True:
            self._something_to_forget.wait()
            gevent.sleep(_FORGET_EVERY_SECONDS)
            batch, self._forget = self._forget[:200], self._forget[200:]
            if not self._forget:
                self._something_to_forget.clear()
            try:
                self.connection.pipeline([api.foreground for api in batch])
            except CommandRefused:
                continue  # it held no line of that channel
            except EslError as error:
                log.info("switch.ends_kept", switch=self.name, reason=str(error))
                if isinstance(error, Disconnected):
                    self._forget.clear()  # recovery reads what is left, and forgets it

    def inspect(self) -> None:
        """Learn the version, and whether `${…}` in what we send could run commands."""
        answer = self.connection.api(commands.api_expansion())
        self.api_expansion = "off" not in answer.lower() and "false" not in answer.lower()
        self.version = self.connection.api(commands.version()).splitlines()[0][:80]
        if self.api_expansion:
            log.error(
                "switch.api_expansion_on",
                switch=self.name,
                fix='set <param name="api-expansion" value="false"/> in switch.conf.xml',
            )


def leg_variables(call: LiveCall, leg: str = "customer") -> dict[str, str]:
    """What every leg carries so that any engine can take the call up from the switch alone."""
    return {
        "irisx_call_id": call.uuid,
        "irisx_tenant_id": str(call.tenant_id),
        "irisx_direction": call.direction.value,
        "irisx_initiated_at": str(round(call.initiated_at.timestamp() * 1_000_000)),
        "irisx_leg": leg,
        "park_timeout": f"{get_settings().max_call_seconds}:ALLOTTED_TIMEOUT",
    }
