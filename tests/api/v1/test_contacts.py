"""`/v1/contacts`: addresses, merging, lists, import, consent, export, erasure."""

import io
import zipfile
from typing import Any

import pytest
from sqlalchemy import select

from irisx.kernel import clock
from irisx.kernel.db import transaction
from irisx.kernel.events import publish
from irisx.messaging.contacts.reactions import note_calls
from irisx.messaging.models import Message, MessageExchange
from irisx.messaging.states import MessageStatus
from irisx.tenancy import contacts
from irisx.tenancy.models import Tenant
from tests.api.client import ApiClient
from tests.messaging.pipeline import load, sent_until, text, work

pytestmark = pytest.mark.usefixtures("number")

PHONE = {"kind": "phone", "address": "+1 (555) 555-0110"}


def make(client: ApiClient, *identities: dict[str, str], **fields: Any) -> dict[str, Any]:
    body = {"identities": list(identities), **fields}
    made: dict[str, Any] = client.post("/v1/contacts", body, status=201)
    return made


def test_a_contact_from_birth_to_death(client: ApiClient) -> None:
    made = make(client, PHONE, name="Ann", tags=["vip"], attributes={"tier": "gold"})
    path = f"/v1/contacts/{made['id']}"
    assert made["identities"] == [{"kind": "phone", "address": "+15555550110"}]
    assert client.get(path) == made
    more = [PHONE, {"kind": "email", "address": "Ann@Example.com"}]
    changed = client.put(path, {"company": "Acme", "identities": more})
    assert (changed["name"], changed["company"]) == ("Ann", "Acme")
    assert changed["identities"][1]["address"] == "ann@example.com"
    for search in ("ann@ex", "0110", "acm"):
        assert [c["id"] for c in client.get(f"/v1/contacts?search={search}")["data"]["contacts"]]
    assert client.get("/v1/contacts?search=%25")["data"]["contacts"] == []
    assert client.get("/v1/contacts?tag=other")["data"]["contacts"] == []
    client.delete(path)
    client.get(path, status=404)


@pytest.mark.parametrize(
    ("identity", "message"),
    [
        ({"kind": "phone", "address": "12"}, "E.164"),
        ({"kind": "email", "address": "nobody"}, "e-mail"),
        ({"kind": "No Kind!", "address": "x"}, "kind"),
        ({"kind": "telegram", "address": " "}, "characters"),
    ],
)
def test_a_faulty_address_is_named(
    client: ApiClient, identity: dict[str, str], message: str
) -> None:
    refused = client.post("/v1/contacts", {"identities": [PHONE, identity]}, status=400)
    (detail,) = refused["details"]
    assert detail["field"] == "identities.1"
    assert message in detail["message"]


def test_an_address_is_of_one_contact_until_they_are_merged(
    client: ApiClient, tenant: Tenant
) -> None:
    ann = make(client, PHONE, tags=["a"], attributes={"tier": "gold"})
    refused = client.post("/v1/contacts", {"identities": [PHONE]}, status=409)
    assert refused["code"] == "IDENTITY_TAKEN"
    other = make(
        client,
        {"kind": "email", "address": "ann@example.com"},
        name="Ann",
        tags=["b"],
        attributes={"tier": "tin", "shoe": 39},
    )
    listed = client.post("/v1/contacts/lists", {"name": "Friends"}, status=201)
    client.post(f"/v1/contacts/lists/{listed['id']}/contacts", {"contact_ids": [other["id"]]})
    message = text(tenant.id)
    merged = client.post(f"/v1/contacts/{other['id']}/merge", {"contact_id": ann["id"]})
    assert merged["name"] == "Ann"
    assert merged["tags"] == ["b", "a"]
    assert merged["attributes"] == {"tier": "tin", "shoe": 39}
    assert len(merged["identities"]) == 2
    client.get(f"/v1/contacts/{ann['id']}", status=404)
    assert f"con_{load(message).contact_id}" == other["id"]
    client.post(f"/v1/contacts/{other['id']}/merge", {"contact_id": other["id"]}, status=400)


