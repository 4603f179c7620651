import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta

import gevent
import pytest
from pydantic import ValidationError as PydanticError
from sqlalchemy import select, update

from irisx.kernel.db import transaction
from irisx.kernel.errors import (
    Conflict,
    Forbidden,
    NotFound,
    TooManyRequests,
    ValidationError,
)
from irisx.kernel.events import DomainEvent
from irisx.kernel.ids import call_sid
from irisx.kernel.redis import redis
from irisx.settings import get_settings
from irisx.telephony.calls import service
from irisx.telephony.calls.models import Call, CallEvent
from irisx.telephony.calls.requests import CallRequest
from irisx.telephony.calls.states import CallStatus, Direction
from irisx.tenancy.models import PhoneNumber, Tenant
from tests.telephony.bus_engine import BusEngine, serving
from tests.telephony.calls.rows import caller, store_call

pytestmark = pytest.mark.usefixtures("number")

TO = "+15555559999"


def create(tenant: Tenant, *, test: bool = False, **body: object) -> Call:
    request = CallRequest.model_validate({"to": TO, **body})
    return service.create_call(caller(tenant, test=test), request)


def add_number(tenant: Tenant, number: str) -> None:
    with transaction() as session:
        session.add(PhoneNumber(number=number, tenant_id=tenant.id))


def rows(model: type, *conditions: object) -> list:
    with transaction() as session:
        return list(session.scalars(select(model).where(*conditions)))


# --- creating ---------------------------------------------------------------------------------


def test_a_call_is_stored_with_its_event_and_its_timeline_and_the_dialler_is_woken(
    tenant: Tenant,
) -> None:
    created = create(
        tenant,
        record=True,
        metadata={"customer_id": "123", "campaign": "summer_sale"},
        timeout=30,
        caller_name="Acme",
        on_answer={"type": "number", "to": "+15555550100"},
    )
    (call,) = rows(Call)
    assert call.id == created.id
    assert (call.tenant_id, call.direction) == (tenant.id, Direction.OUTBOUND)
    assert call.status is CallStatus.INITIATED
    assert (call.from_number, call.to_number) == ("+15550001000", TO)
    assert (call.record, call.sandbox, call.amd_enabled) == (True, False, False)
    assert call.metadata_ == {"customer_id": "123", "campaign": "summer_sale"}
    assert call.caller_name == "Acme"
    assert call.options == {
        "ring_timeout_s": 30,
        "on_answer": {"type": "number", "to": "+15555550100"},
    }
    assert call.node is None
    (event,) = rows(DomainEvent)
    assert (event.type, event.tenant_id) == ("call.initiated", tenant.id)
    assert event.data["sid"] == call_sid(call.id)
    assert event.data["metadata"] == call.metadata_
    (line,) = rows(CallEvent)
    assert (line.call_id, line.type) == (call.id, "call.initiated")
    assert redis().llen("irisx:calls:new") == 1


def test_what_is_not_asked_for_the_settings_say(make_tenant: Callable[..., Tenant]) -> None:
    tenant = make_tenant(record_calls=True, ring_timeout_seconds=17)
    add_number(tenant, "+15550002000")
    call = create(tenant)
    assert call.record is True
    assert call.options == {"ring_timeout_s": 17}
    assert create(tenant, record=False).record is False


def test_a_test_key_makes_sandbox_calls(tenant: Tenant) -> None:
    assert create(tenant, test=True).sandbox is True


