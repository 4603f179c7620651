"""`/v1/sms`: text messages out and in."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, JsonValue, StringConstraints, model_validator

from irisx.api.http import Rate, Router
from irisx.api.messages import (
    MessageFields,
    MessagesPagination,
    MessagesQuery,
    ProviderDetails,
    find_message,
    message_fields,
    message_page,
)
from irisx.api.schemas import Answer, Body, Fault, Moment
from irisx.messaging.channels.sms import service
from irisx.messaging.channels.sms.segments import Encoding
from irisx.messaging.channels.sms.service import MAX_RECIPIENTS, Result, Text
from irisx.messaging.models import Message
from irisx.messaging.states import Category, MessageStatus
from irisx.messaging.statuses import sid_of
from irisx.telephony.calls.requests import Metadata
from irisx.tenancy.access import Caller

router = Router("SMS Messages")

_READ = "sms:read"
_WRITE = "sms:write"

Address = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=20)]
Url = Annotated[str, StringConstraints(min_length=1, max_length=2048)]


class SmsText(Body):
    """What POST /v1/sms and /v1/sms/bulk have in common."""

    from_: Address | None = Field(
        None,
        alias="from",
        description="One of your numbers, or a sender of one of your SMS accounts. Default: "
        "default_caller_id, else your first.",
        examples=["+15555551234"],
    )
    body: Annotated[str, StringConstraints(max_length=1600)] = Field(
        "", description="At most ten segments.", examples=["Hello from IRISX!"]
    )
    media_urls: list[Url] = Field(
        default_factory=list, max_length=10, description="Public URLs that the carrier fetches."
    )
    metadata: Metadata = Field(default_factory=dict)
    smart_encoding: bool = Field(
        False, description="Replace typographic quotes, dashes and the like, so that GSM-7 does."
    )
    send_at: Moment | None = Field(None, description="At most 35 days from now.")
    expires_at: Moment | None = Field(
        None, description="Not tried any more after this. Default: a day after it is due."
    )

    @model_validator(mode="after")
    def says_something(self) -> Self:
        if not self.body and not self.media_urls:
            raise ValueError("give a body, media_urls or both")
        return self

    def text(self, category: Category, origin: str) -> Text:
        return Text(
            body=self.body,
            from_=self.from_,
            media_urls=self.media_urls,
            metadata=self.metadata,
            category=category,
            smart_encoding=self.smart_encoding,
            send_at=self.send_at,
            expires_at=self.expires_at,
            origin=origin,
        )


class SmsRequest(SmsText):
    to: Address = Field(description="E.164 number or short code.", examples=["+15555559999"])
    category: Category = Field(
        Category.TRANSACTIONAL,
        description="`marketing` waits out the tenant's quiet hours.",
    )


class BulkRequest(SmsText):
    recipients: list[Address] = Field(min_length=1, max_length=MAX_RECIPIENTS)
    category: Category = Field(
        Category.MARKETING,
        description="`marketing` waits out the tenant's quiet hours.",
    )


class Sms(MessageFields):
    """A text message. `segments`: parts on the air, which are billed."""

    body: str
    segments: int
    encoding: Encoding | None
    media_urls: list[str]


class NewSms(Answer):
    sid: str = Field(examples=["SM834003994ba453cfe344047731d71cd5"])
    status: MessageStatus
    to: str
    from_: str = Field(alias="from")
    body: str
    segments: int
    encoding: Encoding | None
    media_urls: list[str]
    metadata: dict[str, JsonValue]
    provider: ProviderDetails


class SmsList(Answer):
    messages: list[Sms]
    pagination: MessagesPagination


class BulkResult(Answer):
    """`sid` and `status` of a message that was accepted, else `error`."""

    to: str
    sid: str | None = None
    status: MessageStatus | Literal["refused"]
    segments: int | None = None
    code: str | None = None
    error: str | None = None
    details: list[Fault] = Field(default_factory=list)


class BulkAnswer(Answer):
    accepted: int
    refused: int
    results: list[BulkResult]


@router.post("/v1/sms", access=_WRITE, answer=NewSms, status=201, rate=Rate.SMS)
def send_sms(caller: Caller, body: SmsRequest) -> dict[str, Any]:
    """Send a text message. It is stored before this answers; a worker hands it to a provider."""
    return _sms(service.send(caller, body.to, body.text(body.category, "api")))


@router.post("/v1/sms/bulk", access=_WRITE, answer=BulkAnswer, status=201, rate=Rate.BULK)
def send_bulk_sms(caller: Caller, body: BulkRequest) -> dict[str, Any]:
    """Send a text message to many, with a result for each."""
    results = service.send_bulk(caller, body.recipients, body.text(body.category, "bulk"))
    shown = [_result(result) for result in results]
    refused = sum(result.error is not None for result in results)
    return {"accepted": len(shown) - refused, "refused": refused, "results": shown}


@router.get("/v1/sms", access=_READ, answer=SmsList)
def list_sms(caller: Caller, query: MessagesQuery) -> dict[str, Any]:
    """List text messages, newest first."""
    page, pagination = message_page(caller.tenant_id, service.CHANNEL, query)
    return {"messages": [_sms(message) for message in page], "pagination": pagination}


@router.get("/v1/sms/<sid>", access=_READ, answer=Sms)
def get_sms(caller: Caller, sid: str) -> dict[str, Any]:
    """Get a text message."""
    return _sms(find_message(caller.tenant_id, sid, channel=service.CHANNEL))


def _sms(message: Message) -> dict[str, Any]:
    return message_fields(message) | {
        "body": message.body,
        "segments": message.segments,
        "encoding": message.content.get("encoding"),
        "media_urls": message.media_urls,
    }


def _result(result: Result) -> dict[str, Any]:
    if result.message is not None:
        message = result.message
        return {
            "to": result.to,
            "sid": sid_of(message),
            "status": message.status,
            "segments": message.segments,
        }
    error = result.error
    return {
        "to": result.to,
        "status": "refused",
        "code": error.code if error else None,
        "error": error.message if error else None,
        "details": error.details if error else [],
    }
