"""A script in the words for one call: its variables from what is known of the call."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from irisx.kernel.db import transaction
from irisx.kernel.errors import invalid
from irisx.kernel.template import RenderFailed, render
from irisx.telephony.acd.models import Queue, QueueCall
from irisx.telephony.calls.models import Call
from irisx.telephony.calls.service import get_call
from irisx.telephony.calls.states import Direction
from irisx.telephony.dialer.models import Campaign, CampaignAttempt, CampaignContact
from irisx.telephony.scripts import service
from irisx.telephony.scripts.models import Script
from irisx.tenancy.agent_models import Agent
from irisx.tenancy.models import Tenant

Values = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Rendered:
    """`steps`: as the script's, with the text to say. `values`: of the script's variables;
    `missing`: those of which nothing is known, which are said as nothing."""

    script: Script
    steps: list[dict[str, Any]]
    values: Values
    missing: list[str]


def for_call(tenant_id: int, script_id: int, sid: str | None, given: Mapping[str, Any]) -> Rendered:
    """The script for a call (None: for none); `given` values come before what the call knows.

    Raises NotFound, Conflict (SCRIPT_HAS_ERRORS) and ValidationError about `variables`.
    """
    call = None if sid is None else get_call(tenant_id, sid)
    with transaction() as session:
        script = service.fetch(session, tenant_id, script_id)
        known = _known(session, tenant_id, call)
    known |= given
    steps = service.require_faultless(script)
    values = {name: known.get(name) for name in script.variables}
    texts = {name: "" if value is None else value for name, value in values.items()}
    try:
        said = [step.model_dump() | {"content": render(step.content, texts)} for step in steps]
    except RenderFailed as failed:
        raise invalid("variables", f"the script can't be said with these: {failed}") from None
    return Rendered(script, said, values, [name for name in values if values[name] is None])


def _known(session: Session, tenant_id: int, call: Call | None) -> Values:
    """What may be said in a call, what is nearer to it last."""
    tenant = session.get_one(Tenant, tenant_id)
    known: Values = {"company_name": tenant.name}
    if call is None:
        return known
    inbound = call.direction is Direction.INBOUND
    known["customer_number"] = call.from_number if inbound else call.to_number
    if inbound:
        known["customer_name"] = call.caller_name
    agent_id = _of_queue(session, call, known)
    agent_id = _of_campaign(session, call, known) or agent_id
    if agent_id is not None:
        known["agent_name"] = session.scalar(select(Agent.name).where(Agent.id == agent_id))
    return known | call.metadata_


def _of_queue(session: Session, call: Call, known: Values) -> int | None:
    """The queue that the call is in, or was in last; its agent's row key."""
    found = session.execute(
        select(QueueCall.agent_id, Queue.name)
        .join(Queue, Queue.id == QueueCall.queue_id)
        .where(QueueCall.call_id == call.id, QueueCall.tenant_id == call.tenant_id)
        .order_by(QueueCall.entered_at.desc())
        .limit(1)
    ).one_or_none()
    if found is None:
        return None
    known["queue_name"] = found.name
    agent_id: int | None = found.agent_id
    return agent_id


def _of_campaign(session: Session, call: Call, known: Values) -> int | None:
    """The contact that a campaign called with it; its agent's row key."""
    found = session.execute(
        select(CampaignAttempt.agent_id, CampaignContact, Campaign.name)
        .join(CampaignContact, CampaignContact.id == CampaignAttempt.contact_id)
        .join(Campaign, Campaign.id == CampaignAttempt.campaign_id)
        .where(CampaignAttempt.id == call.id, CampaignAttempt.tenant_id == call.tenant_id)
    ).one_or_none()
    if found is None:
        return None
    agent_id, contact, campaign = found
    known.update({"campaign_name": campaign, "customer_name": contact.name} | contact.data)
    return agent_id if agent_id is None else int(agent_id)
