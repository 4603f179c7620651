"""SIP accounts: with one of these a person's phone registers. Name and password are generated."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select

from irisx.kernel.crypto import encrypt
from irisx.kernel.db import transaction
from irisx.kernel.errors import Conflict
from irisx.kernel.ids import public_id
from irisx.tenancy import audit, rows
from irisx.tenancy.access import Actor
from irisx.tenancy.agent_models import Agent
from irisx.tenancy.models import PhoneNumber, SipAccount


@dataclass(frozen=True, slots=True)
class Issued:
    """A new account; `password` is shown this once."""

    row: SipAccount
    password: str


def create(by: Actor, tenant_id: int, *, name: str, mailbox: str | None = None) -> Issued:
    password = secrets.token_urlsafe(24)
    row = SipAccount(
        tenant_id=tenant_id,
        name=name,
        mailbox=mailbox,
        username=f"a{secrets.token_hex(8)}",
        password_encrypted=encrypt(password),
    )
    with transaction() as session:
        session.add(row)
        audit.created(session, by, row)
    return Issued(row, password)


def get(tenant_id: int, account_id: int) -> SipAccount:
    with transaction() as session:
        return rows.fetch(session, SipAccount, account_id, tenant_id=tenant_id)


def find_by_username(username: str) -> SipAccount | None:
    with transaction() as session:
        return session.scalar(select(SipAccount).where(SipAccount.username == username))


def list_page(tenant_id: int, *, limit: int, offset: int) -> tuple[Sequence[SipAccount], int]:
    mine = select(SipAccount).where(SipAccount.tenant_id == tenant_id)
    with transaction() as session:
        return rows.page(session, mine, limit=limit, offset=offset)


def delete(by: Actor, tenant_id: int, account_id: int) -> None:
    """Raises Conflict while a number's calls go to it, or an agent is reached by it."""
    with transaction() as session:
        row = rows.fetch(session, SipAccount, account_id, tenant_id=tenant_id, lock=True)
        reaching = select(PhoneNumber.number).where(
            PhoneNumber.tenant_id == tenant_id,
            PhoneNumber.destination.contains({"type": "agent", "id": row.public_id}),
        )
        if number := session.scalar(reaching.limit(1)):
            raise Conflict(f"Calls to {number} go to it.", code="SIP_ACCOUNT_IN_USE")
        reached = select(Agent.id).where(
            Agent.sip_account_id == account_id, Agent.deleted_at.is_(None)
        )
        if agent_id := session.scalar(reached.limit(1)):
            agent = public_id(Agent.PREFIX, agent_id)
            raise Conflict(f"{agent} is reached by it.", code="SIP_ACCOUNT_IN_USE")
        audit.deleted(session, by, row)
        session.delete(row)
