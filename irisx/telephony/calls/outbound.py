"""Calls that go out: taken from the table by one engine, placed by one carrier after another."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import gevent
import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from irisx.kernel.clock import now
from irisx.kernel.db import transaction
from irisx.telephony.calls.ended import Ended
from irisx.telephony.calls.forward import entering
from irisx.telephony.calls.handling import finish
from irisx.telephony.calls.journal import Journal
from irisx.telephony.calls.live import LiveCall, unseen_end
from irisx.telephony.calls.models import Call
from irisx.telephony.calls.routes import routes_to, take_place
from irisx.telephony.calls.routing import Route
from irisx.telephony.calls.states import FAILOVER_CAUSES, CallStatus, Direction
from irisx.telephony.esl import commands
from irisx.telephony.esl.errors import CommandRefused, CommandTimeout, Disconnected, UnsafeValue
from irisx.telephony.switch import Switch

log = structlog.get_logger()

CLAIM = 50
#: A call that no switch could take for so long is given up: its caller does not wait any more.
PLACE_WITHIN = timedelta(seconds=30)
#: Seconds beyond the ring time until an originate that says nothing counts as lost.
_PATIENCE = 15
_CAUSE = re.compile(r"-ERR ([A-Z0-9_]+)")


def claim(switches: Iterable[Switch]) -> list[tuple[Call, Switch]]:
    """Take calls that wait, each for the node with the largest free share.

    The claim is committed before anything is dialled, so no two engines place the same call.
    """
    nodes = [switch for switch in switches if switch.takes_calls]
    with transaction() as session:
        taken: list[tuple[Call, Switch]] = []
        for sandbox in {switch.sandbox for switch in nodes}:
            fitting = [switch for switch in nodes if switch.sandbox == sandbox]
            for call in _waiting(session, sandbox):
                taken.append((call, _roomiest(fitting, taken)))
        for call, switch in taken:
            call.node = switch.name
            call.options = {**call.options, "core": switch.connection.core_uuid}
        return taken


def _waiting(session: Session, sandbox: bool) -> Sequence[Call]:
    return session.scalars(
        select(Call)
        .where(
            Call.status == CallStatus.INITIATED,
            Call.node.is_(None),
            Call.direction == Direction.OUTBOUND,
            Call.sandbox == sandbox,
            Call.initiated_at > now() - PLACE_WITHIN,
        )
        .order_by(Call.initiated_at)
        .limit(CLAIM)
        .with_for_update(skip_locked=True)
    ).all()


def _roomiest(switches: Sequence[Switch], taken: Sequence[tuple[Call, Switch]]) -> Switch:
    def share(switch: Switch) -> float:
        mine = sum(1 for _, taker in taken if taker is switch)
        return switch.free_share - mine / switch.capacity

    return max(switches, key=share)


def give_up_waiting(journal: Journal) -> None:
    """Fail the calls that no switch could take in time."""
    with transaction() as session:
        late = session.scalars(
            select(Call)
            .where(
                Call.status == CallStatus.INITIATED,
                Call.node.is_(None),
                Call.initiated_at <= now() - PLACE_WITHIN,
            )
            .limit(CLAIM)
            .with_for_update(skip_locked=True)
        ).all()
        for call in late:
            call.node = ""
    for call in late:
        LiveCall.of_row(call, journal).fail("NO_SWITCH")


def place(switch: Switch, call: LiveCall) -> None:
    """Have the call on its way. Runs in its own greenlet."""
    switch.adopt(call)
    if agent_first(call):
        switch.dispatcher.submit(call.uuid, await_agent, switch, call)
    else:
        _dial(switch, call)


def agent_first(call: LiveCall) -> bool:
    """Whether the customer is dialled only once an agent is on the line."""
    return bool(call.options.get("agent_first")) and call.next_destination is not None


def await_agent(switch: Switch, call: LiveCall, *, dialled: bool = False) -> None:
    """Have a queue ring an agent, who has the customer dialled. In the call's greenlet."""
    queue, call.next_destination = call.next_destination, None
    if queue is None or switch.center is None:
        return
    way_in = replace(
        entering(call),
        max_wait=round(PLACE_WITHIN.total_seconds()),
        dial=lambda: _dial(switch, call),
        dialled=dialled,
    )
    switch.center.enter(switch, call, queue, way_in)


