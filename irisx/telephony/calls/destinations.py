"""Destinations: what a call can be connected with, from a client's words to what is dialled."""

import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

import gevent
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, WithJsonSchema
from pydantic import ValidationError as PydanticError
from sqlalchemy import Select, select
from sqlalchemy.orm import InstrumentedAttribute

from irisx.kernel import http
from irisx.kernel.db import transaction
from irisx.kernel.errors import Forbidden, invalid
from irisx.kernel.ids import row_key
from irisx.telephony.acd.models import Queue
from irisx.telephony.ivr.models import IvrFlow
from irisx.tenancy import assistants
from irisx.tenancy.agent_models import Agent, AgentStatus
from irisx.tenancy.barring import check_destination
from irisx.tenancy.models import Carrier, DestinationType, SipAccount, Tenant
from irisx.tenancy.settings import TenantSettings

_E164 = re.compile(r"\+[1-9][0-9]{6,14}\Z")
_SHORT = re.compile(r"\+?[0-9]{2,6}\Z")
_SIP_URI = re.compile(
    r"(?:sip:)?[A-Za-z0-9+*#._\-]{1,64}@(?P<host>[A-Za-z0-9](?:[A-Za-z0-9.\-]{0,251}[A-Za-z0-9])?)"
    r"(?::(?P<port>[0-9]{1,5}))?(?:;transport=(?:udp|tcp|tls))?\Z"
)
_SIP_PORT = 5060
_RESOLVE_SECONDS = 2.0


def _e164(text: str) -> str:
    if _SHORT.match(text):
        raise ValueError(
            "emergency and other short numbers can't be called, only E.164 such as +15555550100"
        )
    if not _E164.match(text):
        raise ValueError("not E.164: '+', then 7 to 15 digits, the first of them not 0")
    return text


def _sip_uri(text: str) -> str:
    match = _SIP_URI.match(text)
    if match is None or not 0 < int(match["port"] or _SIP_PORT) < 65_536:
        raise ValueError("not a SIP address: user@host[:port][;transport=udp|tcp|tls]")
    return text.removeprefix("sip:")


#: A telephone number by its form; whether it is in service the carrier says.
Number = Annotated[
    str,
    AfterValidator(_e164),
    WithJsonSchema(
        {"type": "string", "pattern": "^\\+[1-9][0-9]{6,14}$", "examples": ["+15555559999"]}
    ),
]


