import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from irisx.telephony.provisioning import (
    CarrierAddress,
    Gateway,
    SipUser,
    addresses_are_served,
    handle,
    kill_gateway,
    start_gateways,
)

NOT_FOUND = "./section[@name='result']/result[@status='not found']"


@dataclass
class Source:
    trunks: list[Gateway] = field(default_factory=list)
    addresses: list[CarrierAddress] = field(default_factory=list)
    user: SipUser | None = None

    def gateways(self) -> list[Gateway]:
        return self.trunks

    def carrier_addresses(self) -> list[CarrierAddress]:
        return self.addresses

    def sip_user(self, username: str) -> SipUser | None:
        return self.user if self.user and self.user.username == username else None


# What FreeSWITCH 1.10.12 posts; fields that nothing depends on are left out.
SIP_AUTH = {
    "section": "directory",
    "tag_name": "domain",
    "key_name": "name",
    "key_value": "irisx",
    "action": "sip_auth",
    "user": "agent-1",
    "domain": "irisx",
}
ACL = {"section": "configuration", "tag_name": "configuration", "key_value": "acl.conf"}
START_GATEWAY = {
    "section": "configuration",
    "tag_name": "configuration",
    "key_value": "sofia.conf",
    "profile": "carriers",
    "reconfig": "true",
    "gateway": "_all_",
}


def answer(form: Mapping[str, str], source: Source) -> ET.Element:
    return ET.fromstring(handle(form, source))


def params(element: ET.Element | None, tag: str = "param") -> dict[str, str]:
    assert element is not None
    return {each.attrib["name"]: each.attrib["value"] for each in element.iter(tag)}


def test_an_agents_phone_finds_its_password_and_its_ids() -> None:
    source = Source(user=SipUser("agent-1", "secret", tenant_id="t-1", agent_id="a-1"))
    user = answer(SIP_AUTH, source).find(
        "./section[@name='directory']/domain[@name='irisx']/user[@id='agent-1']"
    )
    assert params(user)["password"] == "secret"
    assert params(user)["dial-string"] == "sofia/agents/agent-1%irisx"
    assert params(user, "variable") == {"irisx_tenant_id": "t-1", "irisx_agent_id": "a-1"}


@pytest.mark.parametrize(
    "change",
    [
        {"user": "agent-2"},
        {"user": ""},
        {"domain": "elsewhere"},
        {"action": "event_socket_auth"},
        {"action": "jsonrpc-authenticate"},
        {"purpose": "gateways", "action": ""},
    ],
)
def test_everybody_else_is_not_found(change: dict[str, str]) -> None:
    source = Source(user=SipUser("agent-1", "secret", tenant_id="t-1", agent_id="a-1"))
    document = answer(SIP_AUTH | change, source)
    assert document.find(NOT_FOUND) is not None
    assert "secret" not in ET.tostring(document, encoding="unicode")


def test_a_gateway_has_what_dialling_it_needs() -> None:
    trunk = Gateway("carrier_1", "sip.example", 5070, "tcp", "user", "pass", register=True)
    found = answer(START_GATEWAY, Source(trunks=[trunk])).find(
        "./section[@name='configuration']/configuration[@name='sofia.conf']/profiles"
        "/profile[@name='carriers']/gateways/gateway[@name='carrier_1']"
    )
    assert params(found) == {
        "proxy": "sip.example:5070;transport=tcp",
        "from-domain": "sip.example",
        "register": "true",
        "register-transport": "tcp",
        "username": "user",
        "password": "pass",
        "retry-seconds": "30",
        "caller-id-in-from": "true",
        "extension": "auto_to_user",
    }


def test_the_profile_itself_comes_from_the_files() -> None:
    start = {name: value for name, value in START_GATEWAY.items() if name != "gateway"}
    source = Source(trunks=[Gateway("carrier_1", "sip.example")])
    assert answer(start, source).find(NOT_FOUND) is not None


def test_the_access_list_refuses_all_but_the_carriers() -> None:
    source = Source(addresses=[CarrierAddress("192.0.2.7"), CarrierAddress("198.51.100.0/24")])
    document = answer(ACL, source)
    carriers = document.find(".//list[@name='carriers']")
    assert carriers is not None
    assert carriers.attrib["default"] == "deny"
    assert [node.attrib for node in carriers] == [
        {"type": "allow", "cidr": "192.0.2.7/32"},
        {"type": "allow", "cidr": "198.51.100.0/24"},
    ]
    assert addresses_are_served(handle(ACL, source))


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"section": "configuration", "key_value": "switch.conf"},
        {"section": "configuration", "key_value": "event_socket.conf"},
        {"section": "dialplan", "key_value": "acl.conf"},
        {"section": "directory"},
    ],
)
def test_whatever_else_is_asked_comes_from_the_files(form: dict[str, str]) -> None:
    assert answer(form, Source()).find(NOT_FOUND) is not None


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "a b"},
        {"name": "_all_ x"},
        {"name": ""},
        {"host": "a;transport=tls"},
        {"host": "sip.example\n"},
        {"host": ""},
        {"port": 0},
        {"port": 65536},
        {"transport": "sctp"},
        {"register": True},
        {"register": True, "username": "user"},
        {"username": "a\nb"},
        {"password": '"/><X-PRE-PROCESS cmd="exec" data="id"/>'},
    ],
)
def test_a_gateway_that_freeswitch_would_misread_is_refused(wrong: dict[str, object]) -> None:
    facts: dict[str, object] = {"name": "carrier_1", "host": "sip.example", **wrong}
    with pytest.raises(ValueError):
        Gateway(**facts)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "cidr", ["0.0.0.0/0", "::/0", "1.0.0.0/7", "sip.example", "", "1.2.3.4/24"]
)
def test_no_list_lets_the_world_in(cidr: str) -> None:
    with pytest.raises(ValueError):
        CarrierAddress(cidr)


def test_a_user_needs_a_password() -> None:
    with pytest.raises(ValueError):
        SipUser("agent-1", "", tenant_id="t-1", agent_id="a-1")


@pytest.mark.parametrize("name", ["", "a b", "a\nb", "a;b", "${x}"])
def test_a_command_takes_a_gateways_name_only(name: str) -> None:
    with pytest.raises(ValueError):
        kill_gateway(name)
    with pytest.raises(ValueError):
        start_gateways(name)


@given(st.text(max_size=60), st.text(max_size=60))
def test_any_credentials_arrive_whole_or_are_refused(username: str, password: str) -> None:
    try:
        trunk = Gateway("carrier_1", "sip.example", username=username, password=password)
    except ValueError:
        return
    text = handle(START_GATEWAY, Source(trunks=[trunk]))
    assert "$" not in text
    assert text.count("<gateway ") == 1
    sent = params(ET.fromstring(text).find(".//gateway"))
    assert sent["password"] == password
    assert sent["username"] == (username or "irisx")
