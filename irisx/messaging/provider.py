"""What a provider is to the pipeline: a Protocol, and the values that pass through it.

A provider is stateless and pure but for `send`, which does everything through the `Wire` that it
is given: it keeps each exchange, secrets taken out, and says what a broken one means.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Protocol
from uuid import UUID

from pydantic import BaseModel, ConfigDict
from pydantic import ValidationError as PydanticError

from irisx.kernel import clock, http
from irisx.messaging.states import MessageStatus

REDACTED = "[redacted]"
_HEAD_CHARACTERS = 4000
_SHORTEST_SECRET = 4
_SECRET_HEADERS = frozenset({"authorization", "x-api-key", "cookie", "set-cookie"})


class AccountModel(BaseModel):
    """Base of a provider's `Settings` (shown) and `Credentials` (never shown)."""

    model_config = ConfigDict(extra="forbid", strict=True)


class NoCredentials(AccountModel):
    """Of a provider that needs none."""


@dataclass(frozen=True, slots=True)
class Account:
    """An account as its provider sees it; `settings` and `credentials` in the provider's models.

    `receiver_url`: where this account's receipts and inbound messages are to be posted.
    """

    id: int
    tenant_id: int
    settings: Any
    credentials: Any
    receiver_url: str


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message to hand over. `sid` is stable over attempts: an idempotency key where the
    provider takes one."""

    id: UUID
    sid: str
    channel: str
    from_: str
    to: str
    body: str
    media_urls: Sequence[str]
    content: Mapping[str, Any]
    expires_at: datetime | None
    attempt: int


@dataclass(frozen=True, slots=True)
class Later:
    """Sandbox only: what happens `after` a message was sent. `reply`: the recipient answers."""

    after: timedelta
    status: MessageStatus | None = None
    error_code: str | None = None
    reply: str | None = None


@dataclass(frozen=True, slots=True)
class Sent:
    """The provider has taken the message. `reference`: its id there, as receipts will name it.

    `status`: DELIVERED or READ where the answer itself proves as much.
    """

    reference: str | None
    status: MessageStatus = MessageStatus.SENT
    later: Sequence[Later] = ()


class FailureKind(StrEnum):
    """What a failed attempt means, which decides what comes next.

    REJECTED: this message, for good. THROTTLED: the account, for `retry_after`. ACCOUNT: wrong
    credentials, no money: another account, and this one is demoted. UNAVAILABLE: surely not sent;
    again, or by another account. IN_DOUBT: it may have been sent; only a provider that is
    `idempotent` is asked again, else the message's status says `unknown`.
    """

    REJECTED = "rejected"
    THROTTLED = "throttled"
    ACCOUNT = "account"
    UNAVAILABLE = "unavailable"
    IN_DOUBT = "in-doubt"


class SendFailed(Exception):
    """An attempt failed. `code`: the provider's or ours, `opted_out`: the recipient's wish,
    `suppress`: another reason why the address gets nothing any more."""

    def __init__(
        self,
        kind: FailureKind,
        code: str,
        message: str,
        *,
        retry_after: timedelta = timedelta(),
        opted_out: bool = False,
        suppress: str | None = None,
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.code = code
        self.message = message
        self.retry_after = retry_after
        self.suppress = "opt_out" if opted_out else suppress


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a provider says about a message that it took.

    It names the message by `sid` (ours, where the provider hands it back) or by `reference` (its
    own). `key` tells one telling from another: the same key counts once. `suppress`: why the
    recipient gets nothing any more (opt_out, bounce, complaint).
    """

    key: str
    status: MessageStatus
    reference: str | None = None
    sid: str | None = None
    at: datetime | None = None
    error_code: str | None = None
    error_message: str | None = None
    opted_out: bool = False
    suppress: str | None = None


@dataclass(frozen=True, slots=True)
class InboundFile:
    """A file that came as a part of the message itself; `name` and `content_type` as they were
    said."""

    name: str
    content_type: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Inbound:
    """A message that somebody sent to the tenant. `reference` is the provider's id of it.

    `name`: the sender's, where the channel tells. `thread`: which of several conversations of the
    same two addresses it belongs to (an e-mail thread). `media_urls`: where its attachments can be
    fetched, perhaps with the account's credentials only. `files`: those that came with it.
    """

    reference: str
    from_: str
    to: str
    body: str
    media_urls: Sequence[str] = ()
    files: Sequence[InboundFile] = ()
    content: Mapping[str, Any] = field(default_factory=dict)
    name: str | None = None
    thread: str = ""
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ReceiverRequest:
    """A request to an account's receiver, as it came. `url`: as the provider wrote it."""

    method: str
    url: str
    headers: Mapping[str, str]
    query: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Unread:
    """A part of a receiver's request that can't be understood. `reason` quotes nothing of it."""

    reason: str
    part: Any


def unread(error: Exception, part: Any) -> Unread:
    """A part that reading it failed on."""
    if not isinstance(error, PydanticError):
        return Unread(f"{type(error).__name__}: {error}"[:200], part)
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    words = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in faults)
    return Unread(words[:200], part)


@dataclass(frozen=True, slots=True)
class Notice:
    """What a provider says about an account rather than a message: `Channel.noticed` gets it."""

    kind: str
    data: Mapping[str, Any]
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """All that a receiver's request says, and what it is answered. `unread`: parts of it that were
    not understood, and are kept for a person to look at."""

    receipts: Sequence[Receipt] = ()
    messages: Sequence[Inbound] = ()
    unread: Sequence[Unread] = ()
    notices: Sequence[Notice] = ()
    status: int = 200
    content_type: str = "text/plain"
    body: str = ""


