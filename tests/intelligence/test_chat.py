"""Language models over HTTP, and what answers where there is none."""

import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from irisx.intelligence import config, engine
from irisx.intelligence.chat import Message, Passage, Request, Role, Tool, sentences
from irisx.intelligence.errors import (
    LimitReached,
    ProviderBusy,
    ProviderError,
    ProviderRefused,
    ProviderTimeout,
    ProviderUnreachable,
)
from irisx.intelligence.extractive import NO_KNOWLEDGE
from irisx.intelligence.models import AiUsage
from irisx.kernel.db import transaction
from irisx.tenancy.access import SYSTEM
from irisx.tenancy.models import Tenant
from tests.openai_server import OpenAiServer, Turn, openai_server

Configure = Callable[..., None]


def question(text: str = "When are you open?", **options) -> Request:
    return Request([Message(Role.USER, text)], **options)


def use(configure: Configure, server: OpenAiServer) -> None:
    configure(ai_base_url=server.url, ai_api_key="sk-platform", ai_chat_model="m-1")


def usage() -> list[AiUsage]:
    with transaction() as session:
        return list(session.scalars(select(AiUsage).order_by(AiUsage.id)))


def test_an_answer_comes_piece_by_piece_and_is_metered(tenant: Tenant, configure) -> None:
    with openai_server(Turn(["We open", " at nine."], pause=0.3)) as server:
        use(configure, server)
        began = time.monotonic()
        streaming = engine.stream(tenant.id, question(), task="chat")
        first = next(streaming.deltas)
        waited = time.monotonic() - began
        rest = list(streaming.deltas)
        took = time.monotonic() - began
    assert first.text == "We open"
    assert took - waited > 0.25  # the second piece was not there when the first was handed on
    assert [delta.text for delta in rest] == [" at nine.", ""]
    assert (streaming.details.model, streaming.details.sandbox) == ("m-1", False)
    ((path, headers, body),) = server.asked
    assert (path, headers["authorization"]) == ("/chat/completions", "Bearer sk-platform")
    assert body["messages"] == [{"role": "user", "content": "When are you open?"}]
    (row,) = usage()
    assert (row.task, row.prompt_tokens, row.completion_tokens) == ("chat", 11, 7)
    assert (row.characters_in, row.characters_out, row.error) == (18, 16, None)


def test_passages_go_before_the_messages_as_material(tenant: Tenant, configure) -> None:
    with openai_server(Turn(["At nine."])) as server:
        use(configure, server)
        engine.complete(tenant.id, question(passages=[Passage("Open at 9.", "FAQ")]), task="chat")
    system, user = server.bodies("/chat/completions")[0]["messages"]
    assert system["role"] == "system"
    assert "[1] FAQ\nOpen at 9." in system["content"]
    assert user["content"] == "When are you open?"


def test_tool_calls_are_put_together_from_their_pieces(tenant: Tenant, configure) -> None:
    turn = Turn(["One moment."], tools=[("transfer", {"to": "sales"}), ("hang_up", {})])
    tools = [Tool("transfer", "Transfer the call.", {"type": "object"})]
    with openai_server(turn) as server:
        use(configure, server)
        done = engine.complete(tenant.id, question(tools=tools), task="chat").answer
    assert [(call.name, call.arguments) for call in done.tool_calls] == [
        ("transfer", {"to": "sales"}),
        ("hang_up", {}),
    ]
    assert done.finish == "tool_calls"
    assert server.bodies("/chat/completions")[0]["tools"][0]["function"]["name"] == "transfer"


@pytest.mark.parametrize(
    ("turn", "error", "says"),
    [
        (Turn(status=401, body=b'{"error": "bad key"}'), ProviderRefused, "bad key"),
        (Turn(status=429), ProviderBusy, "429"),
        (Turn(status=500), ProviderError, "500"),
        (Turn(["We op"], cut=True), ProviderError, "broke off"),
        (Turn(["We open"], pause=5), ProviderTimeout, "within"),
    ],
)
def test_a_failure_is_typed_and_metered(
    tenant: Tenant, configure, turn: Turn, error: type[ProviderError], says: str
) -> None:
    with openai_server(turn) as server:
        use(configure, server)
        with pytest.raises(error, match=says) as raised:
            engine.complete(tenant.id, question(), task="chat", timeout=1.0)
    assert raised.value.status == 503
    assert [row.error for row in usage()] == [raised.value.code]


