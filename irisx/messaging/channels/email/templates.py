"""Email templates: versions that never change, variables that are checked before sending."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from irisx.kernel import template as language
from irisx.kernel.db import transaction
from irisx.kernel.errors import Conflict, Detail, NotFound, ValidationError
from irisx.messaging.channels.email.content import UNSUBSCRIBE_MARK
from irisx.messaging.channels.email.models import EmailTemplate, EmailTemplateVersion
from irisx.tenancy import audit, rows
from irisx.tenancy.access import Actor

MAX_SUBJECT = 998
MAX_SOURCE = 500_000
MAX_RENDERED = 1_000_000
#: The variable that every template has: where its recipient unsubscribes or chooses lists.
UNSUBSCRIBE_URL = "unsubscribe_url"
_MAX_MISSING = 50


@dataclass(frozen=True, slots=True)
class Source:
    """A subject and at least one of the bodies."""

    subject: str
    html: str | None
    text: str | None


@dataclass(frozen=True, slots=True)
class Rendered:
    subject: str
    html: str | None
    text: str


@dataclass(frozen=True, slots=True)
class Stored:
    """A template with one of its versions."""

    row: EmailTemplate
    version: EmailTemplateVersion


def create(by: Actor, tenant_id: int, name: str, source: Source) -> Stored:
    """A new template, version 1. Raises ValidationError, Conflict TEMPLATE_EXISTS."""
    with transaction() as session:
        row = EmailTemplate(tenant_id=tenant_id, name=name, version=1)
        session.add(row)
        _flush(session, name)
        version = _add_version(session, row, source)
        audit.created(session, by, row)
        session.refresh(row)
    return Stored(row, version)


def change(
    by: Actor, tenant_id: int, template_id: int, name: str | None, fields: Mapping[str, Any]
) -> Stored:
    """Rename it, or make a new version with what changed of the newest."""
    with transaction() as session:
        row = rows.fetch(session, EmailTemplate, template_id, tenant_id=tenant_id, lock=True)
        before = audit.snapshot(row)
        version = _version(session, row, row.version)
        if name is not None:
            row.name = name
            _flush(session, name)
        if fields:
            old = {"subject": version.subject, "html": version.html, "text": version.text}
            row.version += 1
            version = _add_version(session, row, Source(**{**old, **fields}))
        audit.updated(session, by, row, before)
        session.refresh(row)
    return Stored(row, version)


def get(tenant_id: int, template_id: int, number: int | None = None) -> Stored:
    """A template with its newest version, or with that `number`."""
    with transaction() as session:
        return stored(session, tenant_id, template_id, number)


def stored(session: Session, tenant_id: int, template_id: int, number: int | None = None) -> Stored:
    """As `get`, in the caller's transaction."""
    row = rows.fetch(session, EmailTemplate, template_id, tenant_id=tenant_id)
    return Stored(row, _version(session, row, number or row.version))


def find(
    session: Session, tenant_id: int, template_id: int, number: int | None = None
) -> Stored | None:
    """As `stored`; None if there is no such template or version."""
    try:
        return stored(session, tenant_id, template_id, number)
    except NotFound:
        return None


def list_page(tenant_id: int, *, limit: int, offset: int) -> tuple[Sequence[Stored], int]:
    mine = select(EmailTemplate).where(EmailTemplate.tenant_id == tenant_id)
    with transaction() as session:
        found, total = rows.page(session, mine, limit=limit, offset=offset)
        newest = (
            select(EmailTemplateVersion)
            .join(EmailTemplate, EmailTemplate.id == EmailTemplateVersion.template_id)
            .where(
                EmailTemplateVersion.template_id.in_([row.id for row in found]),
                EmailTemplateVersion.version == EmailTemplate.version,
            )
        )
        versions = {each.template_id: each for each in session.scalars(newest)}
    return [Stored(row, versions[row.id]) for row in found], total


