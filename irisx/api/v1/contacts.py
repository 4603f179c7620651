"""`/v1/contacts`: people outside, their addresses, lists, consent, history, export and erasure."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, JsonValue, StringConstraints

from irisx.api.http import Rate, Router
from irisx.api.schemas import (
    UNSET,
    Answer,
    Body,
    FilePart,
    Form,
    JsonObject,
    Name,
    OffsetPagination,
    OffsetQuery,
    PublicId,
    Success,
    Timestamp,
    listed,
)
from irisx.kernel.errors import invalid
from irisx.messaging.contacts import consents, importing, lists, service, subject
from irisx.messaging.contacts.lists import ListView
from irisx.messaging.contacts.models import ConsentRecord, ContactActivity
from irisx.messaging.contacts.service import ContactView
from irisx.tenancy.access import Caller
from irisx.tenancy.settings import TimeZone

router = Router("Contacts")

_READ = "contacts:read"
_WRITE = "contacts:write"

ContactId = Annotated[int, PublicId("con")]
ListId = Annotated[int, PublicId("list")]
Tag = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]
Language = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}(-[A-Z]{2})?$")]
MAX_FILE_BYTES = 5 * 1024 * 1024


class Identity(Body):
    kind: Annotated[str, StringConstraints(max_length=32)] = Field(examples=["phone", "email"])
    address: Annotated[str, StringConstraints(max_length=320)] = Field(examples=["+15555550110"])


Identities = Annotated[
    list[Identity],
    Field(max_length=service.MAX_IDENTITIES, description="All of the contact's addresses."),
]
Tags = Annotated[list[Tag], Field(max_length=100)]
Attributes = Annotated[
    JsonObject, Field(max_length=100, description="Your own fields; flows see them as contact.…")
]


class NewContact(Body):
    name: Name | None = None
    company: Name | None = None
    language: Language | None = None
    timezone: TimeZone | None = None
    tags: Tags = Field(default_factory=list)
    attributes: Attributes = Field(default_factory=dict)
    identities: Identities = Field(default_factory=list)


class ContactChange(Body):
    name: Name | None = UNSET
    company: Name | None = UNSET
    language: Language | None = UNSET
    timezone: TimeZone | None = UNSET
    tags: Tags = UNSET
    attributes: Attributes = UNSET
    identities: Identities = UNSET


class IdentityAnswer(Answer):
    kind: str
    address: str


class ContactRecord(Answer):
    id: ContactId
    name: str | None
    company: str | None
    language: str | None
    timezone: str | None
    tags: list[str]
    attributes: dict[str, JsonValue]
    identities: list[IdentityAnswer]
    created_at: Timestamp
    updated_at: Timestamp


class ContactRecords(Answer):
    contacts: list[ContactRecord]
    pagination: OffsetPagination


class ContactsQuery(OffsetQuery):
    search: str | None = Field(
        None, min_length=1, max_length=200, description="Part of a name, a company or an address."
    )
    tag: str | None = Field(None, max_length=100)
    list_id: ListId | None = None


@router.get("/v1/contacts", access=_READ, answer=Success[ContactRecords])
def list_contacts(caller: Caller, query: ContactsQuery) -> dict[str, Any]:
    """List contacts."""
    found, total = service.list_page(caller.tenant_id, **query.model_dump())
    return listed("contacts", [_contact(view) for view in found], query, total)


@router.post("/v1/contacts", access=_WRITE, answer=ContactRecord, status=201)
def create_contact(caller: Caller, body: NewContact) -> dict[str, Any]:
    """Create a contact; 409 IDENTITY_TAKEN for an address that another one has."""
    return _contact(service.create(caller, caller.tenant_id, **_fields(body)))


@router.get("/v1/contacts/<person_id>", access=_READ, answer=ContactRecord)
def get_contact(caller: Caller, person_id: ContactId) -> dict[str, Any]:
    """Get a contact."""
    return _contact(service.get(caller.tenant_id, person_id))


@router.put("/v1/contacts/<person_id>", access=_WRITE, answer=ContactRecord)
def update_contact(caller: Caller, person_id: ContactId, body: ContactChange) -> dict[str, Any]:
    """Update a contact; `identities`, `tags` and `attributes` replace all of theirs."""
    return _contact(service.change(caller, caller.tenant_id, person_id, **_fields(body)))


@router.delete("/v1/contacts/<person_id>", access=_WRITE)
def delete_contact(caller: Caller, person_id: ContactId) -> None:
    """Delete a contact. Its messages stay; `POST …/erase` takes them too."""
    service.remove(caller, caller.tenant_id, person_id)


class Merge(Body):
    contact_id: ContactId = Field(description="The duplicate, which goes.")


@router.post("/v1/contacts/<person_id>/merge", access=_WRITE, answer=ContactRecord)
def merge_contacts(caller: Caller, person_id: ContactId, body: Merge) -> dict[str, Any]:
    """Merge a duplicate into this contact: addresses, messages, lists, consents, history."""
    return _contact(service.merge(caller, caller.tenant_id, person_id, body.contact_id))


# --- history ----------------------------------------------------------------------------------


class Activity(Answer):
    kind: str = Field(description="call, voicemail, note, …")
    occurred_at: Timestamp
    data: dict[str, JsonValue]


class Activities(Answer):
    activities: list[Activity]
    pagination: OffsetPagination


class NewNote(Body):
    text: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=5000)]


@router.get("/v1/contacts/<person_id>/activities", access=_READ, answer=Success[Activities])
def list_contact_activities(
    caller: Caller, person_id: ContactId, query: OffsetQuery
) -> dict[str, Any]:
    """List a contact's calls and notes, newest first."""
    found, total = service.activities(
        caller.tenant_id, person_id, limit=query.limit, offset=query.offset
    )
    return listed("activities", found, query, total)