class _Destination(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class NumberDestination(_Destination):
    """A telephone number, by way of a carrier."""

    type: Literal["number"]
    to: Number


class SipDestination(_Destination):
    """A SIP address on the public internet."""

    type: Literal["sip"]
    to: Annotated[str, Field(max_length=320), AfterValidator(_sip_uri)]


class AgentDestination(_Destination):
    """A person of the tenant: an agent, or a phone by the id of its SIP account."""

    type: Literal["agent"]
    id: str = Field(pattern=r"^(sip|agent)_[0-9]{1,18}$", examples=["agent_3", "sip_3"])


class FlowDestination(_Destination):
    """An IVR flow of the tenant, as it is published when the call reaches it."""

    type: Literal["flow"]
    id: str = Field(pattern=r"^flow_[0-9]{1,18}$", examples=["flow_3"])


class QueueDestination(_Destination):
    """A queue of the tenant."""

    type: Literal["queue"]
    id: str = Field(pattern=r"^queue_[0-9]{1,18}$", examples=["queue_3"])


class AssistantDestination(_Destination):
    """A voice assistant of the tenant."""

    type: Literal["assistant"]
    id: str = Field(pattern=r"^asst_[0-9]{1,18}$", examples=["asst_3"])


Destination = Annotated[
    NumberDestination
    | SipDestination
    | AgentDestination
    | FlowDestination
    | QueueDestination
    | AssistantDestination,
    Field(discriminator="type"),
]
#: Prefix of the id -> type, of the destinations that have an id.
_WORDS = {
    "flow": "flow",
    "queue": "queue",
    "sip": "agent",
    "agent": "agent",
    "asst": "assistant",
}
_DESTINATION: TypeAdapter[Destination] = TypeAdapter(Destination)


@dataclass(frozen=True, slots=True)
class Target:
    """What the engine dials. `address`: an E.164 number, `user@host[:port][;transport=…]`, the
    user name with which an agent's phone registers, or the id of a flow, a queue or an assistant,
    which are not dialled. `agent`: whose phone it is."""

    type: DestinationType
    address: str
    agent: int | None = None


def parse(raw: Mapping[str, Any], field: str = "destination") -> Destination:
    """A destination dict that can be dialled; ValidationError if it is none."""
    try:
        return _DESTINATION.validate_python(dict(raw))
    except PydanticError as error:
        raise invalid(field, error.errors()[0]["msg"].removeprefix("Value error, ")) from None


def from_text(text: str, field: str) -> Destination:
    """A destination in one word: `+15555559999`, `sip:user@host`, `sip_3`, `agent_3`, `flow_3`,
    `queue_3` or `asst_3`."""
    kind = _WORDS.get(text.partition("_")[0])
    if kind is not None:
        return parse({"type": kind, "id": text}, field)
    if "@" in text:
        return parse({"type": "sip", "to": text}, field)
    return parse({"type": "number", "to": text}, field)


def resolve(destination: Destination, tenant_id: int, field: str = "destination") -> Target:
    """What to dial, if the tenant may reach it.

    Ask again at each dialling: settings, accounts and the addresses of names change. Raises
    Forbidden (DESTINATION_NOT_ALLOWED), or ValidationError about `field`. May look up a name, so
    no database session may be open.
    """
    match destination:
        case NumberDestination(to=number):
            with transaction() as session:
                tenant = session.get_one(Tenant, tenant_id)
            check_destination(number, TenantSettings.model_validate(tenant.settings))
            return Target(DestinationType.NUMBER, number)
        case SipDestination(to=uri):
            _check_sip_host(uri, field)
            return Target(DestinationType.SIP, uri)
        case AgentDestination(id=person):
            return _person(tenant_id, person, field)
        case QueueDestination(id=queue_id):
            check_queue(tenant_id, queue_id, field)
            return Target(DestinationType.QUEUE, queue_id)
        case FlowDestination(id=flow_id):
            _check_flow(tenant_id, flow_id, field)
            return Target(DestinationType.FLOW, flow_id)
        case AssistantDestination(id=assistant_id):
            if not assistants.exists(tenant_id, assistant_id):
                raise invalid(field, f"there is no assistant {assistant_id}")
            return Target(DestinationType.ASSISTANT, assistant_id)


def _person(tenant_id: int, person: str, field: str) -> Target:
    """The phone of an agent, or of a SIP account."""
    with transaction() as session:
        if person.startswith("sip_"):
            key = row_key("sip", person)
            mine = select(SipAccount.username).where(SipAccount.tenant_id == tenant_id)
            username = session.scalar(mine.where(SipAccount.id == key))
            number, agent = None, session.scalar(agent_at(key))
        else:
            agent = row_key("agent", person)
            contact = session.execute(
                select(SipAccount.username, Agent.phone_number)
                .select_from(Agent)
                .outerjoin(SipAccount, SipAccount.id == Agent.sip_account_id)
                .where(Agent.tenant_id == tenant_id, Agent.id == agent, Agent.deleted_at.is_(None))
            ).one_or_none()
            username, number = contact or (None, None)
    if number is not None:
        target = resolve(NumberDestination(type="number", to=number), tenant_id, field)
        return replace(target, agent=agent)
    if username is None:
        raise invalid(field, f"there is no agent {person} who can be rung")
    return Target(DestinationType.AGENT, username, agent)


def agent_at(account: InstrumentedAttribute[int] | int) -> Select[int]:
    """Who sits at the phone of a SIP account: an agent who is logged in, if several share it."""
    return (
        select(Agent.id)
        .where(Agent.sip_account_id == account, Agent.deleted_at.is_(None))
        .order_by(Agent.chosen == AgentStatus.OFFLINE, Agent.id)
        .limit(1)
    )


def check_queue(tenant_id: int, queue_id: str, field: str) -> None:
    """Raises ValidationError about `field` unless `queue_3` is a queue of the tenant."""
    with transaction() as session:
        mine = select(Queue.id).where(
            Queue.tenant_id == tenant_id,
            Queue.id == row_key("queue", queue_id),
            Queue.deleted_at.is_(None),
        )
        if session.scalar(mine) is None:
            raise invalid(field, f"there is no queue {queue_id}")


def _check_flow(tenant_id: int, flow_id: str, field: str) -> None:
    with transaction() as session:
        mine = select(IvrFlow.published).where(
            IvrFlow.tenant_id == tenant_id,
            IvrFlow.id == row_key("flow", flow_id),
            IvrFlow.deleted_at.is_(None),
        )
        if session.scalar(mine) is None:
            raise invalid(field, f"there is no published flow {flow_id}")


def _check_sip_host(uri: str, field: str) -> None:
    """Refuse private addresses, and carriers': those let us in by our address, and bill for it."""
    match = _SIP_URI.match(uri)
    if match is None:
        raise invalid(field, "not a SIP address")
    host, port = match["host"].lower(), int(match["port"] or _SIP_PORT)
    if host in http.allowed_hosts():
        return
    with transaction() as session:
        carriers = session.scalars(select(Carrier.host)).all()
    try:
        with gevent.Timeout(_RESOLVE_SECONDS, http.TimedOut("the look-up of names took too long")):
            addresses = {sockaddr[0] for _, sockaddr in http.resolve(host, port)}
            taken = any(addresses & _addresses(carrier) for carrier in carriers)
    except http.HttpFailure as failure:
        raise invalid(field, str(failure)) from failure
    if taken:
        raise Forbidden(
            f"{host} is a carrier's; numbers are reached by the destination type 'number'.",
            code="DESTINATION_NOT_ALLOWED",
            details=[{"field": field, "message": f"{host} is a carrier's"}],
        )


def _addresses(host: str) -> set[str]:
    try:
        found = socket.getaddrinfo(host, _SIP_PORT, type=socket.SOCK_DGRAM)
    except OSError:  # a carrier whose name does not resolve can't be reached by it either
        return set()
    return {str(sockaddr[0]) for *_, sockaddr in found}
