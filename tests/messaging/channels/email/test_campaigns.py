"""Campaigns to lists: everybody gets one message, or a reason why not."""

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select, update

from irisx.kernel import clock
from irisx.kernel.db import transaction
from irisx.messaging import accepting, suppressions
from irisx.messaging.channels.email.campaigns import service, statistics, stepping
from irisx.messaging.channels.email.campaigns.models import EmailCampaign, EmailCampaignRecipient
from irisx.messaging.channels.email.campaigns.states import (
    TRANSITIONS,
    EmailCampaignStage,
    EmailCampaignStatus,
    RecipientStatus,
)
from irisx.messaging.channels.email.statistics import Counts
from irisx.messaging.contacts import consents, lists, subject
from irisx.messaging.contacts import service as contacts
from irisx.messaging.models import Message, ProviderAccount, QueueEntry
from irisx.messaging.sending import Sender
from irisx.messaging.states import MessageStatus
from irisx.tenancy.access import SYSTEM, Caller
from irisx.tenancy.models import Tenant
from tests.messaging.channels.email.conftest import SENDER
from tests.messaging.pipeline import events
from tests.smtp_server import SmtpServer, smtp_server
from tests.waiting import wait_until

_C = EmailCampaignStatus


class Marketing:
    """A tenant with an SMTP account, and campaigns of it."""

    def __init__(self, tenant: Tenant, server: SmtpServer) -> None:
        self.tenant = tenant
        self.server = server
        self.caller = Caller(name="test", tenant_id=tenant.id, permissions=frozenset({"*"}))

    def contact(self, address: str | None, **attributes: Any) -> int:
        identities = [("email", address)] if address else [("phone", "+15555550100")]
        view = contacts.create(SYSTEM, self.tenant.id, identities=identities, attributes=attributes)
        return view.row.id

    def on_list(self, *contact_ids: int, name: str = "News") -> int:
        made = lists.create(SYSTEM, self.tenant.id, name, None).row.id
        lists.add(SYSTEM, self.tenant.id, made, contact_ids)
        return made

    def campaign(self, *list_ids: int, **fields: Any) -> EmailCampaign:
        words = {"name": "Spring", "subject": "Hello", "text": "Hi {{ first }}"}
        return service.create(SYSTEM, self.tenant.id, {**words, "list_ids": list_ids, **fields})

    def send(self, campaign: EmailCampaign) -> None:
        service.send(self.caller, campaign.id)

    def work(self, campaign: EmailCampaign, until: Callable[[EmailCampaign], object]) -> None:
        """Do the worker's part until something is so."""
        sender = Sender()

        def step() -> object:
            stepping.advance()
            sender.run()
            return until(self.load(campaign))

        wait_until(step, timeout=30.0)
        sender.finish()

    def load(self, campaign: EmailCampaign) -> EmailCampaign:
        return service.get(self.tenant.id, campaign.id)

    def step(self, campaign: EmailCampaign, stage: EmailCampaignStage | None) -> EmailCampaign:
        """Let the campaign go on, without anything being sent, until it is at a stage."""
        wait_until(lambda: stepping.advance() and self.load(campaign).stage is stage)
        return self.load(campaign)

    def recipients(self, campaign: EmailCampaign) -> list[EmailCampaignRecipient]:
        mine = select(EmailCampaignRecipient).filter_by(campaign_id=campaign.id)
        with transaction() as session:
            return list(session.scalars(mine.order_by(EmailCampaignRecipient.id)))

    def got(self) -> Counter[str]:
        """How many messages each address got."""
        return Counter(taken.recipient for taken in self.server.taken)


@pytest.fixture
def marketing(tenant: Tenant, smtp_account: Callable[..., ProviderAccount]) -> Iterator[Marketing]:
    with smtp_server() as server:
        smtp_account(server)
        yield Marketing(tenant, server)


def completed(campaign: EmailCampaign) -> bool:
    return campaign.status is _C.COMPLETED


