"""`/v1/amd`: settings, results, feedback, statistics, kept audio."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from irisx.kernel.clock import now
from irisx.kernel.db import transaction
from irisx.settings import get_settings
from irisx.telephony.amd import audio
from irisx.telephony.amd.models import AmdResult
from irisx.telephony.calls.service import get_call
from irisx.tenancy.models import PhoneNumber, Tenant
from tests.api.client import ApiClient
from tests.telephony.calls.rows import store_call

#: The example of the specification.
SPECIFIED = {
    "enabled": True,
    "initial_silence": 2500,
    "greeting_length": 1500,
    "after_greeting_silence": 800,
    "total_analysis_time": 5000,
    "minimum_word_length": 100,
    "between_words_silence": 50,
    "maximum_words": 3,
    "action_on_machine": "leave_voicemail",
    "action_on_human": "connect",
}


def detected(tenant: Tenant, result: str = "human", **columns: Any) -> AmdResult:
    """A result as the engine writes it."""
    row = AmdResult(
        **{
            "tenant_id": tenant.id,
            "call_id": store_call(tenant).id,
            "result": result,
            "cause": "after_greeting_silence",
            "confidence": 0.9,
            "mode": "balanced",
            "settings": {},
            "features": {"words": 1},
            "decided_at": now(),
            "decided_ms": 2000,
            "action": "connect",
            "sandbox": False,
            **columns,
        }
    )
    with transaction() as session:
        session.add(row)
    return row


# --- settings ---------------------------------------------------------------------------------


def test_the_specified_settings_are_kept_and_the_rest_is_shown(client: ApiClient) -> None:
    before = client.get("/v1/amd/config")
    assert (before["enabled"], before["mode"], before["greeting_length"]) == (
        False,
        "balanced",
        1800,
    )
    assert client.put("/v1/amd/config", SPECIFIED).items() >= SPECIFIED.items()
    after = client.get("/v1/amd/config")
    assert after.items() >= SPECIFIED.items()
    assert (after["action_on_fax"], after["message"], after["keep_audio"]) == (
        "hangup",
        None,
        False,
    )


def test_what_is_left_out_stays_and_null_brings_the_default_back(client: ApiClient) -> None:
    client.put("/v1/amd/config", {"maximum_words": 7, "action_on_machine": "hangup"})
    after = client.put("/v1/amd/config", {"maximum_words": None, "keep_audio": True})
    assert (after["maximum_words"], after["action_on_machine"]) == (1, "hangup")
    entry = client.get("/v1/audit-log")["data"]["entries"][0]
    assert entry["action"] == "amd_config.updated"
    assert entry["after"] == {"action_on_machine": "hangup", "keep_audio": True}


@pytest.mark.parametrize(
    ("wrong", "fields"),
    [
        ({"maximum_words": "3", "initial_silence": -1}, {"maximum_words", "initial_silence"}),
        ({"action_on_human": "leave_voicemail"}, {"action_on_human"}),
        ({"action_on_machine": "flow"}, {"flow_id"}),
        ({"flow_id": "flow_999"}, {"flow_id"}),
        ({"message": {}}, {"message"}),
        ({"message": {"text": "{{"}}, {"message.text"}),
        ({"message": {"prompts": [{"prompt": "prm_999"}]}}, {"message.prompts.0"}),
        ({"silence_threshold": 256}, {"silence_threshold"}),
    ],
)
def test_wrong_settings_are_named(client: ApiClient, wrong: Any, fields: set[str]) -> None:
    refused = client.put("/v1/amd/config", wrong, status=400)
    assert {each["field"] for each in refused["details"]} == fields
    assert client.get("/v1/amd/config")["maximum_words"] == 1


def test_a_tenant_that_enables_it_has_it_on_every_call(
    client: ApiClient, number: PhoneNumber
) -> None:
    client.put("/v1/amd/config", {"enabled": True})
    for body, enabled in (({}, True), ({"amd_enabled": False}, False)):
        created = client.post("/v1/calls", {"to": "+15555559999", **body}, status=201)
        assert client.get(f"/v1/calls/{created['sid']}")["amd_enabled"] is enabled


def test_a_call_that_names_another_mode_has_its_numbers(
    client: ApiClient, number: PhoneNumber, tenant: Tenant
) -> None:
    client.put("/v1/amd/config", {"greeting_length": 1000, "action_on_machine": "hangup"})
    plans = [
        client_plan(client, tenant, amd) for amd in ({"maximum_words": 2}, {"mode": "message_end"})
    ]
    lengths = [plan["settings"]["greeting_length"] for plan in plans]
    assert lengths == [1000, 2800]
    assert plans[1]["actions"]["machine"] == "hangup"


def client_plan(client: ApiClient, tenant: Tenant, amd: dict[str, Any]) -> dict[str, Any]:
    created = client.post("/v1/calls", {"to": "+15555559999", "amd": amd}, status=201)
    plan: dict[str, Any] = get_call(tenant.id, created["sid"]).options["amd"]
    return plan


# --- results ----------------------------------------------------------------------------------


def test_results_are_listed_newest_first_and_shown_with_their_call(
    client: ApiClient, tenant: Tenant
) -> None:
    old = detected(tenant, decided_at=now() - timedelta(days=2))
    new = detected(tenant, "machine", cause="beep", beep_at_ms=5000, action="leave_voicemail")
    data = client.get("/v1/amd/results")["data"]
    assert [each["id"] for each in data["results"]] == [new.public_id, old.public_id]
    assert data["pagination"]["total"] == 2
    sid = data["results"][0]["call_sid"]
    shown = client.get(f"/v1/calls/{sid}")["amd"]
    assert (shown["result"], shown["beep_at_ms"], shown["action"]) == (
        "machine",
        5000,
        "leave_voicemail",
    )
    for query in ("result=human", f"to_date={now() - timedelta(days=1):%Y-%m-%d}"):
        found = client.get(f"/v1/amd/results?{query}")["data"]["results"]
        assert [each["id"] for each in found] == [old.public_id]
    assert len(client.get(f"/v1/amd/results?call_sid={sid}")["data"]["results"]) == 1


def test_accuracy_rests_on_feedback_alone(client: ApiClient, tenant: Tenant) -> None:
    empty = client.get("/v1/amd/statistics")["data"]
    assert (empty["total"], empty["decided_ms"]["mean"]) == (0, None)
    assert empty["accuracy"] == {"value": None, "numerator": 0, "denominator": 0}
    rows = [detected(tenant, result) for result in ("human", "human", "machine", "machine")]
    detected(tenant, "unknown", cause="hung_up", decided_ms=100)
    for row, label in zip(rows, ("human", "machine", "human"), strict=False):
        path = f"/v1/amd/results/{row.public_id}/feedback"
        told = client.post(path, {"label": label, "note": " heard it "})
        assert (told["label"], told["label_note"]) == (label, "heard it")
    figures = client.get("/v1/amd/statistics")["data"]
    assert figures["total"] == 5
    assert figures["results"] == {"human": 2, "machine": 2, "fax": 0, "silence": 0, "unknown": 1}
    assert figures["decided_ms"] == {"count": 4, "mean": 2000, "median": 2000, "p95": 2000}
    assert (figures["labeled"], figures["accuracy"]["value"]) == (3, 0.3333)
    assert figures["humans_called_machine"] == {"value": 0.5, "numerator": 1, "denominator": 2}
    assert figures["machines_called_human"] == {"value": 1.0, "numerator": 1, "denominator": 1}
    again = f"/v1/amd/results/{rows[2].public_id}/feedback"
    assert client.post(again, {"label": "machine"})["label_note"] is None
    assert client.get("/v1/amd/statistics")["data"]["accuracy"]["numerator"] == 2


def test_feedback_that_says_nothing_is_refused(client: ApiClient, tenant: Tenant) -> None:
    path = f"/v1/amd/results/{detected(tenant).public_id}/feedback"
    for wrong in ({}, {"label": "robot"}, {"label": "human", "note": "x" * 501}):
        assert client.post(path, wrong, status=400)["code"] == "VALIDATION_ERROR"


# --- audio ------------------------------------------------------------------------------------


def test_kept_audio_is_heard_and_one_day_erased(
    client: ApiClient, client_for: Callable[..., ApiClient], make_tenant: Callable[..., Tenant]
) -> None:
    tenant = make_tenant("Keeper")
    mine = client_for(tenant)
    name = "amd/2026/01/02/a.flac"
    file = get_settings().recording_path / name
    row = detected(tenant, audio_path=name, audio_until=now() + timedelta(days=1))
    path = f"/v1/amd/results/{row.public_id}/audio"
    audio.store()  # the media process has not written it yet
    assert mine.get(path, status=404)["code"] == "AUDIO_NOT_KEPT"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"fLaC")
    audio.store()
    assert mine.request("GET", path).data == b"fLaC"
    client.get(path, status=404)
    with transaction() as session:
        session.get_one(AmdResult, row.id).audio_until = now() - timedelta(seconds=1)
    audio.erase()
    assert not file.exists()
    assert mine.get(path, status=404)["code"] == "AUDIO_NOT_KEPT"
    assert mine.get("/v1/amd/results")["data"]["results"][0]["has_audio"] is False


def test_audio_that_was_never_written_is_forgotten(tenant: Tenant, client: ApiClient) -> None:
    row = detected(tenant, audio_path="amd/never.flac", decided_at=now() - timedelta(hours=1))
    audio.store()
    with transaction() as session:
        assert session.get_one(AmdResult, row.id).audio_path is None
    assert not Path(get_settings().recording_path / "amd/never.flac").exists()
