"""Attended transfer: the partner talks to a third party while the customer hears music.

Three legs on one node: customer, partner (who transfers) and consulted. While they are apart each
is parked, and `park_after_bridge` keeps a leg whose other side leaves (a park forgets it, so it is
set just before a bridge). Whoever leaves, those who remain are joined: a partner who hangs up has
transferred the call.
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
from irisx.telephony.esl.wire import Event
from irisx.telephony.ivr import runner
from irisx.telephony.switch import Switch

log = structlog.get_logger()

MUSIC = "local_stream://moh"
RINGBACK = "tone_stream://%(2000,4000,440,480);loops=-1"
#: On the customer's channel: whom it was parted from.
_PARTED = "irisx_parted"
_APART_SECONDS = 3.0
_BRIDGE_SECONDS = 5.0
_LOOK_SECONDS = 0.2
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
    switch.run(commands.uuid_setvar(call.uuid, _PARTED, partner))
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
    if partner is not None:
        _join(switch, call, partner)


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
    }
    try:
        switch.dial(call, way.endpoint, variables, consulted).wait(connect.RING_SECONDS + 15)
        if call.consult == str(consulted):
            _answered(switch, call, call.consult)
    except CommandRefused as refusal:
        call.note(f"consult:{consulted}", now(), "consult.failed", {"cause": refusal.text})
        if call.consult == str(consulted):
            call.consult = None
            _consulted_gone(switch, call)
    except EslError as error:
        log.warning("consult.interrupted", sid=call.sid, error=str(error))


def _answered(switch: Switch, call: LiveCall, consulted: str) -> None:
    partner = call.consulting
    if partner is None:  # hung up while it rang
        _hand_over(switch, call, consulted)
        return
    for leg in (partner, consulted):
        switch.run(commands.uuid_setvar(leg, "park_after_bridge", "true"))
    call.parked -= {partner, consulted}
    _bridge(switch, partner, consulted)
    call.note(f"consult:{consulted}", now(), "consult.connected")


def restore(switch: Switch, call: LiveCall, dump: Event) -> None:
    """What an engine that is gone had begun, by the customer's channel; its legs come after it."""
    partner = dump.variable(_PARTED)
    if not partner:
        return
    call.held = True
    if switch.exists(partner):
        switch.legs[partner], call.consulting = call, partner
    else:
        gevent.spawn_later(_APART_SECONDS, _partner_gone, switch, call)


def restore_consulted(switch: Switch, call: LiveCall, dump: Event) -> None:
    """The third party of an engine that is gone: talking, parked or still rung."""
    consulted, with_ = dump["Unique-ID"], dump.variable("bridge_uuid")
    if with_ == call.uuid:
        return
    call.consult, call.held = consulted, False
    if with_ is None or with_ != call.consulting:
        gevent.spawn(_await_answer, switch, call, consulted)


def _await_answer(switch: Switch, call: LiveCall, consulted: str) -> None:
    try:
        while call.consult == consulted and not switch.is_answered(consulted):
            gevent.sleep(_LOOK_SECONDS)
        if call.consult == consulted:
            _answered(switch, call, consulted)
    except EslError as error:
        log.warning("consult.interrupted", sid=call.sid, error=str(error))


def left(switch: Switch, call: LiveCall, event: Event) -> None:
    """A leg has hung up: those of the consultation who remain talk to each other."""
    channel = event["Unique-ID"]
    if channel == call.consult:
        call.consult = None  # at once: its refusal, which comes as well, does nothing more
        gevent.spawn(_consulted_gone, switch, call)
    elif channel == call.consulting:
        call.consulting = None
        gevent.spawn(_partner_gone, switch, call)


def leave(switch: Switch, call: LiveCall) -> None:
    """The customer goes elsewhere, or has hung up: who was parted from them is let go."""
    legs = [leg for leg in (call.consulting, call.consult) if leg is not None]
    call.consulting = call.consult = None
    if legs:
        switch.run(
            commands.uuid_setvar(call.uuid, "park_after_bridge", "false"),
            commands.uuid_setvar(call.uuid, _PARTED, ""),
            *(commands.uuid_kill(leg) for leg in legs),
        )


def _consulted_gone(switch: Switch, call: LiveCall) -> None:
    try:
        if call.consulting is not None:
            _await_park(call, call.consulting)
        if call.consulting is not None:
            rejoin(switch, call)
            return
    except CommandRefused:  # the partner has just hung up as well
        log.info("consult.nobody_left", sid=call.sid)
    connect.hang_up(switch, call, "NORMAL_CLEARING")


def _partner_gone(switch: Switch, call: LiveCall) -> None:
    consulted = call.consult
    if consulted is None:
        connect.hang_up(switch, call, "NORMAL_CLEARING")
    elif switch.is_answered(consulted):  # one that still rings is connected by `_ring`
        _await_park(call, consulted)
        _hand_over(switch, call, consulted)


def _await_park(call: LiveCall, leg: str) -> None:
    """Until a leg whose other side has left is parked: on its way there it can't be bridged."""
    with gevent.Timeout(_APART_SECONDS, False):
        while leg not in call.parked and leg in (call.consulting, call.consult):
            gevent.sleep(0.01)


def _hand_over(switch: Switch, call: LiveCall, consulted: str) -> None:
    """Customer and third party talk; the partner has left."""
    call.consult = None
    try:
        _join(switch, call, consulted)
        call.note(f"consult:{consulted}", now(), "consult.handed_over")
    except CommandRefused:  # the third party has just hung up as well
        connect.hang_up(switch, call, "NORMAL_CLEARING")


def _join(switch: Switch, call: LiveCall, other: str) -> None:
    """The customer talks to another leg, and the call ends with either."""
    switch.run(
        commands.uuid_setvar(call.uuid, "park_after_bridge", "false"),
        commands.uuid_setvar(other, "park_after_bridge", "false"),
        commands.uuid_setvar(call.uuid, _PARTED, ""),
    )
    _bridge(switch, call.uuid, other)


def complete(switch: Switch, call: LiveCall, args: _Args) -> dict[str, Any]:
    """Customer and third party talk; the partner is out."""
    consulted, partner = _under_way(call)
    if not switch.is_answered(consulted):
        raise Conflict("The third party has not answered yet.", code="CONSULT_NOT_ANSWERED")
    _join(switch, call, consulted)
    call.consult = call.consulting = None
    switch.run(commands.uuid_kill(partner, "ATTENDED_TRANSFER"))
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
