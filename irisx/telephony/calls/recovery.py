"""Taking calls up again: after an engine's restart, a cut connection, or a restart of the switch.

The switch is the truth for what lives, its notes (`ended`, `missed`) for what ended meanwhile, and
the database for what was asked for. Each channel is asked for once, all of them in one write, and
events are held from then until each call's own greenlet has its dump to begin with: what happens
meanwhile is handled after it.
"""

import json
from uuid import UUID

import structlog
from sqlalchemy import select
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from irisx.kernel.clock import from_epoch_us, now
from irisx.kernel.db import transaction
from irisx.telephony import taps
from irisx.telephony.acd import kept
from irisx.telephony.amd import live as amd
from irisx.telephony.assistants import run, talk
from irisx.telephony.calls import connect, consult, engaged, handling, inbound, outbound
from irisx.telephony.calls.ended import REALM, Ended, parse_ended
from irisx.telephony.calls.forward import forward
from irisx.telephony.calls.journal import unfinished_calls
from irisx.telephony.calls.live import LiveCall, channel_time, unseen_end
from irisx.telephony.calls.models import Call
from irisx.telephony.calls.states import ENDED, CallStatus, Direction
from irisx.telephony.dialer import live as campaign
from irisx.telephony.esl import commands
from irisx.telephony.esl.errors import CommandRefused
from irisx.telephony.esl.wire import Event
from irisx.telephony.ivr import position, runner
from irisx.telephony.missed import REALM as MISSED_REALM
from irisx.telephony.missed import Ingress, MissedCall, parse_missed
from irisx.telephony.supervision import live as supervision
from irisx.telephony.supervision import rows as supervision_rows
from irisx.telephony.switch import Switch

log = structlog.get_logger()

#: States in which a channel may have told its end already, to nobody.
_LEAVING = ("CS_REPORTING", "CS_DESTROY")


def recover(switch: Switch) -> int:
    """Restore everything of a node that has just come up; how many calls there were to look at.

    Raises OperationalError when the database is away: what lives is taken up all the same, and
    the caller comes back for the rest.
    """
    with switch.dispatcher.holding():
        return _recover(switch)


def _recover(switch: Switch) -> int:
    dumps = switch.dumps(_listed(switch))
    notes = parse_missed(_kept(switch, MISSED_REALM))
    ends = parse_ended(_kept(switch, REALM))
    rows: dict[str, Call] = {}
    failure: Exception | None = None
    try:
        with transaction() as session:
            rows = {str(row.id): row for row in unfinished_calls(session, switch.name)}
            _add_ended_rows(session, rows, ends)
            supervision_rows.end_gone(session, switch.name, dumps)
    except (OperationalError, PoolTimeout) as error:
        failure = error
    ended = {str(end.uuid): end for end in ends}
    known = rows.keys() | switch.calls.keys()
    dumps |= switch.dumps(known - dumps.keys())  # the list is late by some 200 ms
    owners = {channel: dump.variable("irisx_call_id") or "" for channel, dump in dumps.items()}
    customers = {channel for channel in owners if owners[channel] in (channel, "")}
    known = customers | known
    calls = customers | {owners[channel] for channel in owners.keys() - customers}
    switch.taking_up |= calls
    if failure is None:
        known |= {str(end.uuid) for end in ends}
    for channel in known:
        row, end = rows.get(channel), ended.get(channel)
        switch.dispatcher.submit(channel, _restore, switch, channel, dumps.get(channel), row, end)
    for channel in owners.keys() - customers:
        switch.dispatcher.submit(owners[channel], _restore_leg, switch, dumps[channel])
    for call_id in calls:
        switch.dispatcher.submit(call_id, switch.taking_up.discard, call_id)
    if switch.center is not None:
        taken_up = switch.center.take_up(len(calls))
        for call_id in calls:
            switch.dispatcher.submit(call_id, taken_up)
    if failure is not None:
        raise failure
    for note in notes:
        if str(note.uuid) not in dumps and str(note.uuid) not in rows:
            switch.dispatcher.submit(str(note.uuid), _record_missed, switch, note)
    return len(known)


