"""Campaigns for tests: made in rows, called by a dialler, ended by hand."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import select

from irisx.kernel.clock import now
from irisx.kernel.db import transaction
from irisx.kernel.events import DomainEvent
from irisx.media.amd import AmdMode, Result
from irisx.telephony.amd.models import AmdResult
from irisx.telephony.calls.models import Call, CallEvent
from irisx.telephony.calls.states import CallStatus
from irisx.telephony.dialer import campaigns, contacts
from irisx.telephony.dialer.contacts import Draft
from irisx.telephony.dialer.dialler import Dialler
from irisx.telephony.dialer.models import Campaign, CampaignAttempt, CampaignContact
from irisx.telephony.dialer.options import CampaignOptions
from irisx.telephony.dialer.pacing import DialMode
from irisx.telephony.dialer.settling import settle
from irisx.telephony.dialer.stages import Stage, reached
from irisx.tenancy.access import SYSTEM, Caller
from irisx.tenancy.models import Tenant

#: Whenever the tests run, everybody may be called.
ANY_TIME: dict[str, Any] = {
    "weekly": {day: ["00:00-24:00"] for day in ("mon", "tue", "wed", "thu", "fri", "sat", "sun")},
    "region_rules": False,
    "default_time_zone": "UTC",
}


def caller_of(tenant: Tenant, *, test: bool = False) -> Caller:
    return Caller(name="key_1", tenant_id=tenant.id, permissions=frozenset({"*"}), test=test)


class Campaigning:
    """A running campaign of a tenant, and the dialler that paces it. `sandbox`: its calls go there
    although a real switch is configured."""

    def __init__(self, tenant: Tenant, *, sandbox: bool = False, **options: Any) -> None:
        self.tenant = tenant
        self.dialler = Dialler()
        fields: dict[str, Any] = options.pop("fields", {"message": {"silence_ms": 200}})
        mode = options.pop("mode", DialMode.BROADCAST)
        checked = CampaignOptions.model_validate({"hours": ANY_TIME, "max_cps": 100, **options})
        made = campaigns.create(
            caller_of(tenant, test=sandbox), name="Spring", mode=mode, options=checked, **fields
        )
        self.id = made.id

    def add(self, *numbers: str | Sequence[str], **fields: Any) -> list[int]:
        """Contacts by their numbers; their keys."""
        drafts = [Draft([one] if isinstance(one, str) else list(one), **fields) for one in numbers]
        added = contacts.add(SYSTEM, self.tenant.id, self.id, drafts)
        return [contact.id for contact in added.contacts]

    def start(self) -> None:
        campaigns.start(SYSTEM, self.tenant.id, self.id)

    def dial(self) -> list[str]:
        """One look of the dialler; the numbers of calls that are under way."""
        self.dialler.run()
        return self.ringing()

    def ringing(self) -> list[str]:
        return [call.to_number for call in self.calls() if call.ended_at is None]

    def calls(self) -> list[Call]:
        with transaction() as session:
            return list(session.scalars(select(Call).order_by(Call.initiated_at, Call.id)))

    def end(
        self,
        number: str,
        status: CallStatus,
        cause: str,
        *,
        stage: Stage | None = None,
        answered: bool = False,
        by: str | None = None,
    ) -> None:
        """The switch says that the call to the number is over; settle it."""
        moment = now()
        with transaction() as session:
            call = session.scalars(
                select(Call).where(Call.to_number == number, Call.ended_at.is_(None))
            ).one()
            call.status, call.reason, call.ended_at = status, cause, moment
            call.hangup_by = by
            if stage is not None or answered:
                call.answered_at = moment
            if stage is not None:
                call.options = reached(call.options, stage, moment)
        settle()

    def heard(self, call: Call, result: str, *, message_left: bool = False) -> None:
        """Detection says who took the call, and perhaps left its message."""
        columns: dict[str, Any] = {"settings": {}, "features": {}, "sandbox": True}
        with transaction() as session:
            session.add(
                AmdResult(
                    tenant_id=call.tenant_id,
                    call_id=call.id,
                    result=Result(result),
                    cause="test",
                    confidence=1.0,
                    mode=AmdMode.BALANCED,
                    decided_at=now(),
                    decided_ms=1000,
                    action="connect",
                    **columns,
                )
            )
            if message_left:
                event = {"key": "amd_message", "type": "amd.message_left", "data": {}}
                session.add(CallEvent(call_id=call.id, occurred_at=now(), **event))

    def busy(self, number: str) -> None:
        self.end(number, CallStatus.BUSY, "USER_BUSY")

    def connected(self, number: str) -> None:
        self.end(number, CallStatus.COMPLETED, "NORMAL_CLEARING", stage=Stage.PLAYING)

    def later(self, seconds: float) -> None:
        """All that was done is so much longer ago."""
        ago = timedelta(seconds=seconds)
        with transaction() as session:
            for contact in session.scalars(select(CampaignContact)):
                contact.next_attempt_at -= ago
                if contact.reserved_until is not None:
                    contact.reserved_until -= ago

    def row(self) -> Campaign:
        return campaigns.get(self.tenant.id, self.id)

    def contact(self, contact_id: int) -> CampaignContact:
        return contacts.get(self.tenant.id, self.id, contact_id)

    def attempts(self) -> list[CampaignAttempt]:
        with transaction() as session:
            return list(
                session.scalars(select(CampaignAttempt).order_by(CampaignAttempt.started_at))
            )

    def call_of(self, attempt_id: UUID) -> Call:
        with transaction() as session:
            return session.scalars(select(Call).where(Call.id == attempt_id)).one()

    def told(self) -> list[str]:
        with transaction() as session:
            return list(
                session.scalars(
                    select(DomainEvent.type)
                    .where(DomainEvent.type.startswith("campaign."))
                    .order_by(DomainEvent.id)
                )
            )
