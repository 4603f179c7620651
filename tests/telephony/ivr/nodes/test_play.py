"""`play`."""

from tests.telephony.ivr.documents import node
from tests.telephony.ivr.nodes.calling import call, first, path, said


def test_text_and_prompts_in_order_with_the_voice_of_the_node() -> None:
    config = {
        "text": "Hello {{ caller.number[-4:] }}.",
        "voice": "en-US-Neural2-F",
        "prompts": [
            {"prompt": "prm_1"},
            {"say": "{{ n }}", "as": "number", "voice": "other"},
            {"silence_ms": 500},
            {"url": "https://example.com/{{ n }}.wav"},
        ],
    }
    heard = first(call(node("a", "play", config), variables={"n": 42})).heard
    assert heard == [
        {"text": "Hello 0123.", "voice": "en-US-Neural2-F"},
        {"prompt": "prm_1"},
        {"say": "42", "as": "number", "currency": "USD", "voice": "other"},
        {"silence_ms": 500},
        {"url": "https://example.com/42.wav"},
    ]


def test_what_is_empty_is_not_said_and_times_repeats() -> None:
    config = {"text": "{{ nothing }}", "prompts": [{"text": "Hi"}], "times": 2}
    assert said(call(node("a", "play", config), variables={"nothing": None})) == ["Hi", "Hi"]


def test_a_text_that_can_t_be_rendered_goes_on_by_failed_or_next() -> None:
    config = {"text": "{{ 1 / n }}"}
    failed = call(node("a", "play", config, next="b", branches={"failed": "f"}), variables={"n": 0})
    assert (first(failed).outcome, path(failed)) == ("failed", ["a", "f"])
    assert path(call(node("a", "play", config, next="b"), variables={"n": 0})) == ["a", "b"]
