"""The channels, and how one plugs in.

A channel is a package `irisx/messaging/channels/<name>/` whose `__init__.py` has

    CHANNEL = Channel(name="sms", sid_prefix="SM", identity="phone", normalise=…, providers=(…))

and whose name stands in `NAMES`. The pipeline does the rest for it:

- *Accounts*: `POST /v1/messaging/accounts` with the channel, one of its `providers` and what that
  provider's `Settings` and `Credentials` models ask for. A tenant without an account has the
  sandbox, which works for any channel (`channels/sandbox.py`).
- *Sending*: a service of the channel checks what the API was given, then calls
  `messaging.accepting.accept(session, tenant_id, NewMessage(channel="…", …))` in its transaction
  and `accepting.wake_senders()` after it. What only the channel understands goes into `content`
  (JSON). Workers take it from there (`sending.py`): opt-outs, quiet hours, validity, rates,
  `Provider.send` with the database session closed, retries, failover, usage, events
  `<name>.sent|delivered|read|failed|unknown`, which stand in `integration/webhooks/catalogue.py`.
- *Receiving*: the provider posts to `/webhooks/<channel>/<token>` (`Account.receiver_url`; both
  GET and POST arrive). `Provider.verify` checks the signature on the raw body, `Provider.read`
  says what it means; the pipeline deduplicates, moves statuses, stores inbound messages and
  publishes `<name>.received`. A channel that is polled (IMAP) calls `receiving.take` itself from a
  job, with what its `read` would have answered.
- *Conversations and contacts* come by themselves: every inbound message finds or opens its
  conversation and contact (`Inbound.name`, `Inbound.thread`), `Channel.window` sets
  `window_expires_at`, and `POST /v1/conversations/{id}/reply` calls the channel's `reply`.
- *After an inbound message* the pipeline calls the channel's `received(session, message)`, in the
  same transaction: SMS answers STOP and HELP there. What a provider says about an account
  (`Reading.notices`) goes to the channel's `noticed(session, account, notice)`.
- *Jobs* of a channel (polling, syncing) are `kernel.jobs.Job`s, listed in `irisx/cli/worker.py`.

A provider is a class with the methods of `provider.Provider`; one that speaks HTTP sends by
`wire.request(…)`, others note their exchanges with `wire.note(…)`. Its tests are a table of cases
against a local server that speaks the provider's protocol
(`tests/messaging/channels/sms/test_twilio.py`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import lru_cache
from importlib import import_module

from sqlalchemy.orm import Session

from irisx.kernel.errors import Conflict, NotFound
from irisx.messaging.models import Message, ProviderAccount
from irisx.messaging.provider import Notice, Provider
from irisx.messaging.states import MessageStatus

NAMES = ("sms", "email", "whatsapp")


def _no_reply(*_: object, **__: object) -> Message:
    """A channel that has no replies of its own."""
    raise Conflict("Conversations of this channel can't be answered here.", code="NO_REPLIES")


def _nothing(session: Session, message: Message) -> None:
    """Most channels do nothing more about an inbound message."""


def _unnoticed(session: Session, row: ProviderAccount, notice: Notice) -> None:
    """Most providers speak of messages only."""


@dataclass(frozen=True)
class Channel:
    """What the pipeline knows of a channel.

    `sid_prefix`: two letters before a message's 32 hex digits. `identity`: the kind of address in
    a contact's identities (phone, email, …). `normalise`: an address in the one form in which it
    is stored; ValueError says what is wrong with it. `window`: how long after the customer's last
    message free text may be sent; None: always. `validity`: how long a message without
    `expires_at` is tried. `received`: called for each inbound message in its transaction;
    `noticed`: for each notice about an account.
    `reply(session, conversation, reply, *, test, ids)`: checks an answer in a conversation
    (`conversations.service.Reply`) and accepts it with `conversation_id`.
    `event_words`: statuses whose event the specification names otherwise (`email.opened`).
    """

    name: str
    sid_prefix: str
    identity: str
    normalise: Callable[[str], str]
    providers: Sequence[Provider]
    window: timedelta | None = None
    validity: timedelta = timedelta(hours=24)
    received: Callable[[Session, Message], None] = _nothing
    noticed: Callable[[Session, ProviderAccount, Notice], None] = _unnoticed
    reply: Callable[..., Message] = _no_reply
    event_words: Mapping[MessageStatus, str] = field(default_factory=dict)

    def provider(self, name: str) -> Provider:
        """Raises KeyError for a provider that the channel has not."""
        return {provider.name: provider for provider in self.providers}[name]


@lru_cache
def channel(name: str) -> Channel:
    """The channel of a name; NotFound if there is none."""
    if name not in NAMES:
        raise NotFound(f"There is no channel {name!r}; there are {', '.join(NAMES)}.")
    found: Channel = import_module(f"{__name__}.{name}").CHANNEL
    return found


def prefix_of(name: str) -> str:
    """The letters before the sids of a channel's messages."""
    return channel(name).sid_prefix
