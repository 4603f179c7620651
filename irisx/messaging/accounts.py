"""Accounts with providers: a tenant's own, their credentials encrypted, and who comes next."""

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, TypedDict, Unpack

from pydantic import ValidationError as PydanticError
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from irisx.kernel import clock, crypto
from irisx.kernel.db import transaction
from irisx.kernel.errors import Conflict, Detail, Unavailable, ValidationError, invalid
from irisx.kernel.ids import token
from irisx.messaging.channels import NAMES
from irisx.messaging.channels import channel as channel_of
from irisx.messaging.channels.sandbox import SANDBOX
from irisx.messaging.models import MessageExchange, ProviderAccount, QueueEntry
from irisx.messaging.provider import Account, AccountModel, NoCredentials, Provider
from irisx.settings import get_settings
from irisx.tenancy import audit, rows
from irisx.tenancy.access import Actor

MAX_ACCOUNTS = 100
#: How long an account stands behind the others after it failed.
DEMOTION = timedelta(minutes=5)
#: Of its last attempts so many are looked at, and demote it when more than half were faults.
_JUDGED = 20
_AT_LEAST = 6


class Fields(TypedDict, total=False):
    """What may be changed of an account."""

    name: str
    settings: Mapping[str, Any]
    credentials: Mapping[str, Any]
    senders: Sequence[str]
    priority: int
    max_per_second: int | None
    enabled: bool


def create(
    by: Actor,
    tenant_id: int,
    *,
    channel: str,
    provider: str,
    name: str,
    settings: Mapping[str, Any],
    credentials: Mapping[str, Any],
    senders: Sequence[str] = (),
    priority: int = 100,
    max_per_second: int | None = None,
    enabled: bool = True,
) -> ProviderAccount:
    """A new account. Raises ValidationError, which names what the provider's models miss."""
    kind = _provider(channel, provider)
    row = ProviderAccount(
        tenant_id=tenant_id,
        channel=channel,
        provider=provider,
        name=name,
        settings=_checked(kind.Settings, "settings", settings),
        credentials_encrypted=_encrypted(kind, credentials),
        senders=_senders(channel, senders),
        priority=priority,
        max_per_second=max_per_second,
        enabled=enabled,
        token=token("in"),
    )
    with transaction() as session:
        held = select(func.count()).where(ProviderAccount.tenant_id == tenant_id)
        if session.scalars(held).one() >= MAX_ACCOUNTS:
            raise Conflict(f"A tenant has at most {MAX_ACCOUNTS} provider accounts.")
        session.add(row)
        audit.created(session, by, row)
    return row


def get(tenant_id: int, account_id: int) -> ProviderAccount:
    with transaction() as session:
        return rows.fetch(session, ProviderAccount, account_id, tenant_id=tenant_id)


def list_page(
    tenant_id: int, *, channel: str | None, limit: int, offset: int
) -> tuple[Sequence[ProviderAccount], int]:
    mine = select(ProviderAccount).where(ProviderAccount.tenant_id == tenant_id)
    if channel is not None:
        mine = mine.where(ProviderAccount.channel == channel)
    with transaction() as session:
        return rows.page(session, mine, limit=limit, offset=offset)


def change(by: Actor, tenant_id: int, account_id: int, **fields: Unpack[Fields]) -> ProviderAccount:
    """Set the given fields; new settings or credentials also end a demotion and a pause."""
    with transaction() as session:
        row = rows.fetch(session, ProviderAccount, account_id, tenant_id=tenant_id, lock=True)
        before = audit.snapshot(row)
        kind = _provider(row.channel, row.provider)
        values: dict[str, Any] = {**fields}
        if "settings" in values:
            values["settings"] = _checked(kind.Settings, "settings", values["settings"])
        if "senders" in values:
            values["senders"] = _senders(row.channel, values["senders"])
        if "credentials" in values:
            row.credentials_encrypted = _encrypted(kind, values.pop("credentials"))
        row.demoted_until = row.paused_until = None
        rows.assign(row, values)
        audit.updated(session, by, row, before)
        session.refresh(row)
    return row


def remove(by: Actor, tenant_id: int, account_id: int) -> None:
    """Raises Conflict while messages are on their way through it; disable it first."""
    with transaction() as session:
        row = rows.fetch(session, ProviderAccount, account_id, tenant_id=tenant_id, lock=True)
        waiting = select(func.count()).where(QueueEntry.account_id == row.id)
        if session.scalars(waiting).one():
            raise Conflict(
                "Messages are queued for this account. Disable it, so that they go by another "
                "one or fail, and delete it then.",
                code="ACCOUNT_IN_USE",
            )
        audit.deleted(session, by, row)
        session.delete(row)


def find_by_token(session: Session, channel: str, text: str) -> ProviderAccount | None:
    """The account behind a receiver's path."""
    query = select(ProviderAccount).filter_by(channel=channel, token=text)
    return session.scalar(query)


