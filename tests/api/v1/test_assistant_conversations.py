"""Conversations with voice assistants by text: answers, tools, limits, and what is kept."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import select, update
from standardwebhooks import Webhook

from irisx.intelligence import config
from irisx.intelligence.assistants.models import AssistantTurn
from irisx.kernel.db import transaction
from irisx.kernel.events import DomainEvent
from irisx.tenancy import signing
from irisx.tenancy.access import SYSTEM
from irisx.tenancy.models import Tenant
from tests.api.client import ApiClient
from tests.openai_server import OpenAiServer, Turn, openai_server
from tests.receiver import Answer, receiving

SPEC = {
    "name": "Sales Assistant",
    "personality": "professional",
    "greeting": "Hello, how can I help you today?",
    "capabilities": ["appointments", "orders"],
    "escalation_triggers": ["supervisor", "angry"],
    "escalation": {"type": "number", "to": "+15555550123"},
}
Chat = Callable[[dict[str, Any]], Turn]


@pytest.fixture
def model(configure: Callable[..., None]) -> Iterator[Callable[[Chat | Turn], OpenAiServer]]:
    """`model(chat)`: from now on this answers."""
    with openai_server(Turn(["Yes."])) as server:
        configure(ai_base_url=server.url, ai_chat_model="small")

        def answers(chat: Chat | Turn) -> OpenAiServer:
            server.chat = chat if callable(chat) else lambda body: chat
            return server

        yield answers


class Talk:
    """A conversation of a client's with a new assistant."""

    def __init__(self, client: ApiClient, **changed: Any) -> None:
        self.client = client
        self.assistant = client.post("/v1/voice/assistants", SPEC | changed, status=201)
        self.path = f"/v1/voice/assistants/{self.assistant['id']}"
        self.greeting = client.post(f"{self.path}/test", {})
        self.id = self.greeting["session_id"]

    def say(self, text: str, status: int = 200) -> Any:
        body = {"session_id": self.id, "text": text}
        return self.client.post(f"{self.path}/test", body, status=status)

    def kept(self) -> Any:
        return self.client.get(f"{self.path}/sessions/{self.id}")


def test_it_greets_answers_and_keeps_the_turns(
    client: ApiClient, model: Callable[..., OpenAiServer]
) -> None:
    server = model(Turn(["We are open ", "at nine. Until ", "five."]))
    talk = Talk(client)
    assert talk.greeting["turn"]["answer"] == SPEC["greeting"]
    said = talk.say("When are you open?")
    assert said["turn"]["answer"] == "We are open at nine. Until five."
    assert (said["provider"], said["sandbox"], said["outcome"]) == (
        "openai-compatible",
        False,
        None,
    )
    talk.say("Thanks.")
    kept = talk.kept()
    assert [(turn["number"], turn["heard"]) for turn in kept["turns"]] == [
        (0, None),
        (1, "When are you open?"),
        (2, "Thanks."),
    ]
    turn = kept["turns"][1]
    assert turn["recognized_at"] <= turn["first_words_at"] <= turn["ended_at"]
    first, second = server.bodies("/chat/completions")
    assert "Sales Assistant" in first["messages"][0]["content"]
    assert [message["content"] for message in second["messages"][1:]] == [
        SPEC["greeting"],
        "When are you open?",
        "We are open at nine. Until five.",
        "Thanks.",
    ]
    assert {tool["function"]["name"] for tool in first["tools"]} == {"hang_up", "escalate"}
    listed = client.get(f"{talk.path}/sessions?limit=1")["data"]
    assert [row["id"] for row in listed["sessions"]] == [talk.id]


def test_answers_rest_on_the_knowledge_base_and_keep_their_sources(
    client: ApiClient, model: Callable[..., OpenAiServer]
) -> None:
    collection = client.post("/v1/ai/knowledge", {"title": "Shop"}, status=201)["id"]
    hours = {"title": "Hours", "content": "We are open from nine to five on weekdays."}
    item = client.post("/v1/ai/knowledge", hours | {"knowledge_base_id": collection}, status=201)[
        "id"
    ]
    other = {"title": "Other hours", "content": "The other shop is open at night."}
    client.post("/v1/ai/knowledge", other, status=201)
    server = model(Turn(["From nine to five."]))
    talk = Talk(client, knowledge_base_id=collection)
    said = talk.say("When are you open?")
    assert [(one["item_id"], one["title"]) for one in said["turn"]["sources"]] == [(item, "Hours")]
    told = json.dumps(server.bodies("/chat/completions")[-1]["messages"])
    assert "nine to five on weekdays" in told and "at night" not in told


def test_without_a_language_model_it_says_what_it_is(client: ApiClient) -> None:
    said = Talk(client).say("When are you open?")
    assert (said["provider"], said["sandbox"]) == ("local", True)
    assert "no language model is configured" in said["turn"]["answer"]


