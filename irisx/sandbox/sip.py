"""Real SIP legs through baresip-python: libre does SIP, RTP and DTMF; the sandbox sees PCM.

Any called user is accepted (`catchall`); the installation's dialplan decides. G.711 µ-law only, so
that an answer is never followed by a re-INVITE that narrows the codecs.
"""

import asyncio
import contextlib
import logging
import re
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

import numpy as np
from baresip import (
    Account,
    AudioNotActive,
    AudioRestarted,
    BaresipError,
    Call,
    Config,
    Event,
    Runtime,
    StackEvent,
    UserAgent,
)

from irisx.sandbox import inbound
from irisx.sandbox.farends import FarEnd
from irisx.sandbox.media import FRAME, SILENCE, Samples

if TYPE_CHECKING:
    from irisx.sandbox.channel import Channel
    from irisx.sandbox.switch import Switch

log = logging.getLogger(__name__)

FRAME_BYTES = FRAME * 2
# Audio is queued towards the wire about this far ahead; more received than this is dropped.
AHEAD_BYTES = 4 * FRAME_BYTES

# Headers of an incoming INVITE that become channel variables sip_h_….
KEPT_HEADERS = (
    "Identity",
    "P-Asserted-Identity",
    "Diversion",
    "Remote-Party-ID",
    "Privacy",
    "User-Agent",
    "X-Call-Id",
)


class SipFarEnd(FarEnd):
    """The party of a leg is at the other end of a SIP dialog."""

    wants_audio = True

    def __init__(self, endpoint: "SipEndpoint", uri: str, headers: dict[str, str]) -> None:
        self.endpoint = endpoint
        self.uri = uri
        self.headers = headers
        self.channel: Channel
        self.call: Call | None = None
        self.ended = False
        self._frame: Samples = SILENCE
        self._tick = -1
        self._received = bytearray()

    # What the switch does

    def dial(self, channel: "Channel") -> None:
        self.channel = channel
        self.endpoint.do(self._dial())

    async def _dial(self) -> None:
        try:
            call, missed = await self.endpoint.dial(self.uri, self.headers)
        except (BaresipError, ValueError) as error:
            log.warning("SIP call to %s failed: %s", self.uri, error)
            self.channel.far_hangup(503)
            return
        self.attach(call)
        for event in missed:
            self._on_event(event)
        if self.ended:
            await call.hangup()

    def attach(self, call: Call) -> None:
        """Follow a dialog's events."""
        self.call = call
        call.on(self._on_event)
        call.on_dtmf(lambda digit: self.channel.dtmf(digit.digit, "RTP", digit.duration_ms * 8))

    def answered(self) -> None:
        if self.call is not None and self.channel.direction == "inbound":
            self.endpoint.do(self.call.answer())

    def receive_digits(self, digits: str) -> None:
        pressed = re.sub(r"[^0-9A-Da-d*#]", "", digits)
        if self.call is not None and pressed:
            self.endpoint.do(self.call.send_dtmf(pressed))

    def hung_up(self, cause: str) -> None:
        already, self.ended = self.ended, True
        if self.call is not None and not already:
            # An unanswered call is refused with 486: baresip-python offers no other response.
            self.endpoint.do(self.call.hangup())

    # What the party does

    def _on_event(self, event: StackEvent) -> None:
        match event.event:
            case Event.CALL_RINGING:
                self.channel.ring_ready()
            case Event.CALL_PROGRESS:
                self.channel.pre_answer()
            case Event.CALL_ESTABLISHED:
                self.channel.answer()
            case Event.CALL_CLOSED:
                self.ended = True
                status = re.match(r"(\d{3})\b", event.text or "")
                default = 200 if self.channel.times["answered"] else 487
                self.channel.far_hangup(int(status[1]) if status else default)

    # Audio

    def frame(self, tick: int) -> Samples:
        if tick > self._tick:
            self._tick = tick
            self._frame = self._read()
        return self._frame

    def _read(self) -> Samples:
        if self.call is None:
            return SILENCE
        with contextlib.suppress(AudioNotActive, AudioRestarted):
            self._received += self.call.audio.read(AHEAD_BYTES * 4)
        if len(self._received) > AHEAD_BYTES:
            del self._received[:-AHEAD_BYTES]
        if len(self._received) < FRAME_BYTES:
            return SILENCE
        data = bytes(self._received[:FRAME_BYTES])
        del self._received[:FRAME_BYTES]
        return np.frombuffer(data, dtype="<i2")

    def hear(self, frame: Samples) -> None:
        if self.call is None:
            return
        with contextlib.suppress(AudioNotActive, AudioRestarted):
            info = self.call.audio.info()
            if info.tx_ready and info.tx_buffered <= AHEAD_BYTES:
                self.call.audio.write(frame.astype("<i2").tobytes())


