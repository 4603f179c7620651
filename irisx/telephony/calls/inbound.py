"""Calls that come in: whose they are, and what they are connected with."""

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import bindparam, select
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from irisx.kernel.db import reading, transaction
from irisx.kernel.kept import kept
from irisx.settings import get_settings
from irisx.telephony.calls import capacity, connect, destinations, engaged
from irisx.telephony.calls.forward import forward
from irisx.telephony.calls.live import LiveCall, channel_time, unseen_end
from irisx.telephony.calls.states import CallStatus, Direction
from irisx.telephony.esl import commands
from irisx.telephony.esl.errors import CommandRefused
from irisx.telephony.esl.wire import Event
from irisx.telephony.missed import Ingress, MissedCall
from irisx.telephony.switch import AGENT_VARIABLE, Switch, leg_variables
from irisx.tenancy.models import PhoneNumber, SipAccount, Tenant, TenantStatus
from irisx.tenancy.settings import TenantSettings

log = structlog.get_logger()

#: Causes and the SIP code that mod_sofia makes of each (sofia_glue.c `hangup_cause_to_sip`).
UNKNOWN_NUMBER = "UNALLOCATED_NUMBER"  # 404
SUSPENDED = "INCOMING_CALL_BARRED"  # 403
NO_DESTINATION = "SUBSCRIBER_ABSENT"  # 480
TOO_MANY = "SWITCH_CONGESTION"  # 503
NO_DATABASE = "NORMAL_TEMPORARY_FAILURE"  # 503

#: The dialplan's context in which callers hear that nobody can take the call.
_NO_ENGINE = "no_engine"

_E164 = re.compile(r"\+?[1-9][0-9]{6,14}\Z")
#: As the dialplan's note of a missed call: anything else could not be dialled with.
_PRESENTABLE = re.compile(r"[A-Za-z0-9+*#._-]{1,64}\Z")


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose call it is. `refusal`: the cause with which it is turned away, if it is. `agent`: who
    calls out."""

    tenant_id: int
    direction: Direction
    from_number: str
    to_number: str
    destination: str | None = None
    record: bool = False
    refusal: str | None = None
    agent: int | None = None


_last_seen: dict[str, Owner] = {}


def take(switch: Switch, event: Event) -> None:
    """An inbound channel waits for the engine: find its owner, record it, connect it."""
    channel = event["Unique-ID"]
    owner = _owner_of(event)
    if isinstance(owner, str):
        log.info("inbound.refused", channel=channel, cause=owner, to=called_number(event))
        switch.run(commands.uuid_kill(channel, owner))
        switch.forget_end(channel)
        return
    call = _record(switch, event, owner)
    in_time = _take_channel(switch, call, event, owner.agent)
    if owner.agent is not None and owner.refusal is None:
        engaged.begin(switch, call, owner.agent, channel, talks=True)
    if owner.refusal is not None:
        connect.hang_up(switch, call, owner.refusal)
    elif owner.destination is None:
        connect.hang_up(switch, call, NO_DESTINATION)
    elif in_time:
        forward(switch, call, owner.destination, event)
    else:
        call.next_destination = owner.destination
        switch.run(commands.uuid_transfer_to_park(channel))


def _take_channel(switch: Switch, call: LiveCall, event: Event, agent: int | None) -> bool:
    """Stop the dialplan's timer, and give the channel what every leg of ours has.

    False: the caller is being told already that nobody answers.
    """
    wanted = leg_variables(call)
    if agent is not None:
        wanted[AGENT_VARIABLE] = str(agent)
    variables = {  # but those that the dialplan has set; the park timer runs already
        name: value
        for name, value in wanted.items()
        if event.variable(name) != value and name != "park_timeout"
    }
    steps = [
        commands.sched_del(call.uuid),
        commands.sched_hangup(call.uuid, get_settings().max_call_seconds),
        commands.uuid_setvar_multi(call.uuid, variables),
    ]
    if event.variable("api_reporting_hook") is None:  # by a dialplan of an earlier version
        steps.append(commands.keep_end(call.uuid))
    try:
        stopped, *_ = switch.connection.pipeline([step.foreground for step in steps])
    except CommandRefused:
        return False
    return "Deleted: 0" not in stopped


def called_number(event: Event) -> str:
    """The number that was called, as E.164 where it is one."""
    number = event.get("Caller-Destination-Number", "")
    if event.get("Caller-Context") == _NO_ENGINE:  # the dialplan's transfer put its own there
        number = event.variable("sip_req_user") or ""
    return as_e164(number)


def calling_number(event: Event) -> str:
    """Who calls, as a number or name that can be passed on; "anonymous" for anything else."""
    number = as_e164(event.get("Caller-Caller-ID-Number", ""))
    return number if _PRESENTABLE.match(number) else "anonymous"


def as_e164(number: str) -> str:
    """Carriers send E.164 with and without `+`."""
    return f"+{number.lstrip('+')}" if _E164.match(number) else number


def _owner_of(event: Event) -> Owner | str:
    """The call's owner, or the cause with which to refuse what has none."""
    caller = calling_number(event)
    called = called_number(event)
    agent = event.variable("sip_auth_username") or ""
    from_agent = event.variable("irisx_ingress") == Ingress.AGENT.value
    key = f"agent:{agent}:{called}" if from_agent else called
    try:
        owner = _agents_call(agent, called) if from_agent else _look_up(caller, called)
    except (OperationalError, PoolTimeout) as error:
        log.warning("inbound.owner_from_memory", error=str(error)[:200])
        return _remembered(key, caller)
    if isinstance(owner, Owner):
        _last_seen[key] = owner
    return owner


