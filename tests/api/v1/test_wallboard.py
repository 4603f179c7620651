"""The wallboard over REST, and supervisors' view of agents and queues."""

from typing import Any

import pytest

from irisx.tenancy import agents
from irisx.tenancy.access import SYSTEM
from irisx.tenancy.agent_models import AgentStatus
from irisx.tenancy.models import Tenant
from tests.api.client import ApiClient

QUEUE = {"name": "Sales", "strategy": "round-robin"}
ZEROS = {
    "calls_in_queue": 0,
    "agents_available": 0,
    "agents_busy": 0,
    "avg_wait_time": None,
    "avg_handle_time": None,
    "service_level": None,
    "abandoned_rate": None,
    "longest_wait": None,
}


def test_an_empty_system_reports_zeros_and_nulls(client: ApiClient) -> None:
    board = client.get("/v1/wallboard")
    assert board["queues"] == []
    assert {name: board[name] for name in ZEROS} == ZEROS
    stats = client.get("/v1/wallboard/stats")
    assert set(stats["total"]["counts"].values()) == {0}
    assert stats["calls"] == {"initiated": 0, "ringing": 0, "in-progress": 0}
    assert client.get("/v1/supervisor/queues")["data"]["queues"] == []
    assert client.get("/v1/supervisor/agents")["data"]["agents"] == []


def test_queues_are_shown_with_their_formula(client: ApiClient) -> None:
    queue = client.post("/v1/queues", QUEUE, status=201)
    [shown] = client.get("/v1/wallboard")["queues"]
    assert shown == ZEROS | {"id": queue["id"], "name": "Sales"}
    [detail] = client.get("/v1/supervisor/queues")["data"]["queues"]
    assert detail["service_level_formula"] == "answered within 20 s / offered-without-short"
    assert client.get("/v1/wallboard/stats")["queues"] == [detail]


def test_the_configuration_is_replaced(client: ApiClient) -> None:
    queue = client.post("/v1/queues", QUEUE, status=201)
    before = client.get("/v1/wallboard/config")
    assert (before["push_seconds"], before["alerts"]) == (5, [])
    alert = {"id": "crowd", "metric": "calls_in_queue", "above": 5, "queue_id": queue["id"]}
    wanted = {"service_level_seconds": 30, "period_minutes": 60, "alerts": [alert]}
    done = client.put("/v1/wallboard/config", wanted)
    assert client.get("/v1/wallboard/config") == done
    assert (done["service_level_seconds"], done["alerts"][0]["above"]) == (30, 5)


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({"period_minutes": 1}, "period_minutes"),
        ({"push_seconds": 0}, "push_seconds"),
        ({"alerts": [{"id": "a", "metric": "mood", "above": 1}]}, "alerts.0.metric"),
        ({"alerts": [{"id": "a", "metric": "agents_busy"}]}, "alerts.0"),
        (
            {"alerts": [{"id": "a", "metric": "agents_busy", "above": 1, "queue_id": "queue_9"}]},
            "alerts.0.queue_id",
        ),
        ({"alerts": [{"id": "a", "metric": "agents_busy", "above": 1}] * 2}, "body"),
        ({"more": 1}, "more"),
    ],
)
def test_what_is_no_configuration(client: ApiClient, config: dict[str, Any], field: str) -> None:
    answer = client.put("/v1/wallboard/config", config, status=400)
    assert [fault["field"] for fault in answer["details"]] == [field]


def test_a_supervisor_sees_agents_and_changes_their_status(
    client: ApiClient, tenant: Tenant
) -> None:
    row = agents.create(
        SYSTEM, tenant.id, name="Ann", contact={"type": "number", "phone_number": "+15557770002"}
    )
    agents.set_status(SYSTEM, tenant.id, row.id, AgentStatus.AVAILABLE, None)
    path = f"/v1/supervisor/agents/{row.public_id}"
    away = client.post(f"{path}/status", {"status": "away", "reason": "training"})
    assert (away["status"], away["reason"]) == ("away", "training")
    out = client.post(f"{path}/logout", {})
    assert (out["status"], out["reason"]) == ("offline", "logged out by a supervisor")
    [shown] = client.get("/v1/supervisor/agents?status=offline")["data"]["agents"]
    assert shown == out
    history = client.get(f"/v1/agents/{row.public_id}/status/history")["data"]["changes"]
    assert [each["by"].partition("_")[0] for each in history[:2]] == ["key", "key"]
    client.post(f"{path}/status", {"status": "asleep"}, status=400)
