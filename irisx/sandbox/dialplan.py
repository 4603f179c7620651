"""The dialplan of the sandbox: IRISX's own, and the inline one.

It acts as dialplans/ does on FreeSWITCH: every inbound call is parked for the engine, with a
fallback in case no engine takes it.
"""

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from irisx.sandbox.leg import Action

if TYPE_CHECKING:
    from irisx.sandbox.channel import Channel


def inline(text: str) -> list[Action]:
    """`app:arg,app:arg`; `m:^:` in front chooses another separator (mod_dptools, inline)."""
    separator = ","
    if text.startswith("m:") and len(text) > 3 and text[3] == ":":
        separator, text = text[2], text[4:]
    actions = []
    for part in text.split(separator):
        application, _, argument = part.strip().partition(":")
        if application:
            actions.append(Action(application, argument))
    return actions


_FILE = Path(__file__).parents[2] / "dialplans" / "no-engine.wav"
_TONES = "tone_stream://%(330,15,950);%(330,15,1400);%(330,1000,1800)"
ANNOUNCEMENT = str(_FILE) if _FILE.is_file() else _TONES

# Seconds after which a caller whom no engine took hears the announcement, and the longest call.
ENGINE_WAIT = 4
MAX_CALL = 14400

#: What keeps how a call ended; as in wait.inc.
END_HOOK = (
    "hash::insert/irisx_ended/${uuid}/1|${hangup_cause}|${progress_uepoch}"
    "|${progress_media_uepoch}|${answer_uepoch}|${end_uepoch}|${sip_term_status}"
    "|${sip_hangup_disposition}|${irisx_call_id}|${irisx_tenant_id}|${irisx_direction}"
    "|${irisx_initiated_at}|${irisx_campaign}"
)


def route(channel: "Channel") -> list[Action]:
    """The actions for a channel in CS_ROUTING; none when nothing matches."""
    profile = channel.profile
    if profile.dialplan.lower() == "inline":
        # Only this routing reads the inline text; the number called becomes again what it was.
        channel.profile = replace(profile, destination=channel.called)
        return inline(profile.destination)
    match profile.context:
        case "no_engine":
            return [
                Action("answer"),
                Action("sleep", "500"),
                Action("playback", ANNOUNCEMENT),
                Action("hangup", "NORMAL_TEMPORARY_FAILURE"),
            ]
        case "carriers" | "agents":
            return _park_for_engine(channel)
    return [Action("hangup", "CALL_REJECTED")]


def _plain(text: str) -> str:
    return text if re.fullmatch(r"[A-Za-z0-9+*#._-]{1,64}", text) else ""


def _park_for_engine(channel: "Channel") -> list[Action]:
    """park.inc and wait.inc: a note of the call in case no engine comes, a fallback, and park."""
    ingress = "carrier" if channel.profile.context == "carriers" else "agent"
    caller = _plain(channel.profile.caller_id_number)
    called = _plain(channel.profile.destination)
    note = "|".join(
        [
            "1",
            ingress,
            str(channel.times["created"]),
            channel.variables.get("sip_network_ip", ""),
            channel.variables.get("sip_gateway", ""),
            channel.variables.get("sip_auth_username", ""),
            caller,
            called,
        ]
    )
    variables = (
        f"irisx_ingress={ingress}",
        f"irisx_call_id={channel.uuid}",
        "irisx_direction=inbound",
        "irisx_leg=customer",
        f"irisx_initiated_at={channel.times['created']}",
        "media_timeout=300000",
        "media_hold_timeout=1800000",
        f"park_timeout={MAX_CALL}:ALLOTTED_TIMEOUT",
    )
    channel.variables["api_reporting_hook"] = END_HOOK
    return [
        Action("hash", f"insert/irisx_missed/{channel.uuid}/{note}"),
        Action("multiset", " ".join(variables)),
        Action("sched_transfer", f"+{ENGINE_WAIT} no_engine XML no_engine"),
        Action("park"),
        Action("hangup", "NORMAL_TEMPORARY_FAILURE"),
    ]