def _kept(switch: Switch, realm: str) -> str:
    try:
        return switch.connection.api(commands.hash_dump(realm))
    except CommandRefused:  # "no reply": there is nothing
        return ""


def _listed(switch: Switch) -> list[str]:
    """The node's channels, as its list has them."""
    listed = json.loads(switch.connection.api(commands.show_channels())).get("rows", [])
    return [row["uuid"] for row in listed]


def _add_ended_rows(session: Session, rows: dict[str, Call], ends: list[Ended]) -> None:
    """Rows of calls whose end is kept although it was written: they only have to be forgotten."""
    missing = [end.uuid for end in ends if str(end.uuid) not in rows]
    for row in session.scalars(select(Call).where(Call.id.in_(missing))):
        rows[str(row.id)] = row


def _restore(
    switch: Switch, channel: str, dump: Event | None, row: Call | None, end: Ended | None
) -> None:
    leaving = dump is not None and dump.get("Channel-State") in _LEAVING
    if dump is not None and not (leaving and end is not None):
        _restore_living(switch, dump, row)
        return
    call = switch.calls.get(channel) or (
        outbound.take_row(row, switch.journal) if row is not None else None
    )
    if end is None:
        end = _end_kept(switch, channel)
    if call is None:
        if end is not None:
            switch.forget_unknown_end(channel)
        return
    if call.over:
        if end is not None:
            switch.forget_end(channel)
        return
    if end is not None:
        call.placing = False
        campaign.catch_up(switch, call, end.campaign)
        handling.finish(switch, call, end)
    elif _never_dialled(switch, call):
        outbound.place(switch, call)
    elif not call.placing:
        handling.finish(switch, call, unseen_end(call, "NODE_RESTARTED"))


def _end_kept(switch: Switch, channel: str) -> Ended | None:
    try:
        value = switch.connection.api(commands.hash_select(REALM, channel))
    except CommandRefused:
        return None
    found = parse_ended(f"D/{REALM}_{channel}/{value}")
    return found[0] if found else None


def _never_dialled(switch: Switch, call: LiveCall) -> bool:
    """Taken by an engine that died before it dialled.

    The same run of the switch knows neither a channel nor an end of it, so none has been there.
    """
    return (
        call.direction is Direction.OUTBOUND
        and call.status is CallStatus.INITIATED
        and not call.placing
        and call.options.get("core") == switch.connection.core_uuid
        and call.initiated_at > now() - outbound.PLACE_WITHIN
    )


def _restore_living(switch: Switch, dump: Event, row: Call | None) -> None:
    channel = dump["Unique-ID"]
    call = switch.calls.get(channel)
    if call is None:
        if dump.variable("irisx_tenant_id") is None:  # no engine has taken it yet
            if dump.variable("irisx_direction") == "inbound":
                inbound.take(switch, dump)
            return
        if row is not None and row.status in ENDED:
            log.error("recovery.outlived_its_record", channel=channel)
            switch.run(commands.uuid_kill(channel))
            return
        call = outbound.take_row(row, switch.journal) if row else _from_channel(switch, dump)
        switch.adopt(call)
    _catch_up(switch, call, dump)


def _from_channel(switch: Switch, dump: Event) -> LiveCall:
    """A call whose row can't be read: what its channel says of it."""
    direction = Direction(dump.variable("irisx_direction") or Direction.INBOUND)
    caller = dump.variable("origination_caller_id_number")
    return LiveCall(
        id=UUID(dump["Unique-ID"]),
        tenant_id=int(dump["variable_irisx_tenant_id"]),
        direction=direction,
        initiated_at=from_epoch_us(dump.variable("irisx_initiated_at")) or now(),
        from_number=caller or inbound.as_e164(dump.get("Caller-Caller-ID-Number", "")),
        to_number=inbound.called_number(dump),
        journal=switch.journal,
        sandbox=switch.sandbox,
    )