def _remembered(key: str, caller: str) -> Owner | str:
    """As the last such call was; how many calls the tenant has now is not known."""
    owner = _last_seen.get(key)
    if owner is None:
        return NO_DATABASE
    if owner.direction is Direction.INBOUND:
        owner = dataclasses.replace(owner, from_number=caller)
    return dataclasses.replace(owner, refusal=None) if owner.refusal == TOO_MANY else owner


# Made once: to build such a statement costs more than to run it.
_OWNER_OF_NUMBER = (
    select(Tenant.id, Tenant.status, Tenant.settings, PhoneNumber.destination)
    .join(Tenant, Tenant.id == PhoneNumber.tenant_id)
    .where(PhoneNumber.number == bindparam("called"), Tenant.status != TenantStatus.DELETED)
)
_OWNER_OF_ACCOUNT = (
    select(
        Tenant.id,
        Tenant.status,
        Tenant.settings,
        destinations.agent_at(SipAccount.id).correlate(SipAccount).scalar_subquery(),
    )
    .join(SipAccount, Tenant.id == SipAccount.tenant_id)
    .where(SipAccount.username == bindparam("username"))
)


@dataclass(frozen=True, slots=True)
class _Number:
    """A number that may be called, with what its calls need of the tenant."""

    tenant_id: int
    status: TenantStatus
    settings: TenantSettings
    destination: str | None


def _number(called: str) -> _Number | None:
    with reading() as connection:
        row = connection.execute(_OWNER_OF_NUMBER, {"called": called}).one_or_none()
    if row is None:
        return None
    tenant_id, status, stored, destination = row
    text = connect.text_of(destination) if destination else None
    return _Number(tenant_id, status, TenantSettings.model_validate(stored), text)


def _look_up(caller: str, called: str) -> Owner | str:
    number = kept(("number", called), lambda: _number(called))
    if number is None:
        return UNKNOWN_NUMBER
    return Owner(
        tenant_id=number.tenant_id,
        direction=Direction.INBOUND,
        from_number=caller,
        to_number=called,
        destination=number.destination,
        record=number.settings.record_calls,
        refusal=_refusal(number.tenant_id, number.status, number.settings),
    )


