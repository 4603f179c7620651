"""`/v1/ai`: with a language model over HTTP, and what is done without one."""

import json
from collections.abc import Callable, Iterator

import pytest

from irisx.intelligence.extractive import NO_KNOWLEDGE
from irisx.tenancy import audit
from irisx.tenancy.models import Tenant
from tests.api.client import ApiClient
from tests.intelligence.test_chat import usage
from tests.openai_server import OpenAiServer, Turn, openai_server

HOURS = "We are open from 9 am to 5 pm on weekdays."
QUESTION = {"messages": [{"role": "user", "content": "When are you open on weekdays?"}]}
ANGRY = "This is terrible. I am furious about the awful service!"


@pytest.fixture
def says(configure: Callable[..., None]) -> Iterator[Callable[[object], OpenAiServer]]:
    """`says(value)`: the installation has a language model that answers so (text, or JSON)."""
    answer: list[str] = [""]
    with openai_server(lambda body: Turn([answer[0]])) as server:

        def say(value: object) -> OpenAiServer:
            answer[0] = value if isinstance(value, str) else json.dumps(value)
            configure(ai_base_url=server.url, ai_chat_model="m-1")
            return server

        yield say


def test_without_a_model_chat_quotes_the_knowledge_and_says_so(client: ApiClient) -> None:
    item = client.post("/v1/ai/knowledge", {"title": "FAQ", "content": HOURS}, status=201)
    answer = client.post("/v1/ai/chat", QUESTION)
    assert answer["content"] == HOURS
    assert [source["item_id"] for source in answer["sources"]] == [item["id"]]
    assert answer["provider_details"] == {
        "provider": "local",
        "model": "extractive",
        "sandbox": True,
    }
    alone = client.post("/v1/ai/chat", QUESTION | {"use_knowledge": False})
    assert (alone["content"], alone["sources"]) == (NO_KNOWLEDGE, [])


def test_chat_asks_the_model_with_instructions_and_passages(client: ApiClient, says) -> None:
    server = says("From nine.")
    client.put("/v1/ai/config", {"instructions": "Be brief."})
    client.post("/v1/ai/knowledge", {"title": "FAQ", "content": HOURS}, status=201)
    answer = client.post("/v1/ai/chat", QUESTION)
    assert (answer["content"], answer["finish_reason"]) == ("From nine.", "stop")
    assert answer["usage"] == {"prompt_tokens": 11, "completion_tokens": 7}
    assert answer["provider_details"]["sandbox"] is False
    passages, instructions, question = server.bodies("/chat/completions")[0]["messages"]
    assert HOURS in passages["content"]
    assert instructions == {"role": "system", "content": "Be brief."}
    assert question["content"] == QUESTION["messages"][0]["content"]


def test_a_test_key_reaches_no_provider(client_for, tenant: Tenant, says) -> None:
    server = says("From nine.")
    answer = client_for(tenant, test=True).post("/v1/ai/chat", QUESTION)
    assert answer["provider_details"]["sandbox"]
    assert server.asked == []


def test_a_provider_s_failure_is_503_and_the_month_s_limit_429(client: ApiClient, says) -> None:
    server = says({"summary": 1})
    fault = client.post("/v1/ai/summarize", {"text": "Long."}, status=503)
    assert fault["code"] == "AI_PROVIDER_FAILED"
    client.put("/v1/ai/config", {"monthly_token_limit": 10})
    limited = client.post("/v1/ai/chat", QUESTION, status=429)
    assert limited["code"] == "AI_LIMIT_REACHED"
    assert len(server.bodies("/chat/completions")) == 1


@pytest.mark.parametrize(
    ("path", "body", "model_says", "expected"),
    [
        (
            "summarize",
            {"text": "A long talk."},
            '```json\n{"summary": "Short.", "key_points": ["One"]}\n```',
            {"summary": "Short.", "key_points": ["One"]},
        ),
        (
            "sentiment",
            {"text": ANGRY},
            {"sentiment": "negative", "score": -0.9},
            {"sentiment": "negative", "score": -0.9},
        ),
        (
            "intent",
            {"text": "I want my money back", "intents": [{"name": "refund"}, {"name": "hours"}]},
            {"intent": "refund", "confidence": 0.8},
            {"intent": "refund", "confidence": 0.8},
        ),
        (
            "entities",
            {"text": "Ann met Bob."},
            {
                "entities": [
                    {"type": "person", "text": "Bob", "start": 0, "end": 1},
                    {"type": "person", "text": "Carl"},
                ]
            },
            {
                "entities": [
                    {"type": "person", "text": "Bob", "value": None, "start": 8, "end": 11},
                    {"type": "person", "text": "Carl", "value": None, "start": None, "end": None},
                ]
            },
        ),
    ],
)
def test_a_model_s_json_is_the_answer(
    client: ApiClient, says, path: str, body: dict, model_says: object, expected: dict
) -> None:
    server = says(model_says)
    answer = client.post(f"/v1/ai/{path}", body)
    details = answer.pop("provider_details")
    assert answer == expected
    assert (details["model"], details["sandbox"]) == ("m-1", False)
    (asked,) = server.bodies("/chat/completions")
    assert f"===\n{body['text']}\n===" in asked["messages"][-1]["content"]
    assert asked["response_format"]["type"] == "json_schema"
    assert [row.task for row in usage()] == [path]


