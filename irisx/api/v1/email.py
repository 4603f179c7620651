"""`/v1/email`: messages, one by one."""

from base64 import b64decode
from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, StringConstraints, model_validator

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
from irisx.api.schemas import (
    Answer,
    Body,
    JsonObject,
    Moment,
    PublicId,
    Success,
    Timestamp,
)
from irisx.messaging.channels.email import queries, service
from irisx.messaging.channels.email.attachments import MAX_FILES, Attachment
from irisx.messaging.channels.email.content import MailContent
from irisx.messaging.channels.email.models import EmailEngagement
from irisx.messaging.channels.email.service import Mail
from irisx.messaging.channels.email.templates import MAX_SOURCE, MAX_SUBJECT
from irisx.messaging.models import Message
from irisx.messaging.states import Category, Direction, MessageStatus
from irisx.messaging.statuses import provider_of, sid_of
from irisx.telephony.calls.requests import Metadata
from irisx.tenancy.access import Caller

router = Router("Email")

READ = "email:read"
WRITE = "email:write"

TemplateId = Annotated[int, PublicId("tpl")]


def _one_line(text: str) -> str:
    if not text.isprintable():
        raise ValueError("one line without control characters")
    return text


EmailAddress = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=3, max_length=320),
    AfterValidator(_one_line),
]  # fmt: skip
Subject = Annotated[
    str, StringConstraints(min_length=1, max_length=MAX_SUBJECT), AfterValidator(_one_line)
]
Source = Annotated[str, StringConstraints(max_length=MAX_SOURCE)]
HeaderName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9-]{1,76}$")]
HeaderValue = Annotated[str, StringConstraints(max_length=500), AfterValidator(_one_line)]


def _is_base64(text: str) -> str:
    b64decode(text, validate=True)  # what it raises is a ValueError
    return text


class EmailFile(Body):
    """Either the `id` of an uploaded file, or `filename` and `content`."""

    id: str | None = Field(None, pattern=r"^med_[0-9]{1,19}$", examples=["med_3"])
    filename: str | None = Field(None, min_length=1, max_length=200)
    content: Annotated[str, AfterValidator(_is_base64)] | None = Field(
        None, description="Base64. For more than some hundred kilobytes upload the file."
    )
    content_type: str | None = Field(None, examples=["application/pdf"])
    content_id: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9._@-]{1,100}$",
        description="The HTML shows it as `cid:` and this.",
    )

    @model_validator(mode="after")
    def is_one_of_both(self) -> Self:
        if (self.id is None) is (self.content is None):
            raise ValueError("either id, or filename and content")
        if self.content is not None and self.filename is None:
            raise ValueError("content needs a filename")
        return self


class EmailRequest(Body):
    to: EmailAddress = Field(description="One recipient.", examples=["recipient@example.com"])
    from_: EmailAddress | None = Field(
        None,
        alias="from",
        description="An address, or `Name <address>`, that one of your email accounts may send "
        "from. Default: the first sender of your first account.",
        examples=["sender@company.com"],
    )
    subject: Subject | None = Field(None, examples=["Welcome!"])
    html: Source | None = Field(None, examples=["<h1>Hello</h1>"])
    text: Source | None = Field(None, description="Default: made of the HTML.", examples=["Hello"])
    template_id: TemplateId | None = Field(
        None, description="In place of subject, html and text.", examples=["tpl_123"]
    )
    template_version: int | None = Field(None, ge=1, description="Default: the newest.")
    variables: JsonObject = Field(
        default_factory=dict,
        description="Values of the `{{ names }}` in the template, or in subject, html and text; "
        "without any, these are taken as they stand.",
    )
    reply_to: EmailAddress | None = None
    headers: dict[HeaderName, HeaderValue] = Field(default_factory=dict, max_length=20)
    track_opens: bool = True
    track_clicks: bool = True
    unsubscribe: bool | None = Field(
        None,
        description="One-click unsubscription (RFC 8058). Default: for `marketing` only.",
    )
    category: Category = Field(
        Category.TRANSACTIONAL,
        strict=False,
        description="`marketing` waits out the tenant's quiet hours.",
    )
    attachments: list[EmailFile] = Field(
        default_factory=list, max_length=MAX_FILES, description="At most 10 MiB in all."
    )
    metadata: Metadata = Field(default_factory=dict)
    send_at: Moment | None = Field(None, description="At most 35 days from now.")
    expires_at: Moment | None = Field(
        None, description="Not tried any more after this. Default: a day after it is due."
    )

    @model_validator(mode="after")
    def has_words(self) -> Self:
        if self.template_id is None and self.template_version is not None:
            raise ValueError("template_version goes with template_id")
        return self

    def mail(self) -> Mail:
        values = self.model_dump(exclude={"to", "from_", "attachments"})
        files = [
            Attachment(
                each.id,
                each.filename,
                each.content_type,
                b64decode(each.content) if each.content is not None else None,
                each.content_id,
            )
            for each in self.attachments
        ]
        return Mail(from_=self.from_, attachments=files, **values)


