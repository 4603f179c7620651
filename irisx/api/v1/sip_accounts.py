"""`/v1/sip-accounts`: the credentials with which a tenant's phones register."""

from typing import Annotated, Any

from pydantic import Field

from irisx.api.http import Router
from irisx.api.schemas import (
    Answer,
    Body,
    Name,
    OffsetPagination,
    OffsetQuery,
    PublicId,
    Success,
    Timestamp,
    listed,
)
from irisx.telephony.ivr.nodes.voicemail import MAILBOX
from irisx.tenancy import sip_accounts
from irisx.tenancy.access import Caller
from irisx.tenancy.models import SipAccount

router = Router("SIP Accounts")

AccountId = Annotated[int, PublicId("sip")]


class NewAccount(Body):
    name: Name
    mailbox: str | None = Field(
        None,
        pattern=MAILBOX,
        description="Mailbox of flows whose messages the phone is told of (message waiting). "
        "Several accounts may share one. Left out: the account's own, named as its id.",
        examples=["sales"],
    )


class Account(Answer):
    id: AccountId
    name: str
    username: str
    mailbox: str | None = Field(description="Null: its own, named as its id.")
    created_at: Timestamp


class IssuedAccount(Account):
    password: str = Field(description="Shown this once.")


class Accounts(Answer):
    sip_accounts: list[Account]
    pagination: OffsetPagination


@router.get("/v1/sip-accounts", access="sip-accounts:read", answer=Success[Accounts])
def list_sip_accounts(caller: Caller, query: OffsetQuery) -> dict[str, Any]:
    """List SIP accounts."""
    rows, total = sip_accounts.list_page(caller.tenant_id, limit=query.limit, offset=query.offset)
    return listed("sip_accounts", rows, query, total)


@router.post("/v1/sip-accounts", access="sip-accounts:write", answer=IssuedAccount, status=201)
def create_sip_account(caller: Caller, body: NewAccount) -> dict[str, Any]:
    """Create a SIP account; its user name and password are generated."""
    issued = sip_accounts.create(caller, caller.tenant_id, name=body.name, mailbox=body.mailbox)
    return {**dict(Account.model_validate(issued.row)), "password": issued.password}


@router.get("/v1/sip-accounts/<account_id>", access="sip-accounts:read", answer=Account)
def get_sip_account(caller: Caller, account_id: AccountId) -> SipAccount:
    """Get a SIP account."""
    return sip_accounts.get(caller.tenant_id, account_id)


@router.delete("/v1/sip-accounts/<account_id>", access="sip-accounts:write")
def delete_sip_account(caller: Caller, account_id: AccountId) -> None:
    """Delete a SIP account."""
    sip_accounts.delete(caller, caller.tenant_id, account_id)
