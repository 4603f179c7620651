"""From accepted to delivered, on the sandbox provider and on one that fails as the test says."""

from datetime import UTC, datetime, timedelta

import gevent
import pytest
from sqlalchemy import func, select, update

from irisx.kernel import clock
from irisx.kernel.db import transaction
from irisx.kernel.errors import Conflict, Unavailable
from irisx.messaging import accepting, accounts, claiming, exchanges, rates
from irisx.messaging.attempts import attempt
from irisx.messaging.models import Message, MessageExchange, QueueEntry
from irisx.messaging.provider import Account, FailureKind, Outgoing, SendFailed, Sent
from irisx.messaging.sending import Sender
from irisx.messaging.settling import settle
from irisx.messaging.states import Category, MessageStatus
from irisx.messaging.statuses import sid_of
from irisx.tenancy.access import SYSTEM
from irisx.tenancy.models import PhoneNumber, Tenant
from irisx.tenancy.usage_models import UsageRecord
from tests.messaging.pipeline import (
    due_now,
    entry_of,
    events,
    load,
    reload,
    sent_until,
    text,
    work,
)
from tests.messaging.scripted import SECRET, account, scripted

S = MessageStatus
pytestmark = pytest.mark.usefixtures("number")


def taken(_account: Account, message: Outgoing) -> Sent:
    return Sent(f"ref-{message.sid}")


def failing(kind: FailureKind, **more: object) -> SendFailed:
    return SendFailed(kind, "SCRIPTED", "As the test says.", **more)  # type: ignore[arg-type]


def always(kind: FailureKind, **more: object):  # type: ignore[no-untyped-def]
    def answer(_account: Account, _message: Outgoing) -> Sent:
        raise failing(kind, **more)

    return answer


@pytest.mark.parametrize(
    ("to", "status", "told"),
    [
        ("+15555550110", S.DELIVERED, ["sms.sent", "sms.delivered"]),
        ("+15555550111", S.UNDELIVERED, ["sms.sent", "sms.failed"]),
        ("+15555550112", S.FAILED, ["sms.failed"]),
        ("+15555550113", S.FAILED, ["sms.failed"]),
        ("+15555550117", S.UNKNOWN, ["sms.unknown"]),
        ("+15555550119", S.READ, ["sms.sent", "sms.delivered", "sms.read"]),
    ],
)
def test_the_sandbox_runs_the_whole_life_of_a_message(
    tenant: Tenant, to: str, status: MessageStatus, told: list[str]
) -> None:
    message = text(tenant.id, to)
    assert sent_until(message, status).status is status
    happened = events("sms.sent", "sms.delivered", "sms.read", "sms.failed", "sms.unknown")
    assert [event["type"] for event in happened] == told
    assert all(event["sid"] == sid_of(message) for event in happened)
    assert all(event["provider"]["sandbox"] for event in happened)  # type: ignore[index]
    assert entry_of(message) is None


def test_a_recipient_that_is_busy_once_gets_it_at_the_second_attempt(tenant: Tenant) -> None:
    message = text(tenant.id, "+15555550116")
    work(
        lambda: (
            (entry := entry_of(message)) is not None and entry.attempts == 1 and not entry.handed
        )
    )
    assert load(message).error_code == "SANDBOX_BUSY"
    due_now(message)
    done = sent_until(message, S.DELIVERED)
    assert done.error_code is None


def test_a_recipient_answers(tenant: Tenant) -> None:
    text(tenant.id, "+15555550114")
    work(lambda: events("sms.received"))
    (received,) = events("sms.received")
    assert (received["from"], received["body"]) == ("+15555550114", "Hello")


def test_a_rejection_is_not_repeated_and_an_opt_out_is_remembered(tenant: Tenant) -> None:
    with scripted(always(FailureKind.REJECTED, opted_out=True)) as provider:
        account(tenant.id)
        message = text(tenant.id)
        assert sent_until(message, S.FAILED).error_code == "SCRIPTED"
        assert len(provider.handed) == 1
        with pytest.raises(Conflict) as refused:
            text(tenant.id)
        assert refused.value.code == "RECIPIENT_OPTED_OUT"


def test_an_opt_out_after_it_was_accepted_is_respected(tenant: Tenant) -> None:
    from irisx.messaging import suppressions

    with scripted(taken) as provider:
        account(tenant.id)
        message = text(tenant.id)
        suppressions.add(SYSTEM, tenant.id, "sms", message.to_address)
        assert sent_until(message, S.FAILED).error_code == "RECIPIENT_SUPPRESSED"
        assert provider.handed == []