@pytest.mark.parametrize("said", ["I want your SUPERVISOR, now!", "I am so angry."])
def test_a_trigger_escalates_without_asking_the_model(
    client: ApiClient, model: Callable[..., OpenAiServer], said: str
) -> None:
    server = model(Turn(["A caller wants a person."]))
    talk = Talk(client)
    answer = talk.say(said)
    assert answer["outcome"] == "escalated"
    assert answer["reason"] in SPEC["escalation_triggers"]
    assert answer["turn"]["answer"] == "One moment, I will connect you with a colleague."
    assert answer["summary"] == "A caller wants a person."
    assert len(server.bodies("/chat/completions")) == 1  # the summary's
    assert talk.say("Hello?", status=409)["code"] == "SESSION_ENDED"
    with transaction() as session:
        told = session.scalars(select(DomainEvent).order_by(DomainEvent.id)).all()
    events = {event.type: event.data for event in told}
    assert events["assistant.escalated"]["summary"] == "A caller wants a person."
    assert events["assistant.ended"]["outcome"] == "escalated"


def test_a_word_within_a_word_triggers_nothing(
    client: ApiClient, model: Callable[..., OpenAiServer]
) -> None:
    model(Turn(["Yes."]))
    assert Talk(client).say("I bought strangary cheese")["outcome"] is None


def uses(name: str, arguments: dict[str, Any], then: str) -> Chat:
    """A model that calls a tool once, and then says something."""

    def chat(body: dict[str, Any]) -> Turn:
        if body["messages"][-1]["role"] == "tool":
            return Turn([then])
        return Turn(["One moment."], tools=[(name, arguments)])

    return chat


def test_what_it_collects_is_kept_and_known(
    client: ApiClient, model: Callable[..., OpenAiServer]
) -> None:
    server = model(uses("order_number", {"value": "12345678"}, "Thank you."))
    tool = {"type": "collect", "name": "order_number", "description": "The order"}
    talk = Talk(client, tools=[tool])
    said = talk.say("It is 12345678")
    assert said["turn"]["answer"] == "One moment. Thank you."
    assert said["turn"]["actions"][0]["result"] == "Kept: 12345678"
    assert talk.kept()["collected"] == {"order_number": "12345678"}
    talk.say("And now?")
    assert (
        "order_number: 12345678" in server.bodies("/chat/completions")[-1]["messages"][0]["content"]
    )


def test_numbers_that_a_tenant_does_not_keep_are_not_kept(
    client: ApiClient, tenant: Tenant, model: Callable[..., OpenAiServer]
) -> None:
    config.change(SYSTEM, tenant.id, {"redact": ["card"]})
    card = "4111 1111 1111 1111"
    server = model(uses("card", {"value": card}, "Thank you."))
    tool = {"type": "collect", "name": "card", "description": "The card"}
    talk = Talk(client, tools=[tool])
    talk.say(f"It is {card}, please")
    assert "4111" not in json.dumps(talk.kept())
    assert talk.kept()["turns"][1]["heard"] == "It is [redacted] please"
    assert card in json.dumps(server.bodies("/chat/completions")[-1])  # the model was told


def test_a_webhook_is_asked_signed_and_its_answer_read(
    client: ApiClient,
    tenant: Tenant,
    model: Callable[..., OpenAiServer],
    configure: Callable[..., None],
) -> None:
    server = model(uses("order_status", {"order": "17", "secret": "x"}, "It is on its way."))
    configure(allowed_private_hosts="127.0.0.1")
    with receiving(lambda request: Answer(200, body=b'{"status": "sent"}')) as receiver:
        tool = {
            "type": "webhook",
            "name": "order_status",
            "description": "Where an order is",
            "url": receiver.url,
            "parameters": [{"name": "order", "description": "Its number"}],
        }
        talk = Talk(client, tools=[tool])
        said = talk.say("Where is order 17?")
        request = receiver.received[0]
    assert said["turn"]["answer"] == "One moment. It is on its way."
    Webhook(signing.secret(tenant.id)).verify(request.body, request.headers)
    assert json.loads(request.body)["arguments"] == {"order": "17"}
    told = server.bodies("/chat/completions")[-1]["messages"][-1]
    assert (told["role"], told["content"]) == ("tool", '{"status": "sent"}')


def test_a_webhook_that_leads_to_a_private_address_is_not_asked(
    client: ApiClient, model: Callable[..., OpenAiServer], configure: Callable[..., None]
) -> None:
    model(uses("look", {}, "I can't look it up."))
    with receiving(lambda request: Answer(200)) as receiver:
        configure(allowed_private_hosts="127.0.0.1")
        tool = {"type": "webhook", "name": "look", "description": "Look", "url": receiver.url}
        talk = Talk(client, tools=[tool])
        configure(allowed_private_hosts="")
        said = talk.say("Look it up")
        assert receiver.received == []
    assert said["turn"]["answer"] == "One moment. I can't look it up."