def test_a_provider_that_is_away_is_unreachable(tenant: Tenant, configure) -> None:
    configure(ai_base_url="http://127.0.0.1:1/v1", ai_chat_model="m-1")
    with pytest.raises(ProviderUnreachable):
        engine.complete(tenant.id, question(), task="chat")


def test_an_answer_that_nobody_reads_on_is_metered(tenant: Tenant, configure) -> None:
    with openai_server(Turn(["One. ", "Two. ", "Three."])) as server:
        use(configure, server)
        streaming = engine.stream(tenant.id, question(), task="chat")
        next(streaming.deltas)
        streaming.deltas.close()
    assert [(row.error, row.characters_out) for row in usage()] == [("ABANDONED", 5)]


def test_a_tenant_s_own_provider_goes_first_and_stays_guarded(tenant: Tenant, configure) -> None:
    with openai_server(Turn(["Own."])) as own, openai_server(Turn(["Platform's."])) as platform:
        use(configure, platform)
        configure(allowed_private_hosts="127.0.0.1")
        fields = {"base_url": own.url, "api_key": "sk-own", "chat_model": "m-own"}
        config.change(SYSTEM, tenant.id, fields)
        done = engine.complete(tenant.id, question(), task="chat")
        assert (done.answer.text, done.details.model) == ("Own.", "m-own")
        assert own.asked[0][1]["authorization"] == "Bearer sk-own"
        configure(allowed_private_hosts="")  # the installation's URL may be private, not a tenant's
        with pytest.raises(ProviderUnreachable, match="not a public address"):
            engine.complete(tenant.id, question(), task="chat")
        assert len(own.asked) == 1
        assert engine.complete(tenant.id, question(), task="chat", test=True).details.sandbox


def test_the_month_s_limit_ends_the_use_of_a_provider(tenant: Tenant, configure) -> None:
    config.change(SYSTEM, tenant.id, {"monthly_token_limit": 18})
    with openai_server(Turn(["Yes."])) as server:
        use(configure, server)
        engine.complete(tenant.id, question(), task="chat")
        with pytest.raises(LimitReached, match="18 of this month's 18"):
            engine.complete(tenant.id, question(), task="chat")
        assert len(server.asked) == 1


def test_without_a_model_answers_are_quotes_and_say_so(tenant: Tenant) -> None:
    passages = [
        Passage("Our offices are in Paris. We open at 9 am on weekdays.", "FAQ"),
        Passage("Refunds take 14 days.", "Refunds"),
    ]
    done = engine.complete(
        tenant.id, question("What time do you open?", passages=passages), task="chat"
    )
    assert done.details.sandbox
    assert done.answer.text == "We open at 9 am on weekdays."
    for text, given_passages in (("What time do you open?", []), ("Who is the king?", passages)):
        asked = question(text, passages=given_passages)
        assert engine.complete(tenant.id, asked, task="chat").answer.text == NO_KNOWLEDGE


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello. How are you? Fine!", ["Hello.", "How are you?", "Fine!"]),
        ("It is 3.5 percent. Dr. Who knows.", ["It is 3.5 percent.", "Dr. Who knows."]),
        ("First line\nsecond line", ["First line", "second line"]),
        ("你好。再见。", ["你好。", "再见。"]),
        ("", []),
    ],
)
def test_sentences(text: str, expected: list[str]) -> None:
    assert list(sentences([text])) == expected
    assert list(sentences(text)) == expected  # letter by letter


@given(st.lists(st.text(max_size=20)))
def test_sentences_lose_no_word_however_the_text_is_cut(pieces: list[str]) -> None:
    assert "".join("".join(sentences(pieces)).split()) == "".join("".join(pieces).split())


def test_a_sentence_is_ready_as_soon_as_the_next_begins() -> None:
    def pieces():
        yield "We open at nine. W"
        raise AssertionError("asked for more before the first sentence was handed on")

    assert next(sentences(pieces())) == "We open at nine."
