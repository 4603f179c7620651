"""`/v1/messages` and `/v1/messaging`: the log of any message, provider accounts, suppressions."""

from typing import Annotated, Any

from pydantic import Field, JsonValue, StringConstraints

from irisx.api.http import Router
from irisx.api.messages import MessageFields, message_fields
from irisx.api.schemas import (
    UNSET,
    Answer,
    Body,
    JsonObject,
    Name,
    OffsetPagination,
    OffsetQuery,
    PublicId,
    Success,
    Timestamp,
    listed,
)
from irisx.kernel.errors import NotFound, invalid
from irisx.messaging import accepting, accounts, exchanges, queries, receiving, suppressions
from irisx.messaging.channels import channel as channel_of
from irisx.messaging.models import ProviderAccount, Suppression
from irisx.tenancy.access import Caller

router = Router("Messaging")

_READ = "messaging:read"
_WRITE = "messaging:write"

AccountId = Annotated[int, PublicId("acct")]
SuppressionId = Annotated[int, PublicId("sup")]
ChannelName = Annotated[str, StringConstraints(pattern=r"^[a-z_]{2,32}$")]
Text320 = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=320)]
Priority = Annotated[int, Field(ge=0, le=1000, description="Lower is tried first.")]
PerSecond = Annotated[
    int | None,
    Field(ge=1, le=10_000, description="Messages a second of all workers; null: no limit of ours."),
]
Senders = Annotated[
    list[Text320],
    Field(max_length=1000, description="What it may send from; empty: any number of yours."),
]


# --- one message ------------------------------------------------------------------------------


class AnyMessage(MessageFields):
    channel: str
    body: str
    media_urls: list[str]
    segments: int
    content: dict[str, JsonValue] = Field(description="What only its channel understands.")


class LogLine(Answer):
    """One exchange with a provider, secrets taken out."""

    at: Timestamp = Field(validation_alias="created_at")
    kind: str = Field(description="attempt, receipt, inbound, or check: why it was not sent.")
    attempt: int | None = Field(validation_alias="number")
    provider: str
    account_id: AccountId | None
    request: dict[str, JsonValue]
    response: dict[str, JsonValue] | None
    error: str | None
    duration_ms: int | None


class MessageLog(Answer):
    message: AnyMessage
    log: list[LogLine]


@router.get("/v1/messages/<message_sid>", access=_READ, answer=AnyMessage)
def get_message(caller: Caller, message_sid: str) -> dict[str, Any]:
    """Get a message of any channel."""
    return _any(queries.get(caller.tenant_id, message_sid))


@router.get("/v1/messages/<message_sid>/log", access=_READ, answer=MessageLog)
def get_message_log(caller: Caller, message_sid: str) -> dict[str, Any]:
    """Get what was said about a message between IRISX and providers."""
    found, lines = exchanges.log_of(caller.tenant_id, queries.message_id(message_sid))
    return {"message": _any(found), "log": lines}


@router.post("/v1/messages/<message_sid>/cancel", access=_WRITE, answer=AnyMessage)
def cancel_message(caller: Caller, message_sid: str) -> dict[str, Any]:
    """Take back a message that no provider has; 409 ALREADY_SENT for any other."""
    return _any(accepting.cancel(caller.tenant_id, queries.message_id(message_sid)))


def _any(message: Any) -> dict[str, Any]:
    return message_fields(message) | {
        name: getattr(message, name)
        for name in ("channel", "body", "media_urls", "segments", "content")
    }


# --- provider accounts ------------------------------------------------------------------------


class NewMessagingAccount(Body):
    channel: ChannelName = Field(examples=["sms"])
    provider: Annotated[str, StringConstraints(max_length=32)] = Field(examples=["twilio"])
    name: Name
    settings: JsonObject = Field(default_factory=dict, description="As the provider asks for.")
    credentials: JsonObject = Field(
        default_factory=dict, description="As the provider asks for; encrypted, never shown."
    )
    senders: Senders = Field(default_factory=list)
    priority: Priority = 100
    max_per_second: PerSecond = None
    enabled: bool = True


class MessagingAccountChange(Body):
    """`credentials` replaces all of them."""

    name: Name = UNSET
    settings: JsonObject = UNSET
    credentials: JsonObject = UNSET
    senders: Senders = UNSET
    priority: Priority = UNSET
    max_per_second: PerSecond = UNSET
    enabled: bool = UNSET


class MessagingAccount(Answer):
    id: AccountId
    channel: str
    provider: str
    name: str
    settings: dict[str, JsonValue]
    senders: list[str]
    priority: int
    max_per_second: int | None
    enabled: bool
    sandbox: bool
    receiver_url: str = Field(
        description="Where the provider posts receipts and inbound messages; stable."
    )
    paused_until: Timestamp | None = Field(description="The provider asked us to wait.")
    demoted_until: Timestamp | None = Field(
        description="It failed too often: the other accounts come first."
    )
    created_at: Timestamp
    updated_at: Timestamp


class MessagingAccounts(Answer):
    accounts: list[MessagingAccount]
    pagination: OffsetPagination


class Unread(Answer):
    """A part of the provider's request, as text, secrets taken out; `reason`: what is wrong."""

    reason: str
    part: str
    created_at: Timestamp


class UnreadParts(Answer):
    unread: list[Unread]
    pagination: OffsetPagination


class ChannelQuery(OffsetQuery):
    channel: ChannelName | None = None