def _agents_call(username: str, called: str) -> Owner | str:
    """A phone of the tenant calls out: it shows the tenant's number."""
    with reading() as connection:
        row = connection.execute(_OWNER_OF_ACCOUNT, {"username": username}).one_or_none()
        if row is None:
            return SUSPENDED
        tenant_id, status, stored, agent = row
        settings = TenantSettings.model_validate(stored)
        first = select(PhoneNumber.number).where(PhoneNumber.tenant_id == tenant_id)
        number = settings.default_caller_id or connection.scalar(
            first.order_by(PhoneNumber.id).limit(1)
        )
    return Owner(
        tenant_id=tenant_id,
        direction=Direction.OUTBOUND,
        from_number=number or "anonymous",
        to_number=called,
        destination=called,
        record=settings.record_calls,
        refusal=_refusal(tenant_id, status, settings),
        agent=agent,
    )


def _refusal(tenant_id: int, status: TenantStatus, settings: TenantSettings) -> str | None:
    if status is not TenantStatus.ACTIVE:
        return SUSPENDED
    return None if capacity.has_room(tenant_id, settings.max_concurrent_calls) else TOO_MANY


def _record(switch: Switch, event: Event, owner: Owner) -> LiveCall:
    """The call's row and `call.initiated`, and the call among those of the node."""
    columns: dict[str, Any] = {
        "id": UUID(event["Unique-ID"]),
        "initiated_at": channel_time(event, "Created") or event.timestamp,
        "tenant_id": owner.tenant_id,
        "direction": owner.direction,
        "status": CallStatus.INITIATED,
        "from_number": owner.from_number,
        "to_number": owner.to_number,
        "caller_name": event.get("Caller-Caller-ID-Name"),
        "record": owner.record,
        "sandbox": switch.sandbox,
        "node": switch.name,
        "stir_shaken": stir_shaken(event),
    }
    call = LiveCall(
        id=columns["id"],
        tenant_id=owner.tenant_id,
        direction=owner.direction,
        initiated_at=columns["initiated_at"],
        from_number=owner.from_number,
        to_number=owner.to_number,
        journal=switch.journal,
        sandbox=switch.sandbox,
        record=owner.record,
    )
    call.journal.record(call.announce(columns))
    switch.adopt(call)
    return call


def stir_shaken(headers: Mapping[str, str]) -> dict[str, str] | None:
    """The Identity header (RFC 8224) and who the carrier says calls (RFC 3325), as they came."""
    kept = {
        "identity": headers.get("variable_sip_identity"),
        "p_asserted_identity": headers.get("variable_sip_P-Asserted-Identity"),
    }
    found = {name: value for name, value in kept.items() if value}
    return found or None


def record_missed(switch: Switch, note: MissedCall) -> None:
    """Store a call that came while no engine was there: `no-answer`, for the reason NO_ENGINE.

    When the caller gave up is not known; the call is shown as ended when it came.
    """
    called = as_e164(note.called or "")
    with transaction() as session:
        tenant_id = session.scalar(
            select(PhoneNumber.tenant_id).where(PhoneNumber.number == called)
        )
    if tenant_id is None:
        return
    caller = as_e164(note.caller or "") or "anonymous"
    call = LiveCall(
        id=note.uuid,
        tenant_id=tenant_id,
        direction=Direction.INBOUND,
        initiated_at=note.received_at,
        from_number=caller,
        to_number=called,
        journal=switch.journal,
        sandbox=switch.sandbox,
    )
    columns = {
        "id": note.uuid,
        "initiated_at": note.received_at,
        "tenant_id": tenant_id,
        "direction": Direction.INBOUND,
        "status": CallStatus.INITIATED,
        "from_number": caller,
        "to_number": called,
        "sandbox": switch.sandbox,
        "node": switch.name,
    }
    call.journal.record(call.announce(columns))
    call.finish(dataclasses.replace(unseen_end(call, "NO_ENGINE"), ended_at=note.received_at))
