"""The dialler: who is called, when, how often; what becomes of contacts; who has the last word."""

from collections.abc import Callable
from datetime import timedelta

import gevent
import pytest
from sqlalchemy import func, select

from irisx.kernel.clock import now
from irisx.kernel.db import transaction
from irisx.telephony.calls.states import CallStatus
from irisx.telephony.dialer import campaigns, contacts, do_not_call
from irisx.telephony.dialer.dialler import Dialler, drops_and_answers
from irisx.telephony.dialer.do_not_call import Owner
from irisx.telephony.dialer.models import CampaignAttempt
from irisx.telephony.dialer.settling import settle
from irisx.telephony.dialer.stages import Stage
from irisx.telephony.dialer.states import AttemptResult, CampaignStatus, ContactStatus
from irisx.tenancy.access import SYSTEM
from irisx.tenancy.models import PhoneNumber, Tenant
from tests.telephony.dialer.campaigning import Campaigning

ANN, BOB, CID, DAN = (f"+1202555010{n}" for n in range(1, 5))
Make = Callable[..., Campaigning]


@pytest.fixture
def tenant(make_tenant: Callable[..., Tenant]) -> Tenant:
    return make_tenant(max_cps=100)


@pytest.fixture
def make(tenant: Tenant, number: PhoneNumber) -> Make:
    def made(**options: object) -> Campaigning:
        campaign = Campaigning(tenant, **options)
        campaign.start()
        return campaign

    return made


def test_contacts_are_called_and_the_campaign_completes(make: Make) -> None:
    campaign = make()
    ann, bob = campaign.add(ANN, BOB, data={"plan": "gold"})
    assert campaign.dial() == [ANN, BOB]
    assert campaign.dial() == [ANN, BOB]
    assert campaign.contact(ann).status is ContactStatus.CALLING
    assert campaign.calls()[0].options["campaign"]["contact"]["plan"] == "gold"
    campaign.connected(ANN)
    campaign.end(BOB, CallStatus.FAILED, "UNALLOCATED_NUMBER")
    assert campaign.contact(ann).status is ContactStatus.COMPLETED
    assert campaign.contact(bob).status is ContactStatus.INVALID
    assert campaign.dial() == []
    assert campaign.row().status is CampaignStatus.COMPLETED
    assert campaign.told() == [
        "campaign.started",
        "campaign.call.ended",
        "campaign.contact.ended",
        "campaign.call.ended",
        "campaign.contact.ended",
        "campaign.completed",
    ]
    attempts = campaign.attempts()
    assert [attempt.result for attempt in attempts] == ["connected", "invalid"]
    assert [attempt.person for attempt in attempts] == [True, False]


def test_two_diallers_at_once_call_nobody_twice(make: Make) -> None:
    campaign = make()
    numbers = [f"+1202555{n:04}" for n in range(40)]
    campaign.add(*numbers)
    others = [Dialler() for _ in range(3)]
    for other in others:
        other._me = "each believes that the lease is its own"
    gevent.joinall([gevent.spawn(other.run) for other in others])
    assert sorted(campaign.ringing()) == sorted(numbers)


def test_a_dialler_that_is_gone_is_replaced(make: Make) -> None:
    campaign = make()
    campaign.add(ANN)
    campaign.dialler.run()
    campaign.add(BOB)
    other = Dialler()
    other.run()
    assert campaign.ringing() == [ANN]  # the lease is the first one's
    campaign.dialler.finish()
    other.run()
    assert campaign.ringing() == [ANN, BOB]


def test_after_a_pause_nobody_is_called_and_nobody_is_lost(make: Make, tenant: Tenant) -> None:
    campaign = make(max_concurrent=1)
    campaign.add(ANN, BOB)
    campaign.dial()
    campaigns.pause(SYSTEM, tenant.id, campaign.id)
    assert campaign.dial() == [ANN]
    campaign.connected(ANN)  # what was under way is settled all the same
    assert campaign.dial() == []
    campaigns.resume(SYSTEM, tenant.id, campaign.id)
    assert campaign.dial() == [BOB]


def test_a_stop_cancels_what_nobody_answered_and_counts_it_not(make: Make, tenant: Tenant) -> None:
    campaign = make()
    (ann,) = campaign.add(ANN)
    campaign.dial()
    campaigns.stop(SYSTEM, tenant.id, campaign.id)
    assert campaign.ringing() == []
    settle()
    row = campaign.contact(ann)
    assert (row.status, row.attempts, row.last_result) == (ContactStatus.PENDING, 0, "canceled")
    campaign.start()
    campaign.later(200)
    assert campaign.dial() == [ANN]


