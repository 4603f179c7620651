"""Connecting a call's customer leg with a destination: who is dialled, in which order, what next.

The switch does the connecting (`bridge` on the customer's leg), so it goes on without an engine.
Which destination and which attempt is under way stands in the leg's variables; each end of an
attempt is an event that any engine can act on.
"""

from uuid import UUID, uuid4

import structlog

from irisx.kernel.clock import now
from irisx.kernel.errors import IrisxError
from irisx.telephony.calls import capacity, destinations
from irisx.telephony.calls.destinations import Target
from irisx.telephony.calls.live import LiveCall, event_key
from irisx.telephony.calls.routes import routes_to
from irisx.telephony.calls.states import FAILOVER_CAUSES
from irisx.telephony.esl import commands
from irisx.telephony.esl.commands import Endpoint
from irisx.telephony.esl.errors import UnsafeValue
from irisx.telephony.esl.wire import Event
from irisx.telephony.provisioning import CARRIER_PROFILE, SIP_DOMAIN
from irisx.telephony.switch import Switch, leg_variables
from irisx.tenancy.models import DestinationType

log = structlog.get_logger()

RING_SECONDS = 60
_NO_ROUTE = "NO_ROUTE_DESTINATION"


def connect(switch: Switch, call: LiveCall, destination: str, attempt: int = 0) -> None:
    """Ring `destination` (the text of destinations.from_text) and bridge the customer with it.

    `attempt`: index of the route to try. Where nothing is left to try the call ends with the
    cause that says so.
    """
    try:
        partner = uuid4()
        leg = endpoint(switch, call, destination, attempt, partner)
    except (IrisxError, UnsafeValue) as error:
        log.warning("call.destination_refused", sid=call.sid, reason=str(error))
        call.note(f"refused:{attempt}", now(), "destination.refused", {"reason": str(error)})
        hang_up(switch, call, "CALL_REJECTED")
        return
    if leg is None:
        hang_up(switch, call, _NO_ROUTE)
        return
    steps = {
        "irisx_destination": destination,
        "irisx_attempt": str(attempt),
        "continue_on_fail": "true",
        "hangup_after_bridge": "true",
    }
    switch.run(*(commands.uuid_setvar(call.uuid, name, steps[name]) for name in steps))
    variables = leg_variables(call, "partner") | {
        "origination_uuid": str(partner),
        "origination_caller_id_number": call.from_number,
        "origination_caller_id_name": call.from_number,
        "originate_timeout": str(RING_SECONDS),
    }
    switch.execute(call.uuid, ("bridge", commands.dial_string([leg], variables)))


def attempt_ended(switch: Switch, call: LiveCall, event: Event) -> None:
    """The `bridge` that `connect` queued is over: done, or another route, or the end."""
    cause = event.variable("originate_disposition") or ""
    destination = event.variable("irisx_destination")
    if cause == "SUCCESS" or destination is None:
        return
    attempt = int(event.variable("irisx_attempt") or 0)
    data = {"cause": cause, "attempt": attempt, "destination": destination}
    call.note(event_key(event), event.timestamp, "destination.failed", data)
    if cause in FAILOVER_CAUSES and destination.startswith("+"):
        connect(switch, call, destination, attempt + 1)
    else:
        hang_up(switch, call, cause or _NO_ROUTE)


def hang_up(switch: Switch, call: LiveCall, cause: str) -> None:
    """End the customer's leg; the caller's carrier gets the cause as its SIP code."""
    switch.run(commands.uuid_kill(call.uuid, cause))


def text_of(destination: dict[str, str]) -> str:
    """A stored destination in the one word that `destinations.from_text` reads."""
    return destination.get("to") or destination["id"]


def endpoint(
    switch: Switch, call: LiveCall, destination: str, attempt: int, leg: UUID
) -> Endpoint | None:
    """What to dial as the channel `leg`; None if there is no (further) way to the destination."""
    target = destinations.resolve(
        destinations.from_text(destination, "destination"), call.tenant_id
    )
    if target.type is DestinationType.NUMBER:
        return _by_carrier(switch, call, target, attempt, leg)
    if attempt:
        return None
    if target.type is DestinationType.AGENT:
        return commands.registered(target.address, SIP_DOMAIN)
    return commands.sofia(CARRIER_PROFILE, target.address)


def _by_carrier(
    switch: Switch, call: LiveCall, target: Target, attempt: int, leg: UUID
) -> Endpoint | None:
    routes = routes_to(target.address, call.tenant_id, sandbox=switch.sandbox)
    for route in routes[attempt:]:
        if capacity.take_carrier(route.carrier_id, leg, call.id):
            call.carrier_legs.add(str(leg))
            return commands.gateway(route.gateway, target.address)
    return None
