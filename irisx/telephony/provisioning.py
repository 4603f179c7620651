"""What FreeSWITCH asks the API for through mod_xml_curl, and the XML that it is given.

FreeSWITCH posts a form to `/internal/freeswitch/xml`; `handle` answers with one of

- the directory entry of one agent's SIP account,
- the gateways of the `carriers` profile,
- the access list `carriers`: the addresses that may send calls to it,
- "not found", upon which FreeSWITCH uses its own files (no gateway, no carrier, no user).

Nothing is read again by itself. After a change of carriers the engine tells every node, and the
same to a node it has just connected to:

| change  | commands, in this order                                                       |
|---------|-------------------------------------------------------------------------------|
| connect | `RELOAD_ADDRESSES`, `start_gateways()`                                        |
| added   | `RELOAD_ADDRESSES`, `start_gateways(name)`                                    |
| changed | `RELOAD_ADDRESSES`, `kill_gateway(name)`, `start_gateways(name)`              |
| removed | `kill_gateway(name)`, `RELOAD_ADDRESSES`                                      |

While the API is away `reloadacl` would put the empty list of the files in force and lock every
carrier out: first ask `ADDRESSES_QUERY` and go on only if `addresses_are_served(reply)`. Not
`sofia profile carriers rescan`: that reads all settings of the profile, `startgw` only gateways.
Calls on a killed gateway go on.

Agents register in one domain, `SIP_DOMAIN`; their phone is dialled as
`sofia/agents/<username>%irisx`, which needs no answer of the API.
"""

import ipaddress
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

SIP_DOMAIN = "irisx"
CARRIER_PROFILE = "carriers"
CARRIER_LIST = "carriers"

ADDRESSES_QUERY = "xml_locate configuration configuration name acl.conf"
RELOAD_ADDRESSES = "reloadacl"
_SERVED = "served by IRISX"

_GATEWAY_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_HOST = re.compile(r"[A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\]")
_NOT_XML = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
_TRANSPORTS = ("udp", "tcp", "tls")
_SHORTEST_PREFIX = {4: 8, 6: 16}
_REGISTRATION_RETRY_S = 30


@dataclass(frozen=True)
class Gateway:
    """A trunk as FreeSWITCH dials it: `sofia/gateway/<name>/<number>`.

    Without `username` the trunk knows us by our address. `register` keeps a registration at the
    carrier's, which needs both credentials. ValueError for what FreeSWITCH would misread.
    """

    name: str
    host: str
    port: int = 5060
    transport: str = "udp"
    username: str | None = None
    password: str | None = None
    register: bool = False

    def __post_init__(self) -> None:
        if not _GATEWAY_NAME.fullmatch(self.name):
            raise ValueError(f"gateway name {self.name!r}")
        if not _HOST.fullmatch(self.host):
            raise ValueError(f"gateway host {self.host!r}")
        if not 0 < self.port < 65536:
            raise ValueError(f"gateway port {self.port}")
        if self.transport not in _TRANSPORTS:
            raise ValueError(f"gateway transport {self.transport!r}")
        if self.register and not (self.username and self.password):
            raise ValueError("a gateway that registers needs a user name and a password")
        _require_text(self.username or "", self.password or "")


@dataclass(frozen=True)
class CarrierAddress:
    """A network in CIDR form, or one address, from which a carrier's calls are let in.

    A carrier named by DNS has one of these for each address it resolves to. ValueError for what
    is no network, and for one so wide that it can't be a carrier's.
    """

    cidr: str

    def __post_init__(self) -> None:
        network = ipaddress.ip_network(self.cidr)
        if network.prefixlen < _SHORTEST_PREFIX[network.version]:
            raise ValueError(f"{self.cidr} is too wide for a carrier")


@dataclass(frozen=True)
class SipUser:
    """An agent's SIP account. The ids become variables of every call that it makes."""

    username: str
    password: str
    tenant_id: str
    agent_id: str

    def __post_init__(self) -> None:
        _require_text(self.username, self.password, self.tenant_id, self.agent_id)
        if not self.password:
            raise ValueError("an empty password would let everybody in")


class ProvisioningSource(Protocol):
    """Where the facts come from: the database, in the API."""

    def gateways(self) -> Iterable[Gateway]: ...

    def carrier_addresses(self) -> Iterable[CarrierAddress]:
        """All of them. For a host name that does not resolve now: the last known addresses."""

    def sip_user(self, username: str) -> SipUser | None: ...


