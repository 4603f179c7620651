"""The same calls played on a real FreeSWITCH and on the sandbox, each giving a trace to compare.

A scenario gets a `Stage` and speaks to the switch through it; it names its legs A, B, C.
"""

import re
import time
import uuid
from collections.abc import Callable
from pathlib import Path

from tests.sandbox.client import Client, Event

Scenario = Callable[["Stage"], None]
SCENARIOS: dict[str, Scenario] = {}

EVENTS = """
    BACKGROUND_JOB CHANNEL_OUTGOING CHANNEL_CREATE CHANNEL_ORIGINATE CHANNEL_CALLSTATE
    CHANNEL_PROGRESS CHANNEL_PROGRESS_MEDIA CHANNEL_ANSWER CHANNEL_EXECUTE
    CHANNEL_EXECUTE_COMPLETE CHANNEL_PARK CHANNEL_UNPARK CHANNEL_BRIDGE CHANNEL_UNBRIDGE
    CHANNEL_HOLD CHANNEL_UNHOLD DTMF CHANNEL_HANGUP CHANNEL_HANGUP_COMPLETE CHANNEL_DESTROY
    PLAYBACK_START PLAYBACK_STOP RECORD_START RECORD_STOP
""".split()  # noqa: SIM905 (readable as a page of words)

HEADERS = """
    Channel-State Channel-Call-State Answer-State Channel-HIT-Dialplan Hangup-Cause Application
    Application-Response Bridge-A-Unique-ID Bridge-B-Unique-ID Other-Type Other-Leg-Unique-ID
    DTMF-Digit DTMF-Source Playback-File-Path Playback-File-Type Playback-Status Record-
    Completion-Cause Original-Channel-Call-State Job-Command Call-Direction Caller-Caller-ID-
    Number Caller-Destination-Number
""".split()  # noqa: SIM905 (readable as a page of words)

VARIABLES = """
    hangup_cause hangup_cause_q850 sip_term_status sip_hangup_disposition
    proto_specific_hangup_cause endpoint_disposition bridge_hangup_cause last_bridge_hangup_cause
    originate_disposition read_result read_terminator_used digits digits_invalid
    playback_terminator_used current_application record_completion_cause signal_bond bridge_uuid
    park_after_bridge kept
""".split()  # noqa: SIM905 (readable as a page of words)


def scenario(function: Scenario) -> Scenario:
    SCENARIOS[function.__name__] = function
    return function


