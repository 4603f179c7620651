"""What a tenant has that a flow can name, read from the database as the linter asks."""

from functools import cached_property

from sqlalchemy import select

from irisx.kernel import http
from irisx.kernel.db import transaction
from irisx.kernel.errors import Forbidden, ValidationError
from irisx.kernel.ids import public_id
from irisx.telephony.acd.models import Queue
from irisx.telephony.ivr import versions
from irisx.telephony.ivr.flow import Flow
from irisx.telephony.ivr.nodes.ai_agent import ROOM as AI_AGENT
from irisx.telephony.ivr.nodes.queue import ROOM as QUEUE
from irisx.telephony.ivr.nodes.subflow import Subflow
from irisx.telephony.ivr.nodes.transfer import Transfer
from irisx.telephony.ivr.prompt_models import Prompt
from irisx.tenancy import assistants
from irisx.tenancy.agent_models import Agent
from irisx.tenancy.barring import check_destination
from irisx.tenancy.models import PhoneNumber, SipAccount, Tenant
from irisx.tenancy.settings import TenantSettings

#: Hosts that are looked up for one flow; what more it names is checked on the call.
_MAX_HOSTS = 10


class TenantCatalog:
    """`nodes.base.Catalog` of one tenant. Lives as long as one linting."""

    def __init__(self, tenant_id: int) -> None:
        self._tenant_id = tenant_id
        self._urls: dict[str, str | None] = {}
        self._flows: dict[str, Flow | None] = {}

    def has_prompt(self, prompt_id: str) -> bool:
        return prompt_id in self._prompts

    def has_agent(self, account_id: str) -> bool:
        return account_id in self._agents

    def has_number(self, number: str) -> bool:
        return number in self._numbers

    def has_published_flow(self, flow_id: str) -> bool:
        return self._flow(flow_id) is not None

    def has_queue(self, queue_id: str) -> bool:
        return queue_id in self._queues

    def has_assistant(self, assistant_id: str) -> bool:
        return assistants.exists(self._tenant_id, assistant_id)

    def room_is_there(self, room: str) -> bool:
        return room in (AI_AGENT, QUEUE)

    def refuses_destination(self, number: str) -> str | None:
        try:
            check_destination(number, self._settings)
        except Forbidden as refusal:
            return refusal.message
        return None

    def refuses_url(self, url: str) -> str | None:
        try:
            host = http.parse(url).host or ""
        except http.AddressRefused as refusal:
            return str(refusal)
        if host not in self._urls and len(self._urls) < _MAX_HOSTS:
            self._urls[host] = _refusal(url)
        return self._urls.get(host)

    def flows_entered(self, flow_id: str) -> frozenset[str]:
        entered: set[str] = set()
        waiting = [flow_id]
        while waiting:
            flow = self._flow(waiting.pop())
            new = flows_named(flow) - entered if flow is not None else set()
            entered |= new
            waiting += new
        return frozenset(entered)

    def variables_set(self, flow_id: str) -> frozenset[str]:
        names: set[str] = set()
        for entered in {flow_id, *self.flows_entered(flow_id)}:
            flow = self._flow(entered)
            if flow is not None:
                names |= set(flow.variables)
                names.update(name for node in flow.nodes for name in node.config.sets())
        return frozenset(names)

    def _flow(self, flow_id: str) -> Flow | None:
        if flow_id not in self._flows:
            found = versions.published(self._tenant_id, flow_id)
            self._flows[flow_id] = None if found is None else found.flow
        return self._flows[flow_id]

    @cached_property
    def _prompts(self) -> frozenset[str]:
        query = select(Prompt.id).where(Prompt.tenant_id == self._tenant_id)
        with transaction() as session:
            return frozenset(public_id(Prompt.PREFIX, key) for key in session.scalars(query))

    @cached_property
    def _agents(self) -> frozenset[str]:
        accounts = select(SipAccount.id).where(SipAccount.tenant_id == self._tenant_id)
        people = select(Agent.id).where(
            Agent.tenant_id == self._tenant_id, Agent.deleted_at.is_(None)
        )
        with transaction() as session:
            phones = [public_id(SipAccount.PREFIX, key) for key in session.scalars(accounts)]
            agents = [public_id(Agent.PREFIX, key) for key in session.scalars(people)]
        return frozenset((*phones, *agents))

    @cached_property
    def _queues(self) -> frozenset[str]:
        query = select(Queue.id).where(
            Queue.tenant_id == self._tenant_id, Queue.deleted_at.is_(None)
        )
        with transaction() as session:
            return frozenset(public_id(Queue.PREFIX, key) for key in session.scalars(query))

    @cached_property
    def _numbers(self) -> frozenset[str]:
        query = select(PhoneNumber.number).where(PhoneNumber.tenant_id == self._tenant_id)
        with transaction() as session:
            return frozenset(session.scalars(query))

    @cached_property
    def _settings(self) -> TenantSettings:
        with transaction() as session:
            tenant = session.get_one(Tenant, self._tenant_id)
        return TenantSettings.model_validate(tenant.settings)


def flows_named(flow: Flow) -> set[str]:
    """Flows that a flow enters."""
    named = {node.config.flow for node in flow.nodes if isinstance(node.config, Subflow)}
    for node in flow.nodes:
        if isinstance(node.config, Transfer):
            named |= {target.name for target in node.config.targets if target.type == "flow"}
    return named


def _refusal(url: str) -> str | None:
    try:
        http.check_url("url", url)
    except ValidationError as refusal:
        return refusal.details[0]["message"]
    return None
