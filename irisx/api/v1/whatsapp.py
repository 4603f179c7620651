"""`/v1/whatsapp`: WhatsApp messages out and in."""

from dataclasses import replace
from typing import Annotated, Any

from pydantic import Field, JsonValue, StringConstraints

from irisx.api.http import Rate, Router
from irisx.api.messages import (
    MessageFields,
    MessagesPagination,
    MessagesQuery,
    find_message,
    message_fields,
    message_page,
)
from irisx.api.schemas import Answer, Body
from irisx.messaging.channels.whatsapp import service
from irisx.messaging.channels.whatsapp.content import (
    LanguageCode,
    TemplateName,
    WhatsAppComponent,
    WhatsAppContent,
    WhatsAppLanguage,
    WhatsAppTemplate,
)
from irisx.messaging.channels.whatsapp.service import Draft
from irisx.messaging.models import Message
from irisx.messaging.states import Category
from irisx.telephony.calls.requests import Metadata
from irisx.tenancy.access import Caller

router = Router("WhatsApp")

_READ = "whatsapp:read"
_WRITE = "whatsapp:write"

Number = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=40)]


class WhatsAppAddressed(Body):
    """What both ways of sending have in common."""

    to: Number = Field(description="E.164.", examples=["+15555559999"])
    from_: Number | None = Field(
        None,
        alias="from",
        description="The number of one of your WhatsApp accounts; in the sandbox any of your "
        "numbers. Default: default_caller_id, else your first.",
    )
    metadata: Metadata = Field(default_factory=dict)
    category: Category = Field(
        Category.TRANSACTIONAL, description="`marketing` waits out the tenant's quiet hours."
    )

    def draft(self, content: WhatsAppContent) -> Draft:
        return Draft(
            content=content, from_=self.from_, metadata=self.metadata, category=self.category
        )


class WhatsAppSendRequest(WhatsAppAddressed, WhatsAppContent):
    """`type`, and the part of that name."""

    def content(self) -> WhatsAppContent:
        return WhatsAppContent.model_validate(
            {name: getattr(self, name) for name in WhatsAppContent.model_fields}
        )


class WhatsAppTemplateRequest(WhatsAppAddressed):
    template_name: TemplateName
    language: LanguageCode
    components: list[WhatsAppComponent] = Field(
        default_factory=list, max_length=20, description="What fills the template's variables."
    )


class WhatsAppMessage(MessageFields):
    """`type` and `content`: the message as the Cloud API spells it; `body`: what one reads of it.
    `media_urls` of an inbound message name its file here, `/v1/whatsapp/media/{id}`."""

    type: str
    body: str
    content: dict[str, JsonValue]
    media_urls: list[str]


class WhatsAppList(Answer):
    messages: list[WhatsAppMessage]
    pagination: MessagesPagination


@router.post("/v1/whatsapp/send", access=_WRITE, answer=WhatsAppMessage, status=201, rate=Rate.SMS)
def send_whatsapp_message(caller: Caller, body: WhatsAppSendRequest) -> dict[str, Any]:
    """Send a WhatsApp message. 409 WINDOW_CLOSED more than 24 hours after the customer wrote."""
    return _shown(service.send(caller, body.to, body.draft(body.content())))


@router.post(
    "/v1/whatsapp/template", access=_WRITE, answer=WhatsAppMessage, status=201, rate=Rate.SMS
)
def send_whatsapp_template(caller: Caller, body: WhatsAppTemplateRequest) -> dict[str, Any]:
    """Send a template that Meta has approved, at any time. What is known of it is checked first:
    409 TEMPLATE_NOT_APPROVED, 400 for variables that are not filled."""
    template = WhatsAppTemplate(
        name=body.template_name,
        language=WhatsAppLanguage(code=body.language),
        components=body.components,
    )
    content = WhatsAppContent(type="template", template=template)
    draft = replace(body.draft(content), template_fields="")
    return _shown(service.send(caller, body.to, draft))


@router.get("/v1/whatsapp/messages", access=_READ, answer=WhatsAppList)
def list_whatsapp_messages(caller: Caller, query: MessagesQuery) -> dict[str, Any]:
    """List WhatsApp messages, newest first."""
    page, pagination = message_page(caller.tenant_id, service.CHANNEL, query)
    return {"messages": [_shown(message) for message in page], "pagination": pagination}


@router.get("/v1/whatsapp/messages/<sid>", access=_READ, answer=WhatsAppMessage)
def get_whatsapp_message(caller: Caller, sid: str) -> dict[str, Any]:
    """Get a WhatsApp message."""
    return _shown(find_message(caller.tenant_id, sid, channel=service.CHANNEL))


def _shown(message: Message) -> dict[str, Any]:
    return message_fields(message) | {
        "type": message.content.get("type", "text"),
        "body": message.body,
        "content": message.content,
        "media_urls": message.media_urls,
    }