def test_lists_and_static_before_parameter(client: ApiClient) -> None:
    ann, bob = make(client, name="Ann"), make(client, name="Bob")
    made = client.post("/v1/contacts/lists", {"name": "Friends"}, status=201)
    path = f"/v1/contacts/lists/{made['id']}"
    client.post("/v1/contacts/lists", {"name": "Friends"}, status=409)
    both = {"contact_ids": [ann["id"], bob["id"], ann["id"]]}
    assert client.post(f"{path}/contacts", both)["contacts"] == 2
    client.post(f"{path}/contacts", {"contact_ids": ["con_999999"]}, status=400)
    client.delete(f"{path}/contacts/{ann['id']}")
    found = client.get(f"/v1/contacts?list_id={made['id']}")["data"]["contacts"]
    assert [contact["name"] for contact in found] == ["Bob"]
    assert client.put(path, {"description": "Old ones"})["contacts"] == 1
    assert [each["name"] for each in client.get("/v1/contacts/lists")["data"]["lists"]] == [
        "Friends"
    ]
    client.delete(path)
    client.get(path, status=404)
    client.get(f"/v1/contacts/{bob['id']}")
    client.get(f"/v1/contacts?list_id={made['id']}", status=400)
    upload(client, CSV, status=400, list_id=made["id"])


CSV = (
    "Name;Phone;E-Mail;tags;email;Shoe size\n"
    "Ann;+1 555 555 0110;;a;ann@example.com;39\n"
    "Bob;not a number;;;;\n"
    ";;;;;\n"
    "Cy;;;;;\n"
    "Ann again;;;b;ANN@example.com;\n"
).encode("utf-8-sig")


def upload(client: ApiClient, content: bytes, status: int = 201, **fields: str) -> Any:
    form = {"file": (io.BytesIO(content), "contacts"), **fields}
    return client.post("/v1/contacts/import", None, status=status, data=form)


def test_import_of_csv_updates_who_is_known_and_tells_of_faults(client: ApiClient) -> None:
    listed = client.post("/v1/contacts/lists", {"name": "Imported"}, status=201)
    done = upload(client, CSV, list_id=listed["id"])
    assert (done["created"], done["updated"], done["skipped"]) == (1, 1, 2)
    assert [fault["line"] for fault in done["faults"]] == [3, 5]
    (ann,) = client.get(f"/v1/contacts?list_id={listed['id']}")["data"]["contacts"]
    assert ann["name"] == "Ann again"
    assert ann["tags"] == ["a", "b"]
    assert ann["attributes"] == {"shoe size": "39"}


def workbook(sheet: str, strings: str = "") -> bytes:
    main = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/worksheets/sheet1.xml", f"<worksheet {main}>{sheet}</worksheet>")
        if strings:
            archive.writestr("xl/sharedStrings.xml", f"<sst {main}>{strings}</sst>")
    return file.getvalue()


SHEET = """<sheetData>
<row><c r="A1" t="s"><v>0</v></c><c r="C1" t="inlineStr"><is><t>phone</t></is></c></row>
<row><c r="A2" t="s"><v>1</v></c><c r="C2" t="str"><v>+15555550110</v></c></row>
</sheetData>"""
STRINGS = "<si><t>name</t></si><si><r><t>An</t></r><r><t>n</t></r></si>"


def test_import_of_xlsx(client: ApiClient) -> None:
    assert upload(client, workbook(SHEET, STRINGS))["created"] == 1
    (ann,) = client.get("/v1/contacts")["data"]["contacts"]
    assert (ann["name"], ann["identities"][0]["address"]) == ("Ann", "+15555550110")


ENTITY = '<!DOCTYPE x [<!ENTITY e "boom">]><worksheet>&e;</worksheet>'


def hostile() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("xl/worksheets/sheet1.xml", ENTITY)
    return file.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"name,company\nAnn,Acme\n",
        b"phone,phone\n1,2\n",
        b"phone\n\xff\xfe\n",
        b"phone\n\0\n",
        b'phone\n"open',
        b"PK\x03\x04 nothing",
        hostile(),
        workbook("<sheetData><row><c><v>1</v></c></row>"),
        b"phone\n" + b"+15555550110\n" * 10_001,
    ],
    ids=range(10),
)
def test_what_is_no_contact_file_is_refused(client: ApiClient, content: bytes) -> None:
    assert upload(client, content, status=400)["details"][0]["field"] == "file"
    assert client.get("/v1/contacts")["data"]["contacts"] == []


