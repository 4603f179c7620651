"""Where a call goes next: into a flow or a queue, to an assistant, or to somebody who is rung."""

from datetime import datetime

from irisx.telephony.acd.entering import Entering
from irisx.telephony.assistants import run
from irisx.telephony.calls import connect
from irisx.telephony.calls.live import LiveCall, Ringing
from irisx.telephony.dialer import live as campaign
from irisx.telephony.esl.wire import Event
from irisx.telephony.ivr import runner
from irisx.telephony.switch import Switch

_FLOW, _QUEUE, _CAMPAIGN, _ASSISTANT = "flow_", "queue_", "camp_", "asst_"


def forward(switch: Switch, call: LiveCall, destination: str, event: Event | None) -> None:
    """Send the customer to `destination` (the text of destinations.from_text, or the campaign
    that called); out of the flow or queue that the call is in.

    `event`: one of the customer's channel, for its codec.
    """
    rate = event.get("Channel-Read-Codec-Rate") if event is not None else None
    if destination.startswith(_CAMPAIGN):
        onward = campaign.answered(switch, call, rate)
        if onward is None:
            return
        destination = onward
    leave_queue(call, "transferred")
    if destination.startswith(_FLOW):
        runner.start(switch, call, destination, event)
        return
    runner.leave(switch, call)
    if destination.startswith(_ASSISTANT):
        run.start(switch, call, destination)
    elif destination.startswith(_QUEUE) and switch.center is not None:
        switch.center.enter(switch, call, destination, entering(call), rate)
    else:
        if call.next_whisper is not None:
            call.ringing, call.next_whisper = Ringing(whisper=call.next_whisper), None
        connect.connect(switch, call, destination)


def leave_queue(call: LiveCall, why: str) -> None:
    """Something else is done with the call than its queue would do."""
    if call.queued is not None:
        call.queued.leave(why)


def entering(call: LiveCall) -> Entering:
    """As whoever placed the call wants it (`options["queue"]`: some fields of Entering)."""
    wanted = call.options.get("queue", {})
    place_at = wanted.get("place_at")
    return Entering(
        priority=int(wanted.get("priority", 0)),
        place_at=None if place_at is None else datetime.fromisoformat(place_at),
        agent=wanted.get("agent"),
        auto_answer=bool(wanted.get("auto_answer", False)),
    )