def test_another_account_takes_over_and_the_faulty_one_is_demoted(tenant: Tenant) -> None:
    def answer(used: Account, message: Outgoing) -> Sent:
        if used.id == first.id:
            raise failing(FailureKind.ACCOUNT)
        return taken(used, message)

    with scripted(answer) as provider:
        first, second = account(tenant.id, "First", priority=1), account(tenant.id, "Second")
        one = sent_until(text(tenant.id), S.SENT)
        assert one.account_id == second.id
        assert [used for used, _ in provider.handed] == [first.id, second.id]
        assert reload(first).demoted_until is not None
        sent_until(text(tenant.id), S.SENT)
        assert [used for used, _ in provider.handed[2:]] == [second.id]


def test_an_account_is_demoted_when_most_of_its_last_attempts_were_faults(tenant: Tenant) -> None:
    with scripted(always(FailureKind.UNAVAILABLE)):
        only = account(tenant.id)
        messages = [text(tenant.id, f"+1555555{n:04}") for n in range(200, 206)]
        work(lambda: all((e := entry_of(m)) and e.attempts and not e.handed for m in messages))
        assert reload(only).demoted_until is not None


def test_a_throttled_account_waits_as_long_as_it_was_asked_to(tenant: Tenant) -> None:
    wait = timedelta(minutes=7)
    with scripted(always(FailureKind.THROTTLED, retry_after=wait)) as provider:
        only = account(tenant.id)
        one = text(tenant.id)
        work(lambda: reload(only).paused_until)
        other = text(tenant.id, "+15555550199")
        Sender().run()
        gevent.sleep(0)
        assert len(provider.handed) == 1
        assert load(other).status is S.QUEUED
        paused = reload(only).paused_until
        assert paused is not None
        assert wait <= paused - one.created_at < wait + timedelta(minutes=1)


def test_doubt_is_shown_where_the_provider_can_not_tell_a_repetition(tenant: Tenant) -> None:
    with scripted(always(FailureKind.IN_DOUBT)) as provider:
        account(tenant.id), account(tenant.id, "Second")
        message = sent_until(text(tenant.id), S.UNKNOWN)
        assert message.error_code == "SCRIPTED"
        assert len(provider.handed) == 1


def test_doubt_is_resolved_by_asking_the_same_account_again_where_it_can(tenant: Tenant) -> None:
    def answer(used: Account, message: Outgoing) -> Sent:
        if message.attempt == 1:
            raise failing(FailureKind.IN_DOUBT)
        return taken(used, message)

    with scripted(answer, idempotent=True) as provider:
        first, _ = account(tenant.id, priority=1), account(tenant.id, "Second")
        message = text(tenant.id)
        work(lambda: (entry := entry_of(message)) is not None and entry.pinned)
        due_now(message)
        sent_until(message, S.SENT)
        assert provider.handed == [(first.id, sid_of(message))] * 2


@pytest.mark.parametrize(("idempotent", "status"), [(False, S.UNKNOWN), (True, S.SENT)])
def test_a_worker_that_is_killed_loses_nothing_and_sends_nothing_twice(
    tenant: Tenant, idempotent: bool, status: MessageStatus
) -> None:
    with scripted(taken, idempotent=idempotent) as provider:
        account(tenant.id)
        message = text(tenant.id)
        with transaction() as session:  # a worker takes it, and is heard of no more
            claims = claiming.take(session, 10, {}, ()).claims
        assert [claim.message.id for claim in claims] == [message.id]
        Sender().run()  # its lease holds
        assert load(message).status is S.SENDING
        due_now(message)
        sent_until(message, status)
        assert len(provider.handed) == int(idempotent)


def test_a_worker_that_was_believed_dead_still_tells_what_it_sent(tenant: Tenant) -> None:
    with scripted(taken):
        account(tenant.id)
        message = text(tenant.id)
        with transaction() as session:
            (claim,) = claiming.take(session, 10, {}, ()).claims
        due_now(message)
        sent_until(message, S.UNKNOWN)
        with transaction() as session:
            settle(session, [attempt(claim)])
        assert load(message).status is S.SENT


def test_two_workers_take_different_messages(tenant: Tenant) -> None:
    with scripted(taken):
        account(tenant.id)
        messages = {text(tenant.id, f"+1555555{n:04}").id for n in range(200, 208)}
        with transaction() as one, transaction() as other:
            first = {c.message.id for c in claiming.take(one, 4, {}, ()).claims}
            second = {c.message.id for c in claiming.take(other, 100, {}, ()).claims}
            assert not first & second
        assert len(first) == 4
        assert first | second <= messages


def test_no_more_a_second_than_the_account_allows(
    tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rates.time, "time", lambda: 1_000_000.0)  # this second does not end
    with scripted(taken) as provider:
        account(tenant.id, max_per_second=3)
        for n in range(200, 210):
            text(tenant.id, f"+1555555{n:04}")
        sender = Sender()
        for _ in range(4):
            sender.run()
            gevent.sleep(0.01)
        sender.finish()
        assert len(provider.handed) == 3