class ProviderKind(Answer):
    """`settings` and `credentials`: JSON Schemas of what an account needs."""

    channel: str
    provider: str
    idempotent: bool = Field(
        description="Asked twice with the same message it sends one; false: where its answer is "
        "missing, the message's status is `unknown`."
    )
    settings: dict[str, JsonValue]
    credentials: dict[str, JsonValue]


class ProviderKinds(Answer):
    providers: list[ProviderKind]


@router.get("/v1/messaging/providers", access=_READ, answer=Success[ProviderKinds])
def list_messaging_providers(caller: Caller) -> dict[str, Any]:
    """List the providers that accounts can be made for, and what each needs."""
    kinds = [
        {
            "channel": channel,
            "provider": provider.name,
            "idempotent": provider.idempotent,
            "settings": provider.Settings.model_json_schema(),
            "credentials": provider.Credentials.model_json_schema(),
        }
        for channel, provider in accounts.known_providers()
    ]
    return {"data": {"providers": kinds}}


@router.get("/v1/messaging/accounts", access=_READ, answer=Success[MessagingAccounts])
def list_messaging_accounts(caller: Caller, query: ChannelQuery) -> dict[str, Any]:
    """List provider accounts."""
    rows, total = accounts.list_page(
        caller.tenant_id, channel=query.channel, limit=query.limit, offset=query.offset
    )
    return listed("accounts", [_account(row) for row in rows], query, total)


@router.post("/v1/messaging/accounts", access=_WRITE, answer=MessagingAccount, status=201)
def create_messaging_account(caller: Caller, body: NewMessagingAccount) -> dict[str, Any]:
    """Create a provider account. From then on the channel's messages are no longer simulated."""
    _check_channel(body.channel)
    return _account(accounts.create(caller, caller.tenant_id, **body.model_dump()))


@router.get("/v1/messaging/accounts/<messaging_account_id>", access=_READ, answer=MessagingAccount)
def get_messaging_account(caller: Caller, messaging_account_id: AccountId) -> dict[str, Any]:
    """Get a provider account."""
    return _account(accounts.get(caller.tenant_id, messaging_account_id))


@router.put("/v1/messaging/accounts/<messaging_account_id>", access=_WRITE, answer=MessagingAccount)
def update_messaging_account(
    caller: Caller, messaging_account_id: AccountId, body: MessagingAccountChange
) -> dict[str, Any]:
    """Update a provider account; also ends a pause or a demotion."""
    changes = body.model_dump(exclude_unset=True)
    return _account(accounts.change(caller, caller.tenant_id, messaging_account_id, **changes))


@router.get(
    "/v1/messaging/accounts/<messaging_account_id>/unread",
    access=_READ,
    answer=Success[UnreadParts],
)
def list_unread_parts(
    caller: Caller, messaging_account_id: AccountId, query: OffsetQuery
) -> dict[str, Any]:
    """List what the account's provider posted and was not understood; kept for 35 days."""
    parts, total = receiving.list_unread(
        caller.tenant_id, messaging_account_id, limit=query.limit, offset=query.offset
    )
    return listed("unread", parts, query, total)


@router.delete("/v1/messaging/accounts/<messaging_account_id>", access=_WRITE)
def delete_messaging_account(caller: Caller, messaging_account_id: AccountId) -> None:
    """Delete a provider account; 409 ACCOUNT_IN_USE while messages wait for it."""
    accounts.remove(caller, caller.tenant_id, messaging_account_id)


def _account(row: ProviderAccount) -> dict[str, Any]:
    names = set(MessagingAccount.model_fields) - {"receiver_url", "sandbox"}
    return {name: getattr(row, name) for name in names} | {
        "receiver_url": accounts.receiver_url(row),
        "sandbox": accounts.is_sandbox(row),
    }


def _check_channel(name: str) -> None:
    try:
        channel_of(name)
    except NotFound as error:
        raise invalid("channel", error.message) from None


# --- suppressions -----------------------------------------------------------------------------


class NewSuppression(Body):
    channel: ChannelName = Field(examples=["sms"])
    address: Text320 = Field(examples=["+15555550113"])


class SuppressionAnswer(Answer):
    """`reason`: opt_out, bounce, complaint or manual; `source`: who said so."""

    id: SuppressionId
    channel: str
    address: str
    reason: str
    source: str
    created_at: Timestamp


class Suppressions(Answer):
    suppressions: list[SuppressionAnswer]
    pagination: OffsetPagination


class SuppressionsQuery(ChannelQuery):
    address: str | None = Field(None, max_length=320)


@router.get("/v1/messaging/suppressions", access=_READ, answer=Success[Suppressions])
def list_suppressions(caller: Caller, query: SuppressionsQuery) -> dict[str, Any]:
    """List addresses that get nothing, and why."""
    rows, total = suppressions.list_page(caller.tenant_id, **query.model_dump())
    return listed("suppressions", rows, query, total)


@router.post("/v1/messaging/suppressions", access=_WRITE, answer=SuppressionAnswer, status=201)
def add_suppression(caller: Caller, body: NewSuppression) -> Suppression:
    """Keep an address from getting messages of a channel."""
    _check_channel(body.channel)
    try:
        address = channel_of(body.channel).normalise(body.address)
    except ValueError as error:
        raise invalid("address", str(error)) from None
    return suppressions.add(caller, caller.tenant_id, body.channel, address)


@router.delete("/v1/messaging/suppressions/<suppression_id>", access=_WRITE)
def remove_suppression(caller: Caller, suppression_id: SuppressionId) -> None:
    """Let an address get messages again."""
    suppressions.remove(caller, caller.tenant_id, suppression_id)
