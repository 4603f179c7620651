import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from irisx.kernel.db import transaction
from irisx.kernel.errors import Forbidden, ValidationError
from irisx.settings import get_settings
from irisx.telephony.calls.destinations import Target, from_text, parse, resolve
from irisx.telephony.esl import commands
from irisx.telephony.ivr import service as flows
from irisx.tenancy.access import SYSTEM
from irisx.tenancy.models import Carrier, DestinationType, SipAccount, Tenant


@pytest.fixture
def dns(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Names that resolve, and to what; other names do not."""
    names: dict[str, str] = {}

    def getaddrinfo(host: str, port: int, *_: object, **__: object) -> list[object]:
        address = names.get(host.lower())
        if address is None:
            raise socket.gaierror("unknown name")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return names


@pytest.mark.parametrize(
    ("text", "address"),
    [("+15555559999", "+15555559999"), ("+4912345678", "+4912345678"), ("+1234567", "+1234567")],
)
def test_a_number_in_e164(text: str, address: str) -> None:
    assert from_text(text, "to").model_dump() == {"type": "number", "to": address}


@pytest.mark.parametrize(
    "text",
    ["", "+", "5555559999", "+0123456789", "+123456", "+1234567890123456", "+1555555999a",
     "+15555559999\n", " +15555559999", "+1 555 555 9999", "+١٢٣٤٥٦٧٨", "tel:+15555559999",
     "+15555559999;ext=1", "+1555555${x}", "+1555555\x009"],
)  # fmt: skip
def test_what_is_not_e164_is_refused(text: str) -> None:
    with pytest.raises(ValidationError) as raised:
        from_text(text, "to")
    assert raised.value.details[0]["field"] == "to"


@pytest.mark.parametrize("text", ["911", "112", "+911", "999", "110"])
def test_an_emergency_number_says_why_it_is_refused(text: str) -> None:
    with pytest.raises(ValidationError, match="emergency"):
        from_text(text, "to")


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("sip:bob@example.com", "bob@example.com"),
        ("bob@example.com:5080", "bob@example.com:5080"),
        ("sip:+1@pbx.example.com;transport=tls", "+1@pbx.example.com;transport=tls"),
        ("1000@203.0.113.9:65535", "1000@203.0.113.9:65535"),
    ],
)  # fmt: skip
def test_a_sip_address(text: str, address: str) -> None:
    assert from_text(text, "to").model_dump() == {"type": "sip", "to": address}


@pytest.mark.parametrize(
    "text",
    ["sip:@example.com", "bob@", "a@b@c", "bob@host:0", "bob@host:65536", "bob@host:999999",
     "bob@-host", "bob@[::1]", "bob@host;maddr=10.0.0.1", "bob@host?X-A=b", "bob:pw@host",
     "sips:bob@host", "<sip:bob@host>", "bob@ho st", "bob@host\r\nX: y", "bob@host,evil@host",
     "bob@host|x", "${system(id)}@host", "{a=b}bob@host", "bob@host\n", "x" * 65 + "@host",
     "bob@" + "h" * 400, "&park()@host", "bob@host;transport=ws"],
)  # fmt: skip
def test_what_is_no_sip_address_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        from_text(text, "to")


@given(st.text(max_size=80) | st.text("+0123456789abc@.:;=$\n", max_size=40))
def test_whatever_is_accepted_the_command_builders_take(text: str) -> None:
    try:
        destination = from_text(text, "to").model_dump()
    except ValidationError:
        return
    match destination["type"]:
        case "number":
            commands.gateway("carrier_1", destination["to"])
        case "sip":
            commands.sofia("carriers", destination["to"])


@given(st.dictionaries(st.text() | st.sampled_from(["type", "to", "id"]), st.text() | st.none()))
def test_any_object_is_a_destination_or_a_validation_error(raw: dict[str, object]) -> None:
    try:
        parse(raw)
    except ValidationError as refused:
        assert refused.details


@pytest.mark.parametrize("type", ["queue", "agent", "assistant", "", None, "NUMBER"])
def test_what_can_not_be_dialled_is_refused(type: object) -> None:
    with pytest.raises(ValidationError):
        parse({"type": type, "id": "flow_1"}, "on_answer")


def test_a_number_must_be_allowed(tenant: Tenant) -> None:
    allowed = parse({"type": "number", "to": "+15555559999"})
    assert resolve(allowed, tenant.id) == Target(DestinationType.NUMBER, "+15555559999")
    with pytest.raises(Forbidden) as raised:
        resolve(parse({"type": "number", "to": "+18765551234"}), tenant.id)
    assert raised.value.code == "DESTINATION_NOT_ALLOWED"


def test_a_flow_is_reached_once_it_is_published_and_by_its_own_tenant(
    tenant: Tenant, make_tenant: object
) -> None:
    document = {"name": "F", "entry_point": "a", "nodes": [{"id": "a", "type": "hangup"}]}
    flow = flows.create(SYSTEM, tenant.id, document, publish=False).flow
    destination = parse({"type": "flow", "id": flow.public_id})
    with pytest.raises(ValidationError, match="no published flow"):
        resolve(destination, tenant.id)
    flows.publish(SYSTEM, tenant.id, flow.id, None)
    assert resolve(destination, tenant.id) == Target(DestinationType.FLOW, flow.public_id)
    with pytest.raises(ValidationError, match="no published flow"):
        resolve(destination, make_tenant("Other").id)


def test_an_agent_is_dialled_by_the_user_name_of_the_phone(tenant: Tenant) -> None:
    account = sip_account(tenant)
    target = resolve(parse({"type": "agent", "id": f"sip_{account.id}"}), tenant.id)
    assert target == Target(DestinationType.AGENT, account.username)


def test_an_agent_of_another_tenant_does_not_exist(tenant: Tenant, make_tenant: object) -> None:
    other = sip_account(make_tenant("Other"))
    for account_id in (other.id, other.id + 1, 10**17):
        with pytest.raises(ValidationError, match="no agent"):
            resolve(parse({"type": "agent", "id": f"sip_{account_id}"}), tenant.id, "to")


@pytest.mark.parametrize("id", ["sip_", "sip_x", "agent_1", "sip_1 ", "1", "sip_" + "9" * 19])
def test_an_id_that_can_not_exist_is_refused(id: str, tenant: Tenant) -> None:
    with pytest.raises(ValidationError):
        resolve(parse({"type": "agent", "id": id}), tenant.id)


def test_a_public_sip_host_is_dialled(tenant: Tenant, dns: dict[str, str]) -> None:
    dns["pbx.example.com"] = "8.8.8.8"
    target = resolve(from_text("bob@pbx.example.com", "to"), tenant.id)
    assert target == Target(DestinationType.SIP, "bob@pbx.example.com")


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "10.1.2.3", "192.168.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0"]
)
def test_a_sip_host_with_a_private_address_is_refused(
    tenant: Tenant, dns: dict[str, str], address: str
) -> None:
    dns["pbx.example.com"] = address
    with pytest.raises(ValidationError, match="not a public address"):
        resolve(from_text("bob@pbx.example.com", "to"), tenant.id, "to")


def test_a_private_sip_host_that_the_operator_allows_is_dialled(
    tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IRISX_ALLOWED_PRIVATE_HOSTS", "127.0.0.1")
    get_settings.cache_clear()
    try:
        assert resolve(from_text("bob@127.0.0.1:5099", "to"), tenant.id).address
    finally:
        monkeypatch.undo()
        get_settings.cache_clear()


def test_a_sip_host_that_does_not_resolve_is_refused(tenant: Tenant, dns: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match="does not resolve"):
        resolve(from_text("bob@nowhere.example", "to"), tenant.id, "to")


@pytest.mark.parametrize(
    "host", ["sip.carrier.example", "SIP.Carrier.Example", "alias.example", "8.8.4.4"]
)
def test_a_carrier_is_not_reached_past_the_barring(
    tenant: Tenant, dns: dict[str, str], host: str
) -> None:
    """A trunk that knows us by our address would carry, and bill, whatever a SIP address names."""
    with transaction() as session:
        session.add(carrier("sip.carrier.example"))
    for name in ("sip.carrier.example", "alias.example", "8.8.4.4"):
        dns[name] = "8.8.4.4"
    with pytest.raises(Forbidden) as raised:
        resolve(from_text(f"+881612345678@{host}", "to"), tenant.id)
    assert raised.value.code == "DESTINATION_NOT_ALLOWED"


def sip_account(tenant: Tenant) -> SipAccount:
    with transaction() as session:
        account = SipAccount(
            tenant_id=tenant.id, name="Ann", username=f"u{tenant.id}x7", password_encrypted="x"
        )
        session.add(account)
    return account


def carrier(host: str) -> Carrier:
    return Carrier(name="Carrier", host=host, port=5060, transport="udp", prefixes=[""])