def test_everybody_on_the_lists_gets_one_message_or_a_reason(marketing: Marketing) -> None:
    ann, bob = marketing.contact("Ann@example.com", first="Ann"), marketing.contact("bob@b.example")
    gone = marketing.contact("gone@b.example", first="G")
    bounced = marketing.contact("bounced@b.example", first="B")
    phone = marketing.contact(None)
    suppressions.add(SYSTEM, marketing.tenant.id, "email", "bounced@b.example")
    consents.record(SYSTEM, marketing.tenant.id, gone, "email", "opt_out", None)
    one = marketing.on_list(ann, bob, gone)
    other = marketing.on_list(ann, bounced, phone, name="Other")
    campaign = marketing.campaign(one, other, from_=f"Acme <{SENDER}>")
    marketing.send(campaign)
    marketing.work(campaign, completed)
    assert marketing.got() == {"ann@example.com": 1}
    [taken] = marketing.server.taken
    assert b"Hi Ann" in taken.mail
    assert b"List-Unsubscribe-Post: List-Unsubscribe=One-Click" in taken.mail
    found = {r.address: (r.status, r.reason) for r in marketing.recipients(campaign)}
    assert found["ann@example.com"] == (RecipientStatus.ACCEPTED, None)
    assert found["gone@b.example"] == (RecipientStatus.SKIPPED, "RECIPIENT_OPTED_OUT")
    assert found["bounced@b.example"] == (RecipientStatus.SKIPPED, "RECIPIENT_SUPPRESSED")
    assert found[None] == (RecipientStatus.SKIPPED, "NO_ADDRESS")
    status, reason = found["bob@b.example"]
    assert status is RecipientStatus.SKIPPED
    assert (reason or "").startswith("NOT_RENDERED: ")
    counts = statistics.counts(marketing.tenant.id, campaign.id)
    assert sum(counts.recipients.values()) == 5
    assert (counts.messages.total, counts.messages.sent) == (1, 1)
    told = events("email.campaign.started", "email.campaign.completed")
    assert [(each["type"], each["status"]) for each in told] == [
        ("email.campaign.started", "sending"),
        ("email.campaign.completed", "completed"),
    ]


def test_consent_and_staying_on_the_list_are_asked_when_a_message_is_made(
    marketing: Marketing,
) -> None:
    yes, no = marketing.contact("yes@b.example", first="Y"), marketing.contact("no@b.example")
    left = marketing.contact("left@b.example", first="L")
    for each in (yes, left):
        consents.record(SYSTEM, marketing.tenant.id, each, "email", "opt_in", "the form")
    members = marketing.on_list(yes, no, left)
    campaign = marketing.campaign(members, require_consent=True)
    marketing.send(campaign)
    marketing.step(campaign, EmailCampaignStage.SENDING)
    lists.take_off(SYSTEM, marketing.tenant.id, members, left)
    marketing.work(campaign, completed)
    reasons = {r.address: r.reason for r in marketing.recipients(campaign)}
    assert reasons == {
        "yes@b.example": None,
        "no@b.example": "NO_CONSENT",
        "left@b.example": "LEFT_LIST",
    }
    assert marketing.got() == {"yes@b.example": 1}


def some(marketing: Marketing, number: int) -> int:
    return marketing.on_list(
        *(marketing.contact(f"r{each}@b.example", first="R") for each in range(number))
    )


