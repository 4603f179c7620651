"""Files that go with emails, and those that come with them: bytes in the storage, links to them."""

import base64
from collections.abc import Callable
from email import message_from_bytes, policy
from email.message import EmailMessage
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from irisx.kernel.db import transaction
from irisx.messaging import media
from irisx.messaging.channels.email import attachments
from irisx.messaging.contacts import subject
from irisx.messaging.models import MediaFile, MediaStatus, ProviderAccount
from irisx.settings import get_settings
from irisx.tenancy.access import SYSTEM
from irisx.tenancy.models import Tenant
from tests.api.client import ApiClient
from tests.messaging.channels.email.conftest import SENDER
from tests.messaging.pipeline import work
from tests.smtp_server import smtp_server

PDF = b"%PDF-1.7\n" + bytes(range(256)) * 40
MAIL = {"to": "ann@example.com", "from": SENDER, "subject": "Invoice", "text": "See the file."}
INLINE = {"filename": "a.txt", "content": base64.b64encode(b"Hello").decode()}


@pytest.fixture(autouse=True)
def own_storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IRISX_RECORDINGS_URL", f"file://{tmp_path}/storage")
    get_settings.cache_clear()


def kept(tmp_path: Path) -> list[Path]:
    """Every file whose bytes are in the storage."""
    return [path for path in tmp_path.rglob("media/**/*") if path.is_file()]


def upload(client: ApiClient, name: str = "invoice.pdf", data: bytes = PDF, **more: Any) -> Any:
    file = {"file": (BytesIO(data), name, "application/pdf")}
    return client.post("/v1/email/attachments", data=file, **more)


def test_files_arrive_as_they_were_given(
    client: ApiClient, smtp_account: Callable[..., ProviderAccount]
) -> None:
    file = upload(client, status=201)
    picture = {**INLINE, "filename": "ü.png", "content_type": "image/png", "content_id": "logo"}
    body = {**MAIL, "html": '<img src="cid:logo">', "attachments": [{"id": file["id"]}, picture]}
    with smtp_server() as server:
        smtp_account(server)
        sent = client.post("/v1/email/send", body, status=201)
        work(lambda: server.taken)
    raw = server.taken[0].mail
    assert max(len(line) for line in raw.split(b"\r\n") if b" " not in line) <= 78
    mail = message_from_bytes(raw, policy=policy.default)
    assert mail.get_content_type() == "multipart/mixed"
    first, second = mail.iter_attachments()
    assert (first.get_filename(), first.get_content()) == ("invoice.pdf", PDF)
    assert first.get_content_type() == "application/pdf"
    assert (second.get_filename(), second.get_content()) == ("ü.png", b"Hello")
    assert second["Content-ID"] == "<logo>"
    assert mail.get_body(("plain",)).get_content().strip() == "See the file."
    shown = client.get(f"/v1/email/{sent['id']}")["attachments"]
    assert [(each["name"], each["bytes"]) for each in shown] == [
        ("invoice.pdf", len(PDF)),
        ("ü.png", 5),
    ]
    given = client.get(f"/v1/email/attachments/{shown[1]['id']}")
    assert given["message_id"] == sent["id"]


@pytest.mark.parametrize(
    ("files", "field"),
    [
        ([{"id": "med_999"}], "attachments.0.id"),
        ([{**INLINE, "filename": "setup.EXE"}], "attachments.0.filename"),
        ([{**INLINE, "filename": "a\nb.txt"}], "attachments.0.filename"),
        ([{**INLINE, "content_type": "text/plain; x=y"}], "attachments.0.content_type"),
        ([{**INLINE, "content": "no base64!"}], "attachments.0.content"),
        ([{**INLINE, "content": ""}], "attachments.0"),
        ([{**INLINE, "id": "med_1"}], "attachments.0"),
        ([{"filename": "a.txt"}], "attachments.0"),
        ([INLINE] * 21, "attachments"),
    ],
)
def test_a_mistake_is_named_and_keeps_nothing(
    client: ApiClient, tmp_path: Path, files: list[dict[str, str]], field: str
) -> None:
    refused = client.post("/v1/email/send", {**MAIL, "attachments": files}, status=400)
    assert field in [fault["field"] for fault in refused["details"]]
    assert not kept(tmp_path)