def test_without_a_freeswitch_every_call_is_the_sandboxs(
    tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(get_settings(), "esl_url", None)
    assert create(tenant).sandbox is True


def test_the_caller_id_is_one_of_the_tenants_numbers(
    make_tenant: Callable[..., Tenant],
) -> None:
    tenant = make_tenant(default_caller_id="+15550003000")
    add_number(tenant, "+15550002000")
    assert create(tenant).from_number == "+15550002000"  # the default belongs to someone else
    add_number(tenant, "+15550003000")
    assert create(tenant).from_number == "+15550003000"
    assert create(tenant, **{"from": "+15550002000"}).from_number == "+15550002000"


def test_the_number_of_another_tenant_is_no_caller_id(make_tenant: Callable[..., Tenant]) -> None:
    other = make_tenant("Other")
    add_number(other, "+15550002000")
    with pytest.raises(ValidationError) as raised:
        create(other, **{"from": "+15550001000"})
    assert raised.value.details == [
        {"field": "from", "message": "+15550001000 is not a phone number of yours"}
    ]


def test_without_a_number_nobody_can_call(make_tenant: Callable[..., Tenant]) -> None:
    with pytest.raises(ValidationError, match="no phone number"):
        create(make_tenant("Other"))


def test_a_refused_call_leaves_nothing_behind(tenant: Tenant) -> None:
    with pytest.raises(Forbidden) as raised:
        create(tenant, to="+18765551234")
    assert raised.value.code == "DESTINATION_NOT_ALLOWED"
    assert rows(Call) == rows(DomainEvent) == rows(CallEvent) == []
    assert redis().llen("irisx:calls:new") == 0


def test_the_destination_on_answer_is_barred_like_the_first(tenant: Tenant) -> None:
    with pytest.raises(Forbidden):
        create(tenant, on_answer={"type": "number", "to": "+18765551234"})
    assert rows(Call) == []


def test_a_call_with_machine_detection_carries_its_plan(tenant: Tenant) -> None:
    call = create(tenant, amd={"mode": "fast", "maximum_words": 5})
    assert call.amd_enabled
    plan = call.options["amd"]
    assert (plan["settings"]["mode"], plan["settings"]["maximum_words"]) == ("fast", 5)
    assert plan["actions"]["machine"] == "leave_voicemail"
    assert not create(tenant, amd_enabled=False).amd_enabled


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"max_concurrent_calls": 5}, "CONCURRENT_CALLS_EXCEEDED"),
        ({"max_cps": 5}, "CALLS_PER_SECOND_EXCEEDED"),
    ],
)
def test_of_twenty_calls_at_once_a_cap_of_five_lets_five_through(
    make_tenant: Callable[..., Tenant], settings: dict[str, int], code: str
) -> None:
    tenant = make_tenant(**{"max_cps": 1000} | settings)
    add_number(tenant, "+15550002000")

    def attempt() -> str:
        try:
            create(tenant)
        except TooManyRequests as refused:
            return refused.code
        return "created"

    began = time.monotonic()
    attempts = [gevent.spawn(attempt) for _ in range(20)]
    gevent.joinall(attempts, raise_error=True)
    outcomes = [attempt.value for attempt in attempts]
    created = outcomes.count("created")
    # On a busy machine the twenty take longer than the second that the cap is about.
    seconds = 1 + int(time.monotonic() - began) if "max_cps" in settings else 1
    assert 5 <= created <= 5 * seconds
    assert outcomes.count(code) == 20 - created
    assert len(rows(Call)) == len(rows(DomainEvent)) == created


# --- repeating --------------------------------------------------------------------------------


def test_a_repeated_request_is_the_call_that_it_made_before(tenant: Tenant) -> None:
    keyed = replace(caller(tenant), idempotency_key="order-17")
    request = CallRequest.model_validate({"to": TO})
    first, second = service.create_call(keyed, request), service.create_call(keyed, request)
    assert second.id == first.id
    assert len(rows(Call)) == len(rows(DomainEvent)) == 1


def test_a_key_means_nothing_to_another_tenant(
    tenant: Tenant, make_tenant: Callable[..., Tenant]
) -> None:
    other = make_tenant("Other")
    add_number(other, "+15550002000")
    request = CallRequest.model_validate({"to": TO})
    calls = [
        service.create_call(replace(caller(each), idempotency_key="order-17"), request)
        for each in (tenant, other)
    ]
    assert calls[0].id != calls[1].id
    assert len(rows(Call)) == 2


def test_a_key_of_yesterday_makes_a_new_call(tenant: Tenant) -> None:
    keyed = replace(caller(tenant), idempotency_key="order-17")
    request = CallRequest.model_validate({"to": TO})
    service.create_call(keyed, request)
    with transaction() as session:
        session.execute(
            update(Call).values(initiated_at=Call.initiated_at - timedelta(hours=24, seconds=1))
        )
    service.create_call(keyed, request)
    assert len(rows(Call)) == 2


# --- ending -----------------------------------------------------------------------------------


@pytest.fixture
def engine() -> Iterator[BusEngine]:
    with serving() as engine:
        yield engine


def test_a_call_that_no_engine_took_is_canceled_in_the_database(
    tenant: Tenant, engine: BusEngine
) -> None:
    sid = call_sid(create(tenant).id)
    call = service.end_call(tenant.id, sid)
    assert call.status is CallStatus.CANCELED
    assert call.ended_at is not None
    assert (call.duration_ms, call.bill_seconds) == (0, 0)
    assert engine.received == []
    assert [event.type for event in rows(DomainEvent)] == ["call.initiated", "call.failed"]
    assert rows(DomainEvent)[1].data["status"] == "canceled"
    with pytest.raises(Conflict):
        service.end_call(tenant.id, sid)


