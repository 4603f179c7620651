"""What the API does with calls: start one, end one, find them, pass commands to their engine."""

from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4, uuid5

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from irisx.kernel.clock import now
from irisx.kernel.db import transaction
from irisx.kernel.errors import Conflict, NotFound, invalid
from irisx.kernel.ids import call_sid, call_uuid
from irisx.settings import get_settings
from irisx.telephony import bus
from irisx.telephony.amd import config as amd
from irisx.telephony.amd.config import AmdOptions
from irisx.telephony.calls import capacity, destinations
from irisx.telephony.calls.journal import Change, Journal, write
from irisx.telephony.calls.live import LiveCall
from irisx.telephony.calls.models import Call
from irisx.telephony.calls.requests import CallRequest
from irisx.telephony.calls.states import ENDED, CallStatus, Direction
from irisx.tenancy import idempotency
from irisx.tenancy.access import Caller
from irisx.tenancy.barring import check_destination
from irisx.tenancy.models import PhoneNumber
from irisx.tenancy.settings import TenantSettings

_CANCELED = "MANAGER_REQUEST"
_REPEATED = UUID("5b0c1d7e-6f3a-4a52-9d6e-8f1f2f0e7c11")


class _InTransaction(Journal):
    """A journal for the API: what happens to a call is written in the caller's transaction."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def record(self, change: Change, written: Callable[[], None] | None = None) -> None:
        write(self._session, [change])


def create_call(caller: Caller, request: CallRequest) -> Call:
    """Store an outbound call and its `call.initiated` in one transaction; an engine places it.

    Raises ValidationError about `from` or `amd`, Forbidden (DESTINATION_NOT_ALLOWED) or
    TooManyRequests (CALLS_PER_SECOND_EXCEEDED, CONCURRENT_CALLS_EXCEEDED).
    """
    detection = _detection(caller.tenant_id, request)
    if request.on_answer is not None:
        destinations.resolve(request.on_answer, caller.tenant_id, "on_answer")
    with transaction() as session:
        tenant = capacity.lock_tenant(session, caller.tenant_id)
        call_id, before = _identity(session, caller)
        if before is not None:
            return before
        settings = TenantSettings.model_validate(tenant.settings)
        from_number = caller_id(session, tenant.id, settings, request.from_)
        check_destination(request.to, settings)
        capacity.check_tenant(session, tenant.id, settings, sandbox=on_sandbox(caller))
        options: dict[str, Any] = {
            "ring_timeout_s": request.timeout or settings.ring_timeout_seconds
        }
        if request.on_answer is not None:
            options["on_answer"] = request.on_answer.model_dump()
        if detection is not None:
            options["amd"] = detection
        call = store_call(
            session,
            call_id=call_id,
            tenant_id=caller.tenant_id,
            from_number=from_number,
            to_number=request.to,
            caller_name=request.caller_name,
            record=settings.record_calls if request.record is None else request.record,
            sandbox=on_sandbox(caller),
            metadata=request.metadata,
            options=options,
        )
    bus.wake_dialer()
    return call


def _detection(tenant_id: int, request: CallRequest) -> dict[str, Any] | None:
    """The plan of answering-machine detection; None: the call goes without."""
    enabled = request.amd_enabled
    if enabled is None:
        enabled = request.amd is not None or amd.given(tenant_id).get("enabled", False)
    return amd.plan(tenant_id, request.amd or AmdOptions()) if enabled else None


def on_sandbox(caller: Caller) -> bool:
    """A test key's calls are the sandbox's; so are all where it is the only switch."""
    return caller.test or not get_settings().esl_url


def _identity(session: Session, caller: Caller) -> tuple[UUID, Call | None]:
    """The id of a new call, and the call that an earlier request of the same key already made.

    The kept answer of a POST is written after the call: a crash in between must not dial twice.
    """
    if caller.idempotency_key is None:
        return uuid4(), None
    moment = now()
    today, yesterday = (
        uuid5(_REPEATED, f"{caller.tenant_id} {day:%Y-%m-%d} {caller.idempotency_key}")
        for day in (moment, moment - idempotency.KEPT)
    )
    return today, session.scalar(
        select(Call).where(
            Call.id.in_([today, yesterday]),
            Call.tenant_id == caller.tenant_id,
            Call.initiated_at > moment - idempotency.KEPT,
        )
    )


def caller_id(
    session: Session, tenant_id: int, settings: TenantSettings, wanted: str | None
) -> str:
    """The caller id: what was asked for, the tenant's default, or its first number.

    Raises ValidationError about `from`.
    """
    numbers = session.scalars(
        select(PhoneNumber.number)
        .where(PhoneNumber.tenant_id == tenant_id)
        .order_by(PhoneNumber.id)
    ).all()
    if not numbers:
        raise invalid("from", "the tenant has no phone number to call from; add one first")
    if wanted is not None:
        if wanted not in numbers:
            raise invalid("from", f"{wanted} is not a phone number of yours")
        return wanted
    default = settings.default_caller_id
    return default if default is not None and default in numbers else numbers[0]


def store_call(
    session: Session,
    *,
    call_id: UUID,
    tenant_id: int,
    from_number: str,
    to_number: str,
    record: bool,
    sandbox: bool,
    options: dict[str, Any],
    metadata: dict[str, Any] | None = None,
    caller_name: str | None = None,
) -> Call:
    """Store an outbound call and its `call.initiated`: an engine places it (`bus.wake_dialer`).

    Whether the tenant may place it, the caller has checked (`barring`, `capacity`) in this same
    transaction.
    """
    columns: dict[str, Any] = {
        "id": call_id,
        # The database's clock, since calls per second are counted by it.
        "initiated_at": session.scalar(select(func.clock_timestamp())),
        "tenant_id": tenant_id,
        "direction": Direction.OUTBOUND,
        "status": CallStatus.INITIATED,
        "from_number": from_number,
        "to_number": to_number,
        "caller_name": caller_name,
        "record": record,
        "amd_enabled": "amd" in options,
        "sandbox": sandbox,
        "options": options,
    }
    call = Call(**columns, metadata_=metadata or {})
    journal = _InTransaction(session)
    live = LiveCall.of_row(call, journal)
    journal.record(live.announce(columns | {"metadata": metadata or {}}))
    return call


def get_call(tenant_id: int, sid: str) -> Call:
    """A call of the tenant; NotFound if it has none with this sid."""
    call_id = call_uuid(sid)
    with transaction() as session:
        return _owned(session, tenant_id, call_id)


def _owned(session: Session, tenant_id: int, call_id: UUID, *, lock: bool = False) -> Call:
    query = select(Call).where(Call.id == call_id, Call.tenant_id == tenant_id)
    call = session.scalar(query.with_for_update() if lock else query)
    if call is None:
        raise NotFound(f"There is no call with the sid {call_sid(call_id)}.")
    return call


def active_call(tenant_id: int, sid: str) -> Call:
    """An answered call of the tenant, to act on; Conflict (CALL_NOT_ACTIVE) in another state."""
    call = get_call(tenant_id, sid)
    if call.status is not CallStatus.IN_PROGRESS:
        raise _not_active(call, "in-progress")
    return call


def end_call(tenant_id: int, sid: str) -> Call:
    """End a call; the row as it is then.

    One that no engine has taken yet ends here and is never dialled: the lock keeps it from being
    taken meanwhile.
    """
    call_id = call_uuid(sid)
    with transaction() as session:
        call = _owned(session, tenant_id, call_id, lock=True)
        if call.status in ENDED:
            raise _not_active(call, "initiated, ringing or in-progress")
        if call.node is None:
            live = LiveCall.of_row(call, _InTransaction(session))
            live.canceled = True
            live.fail(_CANCELED)
            session.refresh(call)
            return call
    bus.request(call, "end")
    return get_call(tenant_id, sid)


def _not_active(call: Call, needed: str) -> Conflict:
    return Conflict(
        f"The call is {call.status.value}; this needs one that is {needed}.",
        code="CALL_NOT_ACTIVE",
        details=[{"field": "status", "message": call.status.value}],
    )
