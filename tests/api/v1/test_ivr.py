"""`/v1/ivr/flows`: flows over REST."""

from collections.abc import Callable
from typing import Any

import pytest

from irisx.tenancy.models import Tenant
from tests.api.client import ApiClient

FLOWS = "/v1/ivr/flows"
#: The specification's example, with the nodes that it names.
EXAMPLE: dict[str, Any] = {
    "name": "Main Menu",
    "entry_point": "node_1",
    "nodes": [
        {
            "id": "node_1",
            "type": "play",
            "config": {
                "text": "Welcome to IRISX. Press 1 for sales, 2 for support.",
                "voice": "en-US-Neural2-F",
            },
            "next": "node_2",
        },
        {
            "id": "node_2",
            "type": "gather",
            "config": {"num_digits": 1, "timeout": 5},
            "branches": {"1": "node_sales", "2": "node_support", "timeout": "node_1"},
        },
        {"id": "node_sales", "type": "hangup", "config": {"text": "Sales."}},
        {"id": "node_support", "type": "hangup", "config": {"text": "Support."}},
    ],
}
SAID = {"script": {"digits": ["2"]}}


def changed(**fields: Any) -> dict[str, Any]:
    return {**EXAMPLE, **fields}


def test_the_specification_s_example_is_kept_as_a_draft_with_its_faults(client: ApiClient) -> None:
    spec = changed(nodes=EXAMPLE["nodes"][:2])
    made = client.post(FLOWS, spec, status=201)
    assert made["status"] == "draft"
    assert made["nodes"] == spec["nodes"]
    dangling = [issue["field"] for issue in made["issues"] if issue["code"] == "dangling"]
    assert dangling == ["branches.1", "branches.2"]
    refused = client.post(f"{FLOWS}/{made['id']}/publish", {}, status=400)
    assert refused["code"] == "FLOW_NOT_SOUND"
    assert "node_sales" in refused["message"]


def test_a_flow_from_draft_to_published_to_deleted(client: ApiClient) -> None:
    made = client.post(FLOWS, EXAMPLE, status=201)
    assert (made["version"], made["published_version"]) == (1, None)
    path = f"{FLOWS}/{made['id']}"
    published = client.post(f"{path}/publish", {})
    assert (published["status"], published["published_version"]) == ("published", 1)
    second = client.put(path, changed(name="Other", publish=True))
    assert (second["version"], second["published_version"]) == (2, 2)
    third = client.put(path, changed(name="Third"))
    assert (third["status"], third["published_version"]) == ("draft", 2)
    assert client.post(f"{path}/rollback")["published_version"] == 1
    assert client.get(path)["name"] == "Third"
    assert client.get(f"{path}/versions/1")["name"] == "Main Menu"
    versions = client.get(f"{path}/versions")["data"]["versions"]
    assert [(row["version"], row["status"]) for row in versions] == [
        (3, "draft"),
        (2, "published"),
        (1, "published"),
    ]
    [listed] = client.get(FLOWS)["data"]["flows"]
    assert (listed["id"], listed["nodes"], listed["published_version"]) == (made["id"], 4, 1)
    client.delete(path)
    assert client.get(path, status=404)["code"] == "NOT_FOUND"
    assert client.get(FLOWS)["data"]["flows"] == []


def test_a_document_may_name_its_schema(client: ApiClient) -> None:
    made = client.post(FLOWS, changed(**{"$schema": "https://example.com/schema"}), status=201)
    path = f"{FLOWS}/{made['id']}"
    assert client.post(f"{path}/publish", {})["status"] == "published"


def test_nothing_to_roll_back_to(client: ApiClient) -> None:
    made = client.post(FLOWS, changed(publish=True), status=201)
    answer = client.post(f"{FLOWS}/{made['id']}/rollback", status=409)
    assert answer["code"] == "NO_EARLIER_VERSION"


def test_what_is_no_flow_is_refused_with_every_fault(client: ApiClient) -> None:
    nodes = [
        {"id": "a", "type": "dance"},
        {"id": "b", "type": "play", "config": {"tex": "Hi"}},
        {"id": "c", "type": "gather", "config": {"num_digits": 99}},
    ]
    answer = client.post(FLOWS, changed(nodes=nodes), status=400)
    assert answer["code"] == "VALIDATION_ERROR"
    told = [(detail["field"], detail["message"]) for detail in answer["details"]]
    assert [field for field, _ in told] == ["a", "b.config.tex", "c.config.num_digits"]
    assert "there is no node type 'dance'" in told[0][1]


def test_simulating(client: ApiClient) -> None:
    made = client.post(FLOWS, EXAMPLE, status=201)
    answer = client.post(f"{FLOWS}/{made['id']}/simulate", SAID)
    assert answer["path"] == ["node_1", "node_2", "node_support"]
    assert answer["cause"] == "NORMAL_CLEARING"
    assert answer["variables"] == {"digits": "2"}
    assert answer["steps"][1]["reasons"] == ["the caller typed 2"]
    assert answer["steps"][2]["heard"] == [{"text": "Support."}]
    wrong = client.post(f"{FLOWS}/{made['id']}/simulate", {"script": {"digit": []}}, status=400)
    assert wrong["details"][0]["field"] == "script.digit"