@router.post("/v1/contacts/<person_id>/activities", access=_WRITE, answer=Activity, status=201)
def add_contact_note(caller: Caller, person_id: ContactId, body: NewNote) -> ContactActivity:
    """Write a note about a contact."""
    return service.note(caller, caller.tenant_id, person_id, body.text)


# --- consent ----------------------------------------------------------------------------------


class NewConsent(Body):
    channel: Annotated[str, StringConstraints(max_length=32)] = Field(examples=["sms"])
    action: Literal["opt_in", "opt_out"]
    evidence: Annotated[str, StringConstraints(max_length=1000)] | None = Field(
        None, description="How you know: the words, the form, the recording."
    )


class Consent(Answer):
    channel: str
    address: str
    action: str
    source: str
    evidence: str | None
    at: Timestamp = Field(validation_alias="created_at")


class Consents(Answer):
    consents: list[Consent]


@router.get("/v1/contacts/<person_id>/consents", access=_READ, answer=Success[Consents])
def list_consents(caller: Caller, person_id: ContactId) -> dict[str, Any]:
    """List what a contact allowed and forbade, newest first. The ledger is never changed."""
    return {"data": {"consents": consents.ledger(caller.tenant_id, person_id)}}


@router.post(
    "/v1/contacts/<person_id>/consents", access=_WRITE, answer=Success[Consents], status=201
)
def record_consent(caller: Caller, person_id: ContactId, body: NewConsent) -> dict[str, Any]:
    """Record an opt-in or an opt-out. An opt-out suppresses the contact's addresses at once."""
    lines: list[ConsentRecord] = consents.record(
        caller, caller.tenant_id, person_id, body.channel, body.action, body.evidence
    )
    return {"data": {"consents": lines}}


# --- import, export, erasure ------------------------------------------------------------------


class ImportForm(Form):
    """`file`: CSV (UTF-8) or XLSX, at most 10,000 lines and 5 MB; its first line names columns."""

    MAX_BYTES: ClassVar[int] = MAX_FILE_BYTES
    file: FilePart
    list_id: Annotated[str, StringConstraints(max_length=30)] | None = Field(
        None, description="Put them on this list."
    )


class ContactImportFault(Answer):
    line: int
    message: str


class ContactImport(Answer):
    """`faults`: of the first 100 lines that were left out."""

    created: int
    updated: int
    skipped: int
    faults: list[ContactImportFault]


@router.post("/v1/contacts/import", access=_WRITE, answer=ContactImport, status=201, rate=Rate.BULK)
def import_contacts(caller: Caller, form: ImportForm) -> dict[str, Any]:
    """Import contacts. Columns: name, company, language, timezone, tags (separated by `;`), phone,
    email, identity:<kind>; others become attributes. A known address updates its contact."""
    chosen = _list_key(form.list_id)
    content = form.file.read()
    done = importing.import_file(caller, caller.tenant_id, content, chosen)
    faults = [{"line": line, "message": message} for line, message in done.faults]
    return {
        "created": done.created,
        "updated": done.updated,
        "skipped": done.skipped,
        "faults": faults,
    }


class Export(Answer):
    """Everything that is kept about a person."""

    contact: ContactRecord
    consents: list[Consent]
    activities: list[Activity]
    messages: list[dict[str, JsonValue]]


class Erased(Answer):
    messages: int = Field(description="Messages whose content and addresses were erased.")


@router.get("/v1/contacts/<person_id>/export", access=_READ, answer=Export)
def export_contact(caller: Caller, person_id: ContactId) -> dict[str, Any]:
    """Export everything that is kept about a person."""
    view, rest = subject.export(caller.tenant_id, person_id)
    return {"contact": _contact(view), **rest}


