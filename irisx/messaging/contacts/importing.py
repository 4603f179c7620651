"""Contacts from a file: CSV, or the first sheet of an XLSX workbook.

The first line names the columns. `name`, `company`, `language`, `timezone` and `tags` (separated
by `;`) are fields; `phone`, `email` and `identity:<kind>` are addresses; every other column is an
attribute. A line whose address is known changes that contact; what a cell leaves empty stays.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from irisx.kernel.db import transaction
from irisx.kernel.errors import IrisxError, ValidationError, invalid
from irisx.messaging.contacts import lists
from irisx.messaging.contacts.service import Fields, apply, normalised, require_list
from irisx.messaging.contacts.xlsx import NotAWorkbook, read_rows
from irisx.tenancy import audit, contacts
from irisx.tenancy.access import Actor
from irisx.tenancy.contact_models import Contact, ContactIdentity

MAX_ROWS = 10_000
MAX_COLUMNS = 100
MAX_CELL = 2000
_MAX_FAULTS = 100
_BATCH = 500
_FIELDS = frozenset({"name", "company", "language", "timezone"})
_ADDRESSES = frozenset({contacts.PHONE, contacts.EMAIL})
_IDENTITY = "identity:"
_TAGS = "tags"


@dataclass
class Imported:
    """What came of a file. `faults`: of the first lines that were left out, (line, message)."""

    created: int = 0
    updated: int = 0
    skipped: int = 0
    faults: list[tuple[int, str]] = field(default_factory=list)


def import_file(by: Actor, tenant_id: int, content: bytes, list_id: int | None) -> Imported:
    """Store the contacts of a file; a line with a fault is left out, and told.

    Raises ValidationError for what is neither format, has no address column or too many lines.
    """
    lines = _lines(content)
    header = _header(next(lines, []))
    table = list(lines)
    if len(table) > MAX_ROWS:
        raise invalid("file", f"more than {MAX_ROWS} lines; split it")
    done = Imported()
    if list_id is not None:
        with transaction() as session:
            require_list(session, tenant_id, list_id)
    for start in range(0, len(table), _BATCH):
        _batch(tenant_id, header, table[start : start + _BATCH], start + 2, list_id, done)
    with transaction() as session:
        summary = {"created": done.created, "updated": done.updated, "skipped": done.skipped}
        audit.record(
            session, by, "contact.imported", "contacts", tenant_id=tenant_id, after=summary
        )
    return done


def _batch(
    tenant_id: int,
    header: Sequence[str],
    table: Sequence[Sequence[str]],
    first_line: int,
    list_id: int | None,
    done: Imported,
) -> None:
    stored: list[int] = []
    with transaction() as session:
        for number, cells in enumerate(table, first_line):
            if not any(cell.strip() for cell in cells):
                continue
            try:
                with session.begin_nested():
                    row, new = _store(session, tenant_id, _fields(header, cells))
            except IrisxError as error:
                done.skipped += 1
                if len(done.faults) < _MAX_FAULTS:
                    done.faults.append((number, error.message))
                continue
            stored.append(row.id)
            done.created += new
            done.updated += not new
        if list_id is not None:
            lists.put_on(session, list_id, stored)


def _store(session: Session, tenant_id: int, fields: Fields) -> tuple[Contact, bool]:
    """The contact that one of the addresses names, or a new one."""
    wanted = normalised(fields.get("identities", ()))
    if not wanted:
        raise invalid("identities", "no phone, email or other address")
    known = [contacts.find(session, tenant_id, kind, address) for kind, address in wanted]
    found = {row.id: row for row in known if row is not None}
    if len(found) > 1:
        names = ", ".join(row.public_id for row in found.values())
        raise invalid("identities", f"the addresses are of several contacts: {names}")
    new = not found
    if new:
        row = contacts.find_or_create(session, tenant_id, *wanted[0])
    else:
        row = next(iter(found.values()))
        fields["tags"] = [*dict.fromkeys([*row.tags, *fields.get("tags", ())])]
        fields["attributes"] = {**row.attributes, **fields.get("attributes", {})}
    held = [(kind, address) for kind, address in session.execute(_addresses_of(row.id))]
    fields["identities"] = list(dict.fromkeys([*held, *wanted]))
    apply(session, row, fields)
    return row, new


def _addresses_of(contact_id: int) -> Select[str, str]:
    return select(ContactIdentity.kind, ContactIdentity.address).filter_by(contact_id=contact_id)


def _fields(header: Sequence[str], cells: Sequence[str]) -> Fields:
    values: dict[str, Any] = {}
    identities: list[tuple[str, str]] = []
    attributes: dict[str, str] = {}
    for name, cell in zip(header, cells, strict=False):
        text = cell.strip()
        if not text or not name:
            continue
        if len(text) > MAX_CELL:
            raise invalid(name, f"longer than {MAX_CELL} characters")
        if name in _FIELDS:
            values[name] = text
        elif name == _TAGS:
            values[_TAGS] = [tag.strip() for tag in text.split(";") if tag.strip()]
        elif name in _ADDRESSES:
            identities.append((name, text))
        elif name.startswith(_IDENTITY):
            identities.append((name.removeprefix(_IDENTITY), text))
        else:
            attributes[name] = text
    fields: Fields = {**values, "identities": identities}  # type: ignore[typeddict-item]
    if attributes:
        fields["attributes"] = attributes
    return fields


def _header(cells: Sequence[str]) -> list[str]:
    header = [" ".join(cell.strip().lower().split())[:100] for cell in cells]
    if not any(name in _ADDRESSES or name.startswith(_IDENTITY) for name in header):
        raise invalid("file", "the first line must name a column phone, email or identity:<kind>")
    named = [name for name in header if name]
    if len(named) != len(set(named)):
        raise invalid("file", "the first line names a column twice")
    if len(header) > MAX_COLUMNS:
        raise invalid("file", f"more than {MAX_COLUMNS} columns")
    return header


def _lines(content: bytes) -> Iterator[list[str]]:
    if content.startswith(b"PK"):
        try:
            return iter(read_rows(content, MAX_ROWS + 2, MAX_COLUMNS + 1))
        except NotAWorkbook as error:
            raise invalid("file", str(error)) from None
    return iter(_csv(content))


def _csv(content: bytes) -> Iterable[list[str]]:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise invalid("file", "a CSV file must be UTF-8; XLSX is taken too") from None
    if "\0" in text:
        raise invalid("file", "neither CSV nor XLSX")
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    try:
        return list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))
    except csv.Error as error:
        raise ValidationError(
            f"file: {error}", details=[{"field": "file", "message": str(error)}]
        ) from None