def test_a_scheduled_campaign_begins_when_its_time_has_come(
    tenant: Tenant, number: PhoneNumber
) -> None:
    campaign = Campaigning(tenant)
    campaign.add(ANN)
    campaigns.start(SYSTEM, tenant.id, campaign.id, now() + timedelta(seconds=1))
    assert campaign.dial() == []
    with transaction() as session:
        row = campaigns.fetch(session, tenant.id, campaign.id, lock=True)
        row.start_at = now()
    assert campaign.dial() == [ANN]
    assert campaign.told() == ["campaign.scheduled", "campaign.started"]


def test_a_busy_contact_is_called_again_and_in_the_end_no_more(make: Make) -> None:
    retry = {"result": "busy", "max_retries": 1, "delay_seconds": 600}
    campaign = make(retries=[retry])
    (ann,) = campaign.add(ANN)
    campaign.dial()
    campaign.busy(ANN)
    assert campaign.dial() == []
    campaign.later(599)
    assert campaign.dial() == []
    campaign.later(2)
    assert campaign.dial() == [ANN]
    campaign.busy(ANN)
    assert campaign.contact(ann).status is ContactStatus.EXHAUSTED
    assert campaign.contact(ann).attempts == 2


def test_the_network_s_fault_is_no_attempt(make: Make) -> None:
    campaign = make(max_attempts=1)
    (ann,) = campaign.add(ANN)
    for _ in range(3):
        assert campaign.dial() == [ANN]
        campaign.end(ANN, CallStatus.FAILED, "NETWORK_OUT_OF_ORDER")
        assert campaign.dial() == []
        campaign.later(121)
    assert campaign.contact(ann).attempts == 0
    assert campaign.contact(ann).status is ContactStatus.PENDING


def test_a_dead_number_gives_way_to_the_contact_s_next(make: Make) -> None:
    campaign = make()
    campaign.add([ANN, BOB])
    campaign.dial()
    campaign.end(ANN, CallStatus.FAILED, "NUMBER_CHANGED")
    assert campaign.dial() == [BOB]


@pytest.mark.parametrize("level", ["platform", "tenant", "campaign"])
def test_who_is_on_a_do_not_call_list_is_not_called(make: Make, tenant: Tenant, level: str) -> None:
    campaign = make()
    ann, _ = campaign.add([ANN], [BOB, CID])
    owner = {
        "platform": Owner(None),
        "tenant": Owner(tenant.id),
        "campaign": Owner(tenant.id, campaign.id),
    }[level]
    do_not_call.add(SYSTEM, owner, [ANN, BOB], None)
    campaign.dial()
    assert campaign.dial() == [CID]  # an alternate number is not listed
    assert campaign.contact(ann).status is ContactStatus.DO_NOT_CALL


def test_another_tenant_s_list_is_not_ours(make: Make, make_tenant: Callable[..., Tenant]) -> None:
    campaign = make()
    campaign.add(ANN)
    do_not_call.add(SYSTEM, Owner(make_tenant("Other").id), [ANN], None)
    assert campaign.dial() == [ANN]


def test_nobody_is_called_outside_the_hours_and_all_of_a_place_wait_at_once(make: Make) -> None:
    campaign = make(hours={"weekly": {"mon": ["08:00-08:01"]}, "region_rules": False})
    keys = campaign.add(ANN, BOB, time_zone="Asia/Tokyo") + campaign.add(
        CID, time_zone="America/New_York"
    )
    # It is that minute of the week once in 10,080 times: not both of these.
    assert len(campaign.dial()) < 3
    waiting = [campaign.contact(key) for key in keys]
    put_off = [row.next_attempt_at for row in waiting if row.status is ContactStatus.PENDING]
    assert len(put_off) == 3 and all(at > now() for at in put_off)
    assert put_off[0] == put_off[1] != put_off[2]


def test_a_number_has_so_many_attempts_a_day_over_all_campaigns(make: Make) -> None:
    first = make(attempts_per_number_per_day=1)
    first.add(ANN)
    first.dial()
    first.busy(ANN)
    second = make(attempts_per_number_per_day=1)
    (again,) = second.add(ANN)
    assert second.dial() == []
    until = second.contact(again).next_attempt_at
    assert timedelta(hours=23) < until - now() <= timedelta(hours=24)