@router.post("/v1/contacts/<person_id>/erase", access=_WRITE, answer=Erased)
def erase_contact(caller: Caller, person_id: ContactId) -> dict[str, int]:
    """Erase a person: the contact, its conversations, the content of its messages. Suppressions
    stay, so that the person is not written to again."""
    return {"messages": subject.erase(caller, caller.tenant_id, person_id)}


# --- lists ------------------------------------------------------------------------------------


class NewContactList(Body):
    name: Name
    description: Annotated[str, StringConstraints(max_length=1000)] | None = None
    public_name: Name | None = Field(
        None,
        description="By this name recipients of your emails see the list on their preference "
        "page, join and leave it. Default: they don't.",
    )


class ContactListChange(Body):
    name: Name = UNSET
    description: Annotated[str, StringConstraints(max_length=1000)] | None = UNSET
    public_name: Name | None = UNSET


class ContactListAnswer(Answer):
    id: ListId
    name: str
    description: str | None
    public_name: str | None
    contacts: int
    created_at: Timestamp
    updated_at: Timestamp


class ContactLists(Answer):
    lists: list[ContactListAnswer]
    pagination: OffsetPagination


class Members(Body):
    contact_ids: list[ContactId] = Field(min_length=1, max_length=1000)


@router.get("/v1/contacts/lists", access=_READ, answer=Success[ContactLists])
def list_contact_lists(caller: Caller, query: OffsetQuery) -> dict[str, Any]:
    """List the lists of contacts."""
    found, total = lists.list_page(caller.tenant_id, limit=query.limit, offset=query.offset)
    return listed("lists", [_list(view) for view in found], query, total)


@router.post("/v1/contacts/lists", access=_WRITE, answer=ContactListAnswer, status=201)
def create_contact_list(caller: Caller, body: NewContactList) -> dict[str, Any]:
    """Create a list."""
    made = lists.create(caller, caller.tenant_id, body.name, body.description, body.public_name)
    return _list(made)


@router.get("/v1/contacts/lists/<list_id>", access=_READ, answer=ContactListAnswer)
def get_contact_list(caller: Caller, list_id: ListId) -> dict[str, Any]:
    """Get a list; its contacts: `GET /v1/contacts?list_id=…`."""
    return _list(lists.get(caller.tenant_id, list_id))


@router.put("/v1/contacts/lists/<list_id>", access=_WRITE, answer=ContactListAnswer)
def update_contact_list(caller: Caller, list_id: ListId, body: ContactListChange) -> dict[str, Any]:
    """Update a list's name or description."""
    changes = body.model_dump(exclude_unset=True)
    return _list(lists.change(caller, caller.tenant_id, list_id, **changes))


@router.delete("/v1/contacts/lists/<list_id>", access=_WRITE)
def delete_contact_list(caller: Caller, list_id: ListId) -> None:
    """Delete a list; its contacts stay."""
    lists.remove(caller, caller.tenant_id, list_id)


@router.post("/v1/contacts/lists/<list_id>/contacts", access=_WRITE, answer=ContactListAnswer)
def add_to_contact_list(caller: Caller, list_id: ListId, body: Members) -> dict[str, Any]:
    """Put contacts on a list."""
    return _list(lists.add(caller, caller.tenant_id, list_id, body.contact_ids))


@router.delete("/v1/contacts/lists/<list_id>/contacts/<person_id>", access=_WRITE)
def remove_from_contact_list(caller: Caller, list_id: ListId, person_id: ContactId) -> None:
    """Take a contact off a list."""
    lists.take_off(caller, caller.tenant_id, list_id, person_id)


def _fields(body: NewContact | ContactChange) -> Any:
    values = body.model_dump(exclude_unset=True)
    if "identities" in values:
        values["identities"] = [(i["kind"], i["address"]) for i in values["identities"]]
    return values


def _contact(view: ContactView) -> dict[str, Any]:
    names = set(ContactRecord.model_fields) - {"identities"}
    fields = {name: getattr(view.row, name) for name in names}
    return fields | {"identities": list(view.identities)}


def _list(view: ListView) -> dict[str, Any]:
    names = set(ContactListAnswer.model_fields) - {"contacts"}
    return {name: getattr(view.row, name) for name in names} | {"contacts": view.contacts}


def _list_key(text: str | None) -> int | None:
    if not text:
        return None
    head, _, digits = text.partition("_")
    if head != "list" or not digits.isascii() or not digits.isdigit() or len(digits) > 18:
        raise invalid("list_id", "no list such as list_3")
    return int(digits)
