"""`/v1/translation`: by a LibreTranslate-style service, by a language model, by nobody."""

import json
from collections.abc import Iterator

import pytest

from tests.api.client import ApiClient
from tests.intelligence.test_chat import usage
from tests.openai_server import Turn, openai_server
from tests.receiver import Answer, Receiver, receiving

HELLO = {"text": "Hello, how can I help you?", "source": "en", "target": "es"}
HOLA = "Hola, ¿cómo puedo ayudarte?"


@pytest.fixture
def service() -> Iterator[Receiver]:
    body = json.dumps({"translatedText": HOLA}).encode()
    with receiving(lambda request: Answer(200, body=body)) as receiver:
        yield receiver


def test_nothing_is_made_up(client: ApiClient) -> None:
    refused = client.post("/v1/translation/translate", HELLO, status=503)
    assert refused["code"] == "AI_NOT_CONFIGURED"
    assert "IRISX_TRANSLATION_URL" in refused["message"]
    assert client.get("/v1/translation/config")["available"] is False


def test_the_installation_s_service_translates(
    client: ApiClient, configure, service: Receiver
) -> None:
    configure(translation_url=service.url, translation_api_key="k-1")
    answer = client.post("/v1/translation/translate", HELLO)
    assert answer.pop("provider_details")["provider"] == "libretranslate"
    assert answer == {
        "translated": HOLA,
        "source_language": "en",
        "target_language": "es",
        "confidence": None,
    }
    (asked,) = service.received
    assert json.loads(asked.body) == {
        "q": HELLO["text"],
        "source": "en",
        "target": "es",
        "format": "text",
        "api_key": "k-1",
    }
    assert "authorization" not in asked.headers
    (row,) = usage()
    assert (row.task, row.characters_in, row.characters_out) == ("translate", 26, len(HOLA))


def test_the_source_is_detected_and_the_target_a_setting(
    client: ApiClient, configure, service: Receiver
) -> None:
    configure(translation_url=service.url)
    text = {"text": "Guten Tag, ich habe eine Frage zu meiner Rechnung."}
    assert client.post("/v1/translation/translate", text, status=503)
    client.put("/v1/translation/config", {"target": "es"})
    answer = client.post("/v1/translation/translate", text)
    assert (answer["source_language"], answer["target_language"]) == ("de", "es")
    assert answer["confidence"] > 0.5


def test_a_tenant_s_own_service_goes_first_through_the_guard(
    client: ApiClient, configure, service: Receiver
) -> None:
    client.put("/v1/translation/config", {"url": service.url}, status=400)
    configure(translation_url="http://127.0.0.1:1", allowed_private_hosts="127.0.0.1")
    fault = client.put("/v1/translation/config", {"provider": "libretranslate"}, status=400)
    assert fault["details"][0]["field"] == "url"
    fields = {"provider": "libretranslate", "url": service.url, "api_key": "k-own"}
    assert client.put("/v1/translation/config", fields)["available"]
    assert client.post("/v1/translation/translate", HELLO)["translated"] == HOLA
    configure(allowed_private_hosts="")
    refused = client.post("/v1/translation/translate", HELLO, status=503)
    assert refused["code"] == "AI_PROVIDER_UNREACHABLE"
    assert "k-own" not in json.dumps(client.get("/v1/translation/config"))


def test_a_language_model_translates_what_it_must_not_obey(client: ApiClient, configure) -> None:
    with openai_server(Turn([HOLA, "\n"])) as server:
        configure(ai_base_url=server.url, ai_chat_model="m-1")
        answer = client.post("/v1/translation/translate", HELLO)
    assert (answer["translated"], answer["provider_details"]["model"]) == (HOLA, "m-1")
    rule, text = server.bodies("/chat/completions")[0]["messages"]
    assert "from English to Spanish" in rule["content"]
    assert text == {"role": "user", "content": HELLO["text"]}
    assert [row.task for row in usage()] == ["translate"]


@pytest.mark.parametrize(
    "body", [b"[]", b"{}", b'{"translatedText": 1}', b"<html>", b'{"error": "no"}']
)
def test_a_service_that_answers_nonsense_is_told(client: ApiClient, configure, body) -> None:
    with receiving(lambda request: Answer(200, body=body)) as service:
        configure(translation_url=service.url)
        refused = client.post("/v1/translation/translate", HELLO, status=503)
    assert refused["code"] == "AI_PROVIDER_FAILED"


def test_languages_are_detected_here(client: ApiClient) -> None:
    found = client.post("/v1/translation/detect", {"text": HOLA})
    assert (found["language"], found["name"]) == ("es", "Spanish")
    assert found["confidence"] > found["alternatives"][0]["confidence"]
    codes = [row["code"] for row in client.get("/v1/translation/languages")["data"]["languages"]]
    assert {"en", "es", "fr", "de", "zh"} <= set(codes)
    for text in ("?", "1234", "\U0001f600", "x" * 10_000):
        client.post("/v1/translation/detect", {"text": text})


@pytest.mark.parametrize(
    "body", [{}, {"text": ""}, {"text": "x", "target": "Spanish"}, {"text": "x", "to": "es"}]
)
def test_faults_are_named(client: ApiClient, body: dict) -> None:
    assert client.post("/v1/translation/translate", body, status=400)["details"]
