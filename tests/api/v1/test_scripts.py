"""Agent scripts over REST: kept, linted, assigned, said for a call, and the way recorded."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from irisx.kernel.clock import now
from irisx.kernel.db import transaction
from irisx.kernel.ids import call_sid
from irisx.telephony.acd.models import QueueCall, QueueCallStatus
from irisx.telephony.calls.models import Call
from irisx.telephony.calls.states import CallStatus, Direction
from irisx.tenancy import agents
from irisx.tenancy.access import SYSTEM
from irisx.tenancy.models import Tenant
from tests.api.client import ApiClient

SPECIFIED = {
    "name": "Sales Script",
    "type": "outbound",
    "steps": [
        {
            "id": "step_1",
            "type": "greeting",
            "content": "Hello {{customer_name}}, this is {{agent_name}} from IRISX.",
            "next": "step_2",
        },
        {
            "id": "step_2",
            "type": "question",
            "content": "Are you interested in learning about our new products?",
            "responses": [
                {"label": "Yes", "next": "step_3"},
                {"label": "No", "next": "step_objection"},
            ],
        },
    ],
    "variables": ["customer_name", "agent_name", "product_name"],
}
WHOLE = SPECIFIED | {
    "steps": [
        *SPECIFIED["steps"],  # type: ignore[misc]
        {"id": "step_3", "type": "statement", "content": "{{ product_name | default('It') }}."},
        {"id": "step_objection", "type": "objection", "content": "May I ask why?"},
    ]
}


def queue(client: ApiClient) -> str:
    body = {"name": f"Sales {uuid4()}", "strategy": "round-robin"}
    return str(client.post("/v1/queues", body, status=201)["id"])


def call(tenant: Tenant, **columns: Any) -> Call:
    with transaction() as session:
        row = Call(
            id=uuid4(),
            initiated_at=now(),
            tenant_id=tenant.id,
            direction=Direction.INBOUND,
            status=CallStatus.IN_PROGRESS,
            from_number="+15550009999",
            to_number="+15550001000",
            **columns,
        )
        session.add(row)
    return row


def test_the_specification_s_script_is_kept_and_what_it_lacks_is_told(client: ApiClient) -> None:
    made = client.post("/v1/scripts", SPECIFIED, status=201)
    errors = {issue["message"] for issue in made["issues"] if issue["severity"] == "error"}
    assert len(errors) == 2
    assert any("step step_2 leads to step_3, which is not there" in each for each in errors)
    refused = client.post(
        f"/v1/scripts/{made['id']}/assign", {"queue_id": queue(client)}, status=409
    )
    assert refused["code"] == "SCRIPT_HAS_ERRORS"
    assert refused["details"][0]["field"] == "steps.step_2.responses.0.next"
    mended = client.put(f"/v1/scripts/{made['id']}", {"steps": WHOLE["steps"]})
    assert (mended["issues"], mended["version"]) == ([], 2)


def test_a_script_is_listed_read_and_deleted(client: ApiClient) -> None:
    made = client.post("/v1/scripts", WHOLE, status=201)
    assert client.get(f"/v1/scripts/{made['id']}") == made
    assert [each["id"] for each in _listed(client)] == [made["id"]]
    assert _listed(client, "?type=inbound") == []
    client.delete(f"/v1/scripts/{made['id']}")
    assert _listed(client) == []
    client.get(f"/v1/scripts/{made['id']}", status=404)


def _listed(client: ApiClient, query: str = "") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.get(f"/v1/scripts{query}")["data"]["scripts"]
    return found


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"steps": []}, "steps"),
        ({"steps": [{"id": "a b", "type": "greeting", "content": "x"}]}, "steps.0.id"),
        ({"steps": [{"id": "a", "type": "song", "content": "x"}]}, "steps.0.type"),
        ({"steps": [{"id": "a", "type": "greeting", "content": ""}]}, "steps.0.content"),
        ({"steps": [{"id": "a", "type": "greeting", "content": "x", "to": 1}]}, "steps.0.to"),
        ({"type": "sideways"}, "type"),
        ({"variables": ["${x}"]}, "variables.0"),
        ({"name": ""}, "name"),
    ],
)
def test_what_is_no_script_is_refused(
    client: ApiClient, change: dict[str, Any], field: str
) -> None:
    answer = client.post("/v1/scripts", WHOLE | change, status=400)
    assert [fault["field"] for fault in answer["details"]] == [field]


def test_a_queue_has_one_script(client: ApiClient) -> None:
    first, second = (client.post("/v1/scripts", WHOLE, status=201)["id"] for _ in range(2))
    sales = queue(client)
    client.post(f"/v1/scripts/{first}/assign", {"queue_id": sales})
    made = client.post(f"/v1/scripts/{second}/assign", {"queue_id": sales})
    assert [(each["type"], each["id"]) for each in made["assigned_to"]] == [("queue", sales)]
    assert [each["id"] for each in _listed(client, f"?queue_id={sales}")] == [second]
    client.delete(f"/v1/scripts/{first}/assign", json={"queue_id": sales}, status=404)
    broken = {"steps": [{"id": "a", "type": "greeting", "content": "x", "next": "b"}]}
    client.put(f"/v1/scripts/{second}", broken, status=409)
    client.delete(f"/v1/scripts/{second}/assign", json={"queue_id": sales})
    assert client.get(f"/v1/scripts/{second}")["assigned_to"] == []
    client.put(f"/v1/scripts/{second}", broken)


def test_only_the_tenant_s_own_queues_get_its_scripts(
    client: ApiClient, client_for: Callable[..., ApiClient], make_tenant: Callable[..., Tenant]
) -> None:
    theirs = queue(client_for(make_tenant("Other")))
    mine = client.post("/v1/scripts", WHOLE, status=201)["id"]
    for body in ({"queue_id": theirs}, {"campaign_id": "camp_9"}, {}):
        client.post(f"/v1/scripts/{mine}/assign", body, status=400)


def test_a_call_fills_the_variables(client: ApiClient, tenant: Tenant) -> None:
    script = client.post("/v1/scripts", WHOLE, status=201)["id"]
    agent = agents.create(
        SYSTEM, tenant.id, name="Ann", contact={"type": "number", "phone_number": "+15557770002"}
    )
    row = call(tenant, caller_name="Bob", metadata_={"product_name": "Shoes"})
    with transaction() as session:
        session.add(
            QueueCall(
                id=uuid4(),
                entered_at=now(),
                tenant_id=tenant.id,
                queue_id=int(queue(client).removeprefix("queue_")),
                call_id=row.id,
                number=row.from_number,
                place_at=now(),
                status=QueueCallStatus.TALKING,
                agent_id=agent.id,
            )
        )
    said = client.get(f"/v1/scripts/{script}/render?call_sid={call_sid(row.id)}")
    assert said["steps"][0]["content"] == "Hello Bob, this is Ann from IRISX."
    assert said["steps"][2]["content"] == "Shoes."
    assert said["missing"] == []
    body = {"call_sid": call_sid(row.id), "variables": {"customer_name": "Dr. Bob {{x}}"}}
    own = client.post(f"/v1/scripts/{script}/render", body)
    assert own["steps"][0]["content"] == "Hello Dr. Bob {{x}}, this is Ann from IRISX."


def test_what_is_not_known_is_said_as_nothing_and_told(client: ApiClient) -> None:
    script = client.post("/v1/scripts", WHOLE, status=201)["id"]
    said = client.get(f"/v1/scripts/{script}/render")
    assert said["steps"][0]["content"] == "Hello , this is  from IRISX."
    assert said["missing"] == ["customer_name", "agent_name", "product_name"]
    unknown = "CA" + "0" * 32
    client.get(f"/v1/scripts/{script}/render?call_sid={unknown}", status=404)


def test_the_way_of_a_call_is_recorded(client: ApiClient, tenant: Tenant) -> None:
    script = client.post("/v1/scripts", WHOLE, status=201)["id"]
    path = f"/v1/scripts/{script}/calls/{call_sid(call(tenant).id)}/path"
    assert client.get(path)["steps"] == []
    client.post(path, {"step_id": "step_1"}, headers={"Idempotency-Key": "one"})
    client.post(path, {"step_id": "step_1"}, headers={"Idempotency-Key": "one"})
    way = client.post(path, {"step_id": "step_2", "response": "No"})["steps"]
    assert [(each["step_id"], each["response"], each["version"]) for each in way] == [
        ("step_1", None, 1),
        ("step_2", "No", 1),
    ]
    assert client.get(path)["steps"] == way
    for body in ({"step_id": "step_9"}, {"step_id": "step_2", "response": "Maybe"}):
        client.post(path, body, status=400)
