"""What a new installation is given, and that it is given once."""

import json
from pathlib import Path

import pytest

from irisx.cli.first_start import Credentials, ensure_credentials
from irisx.settings import get_settings
from irisx.tenancy import api_keys, carriers, numbers, tenants
from irisx.tenancy.access import SYSTEM
from irisx.tenancy.models import TenantStatus


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(get_settings(), "home", tmp_path)


def _tenant_of(credentials: Credentials) -> int:
    return api_keys.authenticate(credentials.api_key, request_id="r", ip=None).tenant_id


def test_an_empty_database_gets_what_a_call_needs() -> None:
    credentials = ensure_credentials()
    [tenant], _ = tenants.list_page(limit=10, offset=0)
    assert (_tenant_of(credentials), credentials.tenant_id) == (tenant.id, tenant.public_id)
    assert tenants.settings_of(tenant).default_caller_id == credentials.number
    assert [carrier.sandbox for carrier in carriers.list_enabled()] == [True]
    stored = json.loads((get_settings().home / "credentials.json").read_text())
    assert stored["api_key"] == credentials.api_key


def test_a_second_start_changes_nothing() -> None:
    assert ensure_credentials() == ensure_credentials()
    assert len(carriers.list_enabled()) == 1
    assert numbers.list_page(None, limit=10, offset=0)[1] == 1


def test_a_key_that_the_database_does_not_know_is_renewed() -> None:
    before = ensure_credentials()
    path = get_settings().home / "credentials.json"
    path.write_text(path.read_text().replace(before.api_key, "irx_live_of-another-database"))
    renewed = ensure_credentials()
    assert _tenant_of(renewed) == _tenant_of(before)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"api_key": 7}'])
def test_a_broken_file_is_replaced(content: str) -> None:
    (get_settings().home / "credentials.json").write_text(content)
    assert _tenant_of(ensure_credentials())


def test_calls_to_the_first_number_reach_the_sandbox_only_where_it_is_the_switch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(get_settings(), "esl_url", None)
    number = numbers.find_by_e164(ensure_credentials().number)
    assert number is not None
    assert number.destination == {"type": "number", "to": "+15555550100"}


def test_with_a_freeswitch_the_first_number_reaches_nobody() -> None:
    number = numbers.find_by_e164(ensure_credentials().number)
    assert number is not None
    assert number.destination is None


def test_a_suspended_tenant_gets_no_new_key() -> None:
    credentials = ensure_credentials()
    tenants.set_status(SYSTEM, _tenant_of(credentials), TenantStatus.SUSPENDED)
    assert ensure_credentials() == credentials
