"""The engine's part of campaigns: what happens when somebody answers.

    answered -> (person or machine?) -> the campaign's flow, its message, or an agent
                                        in time: connected; else the safe-harbour message

What has been reached stands in the channel (`irisx_campaign`), for an engine that takes the call
up, and in the call's row (`stages.py`), for whoever counts.
"""

from contextlib import suppress
from typing import Any

import gevent
import structlog
from pydantic import TypeAdapter

from irisx.kernel.clock import now
from irisx.kernel.jobs import wake
from irisx.kernel.template import RenderFailed, render
from irisx.telephony.calls.live import LiveCall
from irisx.telephony.dialer.stages import Stage, reached, stage_of
from irisx.telephony.esl import commands
from irisx.telephony.ivr import prompts, runner
from irisx.telephony.ivr.audio import AnyAudio, Audio, rendered
from irisx.telephony.switch import Switch

log = structlog.get_logger()

VARIABLE = "irisx_campaign"
#: `jobs.wake` topic of the dialler, which wants to know at once.
_TOPIC = "campaigns"
_AUDIO: TypeAdapter[Audio] = TypeAdapter(AnyAudio)


def answered(switch: Switch, call: LiveCall, rate: str | None) -> str | None:
    """Somebody has answered, or an engine takes up a call at which it stopped before it acted.

    The destination (as of `destinations.from_text`) that the call goes on to; None: it has its
    message. `rate`: the codec's, as the switch writes it.
    """
    campaign = call.options["campaign"]
    if campaign["queue"] is not None:
        reach(switch, call, Stage.WAITING)
        _watch(switch, call)
        gevent.spawn(_prepare, call, _safe_harbour(call))
        return str(campaign["queue"])
    reach(switch, call, Stage.PLAYING)
    if campaign["flow"] is not None:
        return str(campaign["flow"])
    play_and_hang_up(switch, call, campaign["message"], rate)
    return None


def _watch(switch: Switch, call: LiveCall) -> None:
    """Whoever has no agent in time is told so."""
    seconds = call.options["campaign"]["connect_within_ms"] / 1000
    gevent.spawn_later(seconds, switch.dispatcher.submit, call.uuid, _time_is_up, switch, call)


def _time_is_up(switch: Switch, call: LiveCall) -> None:
    """In the call's own greenlet. An agent who has answered is in time."""
    if call.over or call.queued is None or not call.queued.waiting:
        return
    call.queued.leave("dropped")
    reach(switch, call, Stage.DROPPED)
    play_and_hang_up(switch, call, _safe_harbour(call), None)


def _safe_harbour(call: LiveCall) -> dict[str, Any]:
    """What is said where nobody is free (16 CFR 310.4(b)(4)(iii): who called, and the number)."""
    campaign = call.options["campaign"]
    digits = " ".join(call.from_number.removeprefix("+"))
    return campaign["safe_harbour"] or {
        "text": f"This is {campaign['seller']}, calling from {digits}. We are sorry: nobody is "
        "free to talk to you at this moment. Goodbye."
    }


def _prepare(call: LiveCall, item: dict[str, Any]) -> None:
    """Have a message spoken before it may be needed."""
    with suppress(prompts.NotThere, RenderFailed):
        _files(call, item, None)


def reach(switch: Switch, call: LiveCall, stage: Stage, **facts: Any) -> None:
    """The call has come to a stage."""
    at = now()
    call.options = reached(call.options, stage, at, **facts)
    switch.run(commands.uuid_setvar(call.uuid, VARIABLE, stage.value))
    call.note(f"campaign:{stage}", at, f"campaign.{stage}", facts)
    call.change(options=call.options)
    call.when_written(lambda: wake(_TOPIC))


def catch_up(switch: Switch, call: LiveCall, stage: str | None) -> None:
    """An engine that is gone had come to this stage; the row may not say so yet."""
    if "campaign" not in call.options or not stage:
        return
    if stage_of(call.options) != stage:
        call.options = reached(call.options, Stage(stage), now())
        call.change(options=call.options)
    if stage == Stage.WAITING:
        _watch(switch, call)


def play_and_hang_up(
    switch: Switch, call: LiveCall, item: dict[str, Any], rate: str | None
) -> None:
    """Play an item of audio with the contact's data in it; the switch itself then ends the call."""
    steps = [("hangup", commands.hangup_cause("NORMAL_CLEARING"))]
    try:
        files = _files(call, item, rate)
        steps = [("playback", commands.source(file)) for file in files] + steps
    except (prompts.NotThere, RenderFailed) as error:
        log.error("campaign.audio_missing", sid=call.sid, reason=str(error))
        call.note("campaign:audio_missing", now(), "campaign.audio_missing", {"reason": str(error)})
    switch.execute(call.uuid, *steps)


def _files(call: LiveCall, item: dict[str, Any], rate: str | None) -> list[str]:
    """Raises NotThere, RenderFailed."""
    contact = call.options["campaign"]["contact"]
    audio = rendered(
        [_AUDIO.validate_python(item)], lambda template: render(template, {"contact": contact})
    )
    wideband = runner.is_wideband(rate)
    return [prompts.file_of(each, call.tenant_id, wideband=wideband) for each in audio]