class Email(MessageFields):
    """An email. `read_at`: when a person first opened it, as far as can be told."""

    subject: str | None
    template_id: TemplateId | None
    template_version: int | None


class EmailHappening(Answer):
    """`machine`: probably a scanner or a prefetcher; statistics leave it out."""

    type: str = Field(validation_alias="kind", description="open, click or unsubscribe")
    url: str | None
    user_agent: str | None
    machine: bool
    occurred_at: Timestamp


class EmailFileDetails(Answer):
    """Its bytes: `GET /v1/email/attachments/{id}`."""

    id: str
    name: str
    type: str
    bytes: int


class EmailDetails(Email):
    html: str | None
    text: str
    attachments: list[EmailFileDetails]
    engagements: list[EmailHappening]


class NewEmail(Answer):
    id: str = Field(examples=["EM834003994ba453cfe344047731d71cd5"])
    sid: str
    status: MessageStatus
    to: str
    from_: str = Field(alias="from")
    subject: str
    provider: ProviderDetails


class Emails(Answer):
    emails: list[Email]
    pagination: MessagesPagination


@router.post("/v1/email/send", access=WRITE, answer=NewEmail, status=201)
def send_email(caller: Caller, body: EmailRequest) -> dict[str, Any]:
    """Send an email. It is stored before this answers; a worker hands it to a provider."""
    return accepted(service.send(caller, body.to, body.mail()))


@router.get("/v1/email", access=READ, answer=Success[Emails], rate=Rate.STANDARD)
def list_emails(caller: Caller, query: MessagesQuery) -> dict[str, Any]:
    """List emails, newest first."""
    page, pagination = message_page(caller.tenant_id, service.CHANNEL, query)
    return {"data": {"emails": [_email(each) for each in page], "pagination": pagination}}


@router.get("/v1/email/<sid>", access=READ, answer=EmailDetails)
def get_email(caller: Caller, sid: str) -> dict[str, Any]:
    """Get an email, with what its recipient did."""
    message = find_message(caller.tenant_id, sid, channel=service.CHANNEL)
    engagements: list[EmailEngagement] = queries.engagements(message.id)
    return _email(message) | {
        "html": message.content.get("html"),
        "text": message.body,
        "attachments": message.content.get("attachments", []),
        "engagements": engagements,
    }


def accepted(message: Message) -> dict[str, Any]:
    """A message that was just accepted, for `NewEmail`."""
    sid = sid_of(message)
    return {
        "id": sid,
        "sid": sid,
        "status": message.status,
        "to": message.to_address,
        "from": message.from_address,
        "subject": message.content["subject"],
        "provider": provider_of(message),
    }


def _email(message: Message) -> dict[str, Any]:
    content = message.content
    own = content if message.direction is Direction.INBOUND else MailContent(**content).__dict__
    return message_fields(message) | {
        name: own.get(name) for name in ("subject", "template_id", "template_version")
    }
