"""The engine's part of campaigns: what happens when somebody answers.

    answered -> (person or machine?) -> the campaign's flow, its message, or an agent
                                        in time: connected; else the safe-harbour message

What has been reached stands in the channel (`irisx_campaign`), for an engine that takes the call
up, and in the call's row (`stages.py`), for whoever counts.
"""

from collections.abc import Callable
from typing import Any

import structlog
from pydantic import TypeAdapter

from irisx.kernel.clock import now
from irisx.kernel.jobs import wake
from irisx.kernel.template import RenderFailed, render
from irisx.telephony.calls.live import LiveCall
from irisx.telephony.dialer.stages import Stage, reached, stage_of
from irisx.telephony.esl import commands
from irisx.telephony.esl.wire import Event
from irisx.telephony.ivr import prompts, runner
from irisx.telephony.ivr.audio import AnyAudio, Audio, rendered
from irisx.telephony.switch import Switch

log = structlog.get_logger()

VARIABLE = "irisx_campaign"
#: `jobs.wake` topic of the dialler, which wants to know at once.
_TOPIC = "campaigns"
_AUDIO: TypeAdapter[Audio] = TypeAdapter(AnyAudio)


def answered(switch: Switch, call: LiveCall, event: Event) -> None:
    """Somebody has answered, or an engine takes up a call at which it stopped before it acted.

    `event`: one of the customer's channel.
    """
    campaign = call.options["campaign"]
    if campaign["flow"] is not None:
        reach(switch, call, Stage.PLAYING)
        runner.start(switch, call, campaign["flow"], event)
    elif campaign["message"] is not None:
        reach(switch, call, Stage.PLAYING)
        play_and_hang_up(switch, call, campaign["message"], event)


def reach(switch: Switch, call: LiveCall, stage: Stage, **facts: Any) -> None:
    """The call has come to a stage."""
    at = now()
    call.options = reached(call.options, stage, at, **facts)
    switch.run(commands.uuid_setvar(call.uuid, VARIABLE, stage.value))
    call.note(f"campaign:{stage}", at, f"campaign.{stage}", facts)
    call.change(options=call.options)
    call.when_written(lambda: wake(_TOPIC))


def catch_up(call: LiveCall, stage: str | None) -> None:
    """An engine that is gone had come to this stage; the row may not say so yet."""
    if "campaign" in call.options and stage and stage_of(call.options) != stage:
        call.options = reached(call.options, Stage(stage), now())
        call.change(options=call.options)


def play_and_hang_up(
    switch: Switch, call: LiveCall, item: dict[str, Any], event: Event | None = None
) -> None:
    """Play an item of audio with the contact's data in it; the switch itself then ends the call."""
    rate = event.get("Channel-Read-Codec-Rate") if event is not None else None
    steps = [("hangup", commands.hangup_cause("NORMAL_CLEARING"))]
    try:
        for audio in reversed(rendered([_AUDIO.validate_python(item)], _filler(call))):
            file = prompts.file_of(audio, call.tenant_id, wideband=runner.is_wideband(rate))
            steps.insert(0, ("playback", commands.source(file)))
    except (prompts.NotThere, RenderFailed) as error:
        log.error("campaign.audio_missing", sid=call.sid, reason=str(error))
        call.note("campaign:audio_missing", now(), "campaign.audio_missing", {"reason": str(error)})
    switch.execute(call.uuid, *steps)


def _filler(call: LiveCall) -> Callable[[str], str]:
    """Fills the templates of a text with what the campaign knows of the contact."""
    contact = call.options["campaign"]["contact"]
    return lambda template: render(template, {"contact": contact})
