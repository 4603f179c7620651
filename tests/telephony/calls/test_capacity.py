import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from uuid import UUID, uuid4

import gevent
import pytest
from sqlalchemy import Connection, func, select, update

from irisx.kernel.clock import now
from irisx.kernel.db import reading, transaction
from irisx.kernel.errors import TooManyRequests
from irisx.telephony.calls import capacity
from irisx.telephony.calls.models import Call, CarrierLeg
from irisx.telephony.calls.routing import Usage
from irisx.telephony.calls.states import CallStatus, Direction
from irisx.tenancy.models import Carrier, Tenant
from irisx.tenancy.settings import TenantSettings
from tests.telephony.calls.rows import store_call

LONG_AGO = timedelta(minutes=5)


def check(tenant: Tenant, *, sandbox: bool = False) -> None:
    with transaction() as session:
        locked = capacity.lock_tenant(session, tenant.id)
        settings = TenantSettings.model_validate(locked.settings)
        capacity.check_tenant(session, tenant.id, settings, sandbox=sandbox)


def test_calls_of_either_direction_count_until_they_end(
    make_tenant: Callable[..., Tenant],
) -> None:
    tenant = make_tenant(max_concurrent_calls=2)
    store_call(tenant, initiated_at=now() - LONG_AGO)
    check(tenant)
    last = store_call(tenant, direction=Direction.INBOUND, initiated_at=now() - LONG_AGO)
    with pytest.raises(TooManyRequests) as raised:
        check(tenant)
    assert raised.value.code == "CONCURRENT_CALLS_EXCEEDED"
    assert "max_concurrent_calls" in raised.value.message
    end(last.id)
    check(tenant)


def test_calls_started_in_the_last_second_count(make_tenant: Callable[..., Tenant]) -> None:
    tenant = make_tenant(max_cps=2)
    store_call(tenant, initiated_at=now() - timedelta(seconds=1, milliseconds=100))
    store_call(tenant, direction=Direction.INBOUND)
    store_call(tenant, status=CallStatus.FAILED)
    check(tenant)
    store_call(tenant, status=CallStatus.INITIATED)
    with pytest.raises(TooManyRequests) as raised:
        check(tenant)
    assert raised.value.code == "CALLS_PER_SECOND_EXCEEDED"
    assert raised.value.headers == {"Retry-After": "1"}


def test_other_tenants_and_the_sandbox_are_counted_apart(
    make_tenant: Callable[..., Tenant],
) -> None:
    tenant, other = make_tenant(max_concurrent_calls=1), make_tenant("Other")
    store_call(other)
    store_call(tenant, sandbox=True)
    check(tenant)
    with pytest.raises(TooManyRequests):
        check(tenant, sandbox=True)


def test_inbound_calls_are_counted_for_each_near_the_limit_and_not_far_from_it(
    make_tenant: Callable[..., Tenant], monkeypatch: pytest.MonkeyPatch
) -> None:
    tenant = make_tenant()
    store_call(tenant, status=CallStatus.COMPLETED)
    first = store_call(tenant, initiated_at=now() - LONG_AGO)
    asked: list[int] = []

    @contextmanager
    def counted() -> Iterator[Connection]:
        asked.append(tenant.id)
        with reading() as connection:
            yield connection

    monkeypatch.setattr(capacity, "reading", counted)

    def has_room(most: int) -> bool:
        return capacity.has_room(tenant.id, most)

    assert all(has_room(1 + 40) for _ in range(10))
    assert len(asked) == 1
    assert has_room(1 + 40)  # a quarter is used: the ten are in the database, or are not there
    assert len(asked) == 2
    assert has_room(2)
    store_call(tenant)
    assert not has_room(2)
    end(first.id)
    assert has_room(2)
    assert len(asked) == 5


@pytest.fixture
def carrier() -> Callable[..., Carrier]:
    def make(**columns: object) -> Carrier:
        row = Carrier(
            name=uuid4().hex, host="c.example", port=5060, transport="udp", prefixes=[""], **columns
        )
        with transaction() as session:
            session.add(row)
        return row

    return make