def test_a_worker_that_dies_in_mid_step_neither_loses_nor_doubles_anybody(
    marketing: Marketing, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign = marketing.campaign(some(marketing, 6))
    monkeypatch.setattr(stepping, "BATCH", 2)
    marketing.send(campaign)
    marketing.step(campaign, EmailCampaignStage.SENDING)

    class Killed(BaseException):
        pass

    def dies_after(*given: Any) -> Any:
        accept_many(*given)
        raise Killed

    accept_many = accepting.accept_many
    assert stepping.advance()
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(accepting, "accept_many", dies_after)
        stepping.advance()
    with transaction() as session:
        assert len(session.scalars(select(Message)).all()) == 2
    marketing.work(campaign, completed)
    assert marketing.got() == {f"r{each}@b.example": 1 for each in range(6)}


def test_a_pause_takes_back_what_is_not_handed_over_and_a_resume_sends_it(
    marketing: Marketing,
) -> None:
    campaign = marketing.campaign(some(marketing, 4))
    marketing.send(campaign)
    marketing.step(campaign, EmailCampaignStage.SETTLING)
    service.pause(SYSTEM, marketing.tenant.id, campaign.id)
    assert {r.status for r in marketing.recipients(campaign)} == {RecipientStatus.PENDING}
    with transaction() as session:
        assert not session.scalars(select(QueueEntry)).all()
        taken_back = session.scalars(select(Message.status)).all()
    assert set(taken_back) == {MessageStatus.CANCELED}
    assert not stepping.advance()
    service.resume(SYSTEM, marketing.tenant.id, campaign.id)
    marketing.work(campaign, completed)
    assert set(marketing.got().values()) == {1}
    assert len(marketing.got()) == 4


def test_a_stop_is_for_good(marketing: Marketing) -> None:
    campaign = marketing.campaign(some(marketing, 3))
    marketing.send(campaign)
    marketing.step(campaign, EmailCampaignStage.SETTLING)
    stopped = service.stop(SYSTEM, marketing.tenant.id, campaign.id)
    assert (stopped.status, stopped.next_at) == (_C.STOPPED, None)
    assert {r.status for r in marketing.recipients(campaign)} == {RecipientStatus.CANCELED}
    assert not stepping.advance()
    Sender().run()
    assert not marketing.server.taken


@pytest.mark.parametrize("better", ["b", None])
def test_the_subject_that_does_better_goes_to_the_rest(
    marketing: Marketing, better: str | None
) -> None:
    test = {"subject": "Hi there", "test_percent": 40, "metric": "opens", "wait_minutes": 60}
    campaign = marketing.campaign(some(marketing, 10), ab_test=test)
    marketing.send(campaign)
    marketing.work(campaign, lambda row: row.stage is EmailCampaignStage.DECIDING)
    variants = Counter(r.variant for r in marketing.recipients(campaign))
    assert variants == {"a": 2, "b": 2, None: 6}
    wait_until(lambda: not stepping.advance())  # nothing before its time
    with transaction() as session:
        for recipient in marketing.recipients(campaign):
            if recipient.variant == better and better is not None:
                session.execute(
                    update(Message)
                    .where(Message.id == recipient.message_id)
                    .values(status=MessageStatus.READ)
                )
        past = clock.now() - timedelta(seconds=1)
        session.execute(update(EmailCampaign).values(decide_at=past, next_at=past))
    marketing.work(campaign, completed)
    winner = better or "a"
    assert marketing.load(campaign).winner == winner
    subjects = Counter(
        line
        for taken in marketing.server.taken
        for line in taken.mail.split(b"\r\n")
        if line.startswith(b"Subject: ")
    )
    rest = {"a": b"Subject: Hello", "b": b"Subject: Hi there"}[winner]
    assert sorted(subjects.values()) == [2, 8]
    assert subjects[rest] == 8
    assert set(marketing.got().values()) == {1}
    [decided] = events("email.campaign.decided")
    assert decided["winner"] == winner


def test_a_campaign_that_can_t_go_on_is_paused_and_says_why(marketing: Marketing) -> None:
    campaign = marketing.campaign(some(marketing, 2), from_="other@elsewhere.example")
    marketing.send(campaign)
    wait_until(lambda: stepping.advance() and marketing.load(campaign).status is _C.PAUSED)
    paused = marketing.load(campaign)
    assert (paused.error or "").startswith("NO_PROVIDER_ACCOUNT")
    assert {r.status for r in marketing.recipients(campaign)} == {RecipientStatus.PENDING}


def test_quiet_hours_are_waited_out(marketing: Marketing, monkeypatch: pytest.MonkeyPatch) -> None:
    campaign = marketing.campaign(some(marketing, 1))
    marketing.send(campaign)
    marketing.step(campaign, EmailCampaignStage.SENDING)
    now = clock.now()
    start, end = now - timedelta(hours=1), now + timedelta(hours=1)
    quiet = {"start": f"{start:%H:%M}", "end": f"{end:%H:%M}"}
    with transaction() as session:
        session.get_one(Tenant, marketing.tenant.id).settings = {
            "quiet_hours": quiet, "timezone": "UTC",
        }  # fmt: skip
    stepping.advance()
    waits = marketing.load(campaign)
    assert waits.next_at is not None
    assert waits.next_at.strftime("%H:%M") == quiet["end"]
    assert marketing.recipients(campaign)[0].status is RecipientStatus.PENDING


def test_one_that_is_scheduled_begins_at_its_time(marketing: Marketing) -> None:
    campaign = marketing.campaign(some(marketing, 1))
    service.schedule(marketing.caller, campaign.id, clock.now() + timedelta(hours=1))
    assert not stepping.advance()
    past = clock.now() - timedelta(seconds=1)
    with transaction() as session:
        session.execute(update(EmailCampaign).values(send_at=past, next_at=past))
    marketing.work(campaign, completed)
    assert marketing.got() == {"r0@b.example": 1}


def test_who_is_erased_is_no_recipient_any_more(marketing: Marketing) -> None:
    ann = marketing.contact("ann@example.com", first="Ann")
    campaign = marketing.campaign(marketing.on_list(ann))
    marketing.send(campaign)
    marketing.step(campaign, EmailCampaignStage.SENDING)
    subject.erase(SYSTEM, marketing.tenant.id, ann)
    marketing.work(campaign, completed)
    [row] = marketing.recipients(campaign)
    assert (row.contact_id, row.address, row.reason) == (None, None, "CONTACT_GONE")


@given(
    per_minute=st.integers(1, 5000),
    gaps=st.lists(st.floats(0.0, 30.0, allow_nan=False), max_size=60),
)
def test_no_minute_has_more_than_the_throttle_allows(per_minute: int, gaps: list[float]) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    campaign = EmailCampaign(per_minute=per_minute, paced_at=now)
    made: list[tuple[datetime, int]] = []
    for gap in gaps:
        now += timedelta(seconds=gap)
        room = stepping.within_throttle(campaign, now)
        stepping.count_in(campaign, room)
        made.append((now, room))
        if not room:
            assert campaign.next_at is not None
            assert campaign.next_at > now
    for begin, _ in made:
        window = [n for at, n in made if begin <= at < begin + timedelta(minutes=1)]
        assert sum(window) <= per_minute * 62 / 60 + 1


@given(per_minute=st.integers(1, 5000), late=st.floats(0.0, 5000.0, allow_nan=False))
def test_a_throttled_campaign_always_goes_on(per_minute: int, late: float) -> None:
    begun = datetime(2026, 1, 1, tzinfo=UTC)
    campaign = EmailCampaign(per_minute=per_minute, paced_at=begun)
    assert stepping.within_throttle(campaign, begun) == 0
    assert campaign.next_at is not None
    assert stepping.within_throttle(campaign, campaign.next_at + timedelta(seconds=late)) >= 1


def test_success_is_a_part_of_what_was_taken() -> None:
    counts = Counts(total=10, sent=8, delivered=8, opened=4, clicked=2, bounced=0, failed=2)
    assert statistics.success(counts, "opens") == 0.5
    assert statistics.success(counts, "clicks") == 0.25
    assert statistics.success(None, "opens") == 0.0


def test_every_status_can_be_reached_and_ends_end() -> None:
    reached = {_C.DRAFT}.union(*TRANSITIONS.values())
    assert reached == set(_C)
    assert not TRANSITIONS[_C.STOPPED] | TRANSITIONS[_C.COMPLETED]
