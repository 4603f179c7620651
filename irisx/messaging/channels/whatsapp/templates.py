"""Templates: made at Meta, kept here as Meta has them, checked before a message is sent by one.

Meta decides: a template that was made there, or whose answer got lost, comes with `sync`.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from irisx.kernel import clock, events
from irisx.kernel.db import transaction
from irisx.kernel.errors import Conflict, IrisxError, ValidationError, invalid
from irisx.messaging import accounts
from irisx.messaging.channels.whatsapp import graph
from irisx.messaging.channels.whatsapp.content import WhatsAppTemplate
from irisx.messaging.channels.whatsapp.models import StoredTemplate, TemplateStatus
from irisx.messaging.channels.whatsapp.template_parts import (
    faults_of_definition,
    faults_of_message,
    text_of,
)
from irisx.messaging.models import ProviderAccount
from irisx.messaging.provider import Account, Notice
from irisx.tenancy import audit, rows
from irisx.tenancy.access import Caller

CHANNEL = "whatsapp"
PROVIDER = "cloud-api"
#: `business_account` of templates that nobody but the sandbox has.
SANDBOX = ""
MAX_TEMPLATES = 6000
_PAGE = 100
_MISSING = 2593002
_EXISTS = frozenset({2388023, 2388024})
_FIELDS = "id,name,language,category,status,rejected_reason,components"
_S = TemplateStatus
#: A status in which Meta sends nothing.
_CLOSED = frozenset(
    {
        _S.PENDING,
        _S.REJECTED,
        _S.PAUSED,
        _S.DISABLED,
        _S.IN_APPEAL,
        _S.LIMIT_EXCEEDED,
        _S.ARCHIVED,
        _S.PENDING_DELETION,
        _S.DELETED,
    }
)
#: How the sandbox decides about a new template: by the end of its name.
_SANDBOX_DECISIONS = {"_pending": _S.PENDING, "_rejected": _S.REJECTED}


@dataclass(frozen=True, kw_only=True)
class NewTemplate:
    name: str
    language: str
    category: str
    components: Sequence[Mapping[str, Any]]
    parameter_format: str


@dataclass(frozen=True)
class TemplateFilter:
    """Which templates of a tenant; None: any."""

    name: str | None = None
    language: str | None = None
    category: str | None = None
    status: TemplateStatus | None = None


@dataclass(frozen=True)
class Synced:
    """What a sync has changed; `total`: how many templates there are now."""

    added: int = 0
    changed: int = 0
    removed: int = 0
    total: int = 0
    sandbox: bool = False


def list_page(
    tenant_id: int, wanted: TemplateFilter, *, limit: int, offset: int
) -> tuple[Sequence[StoredTemplate], int]:
    query = select(StoredTemplate).where(StoredTemplate.tenant_id == tenant_id)
    for name in ("name", "language", "category", "status"):
        if (value := getattr(wanted, name)) is not None:
            query = query.where(getattr(StoredTemplate, name) == value)
    with transaction() as session:
        return rows.page(session, query, limit=limit, offset=offset)


def get(tenant_id: int, template_id: int) -> StoredTemplate:
    with transaction() as session:
        return rows.fetch(session, StoredTemplate, template_id, tenant_id=tenant_id)


def create(caller: Caller, new: NewTemplate, account_id: int | None) -> StoredTemplate:
    """Submit a template for Meta's approval. Raises ValidationError, Conflict TEMPLATE_EXISTS, and
    what `graph.ask` raises."""
    if faults := faults_of_definition(new.category, new.components):
        first = faults[0]
        raise ValidationError(f"{first['field']}: {first['message']}", details=faults)
    account = _account(caller, account_id)
    business = business_of(account)
    with transaction() as session:
        if _find(session, caller.tenant_id, business, new.name, new.language) is not None:
            raise _exists(new)
    reference, status = (None, _simulated(new.name)) if account is None else _submit(account, new)
    row = StoredTemplate(
        tenant_id=caller.tenant_id,
        business_account=business,
        name=new.name,
        language=new.language,
        category=new.category,
        components=[dict(component) for component in new.components],
        status=status,
        status_at=clock.now(),
        rejected_reason="SANDBOX" if status is _S.REJECTED and account is None else None,
        reference=reference,
    )
    with transaction() as session:
        session.add(row)
        audit.created(session, caller, row)
    return row


def remove(caller: Caller, template_id: int) -> None:
    """Delete a template at Meta and here; one that Meta does not have is gone already."""
    row = get(caller.tenant_id, template_id)
    if row.business_account != SANDBOX:
        account = _account_of(caller.tenant_id, row.business_account)
        query = {"name": row.name}
        if row.reference is not None:
            query["hsm_id"] = row.reference
        try:
            graph.ask(account, "DELETE", f"{row.business_account}/message_templates", query=query)
        except IrisxError as refused:
            if _subcode(refused) != _MISSING:
                raise
    with transaction() as session:
        row = rows.fetch(session, StoredTemplate, template_id, tenant_id=caller.tenant_id)
        audit.deleted(session, caller, row)
        session.delete(row)


def sync(caller: Caller, account_id: int | None) -> Synced:
    """Take over all templates that Meta has; what it has not is removed."""
    account = _account(caller, account_id)
    if account is None:
        return Synced(sandbox=True)
    business, began = business_of(account), clock.now()
    found = list(_fetched(account, business))
    with transaction() as session:
        query = select(StoredTemplate).filter_by(
            tenant_id=caller.tenant_id, business_account=business
        )
        before = {(row.name, row.language): row for row in session.scalars(query.with_for_update())}
        added = changed = 0
        for values in found:
            row = before.pop((values["name"], values["language"]), None)
            if row is None:
                fresh = insert(StoredTemplate).values(
                    tenant_id=caller.tenant_id, business_account=business, status_at=began, **values
                )
                session.execute(fresh.on_conflict_do_nothing())
                added += 1
            elif any(getattr(row, name) != value for name, value in values.items()):
                rows.assign(row, values | {"status_at": began})
                changed += 1
        gone = [row.id for row in before.values() if row.created_at < began]
        session.execute(delete(StoredTemplate).where(StoredTemplate.id.in_(gone)))
        done = Synced(added, changed, len(gone), len(found))
        audit.record(
            session, caller, "whatsapp_templates.synced", f"waba_{business}",
            tenant_id=caller.tenant_id, after=asdict(done),
        )  # fmt: skip
    return done


def noticed(session: Session, account: ProviderAccount, notice: Notice) -> None:
    """Meta tells that a template has another status. What is older than what
    is known changes nothing; a template that is not known comes with the next sync."""
    name, language = notice.data["message_template_name"], notice.data["message_template_language"]
    business = account.settings["business_account_id"]
    row = _find(session, account.tenant_id, business, str(name), str(language), lock=True)
    at = notice.at or clock.now()
    if row is None or at < row.status_at:
        return
    status, reason = _status(notice.data.get("event")), notice.data.get("reason")
    row.status_at = at
    if status is row.status:
        return
    row.status = status
    row.rejected_reason = str(reason) if reason not in (None, "NONE") else None
    events.publish(
        session,
        key=f"whatsapp-template:{row.id}:{at.isoformat()}:{status}",
        tenant_id=row.tenant_id,
        type="whatsapp.template_updated",
        data={
            "id": row.public_id,
            "name": row.name,
            "language": row.language,
            "category": row.category,
            "status": status,
            "reason": row.rejected_reason,
        },
        occurred_at=at,
    )


def checked(
    session: Session, tenant_id: int, business: str, template: WhatsAppTemplate, prefix: str
) -> str | None:
    """What the recipient of a template will read; None if that is not known here.

    Where no template of the business account is known, Meta alone decides. Raises ValidationError
    for one that does not exist or is not filled (`prefix`: of the fields' names), Conflict
    TEMPLATE_NOT_APPROVED.
    """
    row = _find(session, tenant_id, business, template.name, template.language.code)
    if row is None:
        _refuse_unknown(session, tenant_id, business, template, prefix)
        return None
    if row.status in _CLOSED:
        raise Conflict(
            f"The template {row.name} ({row.language}) is {row.status}: WhatsApp does not send it.",
            code="TEMPLATE_NOT_APPROVED",
        )
    given = template.components
    if faults := faults_of_message(row.components, row.category, given, prefix):
        first = faults[0]
        raise ValidationError(f"{first['field']}: {first['message']}", details=faults)
    return text_of(row.components, given)


def business_of(account: Account | None) -> str:
    return SANDBOX if account is None else str(account.settings.business_account_id)


def _refuse_unknown(
    session: Session, tenant_id: int, business: str, template: WhatsAppTemplate, prefix: str
) -> None:
    mine = select(StoredTemplate.language).filter_by(tenant_id=tenant_id, business_account=business)
    languages = session.scalars(mine.where(StoredTemplate.name == template.name)).all()
    if languages:
        known = ", ".join(sorted(languages))
        raise invalid(f"{prefix}language", f"{template.name} is there in {known}")
    if session.scalars(mine.limit(1)).first() is not None:
        raise invalid(
            f"{prefix}name" if prefix else "template_name",
            "there is no such template; POST /v1/whatsapp/templates/sync takes over new ones",
        )


def _find(
    session: Session, tenant_id: int, business: str, name: str, language: str, *, lock: bool = False
) -> StoredTemplate | None:
    query = select(StoredTemplate).filter_by(
        tenant_id=tenant_id, business_account=business, name=name, language=language
    )
    return session.scalar(query.with_for_update() if lock else query)


# --- at Meta --------------------------------------------------------------------------------------


def _submit(account: Account, new: NewTemplate) -> tuple[str, TemplateStatus]:
    """Meta's id of a new template, and its first status."""
    body = {
        "name": new.name,
        "language": new.language,
        "category": new.category,
        "parameter_format": new.parameter_format,
        "components": new.components,
    }
    path = f"{business_of(account)}/message_templates"
    try:
        answer = graph.ask(account, "POST", path, body=json.dumps(body).encode())
    except IrisxError as refused:
        if _subcode(refused) in _EXISTS:
            raise _exists(new) from refused
        raise
    return str(answer.get("id")), _status(answer.get("status"))


def _fetched(account: Account, business: str) -> Iterator[dict[str, Any]]:
    """All templates of a business account, page by page, as columns."""
    query = {"limit": str(_PAGE), "fields": _FIELDS}
    for _ in range(MAX_TEMPLATES // _PAGE):
        page = graph.ask(account, "GET", f"{business}/message_templates", query=query)
        for item in page.get("data", []):
            reason = item.get("rejected_reason")
            yield {
                "name": str(item["name"]),
                "language": str(item["language"]),
                "category": str(item["category"]),
                "components": item.get("components", []),
                "status": _status(item.get("status")),
                "rejected_reason": str(reason) if reason not in (None, "NONE") else None,
                "reference": str(item["id"]),
            }
        # The cursor, not the `next` URL: the token goes to the account's own host only.
        paging = page.get("paging") or {}
        if "next" not in paging:
            return
        query = query | {"after": str(paging["cursors"]["after"])}


def _account(caller: Caller, account_id: int | None) -> Account | None:
    """The account whose templates are meant; None: the sandbox's."""
    if caller.test:
        return None
    with transaction() as session:
        every = [
            row
            for row in accounts.of_channel(session, caller.tenant_id, CHANNEL)
            if row.provider == PROVIDER and row.enabled
        ]
    if account_id is not None:
        every = [row for row in every if row.id == account_id]
        if not every:
            raise invalid("account_id", f"this is no enabled {PROVIDER} account of yours")
    elif not every:
        return None
    for row in every:
        if row.settings.get("business_account_id"):
            return accounts.opened(row)
    raise Conflict(
        "Templates belong to a WhatsApp business account: enter its id as business_account_id in "
        "the settings of the messaging account.",
        code="NO_BUSINESS_ACCOUNT",
    )


def _account_of(tenant_id: int, business: str) -> Account:
    """An account that may change the templates of a business account."""
    with transaction() as session:
        for row in accounts.of_channel(session, tenant_id, CHANNEL):
            if row.enabled and row.settings.get("business_account_id") == business:
                return accounts.opened(row)
    raise Conflict(
        f"No enabled account of yours is of the business account {business} any more.",
        code="NO_BUSINESS_ACCOUNT",
    )


def _status(text: Any) -> TemplateStatus:
    word = str(text).lower()
    if word == "reinstated":
        return _S.APPROVED
    return _S(word) if word in _S.__members__.values() else _S.UNKNOWN


def _simulated(name: str) -> TemplateStatus:
    ends = (status for end, status in _SANDBOX_DECISIONS.items() if name.endswith(end))
    return next(ends, _S.APPROVED)


def _subcode(error: IrisxError) -> int | None:
    cause = error.__cause__
    return cause.error.subcode if isinstance(cause, graph.GraphRefused) and cause.error else None


def _exists(new: NewTemplate) -> Conflict:
    return Conflict(
        f"There is a template {new.name} in {new.language}. If it is not listed, sync.",
        code="TEMPLATE_EXISTS",
    )