class SipEndpoint:
    """One SIP address: takes every call and places calls."""

    def __init__(self, switch: "Switch") -> None:
        self.switch = switch
        self.agent: UserAgent
        self._runtime = Runtime()

    async def start(self, address: str) -> None:
        """Listen on `host:port` (UDP and TCP). Raises BaresipError or ValueError."""
        host = address.rpartition(":")[0]
        await self._runtime.start(
            Config(
                net_interface=host,
                max_concurrent_calls=None,
                expose_headers=("From", "To", *KEPT_HEADERS),
                extra_config_text=(
                    # Without `sip_transports` it listens for TLS on the next port as well.
                    f"sip_listen {address}\nsip_transports udp,tcp\naudio_buffer 20-160\n"
                ),
            )
        )
        account = Account(
            "sandbox",
            address,
            "",
            reg_interval=0,
            audio_codecs=("pcmu",),
            extra_params=("catchall=yes",),
        )
        self.agent = await UserAgent.create(self._runtime, account, transfer_policy="reject")
        self.agent.on_incoming(self._take)

    async def close(self) -> None:
        await self._runtime.close()

    async def dial(self, uri: str, headers: dict[str, str]) -> tuple[Call, list[StackEvent]]:
        """A call, and its events until now: on a busy machine the answer overtakes `dial`."""
        seen: list[StackEvent] = []
        self._runtime.subscribe(seen.append)
        try:
            call = await self.agent.dial(uri, headers=headers or None)
        finally:
            self._runtime.unsubscribe(seen.append)
        return call, [event for event in seen if event.call == call.handle]

    def do(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a command of baresip beside the caller; a dialog that has gone is no failure."""

        async def guarded() -> None:
            with contextlib.suppress(BaresipError):
                await work

        self.switch.spawn(guarded(), "SIP command")

    def outbound(self, user: str, host: str, variables: dict[str, str]) -> SipFarEnd:
        """The far end for a call to `sip:user@host`; `sip_h_Name` variables become headers."""
        headers = {
            name.removeprefix("sip_h_"): value
            for name, value in variables.items()
            if name.startswith("sip_h_") and not re.search(r"[\r\n\0]", name + value)
        }
        return SipFarEnd(self, f"sip:{user}@{host}", headers)

    def _take(self, call: Call) -> None:
        """An INVITE: it becomes an inbound channel."""
        caller = _user(call.headers.get("From", ""))
        called = _user(call.headers.get("To", ""))
        name = _display_name(call.headers.get("From", "")) or caller
        variables = {
            f"sip_h_{header}": value
            for header, value in call.headers.items()
            if header in KEPT_HEADERS
        }
        far = SipFarEnd(self, "", {})
        channel = inbound.receive(self.switch, far, caller, called, name, variables)
        if channel is None:
            self.do(call.reject())
            return
        far.channel = channel
        far.attach(call)


def _user(uri: str) -> str:
    """The user part of a URI or an address."""
    found = re.search(r"sips?:([^@;>]+)@", uri)
    return found[1] if found else ""


def _display_name(address: str) -> str:
    """The display name before `<sip:…>`, without its quotes."""
    return address.partition("<")[0].strip().strip('"')


async def open_endpoint(switch: "Switch", address: str) -> SipEndpoint:
    """A listening endpoint; asyncio must be running. Raises OSError when it can't listen."""
    endpoint = SipEndpoint(switch)
    try:
        await asyncio.wait_for(endpoint.start(address), 10)
    except (BaresipError, ValueError, TimeoutError) as error:
        raise OSError(f"no SIP on {address}: {error}") from error
    return endpoint