class Stage:
    """A switch to play on. `number()` names a far end, `directory` can be written to."""

    def __init__(self, client: Client, directory: Path) -> None:
        self.client = client
        self.directory = directory
        self.legs: dict[str, str] = {}
        self.replies: list[str] = []
        client.command(f"event plain {' '.join(EVENTS)}")

    def inbound(self, name: str) -> str:
        """A call from outside; told apart for FreeSWITCH."""
        reply = self.client.api("sandbox_call +4930111 +15550009999 digits=42 digits_at=1")
        leg = reply.split()[1]
        self.legs[name] = leg
        return leg

    def dial(self, name: str, number: str, variables: str = "ignore_early_media=true") -> str:
        self.legs[name] = str(uuid.uuid4())
        return self.client.dial(f"+1555555{number}", variables, uuid_=self.legs[name])

    def parked(self, name: str, number: str = "0108", variables: str = "a=b") -> str:
        leg = self.dial(name, number, f"ignore_early_media=true,{variables}")
        self.client.result(leg)
        self.client.wait("CHANNEL_PARK", leg)
        return leg

    def api(self, command: str) -> str:
        """Run it and keep the reply in the trace."""
        reply = self.client.api(command)
        self.replies.append(f"{self._named(command)} => {self._named(reply)}")
        return reply

    def ended(self, *legs: str) -> None:
        for leg in legs:
            self.client.wait("CHANNEL_DESTROY", leg, timeout=15)

    def kill(self, *legs: str) -> None:
        for leg in legs:
            self.client.api(f"uuid_kill {leg}")
        self.ended(*legs)

    def hear(self, seconds: float) -> None:
        """Let events come for a while: what must NOT come can't be waited for."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            try:
                self.client.frame(left)
            except TimeoutError:
                return

    def _named(self, text: str) -> str:
        for name, leg in self.legs.items():
            text = text.replace(leg, f"<{name}>")
        return text.replace(str(self.directory), "<dir>")

    def trace(self) -> dict[str, list[object]]:
        """Per leg the events in order, the results of jobs, and the replies of commands.

        Of each event what changed since the leg's event before it; null for what went.
        """
        found: dict[str, list[object]] = {name: [] for name in self.legs}
        last: dict[str, dict[str, str]] = {name: {} for name in self.legs}
        found["replies"] = list(self.replies)
        found["jobs"] = []
        for event in self.client.events:
            facts = self._facts(event)
            if event.get("Job-UUID") in self.legs.values():
                found["jobs"].append(self._named(event["_body"]))
            for name, leg in self.legs.items():
                if event.get("Unique-ID") == leg:
                    if event["Event-Name"] == "CHANNEL_DESTROY":
                        # Threads of FreeSWITCH still write variables into a leg that is gone.
                        facts = last[name] | {"event": event["Event-Name"]}
                    found[name].append(_changes(last[name], facts))
                    last[name] = facts
        return found

    def _facts(self, event: Event) -> dict[str, str]:
        facts = {"event": event["Event-Name"]}
        facts |= {name: self._named(event[name]) for name in HEADERS if name in event}
        for name in VARIABLES:
            if f"variable_{name}" in event:
                facts[name] = self._named(event[f"variable_{name}"])
        tag = event.get("Application-UUID", "")
        if tag and not re.fullmatch(r"[0-9a-f-]{36}", tag):
            facts["Application-UUID"] = tag
        return facts


def _changes(before: dict[str, str], after: dict[str, str]) -> dict[str, str | None]:
    """The event's name and what differs; null for what is there no longer."""
    changed: dict[str, str | None] = {"event": after["event"]}
    changed |= {name: value for name, value in after.items() if before.get(name) != value}
    changed |= {name: None for name in before if name not in after}
    return changed


def header_names(events: list[Event]) -> dict[str, list[str]]:
    """The headers, other than variables, that each kind of event carried."""
    found: dict[str, set[str]] = {}
    for event in events:
        headers = {name for name in event if not name.startswith(("variable_", "_"))}
        known = found.setdefault(event["Event-Name"], headers)
        found[event["Event-Name"]] = known & headers
    return {name: sorted(headers) for name, headers in sorted(found.items())}


@scenario
def busy(stage: Stage) -> None:
    leg = stage.dial("A", "0102")
    stage.client.result(leg)
    stage.ended(leg)


@scenario
def rejected(stage: Stage) -> None:
    leg = stage.dial("A", "0104")
    stage.client.result(leg)
    stage.ended(leg)


@scenario
def no_answer(stage: Stage) -> None:
    leg = stage.dial("A", "0103", "originate_timeout=2")
    stage.client.result(leg)
    stage.ended(leg)


@scenario
def killed_while_ringing(stage: Stage) -> None:
    leg = stage.dial("A", "0103", "originate_timeout=20")
    stage.client.wait("CHANNEL_PROGRESS", leg)
    stage.api(f"uuid_kill {leg} ORIGINATOR_CANCEL")
    stage.client.result(leg)
    stage.ended(leg)
    stage.api(f"uuid_kill {leg}")


@scenario
def answered_and_killed(stage: Stage) -> None:
    leg = stage.parked("A")
    stage.api(f"uuid_kill {leg} USER_BUSY")
    stage.ended(leg)


@scenario
def far_end_hangs_up(stage: Stage) -> None:
    leg = stage.parked("A", "0100")
    stage.ended(leg)


@scenario
def park_timeout(stage: Stage) -> None:
    stage.ended(stage.parked("A", variables="park_timeout=1"))


@scenario
def park_timeout_with_cause(stage: Stage) -> None:
    stage.ended(stage.parked("A", variables="park_timeout=1:ALLOTTED_TIMEOUT"))


@scenario
def scheduled_hangup(stage: Stage) -> None:
    leg = stage.parked("A")
    stage.api(f"sched_hangup +1 {leg} allotted_timeout")
    stage.ended(leg)