def _dial(switch: Switch, call: LiveCall) -> None:
    """Dial the call by its routes until one answers or none is left."""
    call.placing = True
    try:
        end = _try_routes(switch, call)
    except Disconnected:
        log.info("call.left_to_recovery", sid=call.sid, switch=switch.name)
        return
    finally:
        call.placing = False
    if end is not None:
        switch.dispatcher.submit(call.uuid, finish, switch, call, end)


def _try_routes(switch: Switch, call: LiveCall) -> Ended | None:
    """None: it was answered, or events tell its end. Otherwise how the last attempt ended."""
    end = unseen_end(call, "NO_ROUTE_DESTINATION")
    for route in routes_to(call.to_number, call.tenant_id, sandbox=switch.sandbox):
        if call.canceled:
            return unseen_end(call, "ORIGINATOR_CANCEL")
        if not take_place(route.carrier_id, call.id, call.id):
            continue
        outcome = _attempt(switch, call, route)
        if outcome is None or call.over:
            return None
        end = outcome
        if end.cause not in FAILOVER_CAUSES:
            break
        _await_gone(switch, call)
    return end


def _attempt(switch: Switch, call: LiveCall, route: Route) -> Ended | None:
    """Dial by one carrier; None if it was answered."""
    call.carrier_id = route.carrier_id
    call.change(carrier_id=route.carrier_id)
    call.attempt_end = gevent.event.AsyncResult()
    at, data = now(), {"carrier": f"car_{route.carrier_id}"}
    call.note(f"attempt:{route.carrier_id}", at, "call.attempted", data)
    ring = int(call.options.get("ring_timeout_s", 60))
    switch.legs[call.uuid] = call
    try:
        job = switch.dial(
            call, commands.gateway(route.gateway, call.to_number), _variables(call, ring), call.id
        )
        job.wait(ring + _PATIENCE)
    except CommandRefused as refusal:
        match = _CAUSE.match(refusal.text)
        cause = match[1] if match else "NORMAL_UNSPECIFIED"
        # The leg, where there was one, tells its end with the switch's own times.
        seen = call.attempt_end.wait(timeout=2.0 if call.leg_seen else 0.05)
        return seen if isinstance(seen, Ended) else unseen_end(call, cause)
    except CommandTimeout:
        log.error("call.originate_silent", sid=call.sid, switch=switch.name)
        switch.run(commands.uuid_kill(call.uuid, "NO_ANSWER"))
        return unseen_end(call, "NO_ANSWER")
    except UnsafeValue as error:
        log.error("call.unsafe_value", sid=call.sid, error=str(error))
        return unseen_end(call, "INVALID_NUMBER_FORMAT")
    return None


def _variables(call: LiveCall, ring_seconds: int) -> dict[str, str]:
    variables = {
        "origination_caller_id_number": call.from_number,
        "origination_caller_id_name": call.options.get("caller_name") or call.from_number,
        # Without it originate returns at 183 and whatever follows plays to early media.
        "ignore_early_media": "true",
        "originate_timeout": str(ring_seconds),
        "hangup_after_bridge": "true",
    }
    digits = call.metadata.get("digits")
    if call.sandbox and isinstance(digits, str):
        variables["irisx_far_end_digits"] = digits
    return variables


def _await_gone(switch: Switch, call: LiveCall) -> None:
    """The next attempt has the same channel id: the one before must be out of the switch."""
    with gevent.Timeout(2.0, False):
        while switch.exists(call.uuid):
            gevent.sleep(0.01)


def take_row(row: Call, journal: Journal) -> LiveCall:
    """A claimed row as a live call."""
    call = LiveCall.of_row(row, journal)
    if row.caller_name:
        call.options = {**call.options, "caller_name": row.caller_name}
    destination: dict[str, Any] | None = row.options.get("on_answer")
    if destination is not None:
        call.next_destination = destination.get("to") or destination["id"]
    return call
