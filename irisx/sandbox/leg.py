"""What a channel is made of: its caller profile, its commands and actions, its times."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from irisx.sandbox.channel import Channel

# The times of a channel and the headers that carry them.
TIMES = {
    "created": "Channel-Created-Time",
    "answered": "Channel-Answered-Time",
    "progress": "Channel-Progress-Time",
    "progress_media": "Channel-Progress-Media-Time",
    "hangup": "Channel-Hangup-Time",
    "transfer": "Channel-Transfer-Time",
    "resurrect": "Channel-Resurrect-Time",
    "bridged": "Channel-Bridged-Time",
    "last_hold": "Channel-Last-Hold",
    "hold_accum": "Channel-Hold-Accum",
}


@dataclass(frozen=True)
class Profile:
    """Who calls whom, and where the dialplan stands."""

    destination: str
    caller_id_name: str = ""
    caller_id_number: str = ""
    callee_id_name: str = ""
    callee_id_number: str = ""
    ani: str = ""
    orig_caller_id_number: str = ""
    network_addr: str = ""
    dialplan: str = ""
    context: str = "default"
    source: str = "mod_sofia"
    transfer_source: str = ""

    def flipped(self, caller: str) -> "Profile":
        """`caller` calls, and whoever called before is the one called."""
        return replace(
            self,
            caller_id_name=caller,
            caller_id_number=caller,
            callee_id_name=self.caller_id_name,
            callee_id_number=self.caller_id_number,
        )

    def headers(self, prefix: str) -> Iterator[tuple[str, str]]:
        fields = (
            ("Dialplan", self.dialplan),
            ("Caller-ID-Name", self.caller_id_name),
            ("Caller-ID-Number", self.caller_id_number),
            ("Orig-Caller-ID-Number", self.orig_caller_id_number),
            ("Callee-ID-Name", self.callee_id_name),
            ("Callee-ID-Number", self.callee_id_number),
            ("Network-Addr", self.network_addr),
            ("ANI", self.ani),
            ("Destination-Number", self.destination),
            ("Source", self.source),
            ("Transfer-Source", self.transfer_source),
            ("Context", self.context),
        )
        return ((f"{prefix}-{name}", value) for name, value in fields if value)


@dataclass
class Command:
    """A `sendmsg` waiting for its channel."""

    headers: dict[str, str]
    body: str = ""

    def get(self, name: str) -> str:
        return self.headers.get(name, "")

    @property
    def locks(self) -> bool:
        return self.get("event-lock").lower() in ("true", "yes", "on", "1")


@dataclass
class Action:
    """An application of a dialplan extension; an argument may be made when its turn comes."""

    application: str
    argument: "str | Callable[[Channel], str]" = ""

    def argument_for(self, channel: "Channel") -> str:
        return self.argument if isinstance(self.argument, str) else self.argument(channel)


def billing(times: dict[str, int], profile_created: int) -> dict[str, str]:
    """The times of a call detail record (switch_core_state_machine.c, set_timestamps).

    `times` in microseconds since the epoch by the names of TIMES, 0 for what did not happen.
    """
    end = times["hangup"]
    marks = {
        "start": times["created"],
        "profile_start": profile_created,
        "answer": times["answered"],
        "bridge": times["bridged"],
        "last_hold": times["last_hold"],
        "progress": times["progress"],
        "progress_media": times["progress_media"],
        "end": end,
    }
    values = {}
    for mark, micros in marks.items():
        if micros:
            local = time.localtime(micros // 1_000_000)
            values[f"{mark}_stamp"] = time.strftime("%Y-%m-%d %H:%M:%S", local)
        values[f"{mark}_epoch"] = str(micros // 1_000_000)
        values[f"{mark}_uepoch"] = str(micros)
    start, answer = marks["start"], marks["answer"]
    spans = {
        "duration": (start, end),
        "billsec": (answer, end),
        "progresssec": (start, marks["progress"]),
        "answersec": (start, answer),
        "waitsec": (start, marks["bridge"]),
        "progress_mediasec": (start, marks["progress_media"]),
        "flow_billsec": (start, end),
    }
    for name, (since, until) in spans.items():
        # Whole seconds are subtracted: a call from 1.9 s to 2.1 s lasts one second.
        micros = until - since if since and until else 0
        seconds = until // 1_000_000 - since // 1_000_000 if micros else 0
        stem = name.removesuffix("sec")
        values[name] = str(seconds)
        values["mduration" if name == "duration" else f"{stem}msec"] = str(micros // 1000)
        values["uduration" if name == "duration" else f"{stem}usec"] = str(micros)
    values["hold_accum_seconds"] = str(times["hold_accum"] // 1_000_000)
    return values
