"""An agent's phone that is rung for a caller: what is dialled, and with which variables."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from irisx.kernel.clock import from_epoch_us, now
from irisx.telephony.acd.entering import Entering
from irisx.telephony.acd.models import OfferOutcome
from irisx.telephony.calls import connect
from irisx.telephony.calls.engaged import OF_QUEUE
from irisx.telephony.calls.live import LiveCall
from irisx.telephony.esl import commands
from irisx.telephony.esl.commands import Endpoint
from irisx.telephony.esl.errors import UnsafeValue
from irisx.telephony.esl.wire import Event
from irisx.telephony.provisioning import SIP_DOMAIN
from irisx.telephony.switch import AGENT_VARIABLE, Switch, leg_variables

if TYPE_CHECKING:
    from irisx.telephony.acd.roster import AgentFacts

#: An agent's leg that no engine bridges ends by itself.
_ALONE_SECONDS = 30
#: Since when the agent is rung (epoch µs), which with the leg is the offer's key.
_BEGAN = "irisx_offered_at"
#: RFC 5373, and what many phones go by (Yealink, Polycom, Grandstream …). mod_sofia's own
#: `sip_auto_answer` also sends a NOTIFY `talk` on ringing, at which others end the call.
_AUTO_ANSWER = {"sip_h_Answer-Mode": "Auto", "sip_h_Alert-Info": "info=alert-autoanswer"}


@dataclass(slots=True)
class Ring:
    """An agent who is rung. `adopted`: an engine that is gone has dialled; its answer and its end
    come as events. `outcome`: why we stopped it."""

    agent: int
    began_at: datetime
    adopted: bool = False
    outcome: OfferOutcome | None = None
    over: bool = False


def endpoint(switch: Switch, call: LiveCall, agent: "AgentFacts", leg: UUID) -> Endpoint:
    """How an agent is reached. Raises UnsafeValue, IrisxError where there is no way."""
    if agent.username is not None:
        return commands.registered(agent.username, SIP_DOMAIN)
    if agent.phone_number is None:
        raise UnsafeValue("contact", "the agent has no phone")
    way = connect.way_to(switch, call, agent.phone_number, leg)
    if way is None:
        raise UnsafeValue("contact", "no carrier reaches the agent's number")
    return way.endpoint


def variables(call: LiveCall, ring: Ring, entering: Entering, ring_seconds: int) -> dict[str, str]:
    """What the agent's leg carries; `adopted` reads it."""
    own = leg_variables(call, OF_QUEUE) | {
        "origination_caller_id_number": call.customer_number,
        "origination_caller_id_name": call.customer_number,
        "ignore_early_media": "true",
        "originate_timeout": str(ring_seconds),
        "hangup_after_bridge": "true",
        "park_timeout": f"{_ALONE_SECONDS}:NORMAL_CLEARING",
        AGENT_VARIABLE: str(ring.agent),
        _BEGAN: str(round(ring.began_at.timestamp() * 1_000_000)),
    }
    return own | _AUTO_ANSWER if entering.auto_answer else own


def adopted(dump: Event) -> Ring:
    """What an engine that is gone has dialled: the same offer, by the same time."""
    began = from_epoch_us(dump.variable(_BEGAN)) or now()
    return Ring(int(dump.variable(AGENT_VARIABLE) or 0), began, adopted=True)
