"""What the Cloud API's webhook says: statuses and inbound messages, each read by itself.

Source: the Cloud API's webhook reference (`messages` and
`message_template_status_update`). Meta bundles what happened into one call and
repeats the whole of it for days unless it is answered with 200: an entry that can't be understood
is kept as `Unread`, and the others count.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Annotated, Any

from pydantic import BaseModel, Field, StringConstraints

from irisx.messaging.channels.whatsapp.addresses import moment, normalise
from irisx.messaging.provider import Inbound, Notice, Reading, Receipt, Unread, unread
from irisx.messaging.states import MessageStatus

_STATUSES: Mapping[str, MessageStatus] = MappingProxyType(
    {
        "sent": MessageStatus.SENT,
        "delivered": MessageStatus.DELIVERED,
        "read": MessageStatus.READ,
        "failed": MessageStatus.FAILED,
    }
)
TEMPLATE_STATUS = "message_template_status_update"
_MEDIA = frozenset({"image", "document", "audio", "video", "sticker"})

Text = Annotated[str, StringConstraints(min_length=1, max_length=500)]


@dataclass(frozen=True, slots=True)
class Number:
    """The account's number: Meta's `id` of it, and itself in E.164. `business`: the business
    account that it is of, if that is known. `media_base`: what a medium's id is appended to."""

    id: str
    phone: str
    business: str | None
    media_base: str


class _Error(BaseModel):
    code: int
    title: str = ""


class _Status(BaseModel):
    id: Text
    status: Text
    timestamp: Any = None
    biz_opaque_callback_data: Text | None = None
    errors: list[_Error] = Field(default_factory=list)


class _Message(BaseModel):
    """`from_`: the sender's digits."""

    id: Text
    from_: Text = Field(alias="from")
    type: Text
    timestamp: Any = None


@dataclass
class _Found:
    """What a call has brought so far."""

    receipts: list[Receipt] = field(default_factory=list)
    messages: list[Inbound] = field(default_factory=list)
    unread: list[Unread] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)

    def each(self, items: Any, take: Callable[[Any], None]) -> None:
        """Give each item to `take`; those that it can't understand are `unread`."""
        if not isinstance(items, list):
            self.unread.append(Unread("not a list", items))
            return
        for item in items:
            try:
                take(item)
            except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
                self.unread.append(unread(error, item))


def read(number: Number, call: Mapping[str, Any]) -> Reading:
    """All that a call says about one number and its templates. Raises LookupError or TypeError
    for a call without entries."""
    found = _Found()

    def entry(item: Mapping[str, Any]) -> None:
        found.each(item["changes"], lambda change: _change(found, number, item, change))

    found.each(call["entry"], entry)
    return Reading(found.receipts, found.messages, found.unread, found.notices)


def _change(
    found: _Found, number: Number, entry: Mapping[str, Any], change: Mapping[str, Any]
) -> None:
    """An app has one webhook for all its numbers: those of others are not this account's."""
    value = change["value"]
    if change["field"] == TEMPLATE_STATUS and str(entry["id"]) == number.business:
        found.notices.append(Notice(TEMPLATE_STATUS, value, moment(entry.get("time"))))
    if change["field"] != "messages" or value["metadata"]["phone_number_id"] != number.id:
        return
    names = dict(_names(value.get("contacts", [])))
    found.each(value.get("statuses", []), lambda each: found.receipts.extend(_receipts(each)))
    found.each(
        value.get("messages", []),
        lambda each: found.messages.append(_inbound(number, each, names)),
    )


def _names(contacts: Any) -> Iterator[tuple[str, str]]:
    """wa_id -> name. A contact that is no contact keeps no message from being read."""
    for contact in contacts if isinstance(contacts, list) else []:
        match contact:
            case {"wa_id": str(wa_id), "profile": {"name": str(name)}}:
                yield wa_id, name


def _receipts(item: Any) -> list[Receipt]:
    """Empty for a status that says nothing here (played, warning, …)."""
    status = _Status.model_validate(item)
    found = _STATUSES.get(status.status)
    if found is None:
        return []
    error = status.errors[0] if status.errors else None
    return [
        Receipt(
            key=f"{status.id} {found}",
            status=found,
            reference=status.id,
            sid=status.biz_opaque_callback_data,
            at=moment(status.timestamp),
            error_code=str(error.code) if error else None,
            error_message=error.title if error else None,
        )
    ]


def _inbound(number: Number, item: Mapping[str, Any], names: Mapping[str, str]) -> Inbound:
    """`content` keeps what came, by its type: media with their ids, replies, reactions."""
    message = _Message.model_validate(item)
    kind = message.type
    part = item.get(kind, {})
    media = kind in _MEDIA
    return Inbound(
        reference=message.id,
        from_=normalise(f"+{message.from_}"),
        to=number.phone,
        body=_words(kind, part),
        media_urls=[f"{number.media_base}/{part['id']}"] if media else [],
        content={
            name: item[name]
            for name in ("type", kind, "context", "referral", "errors")
            if name in item
        },
        name=names.get(message.from_),
        at=moment(message.timestamp),
    )


def _words(kind: str, part: Any) -> str:
    """What a person reads of an inbound message."""
    match kind:
        case "text":
            return str(part["body"])
        case "button":
            return str(part["text"])
        case "reaction":
            return str(part.get("emoji", ""))
        case "interactive":
            answer = part.get(part["type"], {})
            return str(answer.get("title", ""))
        case "image" | "document" | "video":
            return str(part.get("caption", ""))
        case _:
            return ""
