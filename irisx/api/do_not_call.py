"""Do-not-call lists: the shapes that the three surfaces share."""

from typing import Annotated, Any

from pydantic import Field

from irisx.api.schemas import (
    Answer,
    Body,
    OffsetPagination,
    OffsetQuery,
    PublicId,
    Timestamp,
    listed,
)
from irisx.telephony.calls.destinations import Number
from irisx.telephony.dialer import do_not_call
from irisx.telephony.dialer.do_not_call import Owner
from irisx.tenancy.access import Actor

EntryId = Annotated[int, PublicId("dnc")]


class NewDoNotCall(Body):
    numbers: list[Number] = Field(min_length=1, max_length=10_000)
    reason: Annotated[str, Field(max_length=500)] | None = None


class AddedDoNotCall(Answer):
    added: int
    known: int = Field(description="Numbers that were on the list before.")


class DoNotCallEntry(Answer):
    id: EntryId
    number: str
    reason: str | None
    created_at: Timestamp


class DoNotCallEntries(Answer):
    numbers: list[DoNotCallEntry]
    pagination: OffsetPagination


class DoNotCallQuery(OffsetQuery):
    number: Number | None = Field(None, description="Whether this one is on the list.")


def add(by: Actor, owner: Owner, body: NewDoNotCall) -> dict[str, int]:
    numbers = list(dict.fromkeys(body.numbers))
    added = do_not_call.add(by, owner, numbers, body.reason)
    return {"added": added, "known": len(numbers) - added}


def page(owner: Owner, query: DoNotCallQuery) -> dict[str, Any]:
    rows, total = do_not_call.list_page(
        owner, limit=query.limit, offset=query.offset, number=query.number
    )
    return listed("numbers", rows, query, total)