class Provider(Protocol):
    """One provider of one channel. Registered by its package in `channels/<channel>/`.

    Its attributes are class attributes. `idempotent`: handing the same sid over twice has the
    effect of once. `max_per_second`: of an account that sets none; None: as fast as it goes.
    """

    @property
    def name(self) -> str: ...

    @property
    def idempotent(self) -> bool: ...

    @property
    def max_per_second(self) -> int | None: ...

    @property
    def Settings(self) -> type[AccountModel]: ...  # noqa: N802 - a class

    @property
    def Credentials(self) -> type[AccountModel]: ...  # noqa: N802 - a class

    def send(self, account: Account, message: Outgoing, wire: "Wire") -> Sent:
        """Hand a message over, in 45 s at most. Raises SendFailed; anything else counts as
        IN_DOUBT."""

    def verify(self, account: Account, request: ReceiverRequest) -> bool:
        """Whether the request is the provider's, by its signature on the raw body."""

    def read(self, account: Account, request: ReceiverRequest) -> Reading:
        """A verified request's meaning. Raises ValueError for what can't be understood."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request and what came back, as the log shows them."""

    at: datetime
    request: dict[str, Any]
    response: dict[str, Any] | None
    error: str | None
    duration_ms: int | None


class Wire:
    """A provider's way out: HTTP through the guarded client, each exchange kept without secrets."""

    TIMEOUT_SECONDS = 20.0

    def __init__(self, secrets: Sequence[str]) -> None:
        self._secrets = [secret for secret in secrets if len(secret) >= _SHORTEST_SECRET]
        self.exchanges: list[Exchange] = []

    def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes = b"",
        shown_body: str | None = None,
    ) -> http.Reply:
        """One exchange. `shown_body`: in the log, in place of a body that is no text.

        Raises SendFailed: UNAVAILABLE if nobody was reached, IN_DOUBT if the answer is missing.
        """
        began = clock.now()
        request = {
            "method": method,
            "url": url,
            "headers": {
                k: REDACTED if k.lower() in _SECRET_HEADERS else v for k, v in headers.items()
            },
            "body": shown_body if shown_body is not None else _text(body),
        }
        try:
            reply = http.request(
                method, url, headers=headers, body=body or None, timeout=self.TIMEOUT_SECONDS
            )
        except http.HttpFailure as failure:
            self.note(request, None, error=str(failure), began=began)
            raise _meaning(failure) from failure
        response = {"status": reply.status, "body": _text(reply.body)}
        self.note(request, response, began=began)
        return reply

    def note(
        self,
        request: dict[str, Any],
        response: dict[str, Any] | None,
        *,
        error: str | None = None,
        began: datetime | None = None,
    ) -> None:
        """Keep an exchange of another protocol; strings in it lose their secrets."""
        now = clock.now()
        duration = round((now - began) / timedelta(milliseconds=1)) if began else None
        self.exchanges.append(
            Exchange(
                began or now,
                self.clean(request),
                self.clean(response),
                self.clean(error),
                duration,
            )
        )

    def clean(self, value: Any) -> Any:
        """The value, every secret of the account replaced wherever it stands."""
        if isinstance(value, str):
            for secret in self._secrets:
                value = value.replace(secret, REDACTED)
            return value
        if isinstance(value, dict):
            return {self.clean(k): self.clean(v) for k, v in value.items()}
        if isinstance(value, list):
            return [self.clean(item) for item in value]
        return value


def secrets_of(credentials: BaseModel) -> list[str]:
    """Every text among the credentials."""
    return [v for v in credentials.model_dump(mode="json").values() if isinstance(v, str)]


def basic_auth(user: str, password: str) -> dict[str, str]:
    """The header of HTTP Basic authentication (RFC 7617)."""
    token = base64.b64encode(f"{user}:{password}".encode()).decode()
    return {"Authorization": f"Basic {token}"}


def failed_reply(reply: http.Reply, code: str, message: str, **more: Any) -> SendFailed:
    """What a provider's HTTP error means where its documentation says nothing better."""
    wait = http.retry_after(reply)
    match reply.status:
        case 429:
            kind = FailureKind.THROTTLED
        case 401 | 402 | 403:
            kind = FailureKind.ACCOUNT
        case 503:
            kind = FailureKind.UNAVAILABLE
        case status if status >= 500 or status < 400:
            kind = FailureKind.IN_DOUBT
        case _:
            kind = FailureKind.REJECTED
    return SendFailed(kind, code, message, retry_after=wait, **more)


def _meaning(failure: http.HttpFailure) -> SendFailed:
    if isinstance(failure, http.AddressRefused):
        return SendFailed(FailureKind.ACCOUNT, "ADDRESS_REFUSED", str(failure))
    if isinstance(failure, http.Unreachable):
        return SendFailed(FailureKind.UNAVAILABLE, "PROVIDER_UNREACHABLE", str(failure))
    return SendFailed(FailureKind.IN_DOUBT, "NO_ANSWER", str(failure))


def _text(body: bytes) -> str:
    """For a log: PostgreSQL's text holds no NUL."""
    return body[:_HEAD_CHARACTERS].decode(errors="replace").replace("\0", "�")