def test_tests_of_a_flow_are_run_by_publishing(client: ApiClient) -> None:
    expect = {"ends_at": "node_sales"}
    test = {"name": "two is support", "script": SAID["script"], "expect": expect}
    made = client.post(FLOWS, changed(tests=[test]), status=201)
    path = f"{FLOWS}/{made['id']}"
    answer = client.post(f"{path}/publish", {}, status=400)
    assert answer["code"] == "FLOW_TESTS_FAIL"
    [detail] = answer["details"]
    assert detail["message"] == "it ends at node_support, not at node_sales"
    assert client.post(f"{path}/test", {})["passed"] is False
    test["expect"] = {"ends_at": "node_support", "hears": ["Press 1", "Support"]}
    client.put(path, changed(tests=[test], publish=True))
    assert client.post(f"{path}/test", {}) == {
        "passed": True,
        "tests": [{"name": "two is support", "passed": True, "faults": []}],
    }


def test_linting_without_storing(client: ApiClient) -> None:
    report = client.post("/v1/ivr/lint", {"flow": changed(entry_point="nowhere")})
    assert report["publishable"] is False
    assert report["issues"][0]["code"] == "entry_point"
    assert client.get(FLOWS)["data"]["flows"] == []
    assert client.post("/v1/ivr/lint", {"flow": 7})["publishable"] is False


def test_a_number_reaches_a_published_flow_only(client: ApiClient) -> None:
    made = client.post(FLOWS, EXAMPLE, status=201)
    path = f"{FLOWS}/{made['id']}"
    number = {"number": "+15550001111", "destination": {"type": "flow", "id": made["id"]}}
    numbers = "/v1/settings/phone-numbers"
    refused = client.post(numbers, number, status=400)
    assert refused["details"][0]["field"] == "destination.id"
    client.post(f"{path}/publish", {})
    row = client.post(numbers, number, status=201)
    assert client.delete(path, status=409)["code"] == "FLOW_IN_USE"
    client.delete(f"{numbers}/{row['id']}")
    client.delete(path)


def test_a_flow_that_another_enters_stays(client: ApiClient) -> None:
    inner = client.post(FLOWS, changed(name="Inner", publish=True), status=201)
    nodes = [{"id": "in", "type": "subflow", "config": {"flow": inner["id"]}, "next": "out"}]
    outer = changed(entry_point="in", nodes=[*nodes, {"id": "out", "type": "hangup"}])
    made = client.post(FLOWS, {**outer, "publish": True}, status=201)
    answer = client.delete(f"{FLOWS}/{inner['id']}", status=409)
    assert made["id"] in answer["message"]
    simulated = client.post(f"{FLOWS}/{made['id']}/simulate", SAID)
    assert simulated["path"] == ["in", "node_1", "node_2", "node_support"]
    assert [step["flow"] for step in simulated["steps"]] == [None] + [inner["id"]] * 3
    back = [{"id": "b", "type": "subflow", "config": {"flow": made["id"]}, "next": "node_sales"}]
    circle = changed(entry_point="b", nodes=[*back, EXAMPLE["nodes"][2]], publish=True)
    refused = client.put(f"{FLOWS}/{inner['id']}", circle, status=400)
    assert "leads back into this flow" in refused["message"]


def test_the_diagram_is_svg_that_shows_hostile_texts_as_texts(client: ApiClient) -> None:
    nodes = [
        {"id": "a", "type": "play", "config": {"text": "<script>&\x1b"}, "next": "gone"},
    ]
    made = client.post(
        FLOWS, {"name": '"><script>', "entry_point": "a", "nodes": nodes}, status=201
    )
    response = client.request("GET", f"{FLOWS}/{made['id']}/diagram.svg", status=200)
    assert response.mimetype == "image/svg+xml"
    from defusedxml.ElementTree import fromstring

    drawn = fromstring(response.get_data())
    assert "script" not in {element.tag.rpartition("}")[2] for element in drawn.iter()}
    assert '"><script>' in [element.text for element in drawn.iter()]


def test_schemas_are_public_and_take_what_we_take(anonymous: ApiClient) -> None:
    from jsonschema import Draft202012Validator

    flow = anonymous.get("/v1/ivr/schema")
    Draft202012Validator.check_schema(flow)
    check = Draft202012Validator(flow)
    assert list(check.iter_errors(EXAMPLE)) == []
    named = changed(**{"$schema": "http://127.0.0.1:3000/v1/ivr/schema"})
    assert list(check.iter_errors(named)) == []
    assert list(check.iter_errors(changed(nodes=[{"id": "a", "type": "dance"}])))
    play = anonymous.get("/v1/ivr/schema/play")
    assert list(Draft202012Validator(play).iter_errors(EXAMPLE["nodes"][0])) == []
    assert anonymous.get("/v1/ivr/schema/dance", status=404)["code"] == "NOT_FOUND"


def test_every_tenant_signs_with_a_secret_of_its_own(
    client: ApiClient, client_for: Callable[..., ApiClient], make_tenant: Callable[..., Tenant]
) -> None:
    mine = client.get("/v1/ivr/signing-secret")["secret"]
    assert mine.startswith("whsec_")
    assert mine == client.get("/v1/ivr/signing-secret")["secret"]
    theirs = client_for(make_tenant("Other")).get("/v1/ivr/signing-secret")["secret"]
    assert mine != theirs


@pytest.mark.parametrize("depth", [30, 2000])
def test_deep_documents_are_refused_not_followed(client: ApiClient, depth: int) -> None:
    text = '{"flow":' + '{"a":' * depth + "1" + "}" * depth + "}"
    response = client.request(
        "POST", "/v1/ivr/lint", data=text, headers={"Content-Type": "application/json"}
    )
    if response.status_code == 200:
        assert response.get_json()["publishable"] is False
    else:
        assert response.status_code == 400
