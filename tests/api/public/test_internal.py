"""What FreeSWITCH asks for over HTTP."""

import socket
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from irisx.tenancy import carriers, sip_accounts
from irisx.tenancy.access import SYSTEM
from irisx.tenancy.models import Carrier, Tenant
from tests.api.client import ApiClient

TOKEN = "xml-token-of-the-tests"
GATEWAYS = {"section": "configuration", "key_value": "sofia.conf", "gateway": "_all_"}
ADDRESSES = {"section": "configuration", "key_value": "acl.conf"}


def carrier(**fields: Any) -> Carrier:
    new = {"name": "Trunk", "host": "192.0.2.7", "port": 5080, "transport": "udp"}
    return carriers.create(SYSTEM, **new | {"prefixes": [""]} | fields)


def ask(app: Flask, form: dict[str, str], user: str = "freeswitch", password: str = TOKEN) -> str:
    return _post(app, form, user, password).get_data(as_text=True)


def _post(app: Flask, form: dict[str, str], user: str, password: str) -> TestResponse:
    client = app.test_client()
    return client.post("/internal/freeswitch/xml", data=form, auth=(user, password))


def test_only_freeswitch_is_let_in(app: Flask) -> None:
    refused = _post(app, GATEWAYS, "freeswitch", "wrong")
    assert refused.status_code == 401
    assert refused.get_json()["code"] == "UNAUTHORIZED"
    assert _post(app, GATEWAYS, "other", TOKEN).status_code == 401
    assert app.test_client().post("/internal/freeswitch/xml").status_code == 401


def test_enabled_carriers_are_gateways_and_sandbox_ones_are_not(app: Flask) -> None:
    real = carrier(username="u", password="s3cret", register=True)
    carrier(name="Sandbox", sandbox=True, host="sandbox.invalid")
    carrier(name="Off", enabled=False)
    xml = ask(app, GATEWAYS)
    assert xml.count("<gateway ") == 1
    assert f'name="{real.gateway}"' in xml
    assert "192.0.2.7:5080;transport=udp" in xml
    assert "s3cret" in xml


def test_a_gateway_by_ipv6_is_written_in_brackets(app: Flask) -> None:
    carrier(host="2001:db8::1")
    assert "[2001:db8::1]:5080" in ask(app, GATEWAYS)
    assert "2001:db8::1/128" in ask(app, ADDRESSES)


def test_a_name_keeps_its_last_addresses_while_it_does_not_resolve(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    carrier(host="trunk.example.net")
    known = [(None, None, None, None, ("198.51.100.4", 0))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: known)
    assert "198.51.100.4/32" in ask(app, ADDRESSES)

    def fail(*_: object, **__: object) -> None:
        raise socket.gaierror("no answer")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    assert "198.51.100.4/32" in ask(app, ADDRESSES)


def test_an_agent_s_entry_has_its_tenant(app: Flask, tenant: Tenant) -> None:
    issued = sip_accounts.create(SYSTEM, tenant.id, name="Desk")
    form = {
        "section": "directory",
        "action": "sip_auth",
        "user": issued.row.username,
        "domain": "irisx",
    }
    xml = ask(app, form)
    assert f'name="irisx_tenant_id" value="{tenant.id}"' in xml
    assert issued.password in xml
    assert "not found" in ask(app, form | {"user": "nobody"})


def test_it_is_in_no_document(anonymous: ApiClient, app: Flask) -> None:
    assert not [path for path in app.api_doc["paths"] if "internal" in path]  # type: ignore[attr-defined]
