"""A supervisor beside a live call: listen, whisper, barge, take over, and back, on one leg.

The leg eavesdrops on the agent's channel and never on the customer's while there is an agent: the
call is recorded on the customer's leg, which a whisper thus can't reach (switch_ivr_async.c: it is
mixed into what the spied channel hears). A mode is switched by a MESSAGE event to the leg. When the
customer is connected with somebody else the leg is sent there; the customer's own channel is
listened to while nobody is connected with it.

All of it runs in the call's greenlet, in order with the switch's events, and everything that
another engine needs to go on stands in the leg's variables.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import gevent
import structlog
from gevent.event import AsyncResult

from irisx.kernel.clock import now
from irisx.kernel.errors import Conflict, IrisxError, Unavailable
from irisx.telephony.calls import connect
from irisx.telephony.calls.live import LiveCall, channel_time
from irisx.telephony.calls.states import Direction
from irisx.telephony.esl import commands
from irisx.telephony.esl.errors import CommandRefused, EslError
from irisx.telephony.esl.wire import Event
from irisx.telephony.ivr import runner
from irisx.telephony.supervision.state import Mode, Supervision
from irisx.telephony.switch import Switch

log = structlog.get_logger()

LEG = "supervisor"
MUSIC = "local_stream://moh"
#: How long an agent waits, after a takeover, for the customer to be given back. The switch itself
#: ends the leg then, and the agent goes to the work after the call.
RETURN_SECONDS = 30
_BRIDGE_SECONDS = 5.0
_TURN_SECONDS = 7.0
_Args = dict[str, Any]

#: Whom the supervisor talks to on the agent's channel, and on the customer's where nobody is
#: connected with it.
_ON_AGENT = {Mode.LISTEN: "0", Mode.WHISPER: "2", Mode.BARGE: "3"}
_ON_CUSTOMER = {Mode.LISTEN: "0", Mode.WHISPER: "0", Mode.BARGE: "2"}


# -- what the API asks for ------------------------------------------------------------------------


def supervise(switch: Switch, call: LiveCall, args: _Args) -> dict[str, Any]:
    """Have a supervisor (`supervisor`, in one word) on the call in a `mode`; rings who is not."""
    mode, supervisor = Mode(args["mode"]), str(args["supervisor"])
    return _in_turn(switch, call, lambda: _supervise(switch, call, supervisor, mode))


def stop(switch: Switch, call: LiveCall, args: _Args) -> dict[str, Any]:
    """A supervisor leaves; a customer who was taken over goes back to the agent."""
    return _in_turn(switch, call, lambda: _stop(switch, call, str(args["supervisor"])))


def _in_turn(switch: Switch, call: LiveCall, act: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Do it in the call's greenlet, and wait for its result."""
    done: AsyncResult[dict[str, Any]] = AsyncResult()

    def run() -> None:
        try:
            done.set(act())
        except (IrisxError, EslError) as error:
            done.set_exception(error)

    switch.dispatcher.submit(call.uuid, run)
    busy = Unavailable("The call is busy with something else.", code="SWITCH_UNAVAILABLE")
    with gevent.Timeout(_TURN_SECONDS, busy):
        result: dict[str, Any] = done.get()
    return result


def _supervise(switch: Switch, call: LiveCall, supervisor: str, mode: Mode) -> dict[str, Any]:
    if call.over:
        raise Conflict("The call is over.", code="CALL_NOT_ACTIVE")
    if mode in (Mode.WHISPER, Mode.BARGE) and call.partner is None:
        raise Conflict(
            "Nobody is connected with the customer: listen, or take over.", code="NO_PARTNER"
        )
    if mode is Mode.TAKEOVER and call.consulting is not None:
        raise Conflict(
            "The customer is on hold or being transferred; end that first.",
            code="CONSULT_UNDER_WAY",
        )
    found = _find(call, supervisor)
    if found is None:
        found = _ring(switch, call, supervisor, mode)
    elif found.mode is not mode:
        _change(switch, call, found, mode)
    return {"leg": found.leg, "mode": found.mode.value, "status": found.status.value}


def _find(call: LiveCall, supervisor: str) -> Supervision | None:
    return next((s for s in call.supervisions.values() if s.supervisor == supervisor), None)


def _ring(switch: Switch, call: LiveCall, supervisor: str, mode: Mode) -> Supervision:
    leg = uuid4()
    way = connect.way_to(switch, call, supervisor, leg)
    if way is None:
        raise Conflict("No carrier reaches that number.", code="NO_ROUTE")
    found = Supervision(str(leg), supervisor, mode)
    call.supervisions[found.leg] = found
    switch.legs[found.leg] = call
    _keep(switch, call, found)
    gevent.spawn(_dial, switch, call, found, way)
    return found