def handle(form: Mapping[str, str], source: ProvisioningSource) -> str:
    """The document that answers one request of mod_xml_curl."""
    match form.get("section"), form.get("key_value"):
        case "directory", _ if form.get("action") in ("sip_auth", "user_call"):
            user = source.sip_user(form.get("user", ""))
            if user and form.get("domain") == SIP_DOMAIN:
                return directory(user)
        case "configuration", "acl.conf":
            return access_list(source.carrier_addresses())
        # Only `startgw` names a gateway. An answer to a start of the profile would stand for the
        # whole of sofia.conf, and the profile would have no settings.
        case "configuration", "sofia.conf" if form.get("gateway"):
            return gateways(source.gateways())
    return not_found()


def directory(user: SipUser) -> str:
    """The directory with this one user."""
    section = _section("directory")
    domain = ET.SubElement(section, "domain", name=SIP_DOMAIN)
    entry = ET.SubElement(domain, "user", id=user.username)
    _named(
        entry,
        "param",
        {
            "password": user.password,
            "dial-string": f"sofia/agents/{user.username}%{SIP_DOMAIN}",
        },
    )
    _named(
        entry,
        "variable",
        {"irisx_tenant_id": user.tenant_id, "irisx_agent_id": user.agent_id},
    )
    return _document(section)


def gateways(trunks: Iterable[Gateway]) -> str:
    """sofia.conf with the carriers' gateways only, as `startgw` reads it."""
    section = _section("configuration")
    conf = ET.SubElement(section, "configuration", name="sofia.conf")
    profile = ET.SubElement(ET.SubElement(conf, "profiles"), "profile", name=CARRIER_PROFILE)
    parent = ET.SubElement(profile, "gateways")
    for trunk in trunks:
        _named(ET.SubElement(parent, "gateway", name=trunk.name), "param", _parameters(trunk))
    return _document(section)


def access_list(addresses: Iterable[CarrierAddress]) -> str:
    """acl.conf: everybody is refused but these."""
    section = _section("configuration")
    conf = ET.SubElement(section, "configuration", name="acl.conf", description=_SERVED)
    lists = ET.SubElement(conf, "network-lists")
    allowed = ET.SubElement(lists, "list", name=CARRIER_LIST, default="deny")
    for address in addresses:
        # FreeSWITCH takes no address without its prefix length.
        cidr = str(ipaddress.ip_network(address.cidr))
        ET.SubElement(allowed, "node", type="allow", cidr=cidr)
    return _document(section)


def not_found() -> str:
    """Tells FreeSWITCH to go on with its own files."""
    section = _section("result")
    ET.SubElement(section, "result", status="not found")
    return _document(section)


def addresses_are_served(reply: str) -> bool:
    """Whether the reply to `ADDRESSES_QUERY` came from the API and not from the files."""
    return _SERVED in reply


def start_gateways(name: str = "_all_") -> str:
    """Take up one gateway, or all that are not up already."""
    return f"sofia profile {CARRIER_PROFILE} startgw {_gateway_name(name)}"


def kill_gateway(name: str) -> str:
    """Unregister and forget a gateway."""
    return f"sofia profile {CARRIER_PROFILE} killgw {_gateway_name(name)}"


def _gateway_name(name: str) -> str:
    if not _GATEWAY_NAME.fullmatch(name):
        raise ValueError(f"gateway name {name!r}")
    return name


def _parameters(trunk: Gateway) -> dict[str, str]:
    return {
        "proxy": f"{trunk.host}:{trunk.port};transport={trunk.transport}",
        "from-domain": trunk.host,
        "register": "true" if trunk.register else "false",
        "register-transport": trunk.transport,
        "username": trunk.username or "irisx",
        "password": trunk.password or "",
        "retry-seconds": str(_REGISTRATION_RETRY_S),
        "caller-id-in-from": "true",
        # The called number of an inbound call is in To; the request names our contact.
        "extension": "auto_to_user",
    }


def _require_text(*values: str) -> None:
    """FreeSWITCH reads the document line by line before it is XML."""
    for value in values:
        if _NOT_XML.search(value) or "x-pre-process" in value.lower():
            raise ValueError("control characters and preprocessor directives are refused")


def _section(name: str) -> ET.Element:
    return ET.Element("section", name=name)


def _named(parent: ET.Element, tag: str, values: Mapping[str, str]) -> None:
    group = ET.SubElement(parent, f"{tag}s")
    for name, value in values.items():
        ET.SubElement(group, tag, name=name, value=value)


def _document(section: ET.Element) -> str:
    root = ET.Element("document", type="freeswitch/xml")
    root.append(section)
    ET.indent(root)
    # FreeSWITCH replaces $${name} by its own variables, secrets among them, before it parses.
    return ET.tostring(root, encoding="unicode").replace("$", "&#36;")
