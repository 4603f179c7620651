"""Connecting a call's customer leg with a destination: who is dialled, in which order, what next.

The switch does the connecting (`bridge` on the customer's leg), so it goes on without an engine.
Which destination is tried and by which carriers stands in the leg's variables; each end of an
attempt is an event that any engine can act on.
"""

from dataclasses import dataclass, replace
from uuid import UUID, uuid4

import structlog
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from irisx.kernel.clock import now
from irisx.kernel.errors import IrisxError, invalid
from irisx.telephony.calls import destinations
from irisx.telephony.calls.destinations import Target
from irisx.telephony.calls.live import LiveCall, event_key
from irisx.telephony.calls.routes import routes_to, take_place
from irisx.telephony.calls.states import FAILOVER_CAUSES
from irisx.telephony.esl import commands
from irisx.telephony.esl.commands import Endpoint
from irisx.telephony.esl.errors import UnsafeValue
from irisx.telephony.esl.wire import Event
from irisx.telephony.provisioning import CARRIER_PROFILE, SIP_DOMAIN
from irisx.telephony.switch import AGENT_VARIABLE, Switch, leg_variables
from irisx.tenancy.models import DestinationType

log = structlog.get_logger()

RING_SECONDS = 60
Tried = frozenset[int]
_NO_ROUTE = "NO_ROUTE_DESTINATION"
_last_resolved: dict[tuple[int, str], Target] = {}


@dataclass(frozen=True, slots=True)
class Way:
    """What to dial; `carriers`: by which carrier, if by one; `agent`: whose phone it is."""

    endpoint: Endpoint
    carriers: Tried = frozenset()
    agent: int | None = None

    @property
    def variables(self) -> dict[str, str]:
        """What the leg is to carry of it."""
        return {} if self.agent is None else {AGENT_VARIABLE: str(self.agent)}


def connect(switch: Switch, call: LiveCall, destination: str, tried: Tried = frozenset()) -> None:
    """Ring `destination` (the text of destinations.from_text) and bridge the customer with it.

    `tried`: carriers that have failed for this destination. Where nothing is left to try the call
    ends with the cause that says so, unless it is in a flow, which decides. How it is rung says
    `call.ringing`.
    """
    partner = uuid4()
    try:
        way = way_to(switch, call, destination, partner, tried)
    except (IrisxError, UnsafeValue) as error:
        log.warning("call.destination_refused", sid=call.sid, reason=str(error))
        call.note(f"refused:{partner}", now(), "destination.refused", {"reason": str(error)})
        _give_up(switch, call, "CALL_REJECTED")
        return
    except (OperationalError, PoolTimeout) as error:
        log.error("call.destination_unknown", sid=call.sid, reason=str(error)[:200])
        _give_up(switch, call, "NORMAL_TEMPORARY_FAILURE")
        return
    if way is None:
        _give_up(switch, call, _NO_ROUTE)
        return
    call.ringing_leg = str(partner)
    steps = {
        "irisx_destination": destination,
        "irisx_tried": "-".join(str(carrier) for carrier in sorted(tried | way.carriers)),
        "originate_disposition": "",
        "continue_on_fail": "true",
        "hangup_after_bridge": "true" if call.flow is None else "false",
        "ringback": call.ringing.music or "",
    }
    switch.run(*(commands.uuid_setvar(call.uuid, name, steps[name]) for name in steps))
    variables = leg_variables(call, "partner") | way.variables
    variables |= {
        "origination_uuid": str(partner),
        "origination_caller_id_number": call.ringing.caller_id or call.from_number,
        "origination_caller_id_name": call.ringing.caller_id or call.from_number,
        "originate_timeout": str(call.ringing.seconds),
    }
    if call.ringing.whisper is not None:
        variables |= {
            "group_confirm_key": "exec",
            "group_confirm_file": f"playback {call.ringing.whisper}",
        }
    switch.execute(call.uuid, ("bridge", commands.dial_string([way.endpoint], variables)))


def attempt_ended(switch: Switch, call: LiveCall, event: Event) -> None:
    """The `bridge` that `connect` queued is over: done, or another route, or the end."""
    cause = event.variable("originate_disposition") or ""
    destination = event.variable("irisx_destination")
    if cause == "SUCCESS" and call.flow is not None:
        call.flow.bridge_ended(cause)
    if cause == "SUCCESS" or destination is None:
        return
    data = {"cause": cause, "destination": destination}
    call.note(event_key(event), event.timestamp, "destination.failed", data)
    if cause in FAILOVER_CAUSES and destination.startswith("+"):
        connect(switch, call, destination, _tried(event))
    else:
        _give_up(switch, call, cause or _NO_ROUTE)


def _give_up(switch: Switch, call: LiveCall, cause: str) -> None:
    """Nobody was reached."""
    if call.flow is not None:
        call.flow.bridge_ended(cause)
    else:
        hang_up(switch, call, cause)


def resume(switch: Switch, call: LiveCall, dump: Event) -> None:
    """Go on for an engine that is gone: its attempt has ended, or never began."""
    if dump.variable("originate_disposition"):
        attempt_ended(switch, call, dump)
    else:
        connect(switch, call, dump["variable_irisx_destination"])


def _tried(event: Event) -> Tried:
    ids = (event.variable("irisx_tried") or "").split("-")
    return frozenset(int(carrier) for carrier in ids if carrier.isdigit())


def hang_up(switch: Switch, call: LiveCall, cause: str) -> None:
    """End the customer's leg; the caller's carrier gets the cause as its SIP code."""
    switch.run(commands.uuid_kill(call.uuid, cause))


def text_of(destination: dict[str, str]) -> str:
    """A stored destination in the one word that `destinations.from_text` reads."""
    return destination.get("to") or destination["id"]


def way_to(
    switch: Switch, call: LiveCall, destination: str, leg: UUID, tried: Tried = frozenset()
) -> Way | None:
    """How to dial a destination as the channel `leg`; None if there is no (further) way.

    With the database away: as it was resolved last. Raises OperationalError if it never was.
    """
    target = _resolve(destination, call.tenant_id)
    if target.type is DestinationType.NUMBER:
        way = _by_carrier(switch, call, target, leg, tried)
        return way and replace(way, agent=target.agent)
    if target.type is DestinationType.AGENT:
        return Way(commands.registered(target.address, SIP_DOMAIN), agent=target.agent)
    if target.type is not DestinationType.SIP:
        raise invalid("destination", f"{destination} is nobody who can be rung")
    return Way(commands.sofia(CARRIER_PROFILE, target.address))


def _resolve(destination: str, tenant_id: int) -> Target:
    try:
        target = destinations.resolve(destinations.from_text(destination, "destination"), tenant_id)
    except (OperationalError, PoolTimeout):
        known = _last_resolved.get((tenant_id, destination))
        if known is None:
            raise
        return known
    _last_resolved[tenant_id, destination] = target
    return target


def _by_carrier(
    switch: Switch, call: LiveCall, target: Target, leg: UUID, tried: Tried
) -> Way | None:
    for route in routes_to(target.address, call.tenant_id, sandbox=switch.sandbox):
        if route.carrier_id not in tried and take_place(route.carrier_id, leg, call.id):
            call.carrier_legs.add(str(leg))
            endpoint = commands.gateway(route.gateway, target.address)
            return Way(endpoint, frozenset({route.carrier_id}))
    return None
