"""The SIP MESSAGE provider: what an engine says is what becomes of a message."""

from collections.abc import Callable, Iterator

import gevent
import pytest

from irisx.messaging import accounts
from irisx.messaging.channels.sms import sip
from irisx.messaging.models import Message
from irisx.messaging.states import MessageStatus
from irisx.tenancy import sip_messages
from irisx.tenancy.access import SYSTEM
from irisx.tenancy.models import Tenant
from irisx.tenancy.sip_message_models import SipMessageStatus
from tests.messaging.pipeline import load, text, work

pytestmark = pytest.mark.usefixtures("number")
S = SipMessageStatus


@pytest.fixture
def ask(tenant: Tenant) -> Callable[..., Message]:
    accounts.create(
        SYSTEM, tenant.id, channel="sms", provider="sip", name="Own", settings={}, credentials={}
    )
    return lambda **fields: text(tenant.id, "+15555550110", **fields)


@pytest.fixture
def engine() -> Iterator[Callable[..., list[str]]]:
    """`engine(status)` takes what is asked for and settles it; None: it dies before."""
    greenlets: list[gevent.Greenlet] = []

    def start(status: SipMessageStatus | None) -> list[str]:
        bodies: list[str] = []
        greenlets.append(gevent.spawn(_engine, status, bodies))
        return bodies

    yield start
    gevent.killall(greenlets)


def _engine(status: SipMessageStatus | None, bodies: list[str]) -> None:
    while True:
        for row in sip_messages.take(10):
            bodies.append(row.body)
            if status is not None:
                sip_messages.settle(row, status, "A")
        gevent.sleep(0.02)


@pytest.mark.parametrize(
    ("said", "status", "code"),
    [
        (S.ACCEPTED, MessageStatus.SENT, None),
        (S.REFUSED, MessageStatus.FAILED, "SIP_REFUSED"),
        (S.UNROUTABLE, MessageStatus.FAILED, "NO_ROUTE"),
        (S.UNANSWERED, MessageStatus.UNKNOWN, "NO_ANSWER"),
        (S.UNABLE, MessageStatus.QUEUED, "SWITCH_UNABLE"),
    ],
)
def test_outcomes(
    ask: Callable[..., Message],
    engine: Callable[..., list[str]],
    said: SipMessageStatus,
    status: MessageStatus,
    code: str | None,
) -> None:
    bodies = engine(said)
    message = ask(body="Hello | 'you'\r\n${x}")
    work(lambda: (load(message).status, load(message).error_code) == (status, code))
    assert bodies == ["Hello | 'you'\r\n${x}"]


def test_without_an_engine_it_is_taken_back_and_tried_again(
    ask: Callable[..., Message], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sip, "TAKEN_SECONDS", 0.05)
    message = ask()
    work(lambda: load(message).error_code == "NO_ENGINE")
    assert load(message).status is MessageStatus.QUEUED
    assert sip_messages.take(10) == []


def test_an_engine_that_dies_leaves_doubt(
    ask: Callable[..., Message],
    engine: Callable[..., list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sip, "TAKEN_SECONDS", 0.05)
    monkeypatch.setattr(sip, "SETTLED_SECONDS", 0.3)
    engine(None)
    message = ask()
    work(lambda: load(message).status is MessageStatus.UNKNOWN)
    assert load(message).error_code == "NO_ANSWER"


def test_pictures_are_refused(ask: Callable[..., Message]) -> None:
    message = ask(media_urls=["https://a.example/x.png"])
    work(lambda: load(message).error_code == "NO_MEDIA")
