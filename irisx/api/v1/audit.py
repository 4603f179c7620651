"""`/v1/audit-log`: who changed what of the tenant."""

from typing import Any

from pydantic import Field, JsonValue

from irisx.api.http import Router
from irisx.api.schemas import (
    Answer,
    CursorPagination,
    CursorQuery,
    Success,
    Timestamp,
    read_cursor,
    write_cursor,
)
from irisx.tenancy import audit
from irisx.tenancy.access import Caller

router = Router("Audit Log")


class AuditQuery(CursorQuery):
    action: str | None = Field(None, max_length=100, description="Such as api_key.created.")


class Entry(Answer):
    id: int
    action: str
    target: str
    actor: str
    ip: str | None
    request_id: str | None
    before: dict[str, JsonValue] | None
    after: dict[str, JsonValue] | None
    created_at: Timestamp


class Entries(Answer):
    entries: list[Entry]
    pagination: CursorPagination


@router.get("/v1/audit-log", access="audit-log:read", answer=Success[Entries])
def list_audit_log(caller: Caller, query: AuditQuery) -> dict[str, Any]:
    """Changes, newest first."""
    return entries_page(caller.tenant_id, query)


def entries_page(tenant_id: int | None, query: AuditQuery) -> dict[str, Any]:
    """A page of a tenant's entries, or (None) of everybody's."""
    position = read_cursor("audit-log", tenant_id, query.cursor)
    rows = audit.entries(
        tenant_id,
        before_id=position[0] if position else None,
        limit=query.limit + 1,
        action=query.action,
    )
    shown = rows[: query.limit]
    more = len(rows) > query.limit
    cursor = write_cursor("audit-log", tenant_id, [shown[-1].id]) if more else None
    return {"data": {"entries": shown, "pagination": {"limit": query.limit, "next_cursor": cursor}}}