def test_an_engine_that_takes_the_call_meanwhile_ends_it(tenant: Tenant, engine: BusEngine) -> None:
    """The claim and the cancel exclude each other: whoever holds the row's lock is first."""
    call = create(tenant)
    with transaction() as session:
        claimed = session.scalars(select(Call).with_for_update()).one()
        ending = gevent.spawn(service.end_call, tenant.id, call_sid(call.id))
        gevent.sleep(0.05)
        assert not ending.ready()
        claimed.node = "fs1"
    ending.get(timeout=5)
    assert [command.verb for command in engine.received] == ["end"]


@pytest.mark.parametrize(
    "status", [CallStatus.INITIATED, CallStatus.RINGING, CallStatus.IN_PROGRESS]
)
def test_a_live_call_is_ended_by_its_engine(
    tenant: Tenant, engine: BusEngine, status: CallStatus
) -> None:
    call = store_call(tenant, status=status)
    service.end_call(tenant.id, call_sid(call.id))
    assert [(command.verb, command.call_id) for command in engine.received] == [("end", call.id)]


@pytest.mark.parametrize("status", [CallStatus.COMPLETED, CallStatus.BUSY, CallStatus.CANCELED])
def test_a_call_that_is_over_can_not_be_ended(
    tenant: Tenant, engine: BusEngine, status: CallStatus
) -> None:
    call = store_call(tenant, status=status)
    with pytest.raises(Conflict) as raised:
        service.end_call(tenant.id, call_sid(call.id))
    assert raised.value.code == "CALL_NOT_ACTIVE"
    assert status.value in raised.value.message
    assert engine.received == []


def test_only_an_answered_call_can_be_acted_on(tenant: Tenant) -> None:
    for status in CallStatus:
        sid = call_sid(store_call(tenant, status=status).id)
        if status is CallStatus.IN_PROGRESS:
            assert call_sid(service.active_call(tenant.id, sid).id) == sid
            continue
        with pytest.raises(Conflict):
            service.active_call(tenant.id, sid)


@pytest.mark.parametrize("act", [service.get_call, service.active_call, service.end_call])
def test_a_call_of_another_tenant_does_not_exist(
    tenant: Tenant, make_tenant: Callable[..., Tenant], act: Callable[[int, str], Call]
) -> None:
    foreign = call_sid(store_call(make_tenant("Other")).id)
    for sid in (foreign, "CA" + "0" * 32, "CA", "", "CA" + "g" * 32, foreign.upper()):
        with pytest.raises(NotFound):
            act(tenant.id, sid)


# --- the request ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "metadata",
    [
        {str(i): i for i in range(51)},
        {"a": {"b": {"c": {"d": {"e": {}}}}}},
        {"a": [[[[[]]]]]},
        {"a": "x" * 8192},
        {"a": float("nan")},
        {"a": float("inf")},
        {"a": "\x00"},
        {"\x00": 1},
        {"a": "\ud800"},
    ],
)
def test_metadata_that_is_too_much_or_no_json_is_refused(metadata: dict[str, object]) -> None:
    with pytest.raises(PydanticError) as raised:
        CallRequest.model_validate({"to": TO, "metadata": metadata})
    assert {error["loc"][0] for error in raised.value.errors()} == {"metadata"}


@pytest.mark.parametrize(
    "metadata",
    [{}, {"a": {"b": {"c": {"d": {}}}}}, {str(i): "é☎" for i in range(50)}, {"a": "\\u0000"}],
)
def test_metadata_comes_back_as_it_was_given(tenant: Tenant, metadata: dict[str, object]) -> None:
    call = create(tenant, metadata=metadata)
    assert service.get_call(tenant.id, call_sid(call.id)).metadata_ == metadata


@pytest.mark.parametrize(
    "name", ["", "x" * 65, "a\nb", "a{b}", "${x}", "a'b", 'a"b', "a|b", "a^b", "a\\b", "<a>", "a;b"]
)
def test_a_name_that_a_switch_could_misread_is_refused(name: str) -> None:
    with pytest.raises(PydanticError):
        CallRequest.model_validate({"to": TO, "caller_name": name})


def test_every_faulty_field_is_named() -> None:
    with pytest.raises(PydanticError) as raised:
        CallRequest.model_validate(
            {
                "to": "911",
                "from": 5,
                "record": "yes",
                "amd_enabled": 1,
                "metadata": [],
                "timeout": 4,
                "caller_name": "{",
                "on_answer": {"type": "queue", "id": "flow_1"},
                "unknown": 1,
            }
        )
    assert {error["loc"][0] for error in raised.value.errors()} == {
        "to",
        "from",
        "record",
        "amd_enabled",
        "metadata",
        "timeout",
        "caller_name",
        "on_answer",
        "unknown",
    }
