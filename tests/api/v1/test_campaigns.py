"""`/v1/campaigns`, their contacts and do-not-call lists."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from irisx.kernel.clock import isoformat, now
from irisx.kernel.db import transaction
from irisx.kernel.events import DomainEvent
from irisx.telephony.dialer.models import CampaignContact
from irisx.tenancy.models import AuditEntry, PhoneNumber, Tenant
from tests.api.client import ApiClient
from tests.api.v1.test_agents import ANN

pytestmark = pytest.mark.usefixtures("number")

MESSAGE = {"name": "Spring", "mode": "broadcast", "message": {"text": "Hello {{contact.name}}."}}
MIAMI = "+13055550123"
UNKNOWN_ZONE = "+15555550100"


@pytest.fixture
def campaign(client: ApiClient) -> str:
    """The path of a campaign that plays a message."""
    return "/v1/campaigns/" + str(client.post("/v1/campaigns", MESSAGE, status=201)["id"])


def told(type: str) -> list[dict[str, Any]]:
    with transaction() as session:
        rows = session.scalars(select(DomainEvent).where(DomainEvent.type == type))
        return [row.data for row in rows]


def test_a_campaign_is_made_changed_and_deleted(client: ApiClient, number: PhoneNumber) -> None:
    made = client.post("/v1/campaigns", MESSAGE, status=201)
    assert made["status"] == "draft" and made["caller_id"] == number.number
    assert made["options"]["max_drop_rate"] == 0.03
    path = f"/v1/campaigns/{made['id']}"
    changed = client.put(path, {"name": "Autumn", "options": {"ring_seconds": 30}})
    assert (changed["name"], changed["options"]["ring_seconds"]) == ("Autumn", 30)
    assert changed["message"] == MESSAGE["message"]
    assert client.get(path) == changed
    assert client.get("/v1/campaigns?status=draft")["data"]["campaigns"] == [changed]
    assert client.get("/v1/campaigns?status=running")["data"]["campaigns"] == []
    client.delete(path)
    client.get(path, status=404)
    with transaction() as session:
        actions = session.scalars(
            select(AuditEntry.action).where(AuditEntry.target == made["id"]).order_by(AuditEntry.id)
        ).all()
    assert actions == ["campaign.created", "campaign.updated", "campaign.deleted"]


def test_agents_of_its_own_are_in_a_queue_of_its_own(client: ApiClient) -> None:
    ann = client.post("/v1/agents", ANN, status=201)["id"]
    wanted = {"name": "Sales", "mode": "predictive", "agents": [ann]}
    made = client.post("/v1/campaigns", wanted, status=201)
    queue = client.get(f"/v1/queues/{made['queue_id']}")
    assert queue["agents"] == [ann]
    bob = client.post("/v1/agents", ANN | {"name": "Bob"}, status=201)["id"]
    client.put(f"/v1/campaigns/{made['id']}", {"agents": [bob]})
    assert client.get(f"/v1/queues/{made['queue_id']}")["agents"] == [bob]
    client.delete(f"/v1/campaigns/{made['id']}")
    client.get(f"/v1/queues/{made['queue_id']}", status=404)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"mode": "predictive"}, "mode"),
        ({"message": None}, "queue_id"),
        ({"flow": "flow_1"}, "flow"),
        ({"message": None, "queue_id": "queue_99", "mode": "power"}, "queue_id"),
        ({"caller_id": "+15550009999"}, "caller_id"),
        ({"message": {"text": ""}}, "message.text.text"),
        ({"options": {"ring_seconds": 5}}, "options.ring_seconds"),
        ({"options": {"hours": {"weekly": {}}}}, "options"),
        ({"options": {"hours": {"weekly": {"mon": ["9-17"]}}}}, "options.hours.weekly.mon.0"),
        ({"options": {"retries": [{"result": "sold", "max_retries": 1, "delay_seconds": 1}]}},
         "options.retries.0.result"),
        ({"options": {"machines": {"action": "leave-message"}}}, "options.machines"),
        ({"colour": "red"}, "colour"),
    ],
    ids=str,
)  # fmt: skip
def test_a_faulty_field_is_named(client: ApiClient, change: dict[str, Any], field: str) -> None:
    fault = client.post("/v1/campaigns", MESSAGE | change, status=400)
    assert [detail["field"] for detail in fault["details"]] == [field]


STATES = [
    # status before, verb, status after (None: refused)
    ("draft", "start", "running"),
    ("draft", "pause", None),
    ("draft", "resume", None),
    ("draft", "stop", None),
    ("running", "start", None),
    ("running", "pause", "paused"),
    ("running", "resume", None),
    ("running", "stop", "stopped"),
    ("paused", "start", None),
    ("paused", "pause", None),
    ("paused", "resume", "running"),
    ("paused", "stop", "stopped"),
    ("stopped", "start", "running"),
    ("stopped", "pause", None),
    ("scheduled", "start", "running"),
    ("scheduled", "pause", None),
    ("scheduled", "stop", "stopped"),
]
_WAYS: dict[str, list[str]] = {
    "draft": [],
    "running": ["start"],
    "paused": ["start", "pause"],
    "stopped": ["start", "stop"],
}


@pytest.mark.parametrize(("before", "verb", "after"), STATES)
def test_the_table_of_states(
    client: ApiClient, campaign: str, before: str, verb: str, after: str | None
) -> None:
    if before == "scheduled":
        client.post(f"{campaign}/start?at={isoformat(now() + timedelta(hours=1))}")
    for step in _WAYS.get(before, []):
        client.post(f"{campaign}/{step}")
    if after is None:
        fault = client.post(f"{campaign}/{verb}", status=409)
        assert fault["code"] == "CAMPAIGN_STATE"
        assert client.get(campaign)["status"] == before
        return
    assert client.post(f"{campaign}/{verb}")["status"] == after
    verbs = {"start": "started", "pause": "paused", "resume": "resumed", "stop": "stopped"}
    assert told(f"campaign.{verbs[verb]}")[-1]["previous_status"] == before


def test_a_running_campaign_keeps_its_mode_and_is_not_deleted(
    client: ApiClient, campaign: str
) -> None:
    client.post(f"{campaign}/start")
    assert client.delete(campaign, status=409)["code"] == "CAMPAIGN_ACTIVE"
    other = {"message": {"text": "Other."}}
    assert client.put(campaign, other, status=409)["code"] == "CAMPAIGN_ACTIVE"
    assert client.put(campaign, {"name": "Other"})["name"] == "Other"


def test_contacts_are_added_once(client: ApiClient, campaign: str) -> None:
    ann = {"numbers": [MIAMI, "+13055550124"], "name": "Ann", "data": {"plan": "gold"}}
    bob = {"numbers": [UNKNOWN_ZONE], "time_zone": "Europe/Berlin", "region": "DE"}
    first = client.post(f"{campaign}/contacts", {"contacts": [ann, bob, ann]}, status=201)
    assert (first["added"], first["duplicates"]) == (2, [2])
    again = client.post(f"{campaign}/contacts", {"contacts": [bob]}, status=201)
    assert (again["added"], again["duplicates"]) == (0, [0])
    listed = client.get(f"{campaign}/contacts")["data"]["contacts"]
    assert [contact["numbers"] for contact in listed] == [ann["numbers"], bob["numbers"]]
    assert listed[0]["data"] == {"plan": "gold"} and listed[0]["status"] == "pending"
    assert client.get(f"{campaign}/contacts?number=%2B13055550124")["data"]["contacts"] == [
        listed[0]
    ]
    with transaction() as session:
        places = session.scalars(select(CampaignContact.place).order_by(CampaignContact.id)).all()
    assert places == ["US-FL America/New_York", "DE Europe/Berlin"]
    client.delete(f"{campaign}/contacts/{listed[0]['id']}")
    client.get(f"{campaign}/contacts/{listed[0]['id']}", status=404)


def test_a_number_whose_time_zone_nobody_knows_is_refused(client: ApiClient, campaign: str) -> None:
    wanted = {"contacts": [{"numbers": [MIAMI]}, {"numbers": [UNKNOWN_ZONE]}]}
    fault = client.post(f"{campaign}/contacts", wanted, status=400)
    assert [detail["field"] for detail in fault["details"]] == ["contacts.1.time_zone"]
    assert client.get(f"{campaign}/contacts")["data"]["contacts"] == []
    client.put(campaign, {"options": {"hours": {"default_time_zone": "UTC"}}})
    assert client.post(f"{campaign}/contacts", wanted, status=201)["added"] == 2


@pytest.mark.parametrize(
    ("contact", "field"),
    [
        ({"numbers": []}, "contacts.0.numbers"),
        ({"numbers": ["911"]}, "contacts.0.numbers.0"),
        ({"numbers": ["=1+1"]}, "contacts.0.numbers.0"),
        ({"numbers": [MIAMI], "time_zone": "Mars/Olympus"}, "contacts.0.time_zone"),
        ({"numbers": [MIAMI], "region": "Florida"}, "contacts.0.region"),
        ({"numbers": [MIAMI], "data": {"n": 2**70}}, "contacts.0.data"),
    ],
    ids=str,
)
def test_a_faulty_contact_is_named(
    client: ApiClient, campaign: str, contact: dict[str, Any], field: str
) -> None:
    fault = client.post(f"{campaign}/contacts", {"contacts": [contact]}, status=400)
    assert [detail["field"] for detail in fault["details"]] == [field]


def test_a_disposition_needs_a_call(client: ApiClient, campaign: str) -> None:
    added = client.post(f"{campaign}/contacts", {"contacts": [{"numbers": [MIAMI]}]}, status=201)
    path = f"{campaign}/contacts/{added['contacts'][0]['id']}/disposition"
    assert client.post(path, {"code": "success"}, status=409)["code"] == "NOT_CALLED"
    assert client.post(path, {"code": "sold"}, status=400)["details"][0]["field"] == "code"


def test_three_do_not_call_lists(client: ApiClient, admin: ApiClient, campaign: str) -> None:
    lists = {
        "/v1/campaigns/do-not-call": client,
        f"{campaign}/do-not-call": client,
        "/admin/do-not-call": admin,
    }
    for path, who in lists.items():
        body = {"numbers": [MIAMI, MIAMI], "reason": "asked"}
        assert who.post(path, body, status=201) == {"added": 1, "known": 0}
        assert who.post(path, body, status=201) == {"added": 0, "known": 1}
    for path, who in lists.items():
        entries = who.get(f"{path}?number=%2B13055550123")["data"]["numbers"]
        assert [(entry["number"], entry["reason"]) for entry in entries] == [(MIAMI, "asked")]
        who.delete(f"{path}/{entries[0]['id']}")
        assert who.get(path)["data"]["numbers"] == []


def test_a_list_is_its_owner_s(
    client: ApiClient, client_for: Callable[..., ApiClient], make_tenant: Callable[..., Tenant]
) -> None:
    client.post("/v1/campaigns/do-not-call", {"numbers": [MIAMI]}, status=201)
    other = client_for(make_tenant("Other"))
    assert other.get("/v1/campaigns/do-not-call")["data"]["numbers"] == []
    entry = client.get("/v1/campaigns/do-not-call")["data"]["numbers"][0]["id"]
    other.delete(f"/v1/campaigns/do-not-call/{entry}", status=404)


def test_statistics_and_results_of_a_campaign_that_has_done_nothing(
    client: ApiClient, campaign: str
) -> None:
    client.post(f"{campaign}/contacts", {"contacts": [{"numbers": [MIAMI]}]}, status=201)
    stats = client.get(f"{campaign}/stats")
    assert (stats["contacts"]["pending"], stats["attempts"], stats["results"]["busy"]) == (1, 0, 0)
    assert stats["drops"] == {
        "drops": 0, "answers": 0, "rate": None, "upper_bound": None, "limit": 0.03,
    }  # fmt: skip
    assert stats["times"]["talk"] == {"mean_ms": None, "sum_ms": 0, "calls": 0}
    assert client.get(f"{campaign}/results")["data"]["results"] == []
    exported = client.request("GET", f"{campaign}/results/export", status=200)
    assert exported.get_data(as_text=True).startswith("\ufeffcall_sid,started_at,")
