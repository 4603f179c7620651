"""`/v1/whatsapp/media`: uploads, and files that came with messages."""

import io
import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from irisx.kernel import clock
from irisx.kernel.db import transaction
from irisx.messaging import media
from irisx.messaging.channels.whatsapp.media import KINDS, LIMITS, fetch_next
from irisx.messaging.models import MediaFile
from irisx.tenancy.models import Tenant
from tests.api.client import ApiClient
from tests.api.v1.test_whatsapp import TO, posts, writes
from tests.api.v1.test_whatsapp_templates import account, meta
from tests.graph_server import Graph, answered, error
from tests.messaging.channels.whatsapp.test_cloud import change
from tests.messaging.pipeline import events

__all__ = ["meta"]
pytestmark = pytest.mark.usefixtures("number", "own_storage")

PATH = "/v1/whatsapp/media"
PNG = b"\x89PNG\r\n\x1a\n--picture\r\n"


@pytest.fixture
def own_storage(configure: Callable[..., None], tmp_path: Path) -> None:
    configure(recordings_url=tmp_path.as_uri(), allowed_private_hosts="127.0.0.1")


def uploaded(
    client: ApiClient, data: bytes = PNG, kind: str = "image/png", status: int = 201, **fields: str
) -> Any:
    form = {"file": (io.BytesIO(data), "../a picture.png", kind), **fields}
    return client.post(PATH, data=form, status=status)


def followed(client: ApiClient, url: str, status: int = 200) -> bytes:
    response = client.request("GET", url[url.index("/media/") :], status=status)
    return response.data


def image(media_id: str, kind: str = "image") -> dict[str, Any]:
    return {"to": TO, "type": kind, kind: {"id": media_id}}


def test_uploaded_sent_and_deleted(client: ApiClient, tenant: Tenant, meta: Graph) -> None:
    row = account(tenant, meta)
    writes(tenant)
    made = uploaded(client)
    assert (made["kind"], made["size_bytes"], made["status"]) == ("image", len(PNG), "stored")
    assert meta.media == {made["reference"]: ("image/png", PNG)}
    assert made["account_id"] == row.public_id
    sent = client.post("/v1/whatsapp/send", image(made["id"]), status=201)
    assert sent["content"]["image"] == {"id": made["reference"]}
    assert followed(client, made["url"]) == PNG
    client.delete(f"{PATH}/{made['id']}")
    assert meta.media == {}
    followed(client, made["url"], status=404)
    client.get(f"{PATH}/{made['id']}", status=404)
    assert client.get(PATH)["data"]["media"] == []
    refused = client.post("/v1/whatsapp/send", image(made["id"]), status=400)
    assert refused["details"][0]["field"] == "image.id"
    media.erase_deleted()
    with transaction() as session:
        assert session.query(MediaFile).count() == 0


def test_in_the_sandbox_a_file_stays_here(client: ApiClient, tmp_path: Path) -> None:
    made = uploaded(client)
    assert (made["reference"], made["account_id"]) == (None, None)
    sent = client.post("/v1/whatsapp/send", image(made["id"]), status=201)
    assert sent["content"]["image"] == {"id": made["id"]}
    refused = client.post("/v1/whatsapp/send", image(made["id"], "video"), status=400)
    assert refused["details"][0]["field"] == "video.id"
    (stored,) = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert stored.read_bytes() == PNG


@pytest.mark.parametrize(
    ("kind", "size"),
    [("text/html", 10), ("image/gif", 10), ("image/png", 0), *((k, 0) for k in ("video/mp4",))]
    + [(next(t for t in KINDS if KINDS[t] == k), LIMITS[k] + 1) for k in ("image", "sticker")],
)
def test_what_whatsapp_does_not_take(client: ApiClient, kind: str, size: int) -> None:
    refused = uploaded(client, b"x" * size, kind, status=400)
    assert refused["details"][0]["field"] == "file"
    assert client.get(PATH)["data"]["media"] == []


