"""Templates: what Meta would refuse of a definition, and of a message by it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from irisx.messaging.channels.whatsapp.content import WhatsAppComponent
from irisx.messaging.channels.whatsapp.template_parts import (
    faults_of_definition,
    faults_of_message,
    text_of,
)


def body(text: str = "Hello {{1}}.", *examples: str) -> dict[str, Any]:
    return {"type": "BODY", "text": text, "example": {"body_text": [list(examples or ("Ann",))]}}


HEADER = {"type": "HEADER", "format": "IMAGE"}
URL = {"type": "URL", "text": "Track", "url": "https://shop.example/{{1}}"}
CALL = {"type": "PHONE_NUMBER", "text": "Call", "phone_number": "+15555550100"}
BUTTONS = {"type": "BUTTONS", "buttons": [CALL, URL]}


@pytest.mark.parametrize(
    ("category", "components", "faulty"),
    [
        ("UTILITY", [body()], []),
        ("UTILITY", [HEADER, body(), {"type": "FOOTER", "text": "Bye"}, BUTTONS], []),
        ("UTILITY", [body("Hello {{name}}.") | {"example": {"body_text_named_params": [{}]}}], []),
        ("AUTHENTICATION", [{"type": "BODY"}, {"type": "FOOTER"}], []),
        ("AUTHENTICATION", [body()], ["components.0.text"]),
        ("UTILITY", [HEADER], ["components"]),
        ("UTILITY", [body(), body()], ["components.1"]),
        ("UTILITY", [{"type": "BODY"}], ["components.0.text"]),
        ("UTILITY", [body("x" * 1025, "")], ["components.0.text"]),
        ("UTILITY", [{"type": "BODY", "text": "{{1}}"}], ["components.0.example.body_text"]),
        ("UTILITY", [body("{{1}} {{3}}", "a", "b")], ["components.0.text"]),
        ("UTILITY", [body(), {"type": "FOOTER", "text": "{{1}}"}], ["components.1.text"]),
        ("UTILITY", [body(), {"type": "HEADER", "format": "SOUND"}], ["components.1.format"]),
        ("UTILITY", [body(), {"type": "BUTTONS", "buttons": []}], ["components.1.buttons"]),
        ("UTILITY", [body(), {"type": "SIDEBAR"}], ["components.1.type"]),
        (
            "UTILITY",
            [body(), {"type": "BUTTONS", "buttons": [{}, {"type": "URL", "text": "x" * 26}]}],
            ["components.1.buttons.0.type", "components.1.buttons.1.text"],
        ),
    ],
)
def test_definitions(category: str, components: list[dict[str, Any]], faulty: list[str]) -> None:
    assert [f["field"] for f in faults_of_definition(category, components)] == faulty


def text(*values: str, **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": values[0], **more}


def filled(*components: dict[str, Any]) -> list[WhatsAppComponent]:
    return [WhatsAppComponent.model_validate(component) for component in components]


def of_body(*parameters: dict[str, Any]) -> dict[str, Any]:
    return {"type": "body", "parameters": list(parameters)}


IMAGE = {"type": "header", "parameters": [{"type": "image", "image": {"id": "7"}}]}
TRACK = {"type": "button", "sub_type": "url", "index": 1, "parameters": [text("42")]}
ALL = [HEADER, body("Hello {{1}}, order {{2}}."), BUTTONS]
NAMED = [body("Hello {{name}}, order {{order}}.")]
JOHN, ORDER = text("John"), text("12345")


@pytest.mark.parametrize(
    ("definition", "given_", "faulty"),
    [
        (ALL, [IMAGE, of_body(JOHN, ORDER), TRACK], []),
        (ALL, [of_body(JOHN, ORDER), TRACK], ["t.components"]),
        (ALL, [IMAGE, of_body(JOHN, ORDER)], ["t.components"]),
        (ALL, [IMAGE, of_body(JOHN), TRACK], ["t.components.1.parameters"]),
        (ALL, [IMAGE, of_body(JOHN, ORDER, ORDER), TRACK], ["t.components.1.parameters"]),
        (ALL, [IMAGE, IMAGE, of_body(JOHN, ORDER), TRACK], ["t.components.1"]),
        (ALL, [IMAGE, of_body(JOHN, ORDER), TRACK, TRACK | {"index": 0}], ["t.components.3"]),
        (ALL, [{"type": "header", "parameters": [JOHN]}, of_body(JOHN, ORDER), TRACK],
         ["t.components.0.parameters.0.type"]),
        ([body()], [of_body(text("a\nb"))], ["t.components.0.parameters.0.text"]),
        ([body()], [of_body(text(""))], ["t.components.0.parameters.0.text"]),
        ([body()], [], ["t.components"]),
        ([body("Hello")], [], []),
        ([body("Hello")], [of_body()], ["t.components.0"]),
        (NAMED, [of_body(text("1", parameter_name="order"), text("J", parameter_name="name"))], []),
        (NAMED, [of_body(JOHN, text("J", parameter_name="name"))],
         ["t.components.0.parameters.0.parameter_name"]),
    ],
)  # fmt: skip
def test_messages(definition: Any, given_: Any, faulty: list[str]) -> None:
    found = faults_of_message(definition, "UTILITY", filled(*given_), "t.")
    assert [f["field"] for f in found] == faulty


def test_a_code_is_asked_for_by_authentication_templates() -> None:
    definition = [{"type": "BODY"}, {"type": "BUTTONS", "buttons": [{"type": "OTP"}]}]
    button = {"type": "button", "sub_type": "url", "index": "0", "parameters": [text("123")]}
    whole = filled(of_body(text("123")), button)
    assert faults_of_message(definition, "AUTHENTICATION", whole, "") == []
    assert len(faults_of_message(definition, "AUTHENTICATION", [], "")) == 2
    assert text_of(definition, whole) is None


def test_what_the_recipient_reads() -> None:
    price = {"type": "currency", "currency": {"fallback_value": "5 €", "code": "EUR"}}
    assert text_of([body("{{2}} for {{1}} and {{1}}")], filled(of_body(JOHN, price))) == (
        "5 € for John and John"
    )
    names = of_body(text("1", parameter_name="order"), text("J", parameter_name="name"))
    assert text_of(NAMED, filled(names)) == "Hello J, order 1."


@given(st.text(max_size=30), st.lists(st.text(max_size=5), max_size=3))
def test_any_text_can_be_read(template: str, values: list[str]) -> None:
    assert isinstance(text_of([body(template)], filled(of_body(*map(text, values)))), str)