@scenario
def pipelined_with_lock(stage: Stage) -> None:
    leg = stage.parked("A")
    for number in range(3):
        stage.client.execute(leg, "playback", "silence_stream://200", tag=f"P{number}")
    stage.client.execute(leg, "hangup", "", tag="H")
    stage.ended(leg)


@scenario
def nested_without_lock(stage: Stage) -> None:
    leg = stage.parked("A")
    for number in range(3):
        stage.client.execute(leg, "playback", "silence_stream://200", lock=False, tag=f"P{number}")
    stage.client.execute(leg, "hangup", "", lock=False, tag="H")
    stage.ended(leg)


@scenario
def broken_playback(stage: Stage) -> None:
    leg = stage.parked("A")
    stage.client.execute(leg, "playback", "silence_stream://5000", tag="P0")
    stage.client.execute(leg, "playback", "silence_stream://5000", tag="P1")
    for _ in range(2):
        stage.hear(0.3)
        stage.api(f"uuid_break {leg}")
    stage.client.done("P1")
    stage.kill(leg)


@scenario
def playback_of_nothing(stage: Stage) -> None:
    leg = stage.parked("A")
    stage.client.execute(leg, "playback", "/nowhere/at/all.wav", tag="P")
    stage.client.done("P")
    stage.kill(leg)


@scenario
def set_and_unset(stage: Stage) -> None:
    leg = stage.parked("A")
    stage.client.execute(leg, "set", "kept=one", tag="S")
    stage.client.done("S")
    stage.api(f"uuid_getvar {leg} kept")
    stage.client.execute(leg, "unset", "kept", tag="U")
    stage.client.done("U")
    stage.api(f"uuid_getvar {leg} kept")
    stage.kill(leg)


@scenario
def unknown_application(stage: Stage) -> None:
    leg = stage.parked("A")
    stage.client.execute(leg, "no_such_app", "x", tag="N")
    stage.ended(leg)


@scenario
def digits_gathered(stage: Stage) -> None:
    leg = stage.parked("A", "0107", "irisx_far_end_digits=1234#")
    argument = r"1 5 1 5000 # silence_stream://5000 silence_stream://100 digits ^\d+$ 1000"
    stage.client.execute(leg, "play_and_get_digits", argument, tag="G")
    stage.client.done("G")
    stage.kill(leg)


@scenario
def digits_not_matching(stage: Stage) -> None:
    leg = stage.parked("A", "0107", "irisx_far_end_digits=1234#")
    argument = r"1 5 1 1500 # silence_stream://5000 silence_stream://100 digits ^9$ 1000"
    stage.client.execute(leg, "play_and_get_digits", argument, tag="G")
    stage.client.done("G")
    stage.kill(leg)


@scenario
def digits_missing(stage: Stage) -> None:
    leg = stage.parked("A")
    argument = r"1 5 2 1000 # silence_stream://100 silence_stream://100 digits \d+ 1000"
    stage.client.execute(leg, "play_and_get_digits", argument, tag="G")
    stage.client.done("G")
    stage.kill(leg)


@scenario
def read_digits(stage: Stage) -> None:
    leg = stage.parked("A", "0107", "irisx_far_end_digits=1234#")
    stage.client.execute(leg, "read", "2 3 silence_stream://3000 digits 3000 #", tag="R")
    stage.client.done("R")
    stage.kill(leg)


@scenario
def playback_terminated(stage: Stage) -> None:
    leg = stage.parked("A", "0107", "irisx_far_end_digits=1234#")
    stage.client.execute(leg, "set", "playback_terminators=#", tag="S")
    stage.client.execute(leg, "playback", "silence_stream://9000", tag="P")
    stage.client.done("P")
    stage.kill(leg)


@scenario
def bridged_and_first_killed(stage: Stage) -> None:
    first, second = stage.parked("A"), stage.parked("B")
    stage.api(f"uuid_bridge {first} {second}")
    stage.client.wait("CHANNEL_BRIDGE", first)
    stage.hear(0.3)
    stage.api(f"uuid_kill {first}")
    stage.ended(first, second)


