"""One leg of a call: its state machine, variables, commands and events.

A channel is a task, as a FreeSWITCH session is a thread: it runs the handler of its state until
the state changes, then the next one. Applications run inside those handlers and let time pass only
through `turn()`, where queued `sendmsg` commands are obeyed (nested, unless `event-lock` forbids).
"""

import asyncio
import contextlib
import logging
import re
import uuid as uuids
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from irisx.sandbox.farends import FarEnd
from irisx.sandbox.leg import TIMES, Action, Command, Profile, billing
from irisx.sandbox.states import CAUSES, TRANSITIONS, CallState, State, cause_named

if TYPE_CHECKING:
    from irisx.sandbox.media import Source
    from irisx.sandbox.switch import Switch
    from irisx.sandbox.taps import Bug, Spy

log = logging.getLogger(__name__)

Handler = Callable[["Channel"], Awaitable[None]]

# Of the events about a channel, those that carry its variables
# (switch_channel.c, switch_channel_event_set_extended_data).
WITH_VARIABLES = frozenset(
    """
    CHANNEL_CREATE CHANNEL_ORIGINATE CHANNEL_UUID CHANNEL_ANSWER CHANNEL_PARK CHANNEL_UNPARK
    CHANNEL_BRIDGE CHANNEL_UNBRIDGE CHANNEL_PROGRESS CHANNEL_PROGRESS_MEDIA CHANNEL_HANGUP
    CHANNEL_HANGUP_COMPLETE CHANNEL_DATA CHANNEL_EXECUTE CHANNEL_EXECUTE_COMPLETE CHANNEL_DESTROY
    RECORD_START RECORD_STOP PLAYBACK_START PLAYBACK_STOP CALL_UPDATE MEDIA_BUG_START
    MEDIA_BUG_STOP CHANNEL_HOLD CHANNEL_UNHOLD CUSTOM
    """.split()  # noqa: SIM905 (a list of one word a line would hide the page)
)