def opened(row: ProviderAccount) -> Account:
    """The account with its credentials, for its provider. Raises BadToken."""
    kind = _provider(row.channel, row.provider)
    credentials = json.loads(crypto.decrypt(row.credentials_encrypted))
    return Account(
        id=row.id,
        tenant_id=row.tenant_id,
        settings=kind.Settings.model_validate(row.settings),
        credentials=kind.Credentials.model_validate(credentials),
        receiver_url=receiver_url(row),
    )


def sandbox_account(tenant_id: int) -> Account:
    """The account that nobody has to create."""
    nothing = NoCredentials()
    return Account(0, tenant_id, nothing, nothing, "")


def receiver_url(row: ProviderAccount) -> str:
    """Where the provider posts receipts and inbound messages of this account."""
    return f"{get_settings().base_url}/webhooks/{row.channel}/{row.token}"


def provider_of(row: ProviderAccount) -> Provider:
    return _provider(row.channel, row.provider)


def known_providers() -> list[tuple[str, Provider]]:
    """Every provider that an account can be made for, with its channel."""
    return [
        (name, provider) for name in NAMES for provider in (*channel_of(name).providers, SANDBOX)
    ]


def is_sandbox(row: ProviderAccount) -> bool:
    return row.provider == SANDBOX.name


def choose(
    session: Session, tenant_id: int, channel: str, sender: str, tried: Collection[int] = ()
) -> ProviderAccount | None:
    """The account that a message goes by next: of those that may send as `sender` and were not
    tried, a demoted one last, then by priority. None: the tenant has no account of the channel
    at all, so it is the sandbox's. Raises Unavailable where there are some, and none can send.
    """
    return pick(of_channel(session, tenant_id, channel), channel, sender, tried)


def of_channel(session: Session, tenant_id: int, channel: str) -> Sequence[ProviderAccount]:
    """A tenant's accounts of a channel, by priority."""
    query = select(ProviderAccount).filter_by(tenant_id=tenant_id, channel=channel)
    return session.scalars(query.order_by(ProviderAccount.priority, ProviderAccount.id)).all()


def pick(
    every: Sequence[ProviderAccount], channel: str, sender: str, tried: Collection[int] = ()
) -> ProviderAccount | None:
    """`choose` among accounts that were fetched before."""
    if not every:
        return None
    now = clock.now()
    fit = [
        row
        for row in every
        if row.enabled and row.id not in tried and (not row.senders or sender in row.senders)
    ]
    if not fit:
        raise Unavailable(
            f"None of the tenant's {channel} accounts is enabled and may send from {sender}.",
            code="NO_PROVIDER_ACCOUNT",
        )
    return min(fit, key=lambda row: row.demoted_until is not None and row.demoted_until > now)


def judge(session: Session, row: ProviderAccount, latest: Sequence[bool], now: datetime) -> None:
    """Demote an account that has just failed if most of its last attempts were faults. `latest`:
    whether those were that are not written yet."""
    last = (
        select(MessageExchange.fault)
        .where(
            MessageExchange.account_id == row.id,
            MessageExchange.kind == "attempt",
            MessageExchange.created_at > now - DEMOTION,
        )
        .order_by(MessageExchange.created_at.desc(), MessageExchange.id.desc())
        .limit(_JUDGED)
    )
    faults = [*latest, *session.scalars(last)][:_JUDGED]
    if len(faults) >= _AT_LEAST and sum(faults) * 2 > len(faults):
        row.demoted_until = now + DEMOTION


def _provider(channel: str, provider: str) -> Provider:
    found = channel_of(channel)
    if provider == SANDBOX.name:
        return SANDBOX
    try:
        return found.provider(provider)
    except KeyError:
        names = ", ".join(each.name for each in found.providers)
        raise invalid("provider", f"{channel} has {names}, not {provider!r}") from None


def _senders(channel: str, senders: Sequence[str]) -> list[str]:
    normalise = channel_of(channel).normalise
    faults: list[Detail] = []
    found: list[str] = []
    for index, sender in enumerate(senders):
        try:
            found.append(normalise(sender))
        except ValueError as error:
            faults.append({"field": f"senders.{index}", "message": str(error)})
    if faults:
        raise ValidationError("senders: some are no addresses of the channel", details=faults)
    return list(dict.fromkeys(found))


def _checked(model: type[AccountModel], field: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """The values in the form of the provider's model, as JSON."""
    try:
        return model.model_validate(dict(values)).model_dump(mode="json")
    except PydanticError as error:
        faults: list[Detail] = [
            {
                "field": ".".join([field, *map(str, item["loc"])]),
                "message": "required" if item["type"] == "missing" else item["msg"],
            }
            for item in error.errors(include_url=False, include_context=False, include_input=False)
        ]
        raise ValidationError(
            f"{faults[0]['field']}: {faults[0]['message']}", details=faults
        ) from None


def _encrypted(kind: Provider, credentials: Mapping[str, Any]) -> str:
    return crypto.encrypt(json.dumps(_checked(kind.Credentials, "credentials", credentials)))