def test_consent_is_a_ledger_that_decides(client: ApiClient) -> None:
    path = f"/v1/contacts/{make(client, PHONE)['id']}/consents"
    client.post(path, {"channel": "sms", "action": "opt_out", "evidence": "by phone"}, status=201)
    refused = client.post("/v1/sms", {"to": "+15555550110", "body": "x"}, status=409)
    assert refused["code"] == "RECIPIENT_OPTED_OUT"
    client.post(path, {"channel": "sms", "action": "opt_in"}, status=201)
    client.post("/v1/sms", {"to": "+15555550110", "body": "x"}, status=201)
    lines = client.get(path)["data"]["consents"]
    assert [line["action"] for line in lines] == ["opt_in", "opt_out"]
    assert lines[1]["evidence"] == "by phone"
    nobody = make(client, name="Nobody")["id"]
    body = {"channel": "sms", "action": "opt_in"}
    client.post(f"/v1/contacts/{nobody}/consents", body, status=400)


def test_stop_is_in_the_ledger(client: ApiClient, tenant: Tenant) -> None:
    text(tenant.id, "+15555550115")  # answers STOP
    work(lambda: client.get("/v1/contacts")["data"]["contacts"])
    (contact,) = client.get("/v1/contacts")["data"]["contacts"]
    (line,) = client.get(f"/v1/contacts/{contact['id']}/consents")["data"]["consents"]
    assert (line["action"], line["evidence"]) == ("opt_out", "STOP")
    assert line["source"].startswith("SM")


def test_calls_and_notes_are_the_contact_s_history(client: ApiClient, tenant: Tenant) -> None:
    path = f"/v1/contacts/{make(client, PHONE)['id']}/activities"
    theirs, ours = "+15555550110", "+15550001000"
    calls = [
        ("1", "inbound", theirs, ours),
        ("2", "outbound", ours, theirs),
        ("3", "inbound", ours, "x"),
    ]
    with transaction() as session:
        for key, direction, caller, called in calls:
            publish(
                session,
                key=key,
                tenant_id=tenant.id,
                type="call.completed",
                data={"sid": f"CA{key}", "direction": direction, "from": caller, "to": called},
                occurred_at=clock.now(),
            )
    note_calls()
    note_calls()
    client.post(path, {"text": "Nice"}, status=201)
    found = client.get(path)["data"]["activities"]
    assert [(a["kind"], a["data"].get("sid")) for a in found] == [
        ("note", None),
        ("call", "CA2"),
        ("call", "CA1"),
    ]


def test_export_and_erasure(client: ApiClient, tenant: Tenant) -> None:
    ann = make(client, PHONE, name="Ann")
    sent = sent_until(text(tenant.id, body="A secret"), MessageStatus.DELIVERED)
    waiting = text(tenant.id, body="Another")
    everything = client.get(f"/v1/contacts/{ann['id']}/export")
    assert everything["contact"]["name"] == "Ann"
    assert {m["body"] for m in everything["messages"]} == {"A secret", "Another"}
    assert client.post(f"/v1/contacts/{ann['id']}/erase") == {"messages": 2}
    client.get(f"/v1/contacts/{ann['id']}", status=404)
    assert (load(sent).body, load(sent).to_address) == ("", "erased")
    with transaction() as session:
        assert session.scalars(select(MessageExchange)).all() == []
        assert session.scalars(select(Message).where(Message.body != "")).all() == []
    assert load(waiting).status is MessageStatus.CANCELED


def test_a_flow_s_templates_know_the_caller(client: ApiClient, tenant: Tenant) -> None:
    made = make(client, PHONE, name="Ann", attributes={"tier": "gold", "name": "no"})
    known = contacts.fields_of_caller(tenant.id, "+15555550110")
    assert known == {"id": made["id"], "name": "Ann", "tier": "gold", "tags": []}
    assert contacts.fields_of_caller(tenant.id, "+15555550111") == {}
    assert contacts.fields_of_caller(tenant.id + 1, "+15555550110") == {}