def test_all_files_of_a_message_have_a_limit(
    client: ApiClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attachments, "MAX_BYTES", 8)
    refused = client.post("/v1/email/send", {**MAIL, "attachments": [INLINE, INLINE]}, status=400)
    assert refused["details"][0]["field"] == "attachments"
    assert not kept(tmp_path)
    assert upload(client, status=400)["details"][0]["field"] == "file"


def test_a_request_that_is_repeated_keeps_one_message(client: ApiClient) -> None:
    headers = {"Idempotency-Key": "once"}
    body = {**MAIL, "attachments": [INLINE]}
    sids = {
        client.post("/v1/email/send", body, status=201, headers=headers)["id"] for _ in range(2)
    }
    assert len(sids) == 1


def test_a_file_that_was_deleted_fails_the_message(
    client: ApiClient, smtp_account: Callable[..., ProviderAccount], tmp_path: Path
) -> None:
    file = upload(client, status=201)
    with smtp_server() as server:
        smtp_account(server)
        body = {**MAIL, "attachments": [{"id": file["id"]}]}
        sent = client.post("/v1/email/send", body, status=201)
        client.delete(f"/v1/email/attachments/{file['id']}")
        media.erase_deleted()
        assert not kept(tmp_path)
        work(lambda: client.get(f"/v1/email/{sent['id']}")["status"] == "failed")
    assert client.get(f"/v1/email/{sent['id']}")["error_code"] == "ATTACHMENT_GONE"
    client.get(f"/v1/email/attachments/{file['id']}", status=404)


def letter() -> EmailMessage:
    mail = EmailMessage(policy=policy.SMTP)
    mail["From"], mail["To"], mail["Subject"] = "Ann <ann@example.com>", SENDER, "Damage"
    mail["Message-ID"] = "<damage@example.com>"
    mail.set_content("See the picture.")
    mail.add_attachment(PDF, maintype="image", subtype="jpeg", filename="../../etc/car.jpg")
    forwarded = EmailMessage(policy=policy.SMTP)
    forwarded["Subject"] = "Before"
    forwarded.set_content("An older letter.")
    mail.add_attachment(forwarded, filename="before.eml")
    return mail


def test_what_comes_with_a_letter_is_kept_once_and_can_be_downloaded(
    app: Flask,
    client: ApiClient,
    tenant: Tenant,
    smtp_account: Callable[..., ProviderAccount],
    tmp_path: Path,
) -> None:
    with smtp_server() as server:
        row = smtp_account(server)
    path = f"/webhooks/email/{row.token}"
    headers = {"Authorization": "Bearer inbound-secret-of-the-tests"}
    for _ in range(2):
        answer = app.test_client().post(path, data=bytes(letter()), headers=headers)
        assert answer.status_code == 200
    assert len(kept(tmp_path)) == 2
    [listed] = client.get("/v1/email?direction=inbound")["data"]["emails"]
    files = client.get(f"/v1/email/{listed['sid']}")["attachments"]
    assert [file["name"] for file in files] == ["car.jpg", "before.eml"]
    shown = client.get(f"/v1/email/attachments/{files[0]['id']}")
    assert shown["message_id"] == listed["sid"]
    download = app.test_client().get("/media/" + shown["url"].rpartition("/")[2])
    assert download.data == PDF
    assert download.content_type == "application/octet-stream"
    [person] = client.get("/v1/contacts")["data"]["contacts"]
    subject.erase(SYSTEM, tenant.id, int(person["id"].removeprefix("con_")))
    with transaction() as session:
        assert set(session.scalars(select(MediaFile.status))) == {MediaStatus.DELETED}


def test_while_the_storage_is_away_a_letter_is_not_acknowledged(
    app: Flask,
    smtp_account: Callable[..., ProviderAccount],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with smtp_server() as server:
        row = smtp_account(server)
    (tmp_path / "storage").write_text("in the way")
    headers = {"Authorization": "Bearer inbound-secret-of-the-tests"}
    path = f"/webhooks/email/{row.token}"
    answer = app.test_client().post(path, data=bytes(letter()), headers=headers)
    assert answer.status_code == 503
    (tmp_path / "storage").unlink()
    answer = app.test_client().post(path, data=bytes(letter()), headers=headers)
    assert answer.status_code == 200
