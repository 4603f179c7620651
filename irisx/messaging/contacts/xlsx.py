"""The cells of an XLSX workbook's first sheet (ECMA-376 part 1, §18), and nothing more of it.

A stranger's file: entities are refused (defusedxml), sizes are bounded before anything is unpacked.
"""

import io
import re
import struct
import zipfile
import zlib
from collections.abc import Sequence
from xml.etree.ElementTree import Element, ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

MAX_UNPACKED = 50 * 1024 * 1024
_MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_SHEET = re.compile(r"xl/worksheets/sheet(\d+)\.xml")
#: What zipfile raises for a file that is damaged or of a kind that it does not know.
_BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    ArithmeticError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    ValueError,
)
_CELL = re.compile(r"([A-Z]{1,3})[0-9]+")


class NotAWorkbook(ValueError):
    """The text says why."""


def read_rows(content: bytes, max_rows: int, max_columns: int) -> list[list[str]]:
    """Rows of texts; at most so many, and cells beyond `max_columns` are left out."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if sum(info.file_size for info in archive.infolist()) > MAX_UNPACKED:
                raise NotAWorkbook("the workbook is too large")
            strings = _strings(archive)
            sheet = _parse(archive, _first_sheet(archive))
    except NotAWorkbook:
        raise
    except _BROKEN as error:
        raise NotAWorkbook("this is no XLSX workbook") from error
    rows = sheet.iter(f"{_MAIN}row")
    return [
        _cells(row, strings, max_columns) for row, _ in zip(rows, range(max_rows), strict=False)
    ]


def _first_sheet(archive: zipfile.ZipFile) -> str:
    sheets = [(int(m[1]), m[0]) for m in map(_SHEET.fullmatch, archive.namelist()) if m]
    if not sheets:
        raise NotAWorkbook("the workbook has no sheet")
    return min(sheets)[1]


def _strings(archive: zipfile.ZipFile) -> list[str]:
    name = "xl/sharedStrings.xml"
    if name not in archive.namelist():
        return []
    return [_text(item) for item in _parse(archive, name).iter(f"{_MAIN}si")]


def _parse(archive: zipfile.ZipFile, name: str) -> Element:
    with archive.open(name) as part:
        data = part.read(MAX_UNPACKED + 1)  # whatever the directory says of its size
    if len(data) > MAX_UNPACKED:
        raise NotAWorkbook("the workbook is too large")
    try:
        root: Element = fromstring(data)
    except (ParseError, DefusedXmlException, ValueError, LookupError) as error:
        raise NotAWorkbook("the workbook's XML is broken") from error
    return root


def _cells(row: Element, strings: Sequence[str], max_columns: int) -> list[str]:
    cells: list[str] = []
    for cell in row.iter(f"{_MAIN}c"):
        column = _column(cell.get("r", ""), len(cells))
        if column >= max_columns or column < len(cells):
            continue
        cells += [""] * (column - len(cells))
        cells.append(_value(cell, strings))
    return cells


def _value(cell: Element, strings: Sequence[str]) -> str:
    kind = cell.get("t", "n")
    if kind == "inlineStr":
        return _text(cell)
    raw = (cell.findtext(f"{_MAIN}v") or "").strip()
    if kind == "s":
        return strings[int(raw)] if raw.isdecimal() and int(raw) < len(strings) else ""
    # A phone number that was typed as a number: 15555550100, perhaps 1.55555501E10.
    if kind == "n" and re.fullmatch(r"-?[0-9.]+[eE][+-]?[0-9]{1,3}", raw):
        return f"{float(raw):.0f}"
    return raw.removesuffix(".0") if kind == "n" else raw


def _column(reference: str, following: int) -> int:
    match = _CELL.fullmatch(reference)
    if match is None:
        return following
    number = 0
    for letter in match[1]:
        number = number * 26 + ord(letter) - ord("A") + 1
    return number - 1


def _text(element: Element) -> str:
    return "".join(part.text or "" for part in element.iter(f"{_MAIN}t"))
