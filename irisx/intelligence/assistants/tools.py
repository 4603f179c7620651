"""What an assistant's tools do when its model calls them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import phonenumbers
import structlog

from irisx.intelligence.assistants import sessions
from irisx.intelligence.assistants.config import (
    CallbackTool,
    CollectTool,
    Tool,
    TransferTool,
    WebhookTool,
)
from irisx.intelligence.assistants.dialogue import Ending
from irisx.intelligence.assistants.models import Outcome
from irisx.intelligence.assistants.prompt import ESCALATE, HANG_UP
from irisx.intelligence.assistants.sessions import Conversation
from irisx.intelligence.chat import ToolCall
from irisx.kernel import http
from irisx.kernel.clock import isoformat, now
from irisx.tenancy import signing

log = structlog.get_logger(__name__)

_MAX_ANSWER_BYTES = 16 * 1024
_MAX_VALUE = 1000
_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "number": (int, float),
    "integer": (int,),
    "boolean": (bool,),
}
#: A callback is booked for one of the next so many days.
_CALLBACK_DAYS = 60


@dataclass(frozen=True, slots=True)
class Done:
    """What came of a tool. `told`: the model reads it. `ending`: the conversation ends with it."""

    told: str
    ending: Ending | None = None


class _Misused(Exception):
    """The model called a tool with what it does not take; the text tells it so."""


def run(call: ToolCall, conversation: Conversation) -> Done:
    """Do it. Whatever goes wrong is told to the model, which tells the caller."""
    try:
        if call.arguments is None:
            raise _Misused("the arguments are no JSON object")
        if call.name == HANG_UP:
            return Done("The call ends.", Ending(Outcome.COMPLETED))
        if call.name == ESCALATE:
            return escalation(str(call.arguments.get("reason", ""))[:_MAX_VALUE])
        tool = next((one for one in conversation.config.tools if one.name == call.name), None)
        if tool is None:
            raise _Misused(f"there is no tool {call.name!r}")
        return _run(tool, call.arguments, call.id, conversation)
    except _Misused as error:
        return Done(f"Not done: {error}.")


def escalation(reason: str) -> Done:
    return Done("A person takes over.", Ending(Outcome.ESCALATED, reason))


def _run(
    tool: Tool, arguments: Mapping[str, Any], call_id: str, conversation: Conversation
) -> Done:
    match tool:
        case CollectTool():
            value = _text(arguments, "value")
            conversation.collected[tool.name] = value
            sessions.keep_collected(conversation)
            return Done(f"Kept: {value}")
        case TransferTool():
            reason = str(arguments.get("reason", ""))[:_MAX_VALUE]
            ending = Ending(Outcome.TRANSFERRED, reason, tool.destination)
            return Done("The caller is being connected.", ending)
        case CallbackTool():
            return _book(tool, arguments, call_id, conversation)
        case WebhookTool():
            return _ask(tool, arguments, call_id, conversation)


def _text(arguments: Mapping[str, Any], name: str) -> str:
    value = arguments.get(name)
    if not isinstance(value, str | int | float) or not str(value).strip():
        raise _Misused(f"{name} is missing")
    return str(value).strip().replace("\x00", "")[:_MAX_VALUE]


# -- callbacks ------------------------------------------------------------------------------------


def _book(
    tool: CallbackTool, arguments: Mapping[str, Any], call_id: str, conversation: Conversation
) -> Done:
    at = _moment(arguments.get("at"))
    number = _number(arguments.get("number") or conversation.caller)
    sessions.publish(
        conversation,
        "callback.requested",
        key=call_id,
        data={
            "phone_number": number,
            "scheduled_at": at and isoformat(at),
            "queue_id": tool.queue_id,
            "notes": _text(arguments, "notes"),
        },
    )
    when = f"at {isoformat(at)}" if at else "as soon as possible"
    return Done(f"Booked: {number} is called {when}.")


def _moment(value: object) -> datetime | None:
    if not value:
        return None
    try:
        at = datetime.fromisoformat(str(value))
    except ValueError:
        raise _Misused(f"at: {str(value)[:50]!r} is no ISO 8601 time") from None
    at = at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
    if not now() - timedelta(minutes=1) <= at <= now() + timedelta(days=_CALLBACK_DAYS):
        raise _Misused(f"at: {isoformat(at)} is not within the next {_CALLBACK_DAYS} days")
    return at


def _number(value: object) -> str:
    try:
        number = phonenumbers.parse(str(value))
    except phonenumbers.NumberParseException:
        number = None
    if number is None or not phonenumbers.is_possible_number(number):
        raise _Misused("number: ask the caller for a number with its country code")
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


# -- webhooks -------------------------------------------------------------------------------------


def _ask(
    tool: WebhookTool, arguments: Mapping[str, Any], call_id: str, conversation: Conversation
) -> Done:
    given = _given(tool, arguments)
    body = json.dumps(
        {
            "tool": tool.name,
            "arguments": given,
            "session_id": conversation.public_id,
            "call_sid": conversation.call_sid,
            "caller": conversation.caller,
        }
    ).encode()
    key = f"{conversation.public_id}.{call_id}"
    headers = {
        "Content-Type": "application/json",
        **signing.headers(signing.secret(conversation.tenant_id), key, body),
    }
    try:
        reply = http.request(
            "POST",
            tool.url,
            headers=headers,
            body=body,
            timeout=tool.timeout_seconds,
            max_bytes=_MAX_ANSWER_BYTES,
        )
    except http.HttpFailure as failure:
        log.info("assistant.webhook_failed", session=conversation.public_id, reason=str(failure))
        return Done("It did not answer: tell the caller that it can't be looked up now.")
    text = reply.body.decode(errors="replace").replace("\x00", "")
    if not 200 <= reply.status < 300:
        return Done(f"It answered with an error, {reply.status}: {text[:500]}")
    return Done(text or "Done.")


def _given(tool: WebhookTool, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments that the tool takes, each of its type."""
    given = {}
    for one in tool.parameters:
        value = arguments.get(one.name)
        if value is None and not one.required:
            continue
        if not isinstance(value, _TYPES[one.type]) or (
            isinstance(value, bool) and one.type != "boolean"
        ):
            raise _Misused(f"{one.name} must be a {one.type}")
        given[one.name] = value[:_MAX_VALUE] if isinstance(value, str) else value
    return given
