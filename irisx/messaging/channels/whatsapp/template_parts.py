"""What a WhatsApp template consists of, and whether a message fills it.

Source: the Cloud API's "Template components" and "Message templates" references. Variables are
`{{1}}`, `{{2}}`, … or, in templates with the parameter format NAMED, `{{name}}`.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from irisx.kernel.errors import Detail
from irisx.messaging.channels.whatsapp.content import WhatsAppComponent, WhatsAppParameter

_VARIABLE = re.compile(r"\{\{\s*([A-Za-z0-9_]+)\s*\}\}")
#: What Meta refuses in the text of a parameter (132018).
_UNFIT = re.compile(r"[\n\r\t]| {5}")
_TEXTS = frozenset({"text", "currency", "date_time"})
_MEDIA = {"IMAGE": "image", "VIDEO": "video", "DOCUMENT": "document", "LOCATION": "location"}
MAX_BODY = 1024
MAX_SHORT = 60
MAX_BUTTONS = 10
MAX_BUTTON_TEXT = 25


def variables(text: str) -> list[str]:
    """The variables of a text, each once, in their order."""
    return list(dict.fromkeys(_VARIABLE.findall(text)))


# --- definitions ----------------------------------------------------------------------------------


def faults_of_definition(category: str, components: Sequence[Mapping[str, Any]]) -> list[Detail]:
    """What Meta would refuse in a new template, as far as its reference says so."""
    faults: list[Detail] = []
    seen: set[str] = set()
    for index, component in enumerate(components):
        kind = str(component.get("type", "")).upper()
        where = f"components.{index}"
        if kind not in _CHECKS:
            words = ", ".join(_CHECKS)
            faults.append({"field": f"{where}.type", "message": f"must be one of {words}"})
            continue
        if kind in seen:
            faults.append({"field": where, "message": f"there is another {kind}"})
        seen.add(kind)
        for name, message in _CHECKS[kind](component, category):
            faults.append({"field": f"{where}.{name}", "message": message})
    if "BODY" not in seen:
        faults.append({"field": "components", "message": "a BODY is required"})
    return faults


_Faults = Iterator[tuple[str, str]]


def _check_body(component: Mapping[str, Any], category: str) -> _Faults:
    if category == "AUTHENTICATION":
        if "text" in component:
            yield "text", "the text of AUTHENTICATION templates is Meta's; leave it out"
        return
    yield from _check_text(component, MAX_BODY)
    text = component.get("text")
    if isinstance(text, str) and (wanted := variables(text)):
        named = any(not name.isdigit() for name in wanted)
        key = "body_text_named_params" if named else "body_text"
        yield from _check_example(component, key, len(wanted), nested=not named)


def _check_header(component: Mapping[str, Any], category: str) -> _Faults:
    kind = component.get("format")
    if kind == "TEXT":
        yield from _check_text(component, MAX_SHORT)
        text = component.get("text")
        if isinstance(text, str) and len(variables(text)) > 1:
            yield "text", "a header has one variable at most"
    elif kind not in _MEDIA:
        yield "format", f"must be TEXT, {', '.join(_MEDIA)}"


def _check_footer(component: Mapping[str, Any], category: str) -> _Faults:
    if category == "AUTHENTICATION":
        return  # code_expiration_minutes in place of a text
    yield from _check_text(component, MAX_SHORT)
    if variables(str(component.get("text", ""))):
        yield "text", "a footer has no variables"


def _check_buttons(component: Mapping[str, Any], category: str) -> _Faults:
    buttons = component.get("buttons")
    if not isinstance(buttons, list) or not 1 <= len(buttons) <= MAX_BUTTONS:
        yield "buttons", f"must be a list of 1 to {MAX_BUTTONS} buttons"
        return
    for index, button in enumerate(buttons):
        if not isinstance(button, dict) or not isinstance(button.get("type"), str):
            yield f"buttons.{index}.type", "required"
        elif len(str(button.get("text", ""))) > MAX_BUTTON_TEXT:
            yield f"buttons.{index}.text", f"at most {MAX_BUTTON_TEXT} characters"


def _check_text(component: Mapping[str, Any], longest: int) -> _Faults:
    text = component.get("text")
    if not isinstance(text, str) or not text.strip():
        yield "text", "required"
        return
    if len(text) > longest:
        yield "text", f"at most {longest} characters"
    numbers = [int(name[:9]) for name in variables(text) if name.isdigit()]
    if numbers and len(numbers) != len(variables(text)):
        yield "text", "variables are either numbered or named"
    if sorted(numbers) != list(range(1, len(numbers) + 1)):
        yield "text", "numbered variables are {{1}}, {{2}}, … without a gap"


def _check_example(component: Mapping[str, Any], key: str, count: int, *, nested: bool) -> _Faults:
    example = component.get("example")
    given = example.get(key) if isinstance(example, dict) else None
    row = given[0] if nested and isinstance(given, list) and given else given
    if not isinstance(row, list) or len(row) != count:
        yield f"example.{key}", f"Meta asks for an example of each of the {count} variables"


_CHECKS = {
    "HEADER": _check_header,
    "BODY": _check_body,
    "FOOTER": _check_footer,
    "BUTTONS": _check_buttons,
}


# --- messages -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Slot:
    """A part of a template that a message may have to fill: `wants` a parameter of this type for
    each of `names`. `name`: as messages call it."""

    name: str
    wants: str
    names: Sequence[str]
    required: bool = True


def faults_of_message(
    definition: Sequence[Mapping[str, Any]],
    category: str,
    given: Sequence[WhatsAppComponent],
    prefix: str,
) -> list[Detail]:
    """What keeps components from filling a template. `prefix`: of the fields' names."""
    slots = {slot.name: slot for slot in _slots(definition, category)}
    faults: list[Detail] = []
    filled: set[str] = set()
    for index, component in enumerate(given):
        name, where = _slot_name(component), f"{prefix}components.{index}"
        slot = slots.get(name)
        if slot is None:
            faults.append({"field": where, "message": f"the template's {name} takes nothing"})
            continue
        if name in filled:
            faults.append({"field": where, "message": f"the {name} is given twice"})
        filled.add(name)
        faults += _unfit(slot, component.parameters, f"{where}.parameters")
    for name, slot in slots.items():
        if slot.required and name not in filled:
            words = f"the {name} needs {_listed(slot)}"
            faults.append({"field": f"{prefix}components", "message": words})
    return faults


