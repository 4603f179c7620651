"""Statistics and results: every figure is a count of rows."""

import csv
import io
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import update

from irisx.kernel.db import transaction
from irisx.telephony.calls.states import CallStatus
from irisx.telephony.dialer import contacts
from irisx.telephony.dialer.models import CampaignAttempt
from irisx.telephony.dialer.pacing import upper_bound
from irisx.telephony.dialer.stages import Stage
from irisx.telephony.dialer.states import AttemptResult
from irisx.telephony.dialer.statistics import ResultFilter, export, results, statistics
from irisx.tenancy.access import SYSTEM
from irisx.tenancy.models import PhoneNumber, Tenant
from tests.telephony.dialer.campaigning import Campaigning

ANN, BOB, CID, DAN = (f"+1202555010{n}" for n in range(1, 5))


@pytest.fixture
def tenant(make_tenant: Callable[..., Tenant]) -> Tenant:
    return make_tenant(max_cps=100)


@pytest.fixture
def campaign(tenant: Tenant, number: PhoneNumber) -> Campaigning:
    """Ann was reached, Bob dropped, Cid busy; Dan is being called."""
    made = Campaigning(tenant)
    keys = made.add(ANN, name="=cmd()") + made.add(BOB, CID, DAN)
    made.start()
    made.dial()
    made.connected(ANN)
    contacts.dispose(
        SYSTEM, tenant.id, made.id, keys[0], code="success", notes="+1 order", agent_id=None
    )
    made.end(BOB, CallStatus.COMPLETED, "NORMAL_CLEARING", stage=Stage.DROPPED)
    made.busy(CID)
    return made


def test_an_empty_campaign_has_zeros_and_nulls(tenant: Tenant, number: PhoneNumber) -> None:
    made = Campaigning(tenant)
    found = statistics(tenant.id, made.id)
    assert (found.attempts, found.left, found.results, found.floor) == (0, 0, {}, None)
    assert found.drops.rate is None and found.drops.upper_bound is None


def test_drops_are_a_share_of_the_people_who_answered(
    campaign: Campaigning, tenant: Tenant
) -> None:
    """VICIdial's drop percentage counts answering machines as answers, which hides drops."""
    with transaction() as session:
        reached = update(CampaignAttempt).where(CampaignAttempt.result == AttemptResult.CONNECTED)
        session.execute(reached.values(result=AttemptResult.MACHINE, person=False))
    found = statistics(tenant.id, campaign.id)
    assert (found.drops.drops, found.drops.answers, found.drops.rate) == (1, 1, 1.0)


def test_what_a_campaign_has_done(campaign: Campaigning, tenant: Tenant) -> None:
    found = statistics(tenant.id, campaign.id)
    assert found.results == {"connected": 1, "dropped": 1, "busy": 1}
    assert (found.attempts, found.under_way, found.left) == (4, 1, 3)
    assert (found.drops.drops, found.drops.answers, found.drops.rate) == (1, 2, 0.5)
    assert found.drops.upper_bound == upper_bound(1, 2)
    assert (found.dispositions, found.successes) == ({"success": 1}, 1)
    assert found.times.rings == 3 and found.times.talks == 0


def test_results_are_paged_and_filtered(campaign: Campaigning, tenant: Tenant) -> None:
    seen: list[str] = []
    after = None
    while True:
        page = results(tenant.id, campaign.id, ResultFilter(), limit=3, after=after)
        seen += [attempt.number for attempt, _ in page.results]
        if page.next is None:
            break
        after = page.next
    assert seen == [DAN, CID, BOB, ANN]
    wanted = ResultFilter(result=AttemptResult.BUSY)
    page = results(tenant.id, campaign.id, wanted, limit=3)
    assert [attempt.number for attempt, _ in page.results] == [CID]


def test_the_export_has_every_call_and_no_formula(
    campaign: Campaigning, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("irisx.telephony.dialer.statistics._EXPORT_BATCH", 2)
    content = b"".join(export(tenant.id, campaign.id, ResultFilter())).decode("utf-8-sig")
    rows: list[dict[str, Any]] = list(csv.DictReader(io.StringIO(content)))
    assert [row["number"] for row in rows] == [DAN, CID, BOB, ANN]
    ann = rows[-1]
    assert (ann["name"], ann["notes"], ann["result"]) == ("'=cmd()", "'+1 order", "connected")
    assert ann["disposition"] == "success" and ann["counted"] == "true"
    assert rows[0]["result"] == rows[0]["ended_at"] == ""