@scenario
def bridged_and_parked_after(stage: Stage) -> None:
    first, second = stage.parked("A"), stage.parked("B")
    stage.api(f"uuid_setvar {first} park_after_bridge true")
    stage.api(f"uuid_bridge {first} {second}")
    stage.client.wait("CHANNEL_BRIDGE", first)
    stage.hear(0.3)
    stage.api(f"uuid_kill {second}")
    stage.ended(second)
    stage.hear(0.5)
    stage.kill(first)


@scenario
def taken_over(stage: Stage) -> None:
    """The agent B parks when the supervisor C takes the customer A."""
    first, second, third = stage.parked("A"), stage.parked("B"), stage.parked("C")
    stage.api(f"uuid_setvar {second} park_after_bridge true")
    stage.api(f"uuid_bridge {first} {second}")
    stage.client.wait("CHANNEL_BRIDGE", first)
    stage.hear(0.3)
    stage.api(f"uuid_bridge {first} {third}")
    stage.client.wait("CHANNEL_BRIDGE", first, Bridge_B_Unique_ID=third)
    stage.hear(0.5)
    stage.kill(second)
    stage.api(f"uuid_kill {third}")
    stage.ended(first, third)


@scenario
def bridge_application(stage: Stage) -> None:
    """The dialled leg hangs up; the dialling one goes on in its park."""
    leg = stage.parked("A")
    stage.legs["B"] = str(uuid.uuid4())
    target = f"{{origination_uuid={stage.legs['B']}}}sofia/gateway/far/+15555550100"
    stage.client.execute(leg, "bridge", target, tag="B")
    stage.client.done("B", 15)
    stage.ended(stage.legs["B"])
    stage.kill(leg)


@scenario
def bridge_application_busy(stage: Stage) -> None:
    leg = stage.parked("A")
    stage.legs["B"] = str(uuid.uuid4())
    target = f"{{origination_uuid={stage.legs['B']}}}sofia/gateway/far/+15555550102"
    stage.client.execute(leg, "bridge", target, tag="B")
    stage.ended(leg)


@scenario
def bridge_application_busy_and_goes_on(stage: Stage) -> None:
    leg = stage.parked("A", variables="continue_on_fail=true")
    stage.legs["B"] = str(uuid.uuid4())
    target = f"{{origination_uuid={stage.legs['B']}}}sofia/gateway/far/+15555550102"
    stage.client.execute(leg, "bridge", target, tag="B")
    stage.client.done("B")
    stage.hear(0.2)
    stage.kill(leg)


@scenario
def transferred_inline(stage: Stage) -> None:
    leg = stage.parked("A")
    stage.client.execute(leg, "playback", "silence_stream://5000", tag="P")
    stage.client.wait("PLAYBACK_START", leg)
    stage.hear(0.2)
    stage.api(f"uuid_transfer {leg} 'set:kept=b,park' inline")
    stage.hear(0.5)
    stage.kill(leg)


@scenario
def parked_by_command(stage: Stage) -> None:
    leg = stage.parked("A")
    stage.api(f"uuid_park {leg}")
    stage.hear(0.5)
    stage.kill(leg)


@scenario
def both_transferred(stage: Stage) -> None:
    first, second = stage.parked("A"), stage.parked("B")
    stage.api(f"uuid_bridge {first} {second}")
    stage.client.wait("CHANNEL_BRIDGE", first)
    stage.hear(0.3)
    stage.api(f"uuid_transfer {first} -both park inline")
    stage.hear(0.6)
    stage.kill(first, second)


@scenario
def other_leg_transferred(stage: Stage) -> None:
    first, second = stage.parked("A"), stage.parked("B")
    stage.api(f"uuid_bridge {first} {second}")
    stage.client.wait("CHANNEL_BRIDGE", first)
    stage.hear(0.3)
    stage.api(f"uuid_transfer {first} -bleg park inline")
    stage.ended(first)
    stage.hear(0.3)
    stage.kill(second)