def test_after_a_drop_the_number_is_left_alone(make: Make) -> None:
    first = make(redial_lockout_hours=72)
    (ann,) = first.add(ANN)
    first.dial()
    first.end(ANN, CallStatus.COMPLETED, "NORMAL_CLEARING", stage=Stage.DROPPED)
    second = make(attempts_per_number_per_day=9)
    (again,) = second.add(ANN)
    assert second.dial() == []
    for campaign, key in ((first, ann), (second, again)):
        left = campaign.contact(key).next_attempt_at - now()
        assert timedelta(hours=71) < left <= timedelta(hours=72)
    with transaction() as session:
        assert drops_and_answers(session, first.id) == (1, 1)
    assert "campaign.call.dropped" in first.told()


def test_a_number_that_is_being_called_is_not_called_by_another_campaign(make: Make) -> None:
    first, second = make(), make()
    first.add(ANN)
    second.add(ANN)
    first.dial()
    assert second.dial() == [ANN]
    assert len(first.calls()) == 1


def test_a_barred_number_is_not_called(make: Make) -> None:
    campaign = make()
    (cuba,) = campaign.add("+5372345678")
    assert campaign.dial() == []
    row = campaign.contact(cuba)
    assert (row.status, row.last_result) == (ContactStatus.INVALID, AttemptResult.BARRED)


@pytest.mark.parametrize(
    ("order", "numbers"), [("oldest", [CID, ANN, BOB]), ("newest", [CID, BOB, ANN])]
)
def test_who_comes_first(make: Make, order: str, numbers: list[str]) -> None:
    campaign = make(order=order)
    campaign.add(ANN, BOB)
    campaign.add(CID, priority=5)
    assert campaign.dial() == numbers


def test_limits_of_campaign_and_tenant(
    make: Make, make_tenant: Callable[..., Tenant], tenant: Tenant
) -> None:
    campaign = make(max_concurrent=2)
    campaign.add(ANN, BOB, CID)
    assert len(campaign.dial()) == len(campaign.dial()) == 2
    with transaction() as session:
        session.merge(tenant).settings = tenant.settings | {"max_concurrent_calls": 3}
    other = make()
    other.add(DAN, "+12025550109")
    assert len(other.dial()) == 3


def test_a_disposition_during_the_call_counts_after_it(make: Make, tenant: Tenant) -> None:
    campaign = make()
    ann, bob = campaign.add(ANN, BOB)
    campaign.dial()
    for key, code in ((ann, "callback"), (bob, "do-not-call")):
        contacts.dispose(
            SYSTEM, tenant.id, campaign.id, key, code=code, notes="later", agent_id=None
        )
    campaign.connected(ANN)
    campaign.connected(BOB)
    row = campaign.contact(ann)
    assert (row.status, row.disposition, row.notes) == ("pending", "callback", "later")
    assert row.next_attempt_at > now() + timedelta(hours=23)
    assert campaign.contact(bob).status is ContactStatus.DO_NOT_CALL
    with transaction() as session:
        assert do_not_call.listed(session, tenant.id, campaign.id, [ANN, BOB]) == {BOB}


def test_a_result_is_settled_once(make: Make) -> None:
    campaign = make()
    campaign.add(ANN)
    campaign.dial()
    campaign.busy(ANN)
    told = campaign.told()
    assert not settle()
    assert campaign.told() == told
    with transaction() as session:
        assert session.scalar(select(func.count()).select_from(CampaignAttempt)) == 1


@pytest.mark.parametrize(
    ("heard", "left", "stage", "result", "person"),
    [
        ("machine", False, None, "machine", False),
        ("machine", True, None, "message-left", False),
        ("fax", False, None, "fax", False),
        ("human", False, Stage.PLAYING, "connected", True),
        ("machine", False, Stage.PLAYING, "connected", False),  # machines are connected too
        ("unknown", False, Stage.PLAYING, "connected", True),
        ("unknown", False, None, "abandoned", True),  # hung up while we listened
    ],
)
def test_who_took_the_call_decides_what_it_was(
    make: Make, heard: str, left: bool, stage: Stage | None, result: str, person: bool
) -> None:
    campaign = make(machines={"detect": True})
    campaign.add(ANN)
    campaign.dial()
    (call,) = campaign.calls()
    assert call.amd_enabled and call.options["amd"]["actions"]["machine"] == "hangup"
    campaign.heard(call, heard, message_left=left)
    campaign.end(
        ANN, CallStatus.COMPLETED, "NORMAL_CLEARING", stage=stage, answered=True, by="remote"
    )
    (attempt,) = campaign.attempts()
    assert (attempt.result, attempt.person) == (result, person)
    with transaction() as session:
        assert drops_and_answers(session, campaign.id) == (0, int(person))