def versions(tenant_id: int, template_id: int) -> list[Stored]:
    """Every version, newest first."""
    with transaction() as session:
        row = rows.fetch(session, EmailTemplate, template_id, tenant_id=tenant_id)
        every = select(EmailTemplateVersion).filter_by(template_id=row.id)
        ordered = every.order_by(EmailTemplateVersion.version.desc())
        return [Stored(row, each) for each in session.scalars(ordered)]


def remove(by: Actor, tenant_id: int, template_id: int) -> None:
    """Messages that were sent from it stay as they are."""
    with transaction() as session:
        row = rows.fetch(session, EmailTemplate, template_id, tenant_id=tenant_id, lock=True)
        audit.deleted(session, by, row)
        session.delete(row)


def render(version: EmailTemplateVersion, values: Mapping[str, Any]) -> Rendered:
    """The message. Raises ValidationError that names each variable that is missing."""
    values = {UNSUBSCRIBE_URL: UNSUBSCRIBE_MARK, **values}
    missing = [n for n in version.variables if n not in values and n not in version.optional]
    if missing:
        faults: list[Detail] = [
            {"field": f"variables.{name}", "message": "the template needs it"}
            for name in missing[:_MAX_MISSING]
        ]
        raise ValidationError(
            f"The template's variables {', '.join(missing[:_MAX_MISSING])} are missing.",
            details=faults,
        )
    try:
        subject = _render(version.subject, values)
        text = _render(version.text, values) if version.text is not None else ""
        html = _render(version.html, values, html=True) if version.html is not None else None
    except language.RenderFailed as error:
        fault: Detail = {"field": "variables", "message": str(error)}
        raise ValidationError(
            f"The template can't be rendered with these variables: {error}", details=[fault]
        ) from None
    return Rendered(" ".join(subject.split())[:MAX_SUBJECT], html, text)


def inline(source: Source) -> EmailTemplateVersion:
    """A template that is stored nowhere. Raises ValidationError."""
    variables, optional = _checked(source)
    return EmailTemplateVersion(
        subject=source.subject,
        html=source.html,
        text=source.text,
        variables=variables,
        optional=optional,
    )


def unused(version: EmailTemplateVersion, values: Mapping[str, Any]) -> list[str]:
    """Variables that were given and that the template has no use for."""
    return sorted(name for name in values if name not in version.variables)


def _render(source: str, values: Mapping[str, Any], *, html: bool = False) -> str:
    return language.render(
        source, values, html=html, max_length=MAX_SOURCE, max_output=MAX_RENDERED
    )


def _add_version(session: Session, row: EmailTemplate, source: Source) -> EmailTemplateVersion:
    version = inline(source)
    version.template_id, version.version = row.id, row.version
    session.add(version)
    session.flush()
    return version


def _checked(source: Source) -> tuple[list[str], list[str]]:
    """The variables that it uses, and those of them that may be missing."""
    faults: list[Detail] = []
    uses: list[language.Use] = []
    for field in ("subject", "html", "text"):
        part = getattr(source, field)
        if part is None:
            continue
        try:
            uses += language.uses(part, max_length=MAX_SOURCE)
        except language.BadTemplate as error:
            faults.append({"field": field, "message": str(error)})
    if source.html is None and source.text is None:
        faults.append({"field": "html", "message": "give html, text or both"})
    if faults:
        raise ValidationError(f"{faults[0]['field']}: {faults[0]['message']}", details=faults)
    needed = {use.name for use in uses if not use.guarded} - {UNSUBSCRIBE_URL}
    every = {use.name for use in uses} - {UNSUBSCRIBE_URL}
    return sorted(every), sorted(every - needed)


def _version(session: Session, row: EmailTemplate, number: int) -> EmailTemplateVersion:
    query = select(EmailTemplateVersion).filter_by(template_id=row.id, version=number)
    version = session.scalar(query)
    if version is None:
        raise NotFound(f"The template has no version {number}.")
    return version


def _flush(session: Session, name: str) -> None:
    try:
        session.flush()
    except IntegrityError:
        raise Conflict(
            f"There is a template named {name!r} already.", code="TEMPLATE_EXISTS"
        ) from None
