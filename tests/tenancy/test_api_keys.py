"""Keys as every request reads them."""

from datetime import timedelta

import pytest
from sqlalchemy import event, update

from irisx.kernel.clock import now
from irisx.kernel.db import engine, transaction
from irisx.kernel.errors import Forbidden, Unauthorized
from irisx.tenancy import api_keys
from irisx.tenancy.access import SYSTEM, Caller
from irisx.tenancy.models import ApiKey, Tenant


@pytest.fixture(autouse=True)
def nothing_cached() -> None:
    api_keys.forget_cached()


def authenticate(issued: api_keys.Issued) -> Caller:
    return api_keys.authenticate(issued.secret, request_id="r", ip=None)


@pytest.fixture
def issued(tenant: Tenant) -> api_keys.Issued:
    return api_keys.create(SYSTEM, tenant.id, name="k", permissions=["calls:read"], test=True)


def test_the_secret_is_not_stored(issued: api_keys.Issued) -> None:
    row = api_keys.get(issued.row.tenant_id, issued.row.id)
    assert issued.secret.startswith("irx_test_")
    assert issued.secret not in str({c.key: getattr(row, c.key) for c in ApiKey.__table__.columns})


def test_the_caller_is_the_key_s(issued: api_keys.Issued, tenant: Tenant) -> None:
    caller = authenticate(issued)
    assert (caller.tenant_id, caller.test, caller.name) == (
        tenant.id,
        True,
        issued.row.public_id,
    )
    assert caller.may("calls:read")
    assert not caller.may("calls:write")


def test_a_second_look_up_within_two_seconds_asks_nobody(issued: api_keys.Issued) -> None:
    authenticate(issued)
    statements: list[str] = []

    def note(_conn: object, _cursor: object, statement: str, *_: object) -> None:
        statements.append(statement)

    event.listen(engine(), "before_cursor_execute", note)
    try:
        authenticate(issued)
    finally:
        event.remove(engine(), "before_cursor_execute", note)
    assert statements == []


def test_a_change_by_another_process_is_seen_within_two_seconds(
    issued: api_keys.Issued, monkeypatch: pytest.MonkeyPatch
) -> None:
    authenticate(issued)
    with transaction() as session:
        session.execute(update(ApiKey).values(active=False))
    later = api_keys.time.monotonic() + 2.001
    monkeypatch.setattr(api_keys.time, "monotonic", lambda: later)
    with pytest.raises(Forbidden):
        authenticate(issued)


def test_a_key_expires_while_it_is_cached(
    issued: api_keys.Issued, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = now() + timedelta(hours=1)
    api_keys.change(SYSTEM, issued.row.tenant_id, issued.row.id, expires_at=at)
    authenticate(issued)
    monkeypatch.setattr(api_keys, "now", lambda: at)
    with pytest.raises(Forbidden, match="expired"):
        authenticate(issued)


def test_use_is_noted_once_a_minute(
    issued: api_keys.Issued, monkeypatch: pytest.MonkeyPatch
) -> None:
    def used_after(seconds: float) -> timedelta:
        monkeypatch.setattr(api_keys, "now", lambda: start + timedelta(seconds=seconds))
        api_keys.forget_cached()
        authenticate(issued)
        used = api_keys.get(issued.row.tenant_id, issued.row.id).last_used_at
        assert used is not None
        return used - start

    start = now()
    assert used_after(0) == timedelta(0)
    assert used_after(59) == timedelta(0)
    assert used_after(61) == timedelta(seconds=61)


@pytest.mark.parametrize("secret", ["", "x", "irx_live_" + "a" * 32, "\xff", "é" * 1000])
def test_any_other_text_is_no_key(secret: str) -> None:
    with pytest.raises(Unauthorized):
        api_keys.authenticate(secret, request_id="r", ip=None)
