"""Do-not-call lists of a tenant and of a campaign."""

from typing import Any

from irisx.api import do_not_call as lists
from irisx.api.do_not_call import (
    AddedDoNotCall,
    DoNotCallEntries,
    DoNotCallQuery,
    EntryId,
    NewDoNotCall,
)
from irisx.api.http import Rate, Router
from irisx.api.schemas import Success
from irisx.api.v1.campaigns import CampaignId
from irisx.telephony.dialer import do_not_call
from irisx.telephony.dialer.do_not_call import Owner
from irisx.tenancy.access import Caller

router = Router("Do Not Call")

_READ, _WRITE = "campaigns:read", "campaigns:write"
_TENANT = "/v1/campaigns/do-not-call"
_CAMPAIGN = "/v1/campaigns/<campaign_id>/do-not-call"


@router.get(_TENANT, access=_READ, answer=Success[DoNotCallEntries])
def list_do_not_call(caller: Caller, query: DoNotCallQuery) -> dict[str, Any]:
    """List the numbers that none of your campaigns calls."""
    return lists.page(Owner(caller.tenant_id), query)


@router.post(_TENANT, access=_WRITE, rate=Rate.BULK, answer=AddedDoNotCall, status=201)
def add_do_not_call(caller: Caller, body: NewDoNotCall) -> dict[str, int]:
    """Put numbers on your do-not-call list. It counts from the next call on."""
    return lists.add(caller, Owner(caller.tenant_id), body)


@router.delete(f"{_TENANT}/<entry_id>", access=_WRITE)
def remove_do_not_call(caller: Caller, entry_id: EntryId) -> None:
    """Take a number off your do-not-call list."""
    do_not_call.remove(caller, Owner(caller.tenant_id), entry_id)


@router.get(_CAMPAIGN, access=_READ, answer=Success[DoNotCallEntries])
def list_campaign_do_not_call(
    caller: Caller, campaign_id: CampaignId, query: DoNotCallQuery
) -> dict[str, Any]:
    """List the numbers that this campaign does not call."""
    return lists.page(Owner(caller.tenant_id, campaign_id), query)


@router.post(_CAMPAIGN, access=_WRITE, rate=Rate.BULK, answer=AddedDoNotCall, status=201)
def add_campaign_do_not_call(
    caller: Caller, campaign_id: CampaignId, body: NewDoNotCall
) -> dict[str, int]:
    """Put numbers on the do-not-call list of a campaign."""
    return lists.add(caller, Owner(caller.tenant_id, campaign_id), body)


@router.delete(f"{_CAMPAIGN}/<entry_id>", access=_WRITE)
def remove_campaign_do_not_call(caller: Caller, campaign_id: CampaignId, entry_id: EntryId) -> None:
    """Take a number off the do-not-call list of a campaign."""
    do_not_call.remove(caller, Owner(caller.tenant_id, campaign_id), entry_id)
