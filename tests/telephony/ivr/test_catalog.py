"""What a tenant's flows can name: its own things, and no other tenant's."""

from collections.abc import Callable

import pytest

from irisx.kernel.db import transaction
from irisx.telephony.acd import queues
from irisx.telephony.acd.models import Strategy
from irisx.telephony.ivr import service
from irisx.telephony.ivr.catalog import TenantCatalog
from irisx.telephony.ivr.prompt_models import Prompt
from irisx.tenancy import agents, numbers, sip_accounts
from irisx.tenancy.access import SYSTEM
from irisx.tenancy.models import Tenant
from tests.telephony.ivr.documents import Document, bye, document, node


def subflow(flow_id: str) -> Document:
    return document(node("s", "subflow", {"flow": flow_id}, next="bye"), bye())


def test_only_the_tenant_s_own_are_known(
    tenant: Tenant, make_tenant: Callable[..., Tenant]
) -> None:
    prompt = Prompt(
        tenant_id=tenant.id, name="hello", source_format="WAV", duration_ms=1, size_bytes=1
    )
    with transaction() as session:
        session.add(prompt)
    account = sip_accounts.create(SYSTEM, tenant.id, name="Desk").row
    contact = {"type": "sip", "sip_account_id": account.id}
    agent = agents.create(SYSTEM, tenant.id, name="Ann", contact=contact)
    queue = queues.create(
        SYSTEM,
        tenant.id,
        name="Sales",
        strategy=Strategy.RING_ALL,
        music_on_hold="default",
        skills_required=[],
    ).row
    number = numbers.add(SYSTEM, tenant_id=tenant.id, number="+15557770000")
    draft = service.create(SYSTEM, tenant.id, document(bye()), publish=False).flow
    live = service.create(SYSTEM, tenant.id, document(bye()), publish=True).flow
    mine, theirs = TenantCatalog(tenant.id), TenantCatalog(make_tenant("Other").id)
    for catalog, known in ((mine, True), (theirs, False)):
        assert catalog.has_prompt(prompt.public_id) is known
        assert catalog.has_agent(account.public_id) is known
        assert catalog.has_agent(agent.public_id) is known
        assert catalog.has_queue(queue.public_id) is known
        assert catalog.has_number(number.number) is known
        assert catalog.has_published_flow(live.public_id) is known
        assert not catalog.has_published_flow(draft.public_id)
        assert not catalog.has_published_flow("flow_x")


def test_flows_that_are_entered_by_way_of_others(tenant: Tenant) -> None:
    counting = node("s", "set_variable", {"variables": {"tries": 1}}, next="bye")
    inner = service.create(
        SYSTEM, tenant.id, document(counting, bye(), variables={"pin": ""}), publish=True
    ).flow.public_id
    middle = service.create(SYSTEM, tenant.id, subflow(inner), publish=True).flow.public_id
    outer = service.create(SYSTEM, tenant.id, subflow(middle), publish=True).flow.public_id
    catalog = TenantCatalog(tenant.id)
    assert catalog.flows_entered(outer) == {middle, inner}
    assert catalog.variables_set(outer) == {"tries", "pin"}
    row = service.get(tenant.id, int(inner.removeprefix("flow_"))).flow
    circle = service.lint(tenant.id, subflow(outer), row.id)
    assert [error.code for error in circle.errors] == ["recursion"]


@pytest.mark.parametrize(
    ("url", "refused"),
    [
        ("http://127.0.0.1/", True),
        ("http://[::1]/", True),
        ("http://10.1.2.3/", True),
        ("http://169.254.169.254/latest", True),
        ("http://user:pw@example.com/", True),
        ("file:///etc/passwd", True),
        ("http://example.com:22/", True),
        ("https://93.184.216.34/", False),
    ],
)
def test_addresses_that_may_be_asked(tenant: Tenant, url: str, refused: bool) -> None:
    assert (TenantCatalog(tenant.id).refuses_url(url) is not None) is refused


def test_numbers_that_may_be_called(make_tenant: Callable[..., Tenant]) -> None:
    catalog = TenantCatalog(make_tenant("Local", allowed_countries=["US"]).id)
    assert catalog.refuses_destination("+12025550123") is None
    assert "allowed_countries" in (catalog.refuses_destination("+4930123456") or "")
