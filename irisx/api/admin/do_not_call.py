"""The platform's do-not-call list: numbers that no tenant's campaign calls."""

from typing import Any

from irisx.api import do_not_call as lists
from irisx.api.auth import ADMIN
from irisx.api.do_not_call import (
    AddedDoNotCall,
    DoNotCallEntries,
    DoNotCallQuery,
    EntryId,
    NewDoNotCall,
)
from irisx.api.http import Router
from irisx.api.schemas import Success
from irisx.telephony.dialer import do_not_call
from irisx.telephony.dialer.do_not_call import Owner
from irisx.tenancy.access import Admin

router = Router("Do Not Call (platform)")

_PLATFORM = Owner(None)


@router.get("/admin/do-not-call", access=ADMIN, answer=Success[DoNotCallEntries])
def list_platform_do_not_call(caller: Admin, query: DoNotCallQuery) -> dict[str, Any]:
    """List the numbers that no campaign of the platform calls."""
    return lists.page(_PLATFORM, query)


@router.post("/admin/do-not-call", access=ADMIN, answer=AddedDoNotCall, status=201)
def add_platform_do_not_call(caller: Admin, body: NewDoNotCall) -> dict[str, int]:
    """Put numbers on the platform's do-not-call list."""
    return lists.add(caller, _PLATFORM, body)


@router.delete("/admin/do-not-call/<entry_id>", access=ADMIN)
def remove_platform_do_not_call(caller: Admin, entry_id: EntryId) -> None:
    """Take a number off the platform's do-not-call list."""
    do_not_call.remove(caller, _PLATFORM, entry_id)