def _dial(switch: Switch, call: LiveCall, found: Supervision, way: connect.Way) -> None:
    number = call.to_number if call.direction is Direction.INBOUND else call.from_number
    variables = way.variables | {
        "origination_caller_id_number": number,
        "origination_caller_id_name": number,
        "ignore_early_media": "true",
        "originate_timeout": str(connect.RING_SECONDS),
        "irisx_leg": LEG,
        "irisx_supervisor": found.supervisor,
        "irisx_mode": found.mode.value,
        # Its digits are for nobody: every act comes through the API and is audited there.
        "eavesdrop_enable_dtmf": "false",
    }
    try:
        job = switch.dial(call, way.endpoint, variables, UUID(found.leg))
        job.wait(connect.RING_SECONDS + 15)
    except CommandRefused as refusal:
        cause = refusal.text.removeprefix("-ERR ").strip()
        switch.dispatcher.submit(call.uuid, left, switch, call, found.leg, cause)
    except EslError as error:
        log.warning("supervision.interrupted", sid=call.sid, error=str(error))


def _change(switch: Switch, call: LiveCall, found: Supervision, mode: Mode) -> None:
    there = found.answered_at is not None
    if there and mode is Mode.TAKEOVER:
        _take_over(switch, call, found)
    if there and found.mode is Mode.TAKEOVER:
        _give_back(switch, call, found)
        found.mode = mode  # what it means is done when the leg has parked
    else:
        found.mode = mode
        _align(switch, call, found)
    switch.run(commands.uuid_setvar(found.leg, "irisx_mode", mode.value))
    _tell(switch, call, found, "mode_changed", f"{found.leg}:{uuid4().hex}", now())


def _stop(switch: Switch, call: LiveCall, supervisor: str) -> dict[str, Any]:
    found = _find(call, supervisor)
    if found is None:
        raise Conflict("This supervisor is not on the call.", code="NOT_SUPERVISING")
    if found.mode is Mode.TAKEOVER and found.answered_at is not None:
        _give_back(switch, call, found)
    switch.run(commands.uuid_kill(found.leg))
    return {"leg": found.leg}


# -- taking over and giving back ------------------------------------------------------------------


def _take_over(switch: Switch, call: LiveCall, found: Supervision) -> None:
    """The customer talks with the supervisor; the agent waits and hears music."""
    runner.leave(switch, call)
    if call.queued is not None and call.queued.waiting:
        call.queued.leave("taken-over")  # or agents would go on being rung for the caller
    agent = call.partner
    before = call.supervisions.get(agent or "")
    if before is not None:  # another supervisor, who took the customer from the agent
        agent, before.taken_from = before.taken_from, None
        switch.run(commands.uuid_setvar(before.leg, "irisx_taken_from", ""))
    if agent is not None:
        switch.run(
            commands.uuid_setvar(agent, "park_after_bridge", "true"),
            commands.uuid_setvar(found.leg, "irisx_taken_from", agent),
            commands.sched_del(agent),
            commands.sched_hangup(agent, RETURN_SECONDS, "NORMAL_CLEARING"),
        )
    switch.run(
        commands.uuid_setvar(found.leg, "park_after_bridge", "true"),  # a park forgets it
        commands.uuid_setvar(call.uuid, "park_after_bridge", "false"),
        commands.uuid_setvar(call.uuid, "hangup_after_bridge", "true"),
    )
    found.taken_from = agent or found.taken_from
    found.connected, found.spied = False, None
    _bridge(switch, call, found.leg)


def _give_back(switch: Switch, call: LiveCall, found: Supervision) -> None:
    """The customer talks with the agent again; the supervisor's leg parks."""
    agent = found.taken_from
    if agent is None or switch.legs.get(agent) is not call:
        raise Conflict(
            "Nobody is left to give the customer back to: transfer or end the call instead.",
            code="NO_PARTNER",
        )
    switch.run(
        commands.sched_del(agent),
        commands.uuid_setvar(agent, "park_after_bridge", "false"),
        commands.uuid_setvar(found.leg, "irisx_taken_from", ""),
    )
    found.taken_from, found.given_to = None, agent
    _bridge(switch, call, agent)


def _bridge(switch: Switch, call: LiveCall, other: str) -> None:
    """It waits for media: not in the foreground."""
    switch.connection.bgapi(commands.uuid_bridge(call.uuid, other)).wait(_BRIDGE_SECONDS)


# -- what the switch tells ------------------------------------------------------------------------


