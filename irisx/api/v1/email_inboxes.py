"""`/v1/email/inboxes`: the mailboxes that are read over IMAP."""

from typing import Any

from irisx.api.http import Router
from irisx.api.schemas import Answer, Success, Timestamp
from irisx.api.v1.email import READ
from irisx.api.v1.messaging import AccountId
from irisx.messaging.channels.email import inboxes
from irisx.tenancy.access import Caller

router = Router("Email Inboxes")


class EmailInboxState(Answer):
    """`checked_at`: when it was last read to its end. `error`: why it can't be read, for the
    `failures`-th time; it is tried again at `next_at`."""

    account_id: AccountId
    mailbox: str
    last_uid: int
    checked_at: Timestamp | None
    failures: int
    error: str | None
    next_at: Timestamp


class EmailInboxes(Answer):
    inboxes: list[EmailInboxState]


@router.get("/v1/email/inboxes", access=READ, answer=Success[EmailInboxes])
def list_email_inboxes(caller: Caller) -> dict[str, Any]:
    """List the mailboxes of your accounts, and how reading each went."""
    return {"data": {"inboxes": inboxes.list_all(caller.tenant_id)}}