CALLBACK = {"type": "callback", "queue_id": "queue_7"}


def test_a_callback_is_booked(client: ApiClient, model: Callable[..., OpenAiServer]) -> None:
    model(uses("book_callback", {"number": "+1 555 555 0123", "notes": "Prices"}, "Booked."))
    Talk(client, tools=[CALLBACK]).say("Call me back on 555 555 0123")
    with transaction() as session:
        event = session.scalars(
            select(DomainEvent).where(DomainEvent.type == "callback.requested")
        ).one()
    booked = {name: event.data[name] for name in ("phone_number", "queue_id", "notes")}
    assert booked == {"phone_number": "+15555550123", "queue_id": "queue_7", "notes": "Prices"}


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        ({"number": "12", "notes": "x"}, "country code"),
        ({"notes": "x"}, "country code"),  # a text test has no caller's number
        ({"number": "+15555550123"}, "notes is missing"),
        ({"number": "+15555550123", "notes": "x", "at": "tomorrow"}, "ISO 8601"),
        ({"number": "+15555550123", "notes": "x", "at": "1999-01-01T10:00:00Z"}, "next 60 days"),
    ],
    ids=str,
)
def test_a_tool_that_is_misused_tells_the_model(
    client: ApiClient,
    model: Callable[..., OpenAiServer],
    arguments: dict[str, Any],
    fault: str,
) -> None:
    model(uses("book_callback", arguments, "Which number?"))
    said = Talk(client, tools=[CALLBACK]).say("Call me back")
    assert fault in said["turn"]["actions"][0]["result"]
    with transaction() as session:
        assert session.scalars(select(DomainEvent)).all() == []


def test_a_transfer_and_a_goodbye_end_it(
    client: ApiClient, model: Callable[..., OpenAiServer]
) -> None:
    destination = {"type": "number", "to": "+15555550199"}
    tool = {"type": "transfer", "name": "to_sales", "description": "To buy"}
    model(Turn(["I connect you."], tools=[("to_sales", {"reason": "buys"})]))
    said = Talk(client, tools=[tool | {"destination": destination}]).say("I want to buy")
    assert (said["outcome"], said["reason"]) == ("transferred", "buys")
    assert said["destination"] == {**destination, "id": None}
    model(Turn(["Goodbye."], tools=[("hang_up", {})]))
    assert Talk(client).say("Bye")["outcome"] == "completed"


def test_too_many_turns_end_it(client: ApiClient, model: Callable[..., OpenAiServer]) -> None:
    model(Turn(["Yes."]))
    talk = Talk(client, limits={"max_turns": 1})
    assert talk.say("One?")["outcome"] == "limit"
    talk.say("Two?", status=409)


def test_a_model_that_calls_tools_for_ever_is_stopped(
    client: ApiClient, model: Callable[..., OpenAiServer]
) -> None:
    tool = {"type": "collect", "name": "age", "description": "The age"}

    def chat(body: dict[str, Any]) -> Turn:
        return Turn(tools=[("age", {"value": 1})]) if body.get("tools") else Turn(["Done."])

    server = model(chat)
    assert Talk(client, tools=[tool]).say("Hm")["turn"]["answer"] == "Done."
    assert len(server.bodies("/chat/completions")) == 5


def test_a_model_that_fails_loses_nothing(
    client: ApiClient, model: Callable[..., OpenAiServer]
) -> None:
    model(Turn(status=500, body=b"out of memory"))
    talk = Talk(client)
    assert talk.say("Hello?", status=503)["code"] == "AI_PROVIDER_FAILED"
    model(Turn(["Here I am."]))
    assert talk.say("Hello?")["turn"]["answer"] == "Here I am."
    assert "out of memory" in talk.kept()["turns"][1]["error"]


def test_one_text_at_a_time(client: ApiClient, model: Callable[..., OpenAiServer]) -> None:
    model(Turn(["Yes."]))
    talk = Talk(client)
    talk.say("One?")
    with transaction() as session:  # as it stands while it is answered
        session.execute(
            update(AssistantTurn).where(AssistantTurn.number == 1).values(ended_at=None)
        )
    assert talk.say("Two?", status=409)["code"] == "SESSION_BUSY"


def test_a_change_of_the_assistant_leaves_the_conversation_as_it_began(
    client: ApiClient, model: Callable[..., OpenAiServer]
) -> None:
    server = model(Turn(["Yes."]))
    talk = Talk(client)
    client.put(talk.path, {"name": "Somebody else"})
    talk.say("Hello?")
    assert "Sales Assistant" in server.bodies("/chat/completions")[0]["messages"][0]["content"]
