"""Preview: an agent sees the contact, calls it or leaves it."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import select

from irisx.kernel.db import transaction
from irisx.telephony.calls.models import Call
from irisx.telephony.dialer.pacing import DialMode
from irisx.tenancy.models import PhoneNumber, Tenant
from tests.api.client import ApiClient
from tests.api.v1.test_agents import ANN
from tests.telephony.dialer.campaigning import Campaigning

MIAMI, TAMPA = "+13055550123", "+18135550123"


@pytest.fixture
def agent(client: ApiClient) -> Callable[[str], dict[str, Any]]:
    def made(name: str) -> dict[str, Any]:
        created = client.post("/v1/agents", ANN | {"name": name}, status=201)
        client.put(f"/v1/agents/{created['id']}/status", {"status": "available"})
        return {"agent_id": created["id"]}

    return made


@pytest.fixture
def ann(agent: Callable[[str], dict[str, Any]]) -> dict[str, Any]:
    return agent("Ann")


@pytest.fixture
def bob(agent: Callable[[str], dict[str, Any]]) -> dict[str, Any]:
    return agent("Bob")


@pytest.fixture
def campaign(
    tenant: Tenant, number: PhoneNumber, ann: dict[str, Any], bob: dict[str, Any]
) -> Campaigning:
    keys = [int(one["agent_id"].removeprefix("agent_")) for one in (ann, bob)]
    made = Campaigning(tenant, mode=DialMode.PREVIEW, fields={"agents": keys})
    made.add(MIAMI, TAMPA)
    made.start()
    return made


def test_each_agent_sees_a_contact_of_its_own_and_calls_it(
    client: ApiClient, campaign: Campaigning, ann: dict[str, Any], bob: dict[str, Any]
) -> None:
    path = f"/v1/campaigns/camp_{campaign.id}"
    first = client.post(f"{path}/preview", ann)["contact"]
    assert first["numbers"] == [MIAMI] and first["status"] == "preview"
    assert client.post(f"{path}/preview", ann)["contact"]["id"] == first["id"]
    second = client.post(f"{path}/preview", bob)["contact"]
    assert second["numbers"] == [TAMPA]
    assert campaign.dial() == []  # nobody is called by itself
    taken = f"{path}/contacts/{second['id']}/accept"
    assert client.post(taken, ann, status=409)["code"] == "NOT_SHOWN"
    placed = client.post(f"{path}/contacts/{first['id']}/accept", ann, status=202)
    assert campaign.ringing() == [MIAMI]
    assert client.post(f"{path}/contacts/{first['id']}/accept", ann, status=409)["code"] == (
        "NOT_SHOWN"
    )
    with transaction() as session:
        call = session.scalars(select(Call)).one()
    assert placed["call_sid"] == f"CA{call.id.hex}"
    assert call.options["queue"]["agent"] == int(ann["agent_id"].removeprefix("agent_"))


def test_a_contact_that_is_skipped_or_forgotten_is_another_s(
    client: ApiClient, campaign: Campaigning, ann: dict[str, Any], bob: dict[str, Any]
) -> None:
    path = f"/v1/campaigns/camp_{campaign.id}"
    miami = client.post(f"{path}/preview", ann)["contact"]["id"]
    client.post(f"{path}/contacts/{miami}/skip", ann, status=204)
    tampa = client.post(f"{path}/preview", ann)["contact"]
    assert tampa["numbers"] == [TAMPA]
    assert client.post(f"{path}/preview", bob) == {"contact": None, "reserved_until": None}
    campaign.later(200)  # Ann says nothing
    campaign.dialler.run()
    assert client.post(f"{path}/preview", bob)["contact"]["id"] == tampa["id"]
    gone = f"{path}/contacts/{tampa['id']}/accept"
    assert client.post(gone, ann, status=409)["code"] == "NOT_SHOWN"


def test_who_may_not_look(
    client: ApiClient,
    campaign: Campaigning,
    ann: dict[str, Any],
    agent: Callable[[str], dict[str, Any]],
) -> None:
    path = f"/v1/campaigns/camp_{campaign.id}"
    fault = client.post(f"{path}/preview", agent("Stranger"), status=400)
    assert fault["details"][0]["field"] == "agent_id"
    client.put(f"/v1/agents/{ann['agent_id']}/status", {"status": "away"})
    assert client.post(f"{path}/preview", ann, status=409)["code"] == "AGENT_NOT_AVAILABLE"
    client.post(f"{path}/pause")
    assert client.post(f"{path}/preview", ann, status=409)["code"] == "CAMPAIGN_STATE"


def test_who_was_put_on_a_do_not_call_list_meanwhile_is_not_called(
    client: ApiClient, campaign: Campaigning, ann: dict[str, Any]
) -> None:
    path = f"/v1/campaigns/camp_{campaign.id}"
    contact = client.post(f"{path}/preview", ann)["contact"]["id"]
    client.post("/v1/campaigns/do-not-call", {"numbers": [MIAMI]}, status=201)
    fault = client.post(f"{path}/contacts/{contact}/accept", ann, status=409)
    assert fault["code"] == "NOT_NOW"
    assert client.get(f"{path}/contacts/{contact}")["status"] == "do-not-call"
    assert campaign.ringing() == []