def parked(switch: Switch, call: LiveCall, event: Event) -> None:
    """A leg of the call is connected with nobody: a supervisor who has just answered or whose
    spied channel has gone, or the agent from whom the customer was taken."""
    channel = event["Unique-ID"]
    if any(found.taken_from == channel for found in call.supervisions.values()):
        switch.execute(channel, ("playback", MUSIC))
        return
    found = call.supervisions.get(channel)
    if found is None:
        if event.variable("irisx_leg") == LEG:
            restore(switch, call, event)
        return
    if found.answered_at is None:
        _joined(switch, call, found, event)
        return
    if found.mode is Mode.TAKEOVER:
        if not found.connected or call.partner == channel or not switch.exists(call.uuid):
            return
        found.mode, found.connected = Mode.LISTEN, False  # the customer was sent elsewhere
        switch.run(commands.uuid_setvar(channel, "irisx_mode", found.mode.value))
        _tell(switch, call, found, "mode_changed", f"{channel}:{event.sequence}", event.timestamp)
    failed, found.spied = found.spied, None
    _align(switch, call, found, failed)


def _joined(switch: Switch, call: LiveCall, found: Supervision, event: Event) -> None:
    found.answered_at = channel_time(event, "Answered") or event.timestamp
    _tell(switch, call, found, "joined", found.leg, found.answered_at)
    if found.mode is Mode.TAKEOVER:
        _take_over(switch, call, found)
    else:
        _align(switch, call, found)


def follow(switch: Switch, call: LiveCall) -> None:
    """The customer is connected with somebody (else), or with nobody: supervisors go along."""
    for found in list(call.supervisions.values()):
        if found.leg == call.partner:
            found.connected = True
        elif call.partner is not None:
            found.given_to = None
        _align(switch, call, found)


def _align(switch: Switch, call: LiveCall, found: Supervision, failed: str | None = None) -> None:
    """Have a leg listen where it should and talk to whom it should.

    `failed`: a channel that it could not listen to (any more); its end is known in a moment.
    """
    if found.answered_at is None or found.mode is Mode.TAKEOVER:
        return
    partner = call.partner or found.given_to
    agent = partner if partner not in (found.leg, failed) else None
    target = agent or call.uuid
    if target == failed:
        return
    digit = (_ON_CUSTOMER if agent is None else _ON_AGENT)[found.mode]
    if target != found.spied:
        aleg, bleg = digit in "13", digit in "23"
        switch.run(
            commands.uuid_setvar(found.leg, "eavesdrop_whisper_aleg", str(aleg).lower()),
            commands.uuid_setvar(found.leg, "eavesdrop_whisper_bleg", str(bleg).lower()),
            commands.uuid_transfer_to_eavesdrop(found.leg, target),
        )
    elif digit != found.digit:
        switch.connection.send(commands.eavesdrop_mode(found.leg, digit))
    found.spied, found.digit = target, digit


def left(switch: Switch, call: LiveCall, channel: str, cause: str) -> None:
    """A leg of the call is gone: a supervisor's, or the one that a customer was taken from."""
    for found in call.supervisions.values():
        if found.taken_from == channel:
            found.taken_from = None
    found_here = call.supervisions.pop(channel, None)
    if found_here is None:
        return
    switch.legs.pop(channel, None)
    if found_here.taken_from is not None:  # the customer's leg ends with the supervisor's
        switch.run(commands.uuid_kill(found_here.taken_from))
    found_here.ended_at, found_here.reason = now(), cause
    _tell(switch, call, found_here, "left", channel, found_here.ended_at)


def end(switch: Switch, call: LiveCall) -> None:
    """The call is over, and so is everything beside it."""
    for found in list(call.supervisions.values()):
        switch.run(commands.uuid_kill(found.leg))
        left(switch, call, found.leg, "NORMAL_CLEARING")


def restore(switch: Switch, call: LiveCall, dump: Event) -> None:
    """Take up a supervisor's leg from what its channel says."""
    leg, supervisor = dump["Unique-ID"], dump.variable("irisx_supervisor")
    if supervisor is None:
        return
    found = Supervision(leg, supervisor, Mode(dump.variable("irisx_mode") or Mode.LISTEN))
    found.started_at = channel_time(dump, "Created") or found.started_at
    found.taken_from = dump.variable("irisx_taken_from")
    found.connected = call.partner == leg
    if dump.variable("current_application") == "eavesdrop":
        found.spied = dump.variable("current_application_data")
    call.supervisions[leg] = found
    switch.legs[leg] = call
    if channel_time(dump, "Answered") is None:
        return
    if found.connected:
        found.answered_at = channel_time(dump, "Answered")
    else:
        _joined(switch, call, found, dump)


def _tell(
    switch: Switch, call: LiveCall, found: Supervision, what: str, key: str, at: datetime
) -> None:
    """`key` and `at` are the same for what an engine finds again that another has told."""
    _keep(switch, call, found)
    data = {
        "sid": call.sid,
        "supervisor": found.supervisor,
        "mode": found.mode.value,
        "reason": found.reason,
        "key": key,
    }
    call.note(f"supervisor:{what}:{key}", at, f"supervisor.{what}", data)
    call.tell(f"supervisor.{what}", data)


def _keep(switch: Switch, call: LiveCall, found: Supervision) -> None:
    call.supervised(found.columns() | {"node": switch.name})