def text_of(
    definition: Sequence[Mapping[str, Any]], given: Sequence[WhatsAppComponent]
) -> str | None:
    """What the recipient reads: the body with its parameters; None for a body of Meta's own."""
    bodies = [each["text"] for each in definition if each.get("type") == "BODY" and "text" in each]
    if not bodies:
        return None
    text = str(bodies[0])
    parts = [parameter for each in given if each.type == "body" for parameter in each.parameters]
    pairs = _pairs(variables(text), parts)
    words = {part.parameter_name or name: part.words() for name, part in pairs}
    return _VARIABLE.sub(lambda match: words.get(match[1], match[0]), text)


def _pairs(
    names: Sequence[str], parts: Sequence[WhatsAppParameter]
) -> Iterator[tuple[str, WhatsAppParameter]]:
    """Numbered parameters come in the order of the numbers, wherever these stand in the text."""
    ordered = sorted(names, key=int) if all(name.isdigit() for name in names) else names
    yield from zip(ordered, parts, strict=False)


def _slots(definition: Sequence[Mapping[str, Any]], category: str) -> Iterator[_Slot]:
    for component in definition:
        text = component.get("text")
        match component.get("type"):
            case "HEADER" if (kind := _MEDIA.get(str(component.get("format")))) is not None:
                yield _Slot("header", kind, [kind])
            case "HEADER" | "BODY" as where if isinstance(text, str) and variables(text):
                yield _Slot(where.lower(), "text", variables(text))
            case "BODY" if text is None and category == "AUTHENTICATION":
                yield _Slot("body", "text", ["code"])
            case "BUTTONS":
                yield from _button_slots(component.get("buttons") or [])


def _button_slots(buttons: Sequence[Mapping[str, Any]]) -> Iterator[_Slot]:
    for index, button in enumerate(buttons):
        name = f"button {index}"
        match button.get("type"):
            case "URL" if variables(str(button.get("url", ""))):
                yield _Slot(name, "text", ["the end of the URL"])
            case "OTP":
                yield _Slot(name, "text", ["code"])
            case "COPY_CODE":
                yield _Slot(name, "coupon_code", ["code"])
            case "QUICK_REPLY":
                yield _Slot(name, "payload", ["payload"], required=False)
            case "FLOW" | "CATALOG" | "MPM":
                yield _Slot(name, "action", ["action"], required=False)


def _slot_name(component: WhatsAppComponent) -> str:
    return f"button {component.index}" if component.type == "button" else component.type


def _unfit(slot: _Slot, given: Sequence[WhatsAppParameter], where: str) -> Iterator[Detail]:
    if len(given) != len(slot.names):
        words = f"the {slot.name} takes {_listed(slot)}; {len(given)} given"
        yield {"field": where, "message": words}
        return
    allowed = _TEXTS if slot.wants == "text" else {slot.wants}
    for index, parameter in enumerate(given):
        here = f"{where}.{index}"
        if parameter.type not in allowed:
            yield {"field": f"{here}.type", "message": f"must be {' or '.join(sorted(allowed))}"}
        elif parameter.type == "text" and not parameter.text:
            yield {"field": f"{here}.text", "message": "required"}
        elif parameter.type == "text" and _UNFIT.search(parameter.text or ""):
            words = "WhatsApp takes no line breaks, tabs or more than four blanks in a row here"
            yield {"field": f"{here}.text", "message": words}
    if slot.wants == "text" and not all(name.isdigit() for name in slot.names):
        yield from _misnamed(slot, given, where)


def _misnamed(slot: _Slot, given: Sequence[WhatsAppParameter], where: str) -> Iterator[Detail]:
    """Named variables are given by name."""
    if slot.name not in ("header", "body") or slot.names == ["code"]:
        return
    for index, parameter in enumerate(given):
        if parameter.parameter_name not in slot.names:
            words = f"must be one of {', '.join(slot.names)}"
            yield {"field": f"{where}.{index}.parameter_name", "message": words}


def _listed(slot: _Slot) -> str:
    words = ", ".join(f"{{{{{name}}}}}" if slot.wants == "text" else name for name in slot.names)
    return f"{len(slot.names)} of type {slot.wants} ({words})"
