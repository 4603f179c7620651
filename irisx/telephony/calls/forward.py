"""Where a call goes next: into a flow, to an assistant, or to somebody who is rung."""

from irisx.telephony.assistants import run
from irisx.telephony.calls import connect
from irisx.telephony.calls.live import LiveCall, Ringing
from irisx.telephony.dialer import live as campaign
from irisx.telephony.esl.wire import Event
from irisx.telephony.ivr import runner
from irisx.telephony.switch import Switch

_FLOW = "flow_"
_CAMPAIGN = "camp_"
_ASSISTANT = "asst_"


def forward(switch: Switch, call: LiveCall, destination: str, event: Event) -> None:
    """Send the customer to `destination` (the text of destinations.from_text, or the campaign
    that called); out of its flow.

    `event`: one of the customer's channel.
    """
    if destination.startswith(_FLOW):
        runner.start(switch, call, destination, event)
    elif destination.startswith(_CAMPAIGN):
        campaign.answered(switch, call, event)
    elif destination.startswith(_ASSISTANT):
        runner.leave(switch, call)
        run.start(switch, call, destination)
    else:
        runner.leave(switch, call)
        if call.next_whisper is not None:
            call.ringing, call.next_whisper = Ringing(whisper=call.next_whisper), None
        connect.connect(switch, call, destination)