def test_another_tenant_s_file_and_account(
    client: ApiClient,
    client_for: Callable[..., ApiClient],
    make_tenant: Callable[..., Tenant],
    tenant: Tenant,
    meta: Graph,
) -> None:
    theirs = make_tenant("Other")
    row = account(theirs, meta)
    made = uploaded(client_for(theirs))
    assert uploaded(client, status=400, account_id=row.public_id)["code"] == "VALIDATION_ERROR"
    refused = client.post("/v1/whatsapp/send", image(made["id"]), status=400)
    assert refused["details"][0]["field"] == "image.id"
    assert uploaded(client_for(theirs, test=True))["reference"] is None


def test_an_upload_is_for_its_number_and_its_time(
    client: ApiClient, tenant: Tenant, meta: Graph
) -> None:
    account(tenant, meta)
    writes(tenant)
    made = uploaded(client)
    with transaction() as session:
        old = clock.now() - timedelta(days=29, minutes=1)
        session.execute(update(MediaFile).values(created_at=old))
    assert (
        "upload it again"
        in client.post("/v1/whatsapp/send", image(made["id"]), status=400)["message"]
    )
    meta.broken = error(131053, "Media upload error", 400)
    assert uploaded(client, status=409)["code"] == "PROVIDER_REFUSED"


def came(client: ApiClient, tenant: Tenant, meta: Graph, media_id: str = "7000") -> dict[str, Any]:
    row = account(tenant, meta)
    meta.media["7000"] = ("image/png", PNG)
    part = {"id": media_id, "mime_type": "image/png", "sha256": "x", "caption": "Look"}
    message = {"id": "w1", "from": TO[1:], "type": "image", "image": part}
    posts(client, row, {"entry": [change(messages=[message])]})
    (found,) = client.get("/v1/whatsapp/messages")["messages"]
    return dict(found)


def test_what_comes_with_a_message_is_kept(client: ApiClient, tenant: Tenant, meta: Graph) -> None:
    message = came(client, tenant, meta)
    (url,) = message["media_urls"]
    path = url[url.index("/v1/") :]
    assert client.get(path)["status"] == "pending"
    assert fetch_next()
    assert not fetch_next()
    kept = client.get(path)
    assert (kept["status"], kept["message_sid"]) == ("stored", message["sid"])
    assert followed(client, kept["url"]) == PNG
    followed(client, kept["url"] + "x", status=403)
    assert events("whatsapp.received")[0]["media_urls"] == [url]
    contact = events("whatsapp.received")[0]["contact_id"]
    client.post(f"/v1/contacts/{contact}/erase")
    client.get(path, status=404)
    followed(client, kept["url"], status=404)


@pytest.mark.parametrize(
    ("broken", "status"),
    [
        (error(100, "gone", 404), "failed"),
        (error(2, "away", 500), "pending"),
        (error(190, "expired", 401), "pending"),
        (answered({"url": "http://10.0.0.1/x", "mime_type": "image/png"}), "failed"),
        (answered({"url": "file:///etc/passwd"}), "failed"),
        (answered({}), "failed"),
    ],
)
def test_a_file_that_can_not_be_had(
    client: ApiClient, tenant: Tenant, meta: Graph, broken: Any, status: str
) -> None:
    came(client, tenant, meta)
    meta.broken = broken
    fetch_next()
    assert not fetch_next()
    (found,) = client.get(PATH)["data"]["media"]
    assert (found["status"], found["url"]) == (status, None)
    assert found["reason"]
    assert "the-access-token" not in json.dumps(found)


def test_a_file_that_is_too_large(client: ApiClient, tenant: Tenant, meta: Graph) -> None:
    came(client, tenant, meta)
    meta.media["7000"] = ("image/png", b"x" * (LIMITS["image"] + 1))
    fetch_next()
    (found,) = client.get(PATH)["data"]["media"]
    assert (found["status"], found["size_bytes"]) == ("failed", None)
