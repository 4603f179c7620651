"""Attended transfer: the partner talks to a third party while the customer hears music.

Three legs on one node: customer, partner (who transfers) and consulted. While they are apart each
is parked, and `park_after_bridge` keeps a leg whose other side leaves.
"""

from typing import Any
from uuid import UUID, uuid4

import gevent
import structlog

from irisx.kernel.clock import now
from irisx.kernel.errors import Conflict, Unavailable
from irisx.telephony.calls import connect
from irisx.telephony.calls.live import LiveCall
from irisx.telephony.esl import commands
from irisx.telephony.esl.errors import CommandRefused, EslError
from irisx.telephony.ivr import runner
from irisx.telephony.switch import Switch

log = structlog.get_logger()

MUSIC = "local_stream://moh"
RINGBACK = "tone_stream://%(2000,4000,440,480);loops=-1"
_APART_SECONDS = 3.0
_BRIDGE_SECONDS = 5.0
_Args = dict[str, Any]


def start(switch: Switch, call: LiveCall, args: _Args) -> dict[str, Any]:
    """Part customer and partner, and ring the third party for the partner."""
    if call.consult is not None:
        raise Conflict("A consultation is under way already.", code="CONSULT_UNDER_WAY")
    if call.partner is None and call.consulting is None:
        raise Conflict(
            "An attended transfer needs somebody who talks to the customer; "
            "use the type blind instead.",
            code="NO_PARTNER",
        )
    consulted = uuid4()
    way = connect.way_to(switch, call, connect.text_of(args["to"]), consulted)
    if way is None:
        raise Conflict("No carrier reaches that number.", code="NO_ROUTE")
    call.consult = str(consulted)
    switch.legs[call.consult] = call
    partner = part(switch, call)
    switch.execute(partner, ("playback", RINGBACK))
    gevent.spawn(_ring, switch, call, way, consulted)
    return {}


def part(switch: Switch, call: LiveCall) -> str:
    """Take customer and partner apart, music for the customer; the partner's channel.

    Not by `uuid_hold`: its way back blocks for seconds (switch_ivr.c `switch_ivr_unhold`).
    """
    if call.consulting is not None:
        return call.consulting
    partner = call.partner
    if partner is None:
        raise Conflict("Nobody is connected with the customer.", code="NO_PARTNER")
    runner.leave(switch, call)
    for leg in (call.uuid, partner):
        switch.run(commands.uuid_setvar(leg, "park_after_bridge", "true"))
    call.parked -= {call.uuid, partner}
    switch.connection.api(commands.uuid_transfer_to_park(call.uuid, leg=commands.Leg.BOTH))
    apart = Unavailable("The two legs did not come apart in time.", code="SWITCH_UNAVAILABLE")
    with gevent.Timeout(_APART_SECONDS, apart):
        while not call.parked >= {call.uuid, partner}:
            gevent.sleep(0.01)
    call.consulting = partner
    switch.execute(call.uuid, ("playback", MUSIC))
    return partner


def rejoin(switch: Switch, call: LiveCall) -> None:
    """Customer and partner talk again."""
    partner, call.consult, call.consulting = call.consulting, None, None
    if partner is None:
        return
    switch.run(
        commands.uuid_setvar(call.uuid, "park_after_bridge", "false"),
        commands.uuid_setvar(partner, "park_after_bridge", "false"),
    )
    _bridge(switch, call.uuid, partner)


def _bridge(switch: Switch, leg: str, other: str) -> None:
    """The bridge ends whatever the two play. It waits for media: not in the foreground."""
    switch.connection.bgapi(commands.uuid_bridge(leg, other)).wait(_BRIDGE_SECONDS)


def _ring(switch: Switch, call: LiveCall, way: connect.Way, consulted: UUID) -> None:
    variables = way.variables | {
        "origination_caller_id_number": call.from_number,
        "origination_caller_id_name": call.from_number,
        "ignore_early_media": "true",
        "originate_timeout": str(connect.RING_SECONDS),
        "irisx_leg": "consult",
        "park_after_bridge": "true",
    }
    try:
        switch.dial(call, way.endpoint, variables, consulted).wait(connect.RING_SECONDS + 15)
        partner = call.consulting
        if call.consult == str(consulted) and partner is not None:
            _bridge(switch, partner, call.consult)
            call.note(f"consult:{consulted}", now(), "consult.connected")
    except CommandRefused as refusal:
        call.note(f"consult:{consulted}", now(), "consult.failed", {"cause": refusal.text})
        if call.consult in (None, str(consulted)):  # None: its hang-up was seen first
            rejoin(switch, call)
    except EslError as error:
        log.warning("consult.interrupted", sid=call.sid, error=str(error))


def complete(switch: Switch, call: LiveCall, args: _Args) -> dict[str, Any]:
    """Customer and third party talk; the partner is out."""
    consulted, partner = _under_way(call)
    if not switch.is_answered(consulted):
        raise Conflict("The third party has not answered yet.", code="CONSULT_NOT_ANSWERED")
    switch.run(
        commands.uuid_setvar(call.uuid, "park_after_bridge", "false"),
        commands.uuid_setvar(consulted, "park_after_bridge", "false"),
    )
    _bridge(switch, call.uuid, consulted)
    switch.run(commands.uuid_kill(partner, "ATTENDED_TRANSFER"))
    call.consult = call.consulting = None
    return {}


def cancel(switch: Switch, call: LiveCall, args: _Args) -> dict[str, Any]:
    """Back to customer and partner; the third party is out."""
    consulted, _ = _under_way(call)
    rejoin(switch, call)
    switch.run(commands.uuid_kill(consulted, "ORIGINATOR_CANCEL"))
    return {}


def _under_way(call: LiveCall) -> tuple[str, str]:
    if call.consult is None or call.consulting is None:
        raise Conflict("No consultation is under way.", code="NO_CONSULT")
    return call.consult, call.consulting