@pytest.mark.parametrize(
    ("path", "body", "model_says"),
    [
        ("summarize", {"text": "x"}, "I can't."),
        ("sentiment", {"text": "x"}, {"sentiment": "angry", "score": -2}),
        ("intent", {"text": "x", "intents": [{"name": "refund"}]}, {"intent": "other"}),
        ("entities", {"text": "x"}, {"entities": "none"}),
    ],
)
def test_another_shape_is_refused(
    client: ApiClient, says, path: str, body: dict, model_says: object
) -> None:
    says(model_says)
    assert client.post(f"/v1/ai/{path}", body, status=503)["code"] == "AI_PROVIDER_FAILED"


def test_what_rules_and_small_models_do_says_so(client: ApiClient) -> None:
    angry = client.post("/v1/ai/sentiment", {"text": ANGRY})
    assert (angry["sentiment"], angry["score"] < -0.5) == ("negative", True)
    assert angry["provider_details"]["sandbox"]
    assert client.post("/v1/ai/sentiment", {"text": "The box is on the table."})["sentiment"] == (
        "neutral"
    )
    text = (
        "Customer: My router is broken. Agent: Hello. Agent: The router will be replaced tomorrow, "
        "a new router is on its way. Customer: Fine. Customer: Nice weather today."
    )
    summary = client.post("/v1/ai/summarize", {"text": text, "max_sentences": 2})
    assert len(summary["key_points"]) == 2
    assert "router" in summary["summary"]
    assert "weather" not in summary["summary"]
    found = client.post(
        "/v1/ai/entities",
        {"text": "Call (415) 555-2671 or mail ann@example.com about $40.50.", "region": "US"},
    )["entities"]
    assert [(e["type"], e["value"]) for e in found] == [
        ("phone", "+14155552671"),
        ("email", None),
        ("money", None),
    ]
    intents = [
        {"name": "refund", "examples": ["I want my money back"]},
        {"name": "opening_hours", "examples": ["When are you open?"]},
    ]
    asked = {"text": "at what time do you close?", "intents": intents}
    assert client.post("/v1/ai/intent", asked)["intent"] == "opening_hours"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("sentiment", {"text": "Ich bin sehr unzufrieden mit Ihrem Service, das ist schrecklich."}),
        ("intent", {"text": "I want my money back"}),
        ("entities", {"text": "Ann met Bob.", "types": ["person"]}),
    ],
)
def test_what_only_a_model_can_do_names_the_setting(
    client: ApiClient, path: str, body: dict
) -> None:
    refused = client.post(f"/v1/ai/{path}", body, status=503)
    assert refused["code"] == "AI_NOT_CONFIGURED"
    assert "IRISX_AI_CHAT_MODEL" in refused["message"]


def test_an_analysis_is_all_of_them(client: ApiClient) -> None:
    found = client.post("/v1/ai/analyze", {"text": ANGRY + " Mail me at ann@example.com."})
    assert (found["language"], found["sentiment"]["sentiment"]) == ("en", "negative")
    assert found["entities"]["entities"][0]["text"] == "ann@example.com"
    assert found["summary"]["provider_details"]["sandbox"]


def test_settings_keep_the_key_to_themselves(client: ApiClient, tenant: Tenant) -> None:
    assert client.get("/v1/ai/config")["updated_at"] is None
    fields = {"base_url": "https://8.8.8.8/v1", "chat_model": "m"}
    changed = client.put("/v1/ai/config", fields | {"api_key": "sk-very-secret"})
    assert (changed["api_key_set"], changed["chat_model"]) == (True, "m")
    assert "sk-very-secret" not in json.dumps(client.get("/v1/ai/config"))
    (entry,) = audit.entries(tenant.id, before_id=None, limit=1)
    assert entry.action == "ai_config.updated"
    assert "sk-very-secret" not in json.dumps(entry.after)
    assert entry.after["api_key_encrypted"] == "[set]"
    moved = client.put("/v1/ai/config", {"base_url": "https://9.9.9.9/v1"})
    assert moved["api_key_set"] is False  # it was not given for that host
    assert client.put("/v1/ai/config", {"transcribe_recordings": True, "redact": ["card"]})[
        "transcribe_recordings"
    ]


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({"chat_model": "m", "embedding_model": "e"}, {"chat_model", "embedding_model"}),
        ({"base_url": "http://127.0.0.1/v1"}, {"base_url"}),
        ({"redact": ["names"]}, {"redact.0"}),
        ({"api_key": "two words"}, {"api_key"}),
        ({"monthly_token_limit": -1}, {"monthly_token_limit"}),
    ],
)
def test_faulty_settings_are_named(client: ApiClient, body: dict, fields: set[str]) -> None:
    fault = client.put("/v1/ai/config", body, status=400)
    assert {detail["field"] for detail in fault["details"]} == fields
    assert client.get("/v1/ai/config")["updated_at"] is None


def test_models_are_what_there_is(client: ApiClient, says) -> None:
    def models() -> dict[tuple[str, str], dict]:
        listed = client.get("/v1/ai/models")["data"]["models"]
        return {(model["capability"], model["model"]): model for model in listed}

    found = models()
    assert found["chat", "extractive"]["sandbox"]
    assert found["embeddings", "multilingual-e5-small-q4"]["active"]
    speech = found["speech-to-text", "whisper"]
    assert (speech["available"], "IRISX_WHISPER_MODEL" in speech["reason"]) == (False, True)
    assert not found["translation", "none"]["available"]
    says("Hello")
    found = models()
    assert found["chat", "m-1"]["active"]
    assert not found["chat", "extractive"]["active"]
    assert found["translation", "m-1"]["active"]