def _catch_up(switch: Switch, call: LiveCall, dump: Event) -> None:
    """What happened to a living call while nobody looked."""
    taps.restore(call, dump)
    path = dump.variable("irisx_recording")
    if path:
        call.recording_path = path
        call.recordings = int(path.rpartition("-")[2].removesuffix(".wav"))
        call.masked = dump.variable("irisx_masked") == "true"
    progress = channel_time(dump, "Progress") or channel_time(dump, "Progress-Media")
    if progress is not None:
        call.ring(progress, "ringing")
    answered = channel_time(dump, "Answered")
    if answered is not None and call.answer(answered, "answered"):
        handling.began(switch, call)
    campaign.catch_up(switch, call, dump.variable(campaign.VARIABLE))
    amd.resume(switch, call, dump)
    engaged.began(switch, call, dump)
    call.partner = dump.variable("bridge_uuid") if _is_bridged(dump) else None
    if call.partner is not None:
        switch.legs[call.partner] = call
    consult.restore(switch, call, dump)
    if dump.variable(kept.VARIABLE) and switch.center is not None:
        switch.center.resume(switch, call, dump)
    elif outbound.agent_first(call) and call.queued is None:
        outbound.await_agent(switch, call, dialled=True)
    if dump.variable(position.VARIABLE):
        runner.resume(switch, call)
    elif dump.variable(talk.VARIABLE):
        run.resume(switch, call)
    elif (
        call.partner is None
        and not call.held
        and call.consult is None
        and call.queued is None
        and dump.variable("current_application") in (None, "park")
    ):
        _resume(switch, call, dump)


def _is_bridged(dump: Event) -> bool:
    return dump.get("Other-Type") is not None and dump.variable("bridge_uuid") is not None


def _resume(switch: Switch, call: LiveCall, dump: Event) -> None:
    """The customer's leg is parked: go on where the engine that is gone stopped."""
    call.parked.add(call.uuid)
    if dump.variable("irisx_destination") is not None:
        connect.resume(switch, call, dump)
    elif call.direction is Direction.INBOUND:
        inbound.take(switch, dump)
    elif (
        call.next_destination is not None
        and call.answered_at is not None
        and not call.awaits_verdict
    ):
        destination, call.next_destination = call.next_destination, None
        forward(switch, call, destination, dump)


def _restore_leg(switch: Switch, dump: Event) -> None:
    """A leg other than the customer's."""
    channel = dump["Unique-ID"]
    call = switch.calls.get(dump.variable("irisx_call_id") or "")
    leg = dump.variable("irisx_leg")
    if call is None:
        if leg == supervision.LEG:  # its call ended while no engine was there
            switch.run(commands.uuid_kill(channel))
        return
    switch.legs[channel] = call
    engaged.began(switch, call, dump)
    if leg == supervision.LEG:
        supervision.restore(switch, call, dump)
    elif leg == "consult":
        consult.restore_consulted(switch, call, dump)
    elif leg == engaged.OF_QUEUE:
        if call.queued is not None:
            call.queued.leg_found(channel, dump)
        else:
            switch.run(commands.uuid_kill(channel))


def _record_missed(switch: Switch, note: MissedCall) -> None:
    """A caller whom the switch alone told that nobody could take the call."""
    if note.ingress is Ingress.CARRIER and note.called:
        inbound.record_missed(switch, note)
    switch.forget_end(str(note.uuid))


def give_up_node(switch: Switch) -> None:
    """The node has been away for so long that its calls count as lost with it."""
    for call in list(switch.calls.values()):
        switch.dispatcher.submit(
            call.uuid, handling.finish, switch, call, unseen_end(call, "NODE_LOST")
        )
