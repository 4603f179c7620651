"""Tables of what providers say: one attempt against a local server, one request to a receiver."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from irisx.messaging.provider import (
    Account,
    FailureKind,
    Outgoing,
    Provider,
    SendFailed,
    Sent,
    Wire,
    secrets_of,
)
from tests.receiver import Answer, Received, receiving

SID = "SM" + "ab" * 16


@dataclass(frozen=True)
class SendCase:
    """What the server answers, and what that means: a reference, or a kind of failure with its
    code."""

    label: str
    status: int
    body: Any
    reference: str | None = None
    failure: FailureKind | None = None
    code: str | None = None
    opted_out: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)
    retry_after: timedelta = timedelta()

    def __str__(self) -> str:
        return self.label


def outgoing(**fields: Any) -> Outgoing:
    values: dict[str, Any] = {
        "id": UUID("ab" * 16),
        "sid": SID,
        "channel": "sms",
        "from_": "+15550001000",
        "to": "+15555550110",
        "body": "Hello & good-bye €",
        "media_urls": (),
        "content": {},
        "expires_at": None,
        "attempt": 1,
    }
    return Outgoing(**values | fields)


def account_at(provider: Provider, url: str, settings: Any, credentials: Any) -> Account:
    return Account(
        1,
        1,
        provider.Settings.model_validate(settings | {"base_url": url}),
        provider.Credentials.model_validate(credentials),
        "https://irisx.example/webhooks/sms/in_x",
    )


def run(
    case: SendCase, provider: Provider, account: Callable[[str], Account], message: Outgoing
) -> tuple[Received, Wire]:
    """Send once to a server that answers as the case says; the request and what was kept of it."""
    body = case.body if isinstance(case.body, bytes) else json.dumps(case.body).encode()
    with receiving(lambda _: Answer(case.status, dict(case.headers), body)) as server:
        used = account(server.url)
        wire = Wire(secrets_of(used.credentials))
        if case.failure is None:
            assert provider.send(used, message, wire) == Sent(case.reference)
        else:
            with pytest.raises(SendFailed) as failed:
                provider.send(used, message, wire)
            found = failed.value
            assert (found.kind, found.code) == (case.failure, case.code)
            assert (found.suppress == "opt_out", found.retry_after) == (
                case.opted_out,
                case.retry_after,
            )
    (request,) = server.received
    shown = json.dumps([[e.request, e.response] for e in wire.exchanges])
    assert not any(secret in shown for secret in secrets_of(used.credentials))
    return request, wire


def nobody_there(provider: Provider, account: Callable[[str], Account]) -> None:
    """A server that is down has surely not got the message."""
    with receiving() as server:
        gone = server.url
    with pytest.raises(SendFailed) as failed:
        provider.send(account(gone), outgoing(), Wire([]))
    assert failed.value.kind is FailureKind.UNAVAILABLE
