"""The command line, as an administrator types it."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import select

from irisx.cli import irisx
from irisx.cli.settings import documentation
from irisx.kernel.db import transaction
from irisx.settings import Settings, get_settings
from irisx.tenancy import api_keys
from irisx.tenancy.models import AuditEntry, Tenant

Run = Callable[..., Result]


@pytest.fixture
def run() -> Run:
    """`run("tenant list")`: the command's result; it must end with `status`."""

    def invoke(line: str, *, status: int = 0, typed: str | None = None) -> Result:
        result = CliRunner().invoke(irisx, line.split(), input=typed)
        assert result.exit_code == status, result.output
        return result

    return invoke


def _owner(tenant: Tenant) -> str:
    return f"--tenant {tenant.public_id}"


def test_a_tenant_is_created_suspended_and_listed(run: Run) -> None:
    created = run("tenant create Acme").output.strip()
    assert re.search(rf"{created} +active +Acme", run("tenant list").output)
    run(f"tenant suspend {created}")
    assert re.search(rf"{created} +suspended +Acme", run("tenant list").output)
    run(f"tenant activate {created}")
    assert re.search(rf"{created} +active +Acme", run("tenant list").output)


def test_an_unknown_tenant_is_an_error_without_a_trace(run: Run) -> None:
    result = run("tenant suspend ten_4711", status=1)
    assert result.output.startswith("Error: There is no")


def test_a_number_is_added_with_its_destination(run: Run, tenant: Tenant) -> None:
    run(f"number add +15550002000 --to-number +15550003000 {_owner(tenant)}")
    shown = run("number list").output
    assert re.search(rf"\+15550002000 +{tenant.public_id} .*number \+15550003000", shown)


def test_a_number_that_is_taken_is_refused(run: Run, tenant: Tenant) -> None:
    run(f"number add +15550002000 {_owner(tenant)}")
    assert "taken" in run(f"number add +15550002000 {_owner(tenant)}", status=1).output


@pytest.mark.parametrize("number", ["15550002000", "+0123", "+1555000a", "+1555;drop"])
def test_what_is_no_number_is_refused(run: Run, tenant: Tenant, number: str) -> None:
    assert "E.164" in run(f"number add {number} {_owner(tenant)}", status=2).output


def test_a_carrier_is_added_listed_and_removed(run: Run) -> None:
    added = run("carrier add Trunk sip.example.com --prefix 1 --prefix 44 --priority 5").output
    shown = run("carrier list").output
    assert re.search(r"Trunk +sip\.example\.com:5060/udp +1,44 +5 +enabled", shown)
    run(f"carrier remove {added.strip()}")
    assert "Trunk" not in run("carrier list").output


def test_a_carriers_password_is_asked_for_and_not_shown(run: Run) -> None:
    result = run("carrier add Trunk sip.example.com --username u", typed="s3cret\n")
    assert "s3cret" not in result.output + run("carrier list").output


def test_a_key_is_issued_for_its_tenant(run: Run, tenant: Tenant) -> None:
    secret = run(f"key create ci --test --permission calls:read {_owner(tenant)}").output.strip()
    caller = api_keys.authenticate(secret, request_id="r", ip=None)
    assert (caller.tenant_id, caller.test) == (tenant.id, True)
    assert caller.permissions == {"calls:read"}


def test_a_sip_accounts_password_is_shown_once(run: Run, tenant: Tenant) -> None:
    created = run(f"sip-account add Anna {_owner(tenant)}").output
    account, username, password = (line.split()[-1] for line in created.splitlines())
    shown = run(f"sip-account list {_owner(tenant)}").output
    assert username in shown
    assert password not in shown
    run(f"sip-account remove {account} {_owner(tenant)}")
    assert username not in run(f"sip-account list {_owner(tenant)}").output


def test_another_tenants_sip_account_is_not_removed(
    run: Run, tenant: Tenant, make_tenant: Callable[..., Tenant]
) -> None:
    account = run(f"sip-account add Anna {_owner(tenant)}").output.split()[1]
    run(f"sip-account remove {account} {_owner(make_tenant('Other'))}", status=1)
    assert account in run(f"sip-account list {_owner(tenant)}").output


def test_what_the_command_line_changes_is_in_the_audit_log(run: Run) -> None:
    created = run("tenant create Acme").output.strip()
    with transaction() as session:
        entry = session.scalars(select(AuditEntry)).one()
    assert (entry.actor, entry.target) == ("system", created)


def test_every_command_has_a_help_line(run: Run) -> None:
    shown = run("--help").output
    for line in shown.partition("Commands:\n")[2].splitlines():
        assert re.match(r"  [a-z-]+ {2,}\S", line), line


def test_settings_md_is_current() -> None:
    """If this fails: irisx settings --markdown > docs/settings.md"""
    path = Path(__file__).parents[2] / "docs" / "settings.md"
    assert path.read_text() == documentation()


def test_settings_does_not_show_secrets(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IRISX_ESL_URL", "esl://:ClueCon@10.0.0.1:8021")
    get_settings.cache_clear()
    shown = run("settings").output
    get_settings.cache_clear()
    assert "only for tests" not in shown
    assert "ClueCon" not in shown
    assert f"IRISX_{next(iter(Settings.model_fields)).upper()}=" in shown
