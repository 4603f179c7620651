"""Legs to agents' phones that no queue rings: queues are told, and leave these agents alone."""

from irisx.telephony.calls.live import LiveCall, channel_time
from irisx.telephony.esl.wire import Event
from irisx.telephony.switch import AGENT_VARIABLE, Switch

#: `irisx_leg` of the legs that a queue rings: it knows of them.
OF_QUEUE = "agent"


def began(switch: Switch, call: LiveCall, event: Event) -> None:
    """A leg is there or is answered, as an event or a dump says; nothing if it is no agent's."""
    agent = event.variable(AGENT_VARIABLE)
    if agent is None or event.variable("irisx_leg") == OF_QUEUE:
        return
    answered = event.name == "CHANNEL_ANSWER" or channel_time(event, "Answered") is not None
    begin(switch, call, int(agent), event["Unique-ID"], talks=answered)


def begin(switch: Switch, call: LiveCall, agent_id: int, leg: str, *, talks: bool) -> None:
    call.agents[leg] = agent_id
    if switch.center is not None:
        switch.center.engaged(call, agent_id, leg, talks=talks)


def over(switch: Switch, call: LiveCall, leg: str) -> None:
    """A leg is gone."""
    agent_id = call.agents.pop(leg, None)
    if agent_id is not None and switch.center is not None:
        switch.center.released(call, agent_id, leg)