def test_twenty_legs_at_once_get_the_five_places_that_there_are(
    tenant: Tenant, carrier: Callable[..., Carrier]
) -> None:
    trunk = carrier(max_concurrent=5)
    call = store_call(tenant)
    takers = [gevent.spawn(capacity.take_carrier, trunk.id, uuid4(), call.id) for _ in range(20)]
    gevent.joinall(takers, raise_error=True)
    assert sum(taker.value for taker in takers) == 5


def test_twenty_legs_in_a_second_find_room_for_the_calls_per_second(
    tenant: Tenant, carrier: Callable[..., Carrier]
) -> None:
    trunk = carrier(max_cps=5)
    call = store_call(tenant)
    began = time.monotonic()
    takers = [gevent.spawn(capacity.take_carrier, trunk.id, uuid4(), call.id) for _ in range(20)]
    gevent.joinall(takers, raise_error=True)
    # On a busy machine the twenty take longer than the second that the cap is about.
    assert 5 <= sum(taker.value for taker in takers) <= 5 * (1 + int(time.monotonic() - began))
    age_legs(timedelta(seconds=1, milliseconds=1))
    assert capacity.take_carrier(trunk.id, uuid4(), call.id)


def test_a_leg_that_ended_gives_its_place_back(
    tenant: Tenant, carrier: Callable[..., Carrier]
) -> None:
    trunk, call, leg = carrier(max_concurrent=1), store_call(tenant), uuid4()
    assert capacity.take_carrier(trunk.id, leg, call.id)
    assert not capacity.take_carrier(trunk.id, uuid4(), call.id)
    capacity.release_carrier([leg, uuid4()])
    assert capacity.take_carrier(trunk.id, uuid4(), call.id)


def test_a_call_that_ended_gives_back_what_nobody_released(
    tenant: Tenant, carrier: Callable[..., Carrier]
) -> None:
    trunk, call = carrier(max_concurrent=1), store_call(tenant)
    assert capacity.take_carrier(trunk.id, uuid4(), call.id)
    end(call.id)
    assert capacity.take_carrier(trunk.id, uuid4(), store_call(tenant).id)


def test_a_leg_that_tries_the_next_carrier_leaves_the_one_before(
    tenant: Tenant, carrier: Callable[..., Carrier]
) -> None:
    first, second = carrier(max_concurrent=1), carrier(max_concurrent=1)
    call, leg = store_call(tenant), uuid4()
    assert capacity.take_carrier(first.id, leg, call.id)
    assert capacity.take_carrier(second.id, leg, call.id)
    assert usage() == {first.id: Usage(1, 0), second.id: Usage(1, 1)}
    assert capacity.take_carrier(first.id, leg, call.id)
    assert usage() == {first.id: Usage(1, 1), second.id: Usage(1, 0)}


def test_a_carrier_without_caps_keeps_no_rows(
    tenant: Tenant, carrier: Callable[..., Carrier]
) -> None:
    trunk = carrier()
    assert capacity.take_carrier(trunk.id, uuid4(), store_call(tenant).id)
    assert usage() == {}


def test_a_disabled_or_deleted_carrier_takes_nothing(
    tenant: Tenant, carrier: Callable[..., Carrier]
) -> None:
    call = store_call(tenant)
    assert not capacity.take_carrier(carrier(enabled=False).id, uuid4(), call.id)
    assert not capacity.take_carrier(10**9, uuid4(), call.id)


def test_rows_of_legs_that_are_over_do_not_pile_up(
    tenant: Tenant, carrier: Callable[..., Carrier]
) -> None:
    trunk = carrier(max_concurrent=100)
    ended, live = store_call(tenant), store_call(tenant)
    for _ in range(5):
        capacity.take_carrier(trunk.id, uuid4(), ended.id)
    capacity.take_carrier(trunk.id, uuid4(), live.id)
    end(ended.id)
    age_legs(timedelta(minutes=1))
    capacity.take_carrier(trunk.id, uuid4(), live.id)
    with transaction() as session:
        assert session.scalar(select(func.count()).select_from(CarrierLeg)) == 2


def usage() -> dict[int, Usage]:
    with transaction() as session:
        return capacity.carrier_usage(session)


def end(call_id: UUID) -> None:
    with transaction() as session:
        session.execute(update(Call).where(Call.id == call_id).values(status=CallStatus.COMPLETED))


def age_legs(by: timedelta) -> None:
    with transaction() as session:
        session.execute(update(CarrierLeg).values(dialed_at=CarrierLeg.dialed_at - by))
