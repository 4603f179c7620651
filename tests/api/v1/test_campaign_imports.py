"""`/v1/campaigns/{id}/contacts/import`: files to contacts, with progress and a report."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from openpyxl import Workbook

from irisx.kernel.clock import now
from irisx.settings import get_settings
from irisx.telephony.dialer import imports
from tests.api.client import ApiClient
from tests.api.v1.test_campaigns import MESSAGE, told

pytestmark = pytest.mark.usefixtures("number")

CSV = (
    "Phone,Name,Plan\n"
    "+13055550101,Ann,gold\n"
    "+13055550102,Bob,\n"
    "12,Cid,none\n"
    "\n"
    "+13055550101,Ann again,gold\n"
    "(305) 555-0104,=cmd|' /C calc'!A0,gold\n"
)


@pytest.fixture
def campaign(client: ApiClient) -> str:
    return "/v1/campaigns/" + str(client.post("/v1/campaigns", MESSAGE, status=201)["id"])


def upload(
    client: ApiClient, campaign: str, content: bytes, status: int = 202, **form: str
) -> dict[str, Any]:
    data = {"file": (io.BytesIO(content), "list.csv"), **form}
    path = f"{campaign}/contacts/import"
    return dict(client.body(client.request("POST", path, data=data, status=status)))


def stored_files() -> list[Path]:
    return list((get_settings().recording_path / "imports").rglob("*.*"))


def test_a_file_is_read_row_by_row_and_what_was_wrong_is_said(
    client: ApiClient, campaign: str
) -> None:
    begun = upload(client, campaign, CSV.encode(), default_country="US")
    assert (begun["status"], begun["rows"], begun["format"]) == ("queued", 0, "csv")
    assert len(stored_files()) == 1
    assert imports.read_next() and not imports.read_next()
    path = f"{campaign}/contacts/imports/{begun['id']}"
    done = client.get(path)
    assert done["status"] == "completed" and done["finished_at"] is not None
    counted = {name: done[name] for name in ("rows", "added", "duplicates", "rejected")}
    assert counted == {"rows": 6, "added": 3, "duplicates": 1, "rejected": 1}
    report = client.get(f"{path}/rows")["data"]["rows"]
    assert [(line["row"], line["field"], line["value"]) for line in report] == [
        (4, "number", "12"),
        (6, "number", "+13055550101"),
    ]
    listed = client.get(f"{campaign}/contacts")["data"]["contacts"]
    assert [(one["numbers"], one["name"], one["data"]) for one in listed] == [
        (["+13055550101"], "Ann", {"Plan": "gold"}),
        (["+13055550102"], "Bob", {"Plan": ""}),
        (["+13055550104"], "=cmd|' /C calc'!A0", {"Plan": "gold"}),
    ]
    assert stored_files() == []
    assert told("campaign.import.completed")[0]["added"] == 3
    assert client.get(f"{campaign}/contacts/imports")["data"]["imports"] == [done]


def test_a_spreadsheet_with_a_mapping(client: ApiClient, campaign: str) -> None:
    book = Workbook()
    book.active.append(["Kunde", "Telefon"])
    book.active.append(["Ann", 13055550101])
    file = io.BytesIO()
    book.save(file)
    mapping = {"number": "telefon", "name": "Kunde"}
    begun = upload(
        client, campaign, file.getvalue(), mapping=json.dumps(mapping), default_country="US"
    )
    assert begun["format"] == "xlsx"
    imports.read_next()
    (contact,) = client.get(f"{campaign}/contacts")["data"]["contacts"]
    assert (contact["name"], contact["numbers"]) == ("Ann", ["+13055550101"])


@pytest.mark.parametrize(
    ("content", "form", "field"),
    [
        (b"", {}, "file"),
        (b"PK\x03\x04 bomb", {}, "file"),
        (b"Name,Plan\nAnn,gold\n", {}, "mapping.number"),
        (b"Phone\n1\n", {"mapping": '{"number": "Telefon"}'}, "mapping.number"),
        (b"Phone\n1\n", {"mapping": '{"colour": "Phone", "number": "Phone"}'}, "mapping.colour"),
        (b"Phone\n1\n", {"mapping": "[1]"}, "mapping"),
        (b"Phone\n1\n", {"mapping": "{"}, "mapping"),
        (b"Phone\n1\n", {"default_country": "Germany"}, "default_country"),
    ],
    ids=str,
)
def test_what_can_t_be_read_at_all_is_refused_at_once(
    client: ApiClient, campaign: str, content: bytes, form: dict[str, str], field: str
) -> None:
    fault = upload(client, campaign, content, status=400, **form)
    assert [detail["field"] for detail in fault["details"]] == [field]
    assert stored_files() == []


def test_a_file_that_breaks_on_the_way_keeps_what_was_read(
    client: ApiClient, campaign: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imports, "CHUNK", 2)
    rows = "".join(f"+1305555010{n}\n" for n in range(5))
    begun = upload(client, campaign, f"Phone\n{rows}{'x' * 300_000}\n".encode())
    imports.read_next()
    done = client.get(f"{campaign}/contacts/imports/{begun['id']}")
    assert done["status"] == "failed" and "line 7" in done["error"]
    assert done["added"] == done["rows"] == 4
    assert told("campaign.import.failed")[0]["error"] == done["error"]


def test_a_worker_that_dies_is_followed_by_one_that_goes_on(
    client: ApiClient, campaign: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imports, "CHUNK", 2)
    rows = "".join(f"+1305555010{n}\n" for n in range(5)) + "bad\n"
    begun = upload(client, campaign, f"Phone\n{rows}".encode())
    store, stored = imports._store, []

    class Killed(BaseException):
        pass

    def dies(*arguments: Any) -> None:
        if len(stored) == 2:
            raise Killed
        stored.append(store(*arguments))

    monkeypatch.setattr(imports, "_store", dies)
    with pytest.raises(Killed):
        imports.read_next()
    path = f"{campaign}/contacts/imports/{begun['id']}"
    half = client.get(path)
    assert (half["status"], half["rows"], half["added"]) == ("running", 4, 4)
    assert not imports.read_next()  # the lease of the one that died
    monkeypatch.setattr(imports, "_store", store)
    monkeypatch.setattr(imports, "now", lambda: now() + imports._LEASE * 2)
    assert imports.read_next()
    done = client.get(path)
    counted = [done[name] for name in ("status", "rows", "added", "duplicates", "rejected")]
    assert counted == ["completed", 6, 5, 0, 1]