def test_a_tenant_whose_accounts_can_not_send_is_told_so(tenant: Tenant) -> None:
    with scripted(taken):
        account(tenant.id, enabled=False)
        with pytest.raises(Unavailable) as refused:
            text(tenant.id)
        assert refused.value.code == "NO_PROVIDER_ACCOUNT"


def test_a_message_of_an_account_that_is_switched_off_goes_by_another(tenant: Tenant) -> None:
    with scripted(taken) as provider:
        first, second = account(tenant.id, priority=1), account(tenant.id, "Second")
        message = text(tenant.id)
        accounts.change(SYSTEM, tenant.id, first.id, enabled=False)
        sent_until(message, S.SENT)
        assert [used for used, _ in provider.handed] == [second.id]


def test_validity_ends_in_the_queue(tenant: Tenant) -> None:
    message = text(tenant.id, expires_at=clock.now() + timedelta(seconds=30))
    with transaction() as session:
        past = clock.now() - timedelta(seconds=1)
        session.execute(update(Message).values(expires_at=past))
    assert sent_until(message, S.EXPIRED).error_code == "EXPIRED"


def test_a_retry_that_would_be_too_late_is_none(tenant: Tenant) -> None:
    with scripted(always(FailureKind.UNAVAILABLE)):
        account(tenant.id)
        message = text(tenant.id, expires_at=clock.now() + timedelta(seconds=1.9))
        assert sent_until(message, S.FAILED, S.EXPIRED).error_code in ("SCRIPTED", "EXPIRED")


def test_a_scheduled_message_waits_and_can_be_taken_back(tenant: Tenant) -> None:
    message = text(tenant.id, send_at=clock.now() + timedelta(hours=1))
    assert message.status is S.SCHEDULED
    Sender().run()
    assert load(message).status is S.SCHEDULED
    accepting.cancel(tenant.id, message.id)
    due_now(message)
    Sender().run()
    assert load(message).status is S.CANCELED
    with pytest.raises(Conflict):
        accepting.cancel(tenant.id, message.id)


def test_marketing_waits_for_the_end_of_quiet_hours_and_the_rest_does_not(
    make_tenant,
    monkeypatch: pytest.MonkeyPatch,  # type: ignore[no-untyped-def]
) -> None:
    tenant = make_tenant("Quiet", quiet_hours={"start": "00:00", "end": "23:59"})
    with transaction() as session:
        session.add(PhoneNumber(number="+12125550000", tenant_id=tenant.id))
    # 17:00 in New York
    monkeypatch.setattr(claiming.clock, "now", lambda: datetime(2026, 7, 1, 21, tzinfo=UTC))
    waiting = text(tenant.id, "+12125550110", category=Category.MARKETING)
    sent = text(tenant.id, "+12125550110")
    sent_until(sent, S.SENT, S.DELIVERED)
    entry = entry_of(waiting)
    assert entry is not None
    assert entry.due_at == datetime(2026, 7, 2, 3, 59, tzinfo=UTC)


def test_usage_is_recorded_once_and_not_for_the_sandbox(tenant: Tenant) -> None:
    sent_until(text(tenant.id), S.DELIVERED)
    with scripted(taken):
        account(tenant.id)
        message = sent_until(text(tenant.id, body="x" * 161), S.SENT)
    with transaction() as session:
        (used,) = session.scalars(select(UsageRecord)).all()
    assert (used.kind, used.quantity, used.subject) == ("sms", 2, sid_of(message))


def test_the_log_shows_each_exchange_and_no_secret(tenant: Tenant) -> None:
    with scripted(taken):
        account(tenant.id)
        message = sent_until(text(tenant.id), S.SENT)
    _, lines = exchanges.log_of(tenant.id, message.id)
    assert [(line.kind, line.number) for line in lines] == [("attempt", 1)]
    assert lines[0].request == {"token": "[redacted]", "to": message.to_address}
    with transaction() as session:
        stored = session.scalars(select(accounts.ProviderAccount.credentials_encrypted)).one()
        assert SECRET not in stored


def test_a_provider_that_raises_leaves_the_message_in_doubt(tenant: Tenant) -> None:
    def broken(_account: Account, _message: Outgoing) -> Sent:
        raise RuntimeError("a defect")

    with scripted(broken):
        account(tenant.id)
        assert sent_until(text(tenant.id), S.UNKNOWN).error_code == "INTERNAL_ERROR"


def test_what_is_accepted_and_rolled_back_never_was(tenant: Tenant) -> None:
    with pytest.raises(RuntimeError), transaction() as session:
        from irisx.messaging.channels.sms import service

        service.accept(session, tenant.id, "+15555550110", service.Text(body="x"))
        raise RuntimeError
    with transaction() as session:
        assert session.scalar(select(func.count(QueueEntry.message_id))) == 0
        assert session.scalar(select(func.count(MessageExchange.id))) == 0