@scenario
def one_leg_transferred(stage: Stage) -> None:
    first, second = stage.parked("A"), stage.parked("B")
    stage.api(f"uuid_setvar {second} park_after_bridge true")
    stage.api(f"uuid_bridge {first} {second}")
    stage.client.wait("CHANNEL_BRIDGE", first)
    stage.hear(0.3)
    stage.api(f"uuid_transfer {first} park inline")
    stage.hear(0.6)
    stage.kill(first, second)


@scenario
def held(stage: Stage) -> None:
    leg = stage.parked("A")
    for verb in ("", "off ", "toggle "):
        stage.api(f"uuid_hold {verb}{leg}")
        stage.hear(0.3)
    stage.kill(leg)


@scenario
def held_in_a_bridge(stage: Stage) -> None:
    first, second = stage.parked("A"), stage.parked("B")
    stage.api(f"uuid_bridge {first} {second}")
    stage.client.wait("CHANNEL_BRIDGE", first)
    stage.hear(0.3)
    for verb in ("", "off "):
        stage.api(f"uuid_hold {verb}{first}")
        stage.hear(0.3)
    stage.kill(second)
    stage.ended(first)


@scenario
def recorded(stage: Stage) -> None:
    leg = stage.parked("A")
    path = f"{stage.directory}/recorded.wav"
    stage.api(f"uuid_record {leg} start {path} 0 {{RECORD_STEREO=true}}")
    stage.hear(0.4)
    for verb in ("mask", "unmask", "stop", "stop"):
        stage.api(f"uuid_record {leg} {verb} {path}")
    stage.api(f"uuid_record {leg} start {path}")
    stage.hear(0.2)
    stage.kill(leg)


@scenario
def recorded_by_applications(stage: Stage) -> None:
    leg = stage.parked("A")
    stage.client.execute(leg, "record", f"{stage.directory}/one.wav 1", tag="R")
    stage.client.done("R")
    stage.client.execute(leg, "record_session", f"{stage.directory}/two.wav", tag="S")
    stage.client.done("S")
    stage.client.execute(leg, "stop_record_session", f"{stage.directory}/two.wav", tag="T")
    stage.client.done("T")
    stage.kill(leg)


@scenario
def broadcast(stage: Stage) -> None:
    leg = stage.parked("A")
    stage.api(f"uuid_broadcast {leg} silence_stream://300")
    stage.hear(0.8)
    stage.api(f"uuid_broadcast {leg} playback::silence_stream://300 aleg")
    stage.hear(0.8)
    stage.kill(leg)


@scenario
def eavesdropped(stage: Stage) -> None:
    first, second = stage.parked("A"), stage.parked("B")
    stage.api(f"uuid_bridge {first} {second}")
    stage.client.wait("CHANNEL_BRIDGE", first)
    stage.hear(0.3)
    stage.legs["S"] = str(uuid.uuid4())
    supervisor = stage.client.dial(
        "+15555550108", application=f"&eavesdrop({second})", uuid_=stage.legs["S"]
    )
    stage.client.wait("CHANNEL_EXECUTE", supervisor)
    stage.hear(0.4)
    stage.client.command(f"sendevent MESSAGE\nunique-id: {supervisor}\neavesdrop-command: 2")
    stage.hear(0.3)
    stage.kill(second)
    stage.ended(first, supervisor)


@scenario
def inbound_answered(stage: Stage) -> None:
    leg = stage.inbound("A")
    stage.client.wait("CHANNEL_PARK", leg)
    stage.client.execute(leg, "answer", "", tag="A")
    argument = r"2 2 1 5000 # silence_stream://3000 silence_stream://100 digits ^\d+$ 1000"
    stage.client.execute(leg, "play_and_get_digits", argument, tag="G")
    stage.client.done("G")
    stage.kill(leg)


@scenario
def inbound_refused(stage: Stage) -> None:
    leg = stage.inbound("A")
    stage.client.wait("CHANNEL_PARK", leg)
    stage.api(f"uuid_kill {leg} CALL_REJECTED")
    stage.ended(leg)


@scenario
def inbound_prompted_early(stage: Stage) -> None:
    leg = stage.inbound("A")
    stage.client.wait("CHANNEL_PARK", leg)
    stage.client.execute(leg, "playback", "silence_stream://200", tag="P")
    stage.client.done("P")
    stage.kill(leg)
