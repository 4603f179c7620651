"""Files of contacts, as honest and as hostile people make them."""

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openpyxl import Workbook

from irisx.telephony.dialer.import_files import (
    MAX_CELL,
    BadFile,
    FileFormat,
    format_of,
    read,
)

Keep = Callable[[bytes], Path]


@pytest.fixture
def keep(tmp_path: Path) -> Keep:
    def kept(content: bytes) -> Path:
        path = tmp_path / "file"
        path.write_bytes(content)
        return path

    return kept


def rows_of(path: Path) -> list[list[str]]:
    return list(read(path, format_of(path.read_bytes()[:4])))


def workbook(*rows: list[Any]) -> bytes:
    book = Workbook()
    for row in rows:
        book.active.append(row)
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def with_part(name: str, content: bytes, book: bytes | None = None) -> bytes:
    """A workbook with one of its parts replaced."""
    file = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(book or workbook(["number"], ["+12025550123"]))) as old,
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for part in old.namelist():
            new.writestr(part, content if part == name else old.read(part))
    return file.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        "number,name\n+12025550123,Zoë\n".encode(),
        b"\xef\xbb\xbf" + "number,name\r\n+12025550123,Zoë\r\n".encode(),
        "number;name\n+12025550123;Zoë".encode(),
        "number\tname\n+12025550123\tZoë\n".encode(),
        "number,name\n+12025550123,Zoë\n".encode("utf-16"),
        "number,name\n+12025550123,Zoë\n".encode("cp1252"),
        'number,"name"\n+12025550123,"Zoë"\n'.encode(),
        workbook(["number", "name"], ["+12025550123", "Zoë"]),
    ],
)
def test_the_same_rows_in_many_forms(keep: Keep, content: bytes) -> None:
    assert rows_of(keep(content)) == [["number", "name"], ["+12025550123", "Zoë"]]


def test_a_spreadsheet_s_values_are_texts(keep: Keep) -> None:
    content = workbook(["number", "x", "y"], [12025550123, True, 2.5], [None, None, None])
    assert rows_of(keep(content))[1:] == [["12025550123", "true", "2.5"], []]


def test_a_formula_is_never_run(keep: Keep) -> None:
    content = workbook(["number"], ['=HYPERLINK("http://example.com","x")'])
    assert rows_of(keep(content))[1:] == [[]]  # no spreadsheet has computed it
    csv = keep(b"number,name\n+12025550123,=1+1\n")
    assert rows_of(csv)[1] == ["+12025550123", "=1+1"]


def test_a_long_cell_is_cut_and_a_long_line_refused(keep: Keep) -> None:
    assert len(rows_of(keep(b"number\n" + b"1" * 10_000))[1][0]) == MAX_CELL
    with pytest.raises(BadFile, match="line 2 is longer"):
        rows_of(keep(b"number\n" + b"1" * 1_000_000))


BOMB = b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]>' + (
    b"<worksheet>&b;</worksheet>"
)
SHEET = "xl/worksheets/sheet1.xml"
FAR = (
    b'<?xml version="1.0"?><worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/'
    b'main"><dimension ref="A1:XFD1048576"/><sheetData><row r="1"><c r="A1" t="inlineStr"><is><t>'
    b'number</t></is></c></row><row r="1048576"><c r="XFD1048576"><v>1</v></c></row></sheetData>'
    b"</worksheet>"
)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "empty"),
        (b"  \n\n", "empty"),
        (b"\x00\x01\x02\x03", "neither CSV nor XLSX"),
        (b"PK\x03\x04 and no more", "no XLSX"),
        (b"number," + b"x," * 200, "more than 100 columns"),
        (b'number\n"never closed' + b"\n1" * 200_000, "line"),
        (with_part(SHEET, b" " * 50_000_000), "unpacks to more"),
        (with_part(SHEET, BOMB), "no workbook"),
        (with_part(SHEET, b"<worksheet"), "no workbook"),
        (with_part(SHEET, FAR), "more than 200000 rows"),
        (with_part("xl/workbook.xml", b"<x/>"), "no workbook"),
        (workbook([str(n) for n in range(150)]), "more than 100 columns"),
    ],
    ids=range(12),
)
def test_a_hostile_file_is_refused_and_says_why(keep: Keep, content: bytes, why: str) -> None:
    with pytest.raises(BadFile, match=why):
        rows_of(keep(content))


@given(st.binary(max_size=2000))
def test_no_bytes_break_the_reader(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.mktemp("any") / "file"
    for content in (data, b"PK\x03\x04" + data):
        path.write_bytes(content)
        try:
            for row in read(path, format_of(content[:4])):
                assert all(isinstance(cell, str) and "\x00" not in cell for cell in row)
        except BadFile:
            pass


def test_the_name_of_a_file_says_nothing() -> None:
    assert format_of(b"PK\x03\x04") is FileFormat.XLSX
    assert format_of(b"numb") is FileFormat.CSV