@dataclass
class Channel:
    """See the module. Times are microseconds since the epoch, 0 for "not yet"."""

    switch: "Switch"
    far: FarEnd
    name: str
    direction: str
    profile: Profile
    uuid: str = field(default_factory=lambda: str(uuids.uuid4()))
    variables: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.state = State.CS_NEW
        self.running = State.CS_NONE
        self.call_state = CallState.DOWN
        self.cause = ""
        self.times = dict.fromkeys(TIMES, 0) | {"created": self.switch.clock.micros()}
        self.profile_created = self.times["created"]
        self.profile_index = 1
        self.logical_direction = self.direction
        self.hit_dialplan = self.direction == "inbound"
        self.called = self.profile.destination
        self.actions: deque[Action] = deque()
        self.commands: deque[Command] = deque()
        self.digits: deque[str] = deque()
        self.bugs: list[Bug] = []
        self.playing: tuple[Source, float] | None = None
        self.spying: Spy | None = None
        self.hears: Channel | None = None
        self.muted = {"read": False, "write": False}
        self.held = False
        self.partner: Channel | None = None
        self.originator = False
        self.other: tuple[str, Channel] | None = None
        self.breaking = False
        self.eavesdrop_command = ""
        self.task: asyncio.Task[None] | None = None
        self._locked = 0
        self._epoch = 0
        self._entered = 0
        self._wake = asyncio.Event()
        self.watchers = asyncio.Event()
        base = {
            "direction": self.direction,
            "uuid": self.uuid,
            "session_id": str(self.switch.sessions_started),
            "channel_name": self.name,
        }
        if self.direction == "outbound":
            base["is_outbound"] = "true"
        self.variables = base | self.variables

    # Events

    def headers(self, *, variables: bool) -> Iterator[tuple[str, str]]:
        """The headers that tell of the channel, in FreeSWITCH's order."""
        answer_state = (
            "hangup"
            if self.cause
            else "answered"
            if self.times["answered"]
            else "early"
            if self.times["progress_media"]
            else "ringing"
        )
        yield "Channel-State", self.running.name
        yield "Channel-Call-State", self.call_state.name
        yield "Channel-State-Number", str(int(self.state))
        yield "Channel-Name", self.name
        yield "Unique-ID", self.uuid
        yield "Call-Direction", self.direction
        yield "Presence-Call-Direction", self.direction
        yield "Channel-HIT-Dialplan", str(self.hit_dialplan).lower()
        yield "Channel-Call-UUID", self.variables.get("call_uuid", self.uuid)
        yield "Answer-State", answer_state
        if self.cause:
            yield "Hangup-Cause", self.cause
        if self.has_media:
            for side in ("Read", "Write"):
                yield f"Channel-{side}-Codec-Name", "PCMU"
                yield f"Channel-{side}-Codec-Rate", "8000"
                yield f"Channel-{side}-Codec-Bit-Rate", "64000"
        yield from self._profile_headers("Caller")
        if self.other:
            yield "Other-Type", self.other[0]
            yield from self.other[1]._profile_headers("Other-Leg")
        if variables:
            for name, value in list(self.variables.items()):
                yield f"variable_{name}", value

    def _profile_headers(self, prefix: str) -> Iterator[tuple[str, str]]:
        yield f"{prefix}-Direction", self.direction
        yield f"{prefix}-Logical-Direction", self.logical_direction
        yield from self.profile.headers(prefix)
        yield f"{prefix}-Unique-ID", self.uuid
        yield f"{prefix}-Channel-Name", self.name
        yield f"{prefix}-Profile-Index", str(self.profile_index)
        yield f"{prefix}-Profile-Created-Time", str(self.profile_created)
        for key, name in TIMES.items():
            yield f"{prefix}-{name}", str(self.times[key])
        yield f"{prefix}-Screen-Bit", "true"
        yield f"{prefix}-Privacy-Hide-Name", "false"
        yield f"{prefix}-Privacy-Hide-Number", "false"

    def fire(self, name: str, extra: dict[str, str] | None = None) -> None:
        """Fire an event about this channel; empty extra headers are left out."""
        bus = self.switch.bus
        if not bus.wanted(name):
            bus.sequence += 1
            return
        headers = list(self.headers(variables=name in WITH_VARIABLES))
        headers += [(key, value) for key, value in (extra or {}).items() if value]
        bus.fire(name, headers)

    # States

    @property
    def up(self) -> bool:
        """Not hung up: a command can find the channel."""
        return self.state < State.CS_HANGUP

    @property
    def has_media(self) -> bool:
        return bool(self.times["answered"] or self.times["progress_media"])

    def ready(self) -> bool:
        """Whether the running handler may go on: neither hung up nor moved elsewhere."""
        return self.up and self._epoch == self._entered

    def set_state(self, state: State, *, again: bool = False) -> bool:
        """Move to a state; refuses what the table forbids. `again` restarts the same one."""
        if state not in TRANSITIONS[self.state] and not (again and state is self.state and self.up):
            if state is not self.state:
                log.debug("%s: no way from %s to %s", self.name, self.state.name, state.name)
            return False
        self.state = state
        self._epoch += 1
        self.notify()
        return True

    def set_call_state(self, call_state: CallState) -> None:
        if call_state is self.call_state:
            return
        before = self.call_state.name
        self.call_state = call_state
        extra = {
            "Original-Channel-Call-State": before,
            "Channel-Call-State-Number": str(int(call_state)),
        }
        self.fire("CHANNEL_CALLSTATE", extra)

    def start(self) -> None:
        """Begin to live."""
        self.task = asyncio.create_task(self._run(), name=f"channel {self.uuid}")

    async def _run(self) -> None:
        self.set_state(State.CS_INIT)
        while self.up:
            self._entered = self._epoch
            self.running = self.state
            self.fire("CHANNEL_STATE")
            try:
                await self.switch.handlers[self.state](self)
            except Exception:
                log.exception("%s: a defect in state %s", self.name, self.running.name)
                self.hangup("NORMAL_TEMPORARY_FAILURE")
        self._end()

    def _end(self) -> None:
        """What follows a hang-up: recordings closed, times written down, the last events."""
        self.running = State.CS_HANGUP
        self.far.hung_up(self.cause)
        self.fire("CHANNEL_STATE")
        for bug in list(self.bugs):
            bug.end("success-silence")
        self.set_call_state(CallState.HANGUP)
        q850 = CAUSES[self.cause]
        self.variables |= {
            "hangup_cause": self.cause,
            "hangup_cause_q850": str(q850 if q850 < 128 else CAUSES["NORMAL_CLEARING"]),
        }
        self.variables.setdefault("sip_hangup_disposition", self._own_disposition())
        self.set_state(State.CS_REPORTING)
        self.running = State.CS_REPORTING
        self.fire("CHANNEL_STATE")
        self.variables |= billing(self.times, self.profile_created)
        self._set_last()
        self._keep_end()
        self.fire("CHANNEL_HANGUP_COMPLETE")
        self.set_state(State.CS_DESTROY)
        self.fire("CHANNEL_DESTROY")
        self.switch.forget(self)

    def _keep_end(self) -> None:
        """`api_reporting_hook` (switch_core_state_machine.c): only mod_hash's insert is obeyed."""
        command = self.variables.get("api_reporting_hook", "")
        if not command.startswith("hash::insert/"):
            return
        known = {"uuid": self.uuid, **self.variables}
        text = re.sub(r"\$\{(\w+)\}", lambda name: known.get(name[1], ""), command)
        _, realm, key, value = text.split("/", 3)
        self.switch.hashes[realm, key] = value

    def _own_disposition(self) -> str:
        """How this side ended the call."""
        if self.times["answered"]:
            return "send_bye"
        return "send_cancel" if self.direction == "outbound" else "send_refuse"

    def _set_last(self) -> None:
        self.variables |= {
            "digits_dialed": "none",
            "last_app": self.variables.get("current_application", ""),
            "last_arg": self.variables.get("current_application_data", ""),
            "caller_id": f'"{self.profile.caller_id_name}" <{self.profile.caller_id_number}>',
        }

    def hangup(self, cause: str = "NORMAL_CLEARING") -> None:
        """Hang up; the first cause stands."""
        if not self.up:
            return
        self.unhold()
        self.cause = cause_named(cause)
        self.times["hangup"] = self.switch.clock.micros()
        self.set_state(State.CS_HANGUP)
        self.commands.clear()
        self.fire("CHANNEL_HANGUP")

    def set_variable(self, name: str, value: str) -> None:
        """Set a variable; an empty value removes it."""
        if value:
            self.variables[name] = value
        else:
            self.variables.pop(name, None)

    # What the far end or an application does

    def ring_ready(self) -> None:
        """The far end rings (180)."""
        if not self.up or self.times["progress"] or self.has_media:
            return
        self.times["progress"] = self.switch.clock.micros()
        self.fire("CHANNEL_PROGRESS")
        self.set_call_state(CallState.RINGING)
        self.notify()

    def pre_answer(self) -> None:
        """Early media (183)."""
        if not self.up or self.has_media:
            return
        self.times["progress_media"] = self.switch.clock.micros()
        self._set_media("EARLY MEDIA")
        self.fire("CHANNEL_PROGRESS_MEDIA")
        self.set_call_state(CallState.EARLY)
        self.notify()

    def answer(self) -> None:
        """The call is answered (200)."""
        if not self.up or self.times["answered"]:
            return
        self.times["answered"] = self.switch.clock.micros()
        if not self.times["progress_media"]:
            self._set_media("")
        self.fire("CHANNEL_ANSWER")
        self.set_call_state(CallState.ACTIVE)
        self.variables["endpoint_disposition"] = "ANSWER"
        self.far.answered()
        self._execute_on_answer()
        self.notify()

    def _set_media(self, disposition: str) -> None:
        self.variables |= {
            "read_codec": "PCMU",
            "read_rate": "8000",
            "write_codec": "PCMU",
            "write_rate": "8000",
            "dtmf_type": "rfc2833",
        }
        if disposition:
            self.variables["endpoint_disposition"] = disposition

    def _execute_on_answer(self) -> None:
        for name in [name for name in self.variables if name.startswith("execute_on_answer")]:
            text = self.variables[name]
            separator = "::" if "::" in text.split(" ", 1)[0] else " "
            application, _, argument = text.partition(separator)
            self.commands.append(
                Command(
                    {
                        "call-command": "execute",
                        "execute-app-name": application,
                        "execute-app-arg": argument,
                        "event-lock": "true",
                    }
                )
            )

    def far_hangup(self, status: int = 200) -> None:
        """The far end ends the call: BYE once answered, else the SIP response `status`."""
        if not self.up:
            return
        self.variables |= {
            "sip_term_status": str(status),
            "proto_specific_hangup_cause": f"sip:{status}",
        }
        if self.times["answered"]:
            self.hangup(self.switch.sip_cause(status))
            self.variables["sip_hangup_disposition"] = "recv_bye"
            return
        refused = "recv_refuse" if self.direction == "outbound" else "recv_cancel"
        self.variables |= {
            "sip_invite_failure_status": str(status),
            "sip_hangup_disposition": refused,
        }
        self.hangup(self.switch.sip_cause(status))

    def dtmf(self, digit: str, source: str = "RTP", duration: int = 2000) -> None:
        """A digit from the far end; `duration` in samples at 8 kHz."""
        if not self.up:
            return
        headers = {
            "DTMF-Digit": digit,
            "DTMF-Duration": str(duration),
            "DTMF-Source": source,
        }
        self.fire("DTMF", headers)
        self.digits.append(digit)
        self.notify()

    def hold(self) -> None:
        """Hold the leg: its party hears music, and its partner too."""
        if self.held or not self.up:
            return
        self.held = True
        self.times["last_hold"] = self.switch.clock.micros()
        self.set_call_state(CallState.HELD)
        self.fire("CHANNEL_HOLD")

    def unhold(self) -> None:
        """Take it back; a hang-up does so too."""
        if not self.held:
            return
        self.held = False
        self.times["hold_accum"] += self.switch.clock.micros() - self.times["last_hold"]
        self.set_call_state(CallState.UNHELD)
        self.fire("CHANNEL_UNHOLD")

    # Waiting and obeying

    def notify(self) -> None:
        """Something happened that a waiting handler should look at."""
        self._wake.set()
        self.watchers.set()

    async def watched(self, seconds: float) -> None:
        """Wait from outside until the channel's progress changes, at most `seconds`."""
        self.watchers.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds / self.switch.clock.speed):
                await self.watchers.wait()

    def queue(self, command: Command) -> None:
        self.commands.append(command)
        self.notify()

    def take_break(self) -> bool:
        """Whether the running application was told to stop; asking clears it."""
        breaking, self.breaking = self.breaking, False
        return breaking

    def would_obey(self) -> bool:
        """Whether the next `turn()` runs a queued command."""
        return bool(self.commands) and not self._locked

    async def turn(self, seconds: float | None = None, *, obey: bool = True) -> None:
        """One step of waiting: obey one queued command, or wait until something happens.

        `seconds` limits the waiting in switch time. The caller's loop checks `ready()` and its own
        condition after each step.
        """
        if obey and self.would_obey():
            await self._obey(self.commands.popleft())
            return
        self._wake.clear()
        with contextlib.suppress(TimeoutError):
            limit = None if seconds is None else max(seconds, 0.0) / self.switch.clock.speed
            async with asyncio.timeout(limit):
                await self._wake.wait()

    async def _obey(self, command: Command) -> None:
        self._locked += command.locks
        try:
            match command.get("call-command").lower():
                case "execute":
                    await self._obey_execute(command)
                case "hangup":
                    self.hangup(command.get("hangup-cause") or "NORMAL_CLEARING")
                case other:
                    log.warning("%s: call-command %.40r is not offered", self.name, other)
        finally:
            self._locked -= command.locks
        self.fire("PRIVATE_COMMAND")

    async def _obey_execute(self, command: Command) -> None:
        """`sendmsg execute` (switch_ivr.c, switch_ivr_parse_event)."""
        application = command.get("execute-app-name")
        argument = command.get("execute-app-arg")
        if not argument and command.get("content-type").lower() == "text/plain":
            argument = command.body
        loops = command.get("loops")
        rounds = int(loops) if re.fullmatch(r"-?[0-9]{1,9}", loops) else 1
        if not application:
            return
        done = 0
        while self.up and (rounds < 0 or done < rounds):
            began = self.switch.clock.now()
            await self.execute(application, argument, command.get("event-uuid"))
            done += 1
            # FreeSWITCH stops a loop whose rounds take under half a second.
            if not self.ready() or self.switch.clock.now() - began < 0.5:
                break

    async def execute(self, application: str, argument: str = "", app_uuid: str = "") -> None:
        """Run an application, with its EXECUTE and EXECUTE_COMPLETE events."""
        handler = self.switch.applications.get(application.lower())
        if handler is None:
            log.warning("%s: no application %.60r", self.name, application)
            self.hangup("DESTINATION_OUT_OF_ORDER")
            return
        if application.lower() in self.switch.media_applications:
            self.pre_answer()
        self.variables["current_application"] = application
        self.variables.pop("current_application_data", None)
        if argument:
            self.variables["current_application_data"] = argument
        self.variables.pop("current_application_response", None)
        headers = {
            "Application": application,
            "Application-Data": argument,
            "Application-UUID": app_uuid or str(uuids.uuid4()),
        }
        self.fire("CHANNEL_EXECUTE", headers)
        await handler(self, argument)
        response = self.variables.get("current_application_response", "_none_")
        self.fire("CHANNEL_EXECUTE_COMPLETE", headers | {"Application-Response": response})

    # Moving

    def transfer(self, destination: str, dialplan: str = "", context: str = "") -> None:
        """Send the channel back to the dialplan (switch_ivr.c, switch_ivr_session_transfer)."""
        now = self.switch.clock.micros()
        self.times["transfer"] = now
        self.profile_created = now
        self.profile_index += 1
        if dialplan.lower() == "inline":
            self.called = self.profile.destination
        self.profile = replace(
            self.profile,
            destination=destination,
            dialplan=dialplan or self.profile.dialplan or "XML",
            context=context or self.profile.context or "default",
        )
        if self.partner is not None and not self.originator:
            self.flip_caller_id()
        self._unbond()
        self.actions.clear()
        self.hit_dialplan = True
        self.set_state(State.CS_ROUTING, again=True)

    def flip_caller_id(self) -> None:
        """A dialled party becomes the caller of a dialplan, or is sent back from there."""
        if "channel_cid_flipped" in self.variables:
            self.profile = self.profile.flipped(self.profile.callee_id_number)
            return
        self.variables |= {
            "pre_transfer_caller_id_number": self.profile.caller_id_number,
            "channel_cid_flipped": "yes",
        }
        if self.profile.caller_id_name:
            self.variables["pre_transfer_caller_id_name"] = self.profile.caller_id_name
        self.profile = self.profile.flipped(self.profile.destination)

    def _unbond(self) -> None:
        """A leg that is sent elsewhere isn't its partner's any more."""
        self.other = None
        for leg in (self, self.partner):
            if leg is not None:
                leg.variables.pop("signal_bond", None)
