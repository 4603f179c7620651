"""Files of contacts as rows of texts: CSV and XLSX, as strangers make them.

Nothing here trusts the file: what it says of its own size, its cells, its formulas. Limits hold
while it is read, so that a small file can't become a big one.
"""

import csv
import io
import zipfile
from collections.abc import Iterator
from datetime import date, datetime
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from openpyxl import load_workbook  # type: ignore[import-untyped]

MAX_UPLOAD_BYTES = 20 * 1024 * 1024
MAX_ROWS = 200_000
MAX_COLUMNS = 100
#: Longer cells are cut: nothing of a contact is longer.
MAX_CELL = 1000
_MAX_LINE = 256 * 1024
_SAMPLE = 65_536
#: What an XLSX may unpack to, in all, and in proportion to each of its parts.
_MAX_UNPACKED = 200 * 1024 * 1024
_MAX_RATIO = 300
_MAX_PARTS = 1000
_ZIP = b"PK\x03\x04"
_DELIMITERS = ",;\t|"

Row = list[str]


class FileFormat(StrEnum):
    CSV = "csv"
    XLSX = "xlsx"


class BadFile(Exception):
    """The file can't be read (any further); the text says why, and where."""


def format_of(start: bytes) -> FileFormat:
    """By the file's first bytes, not by its name."""
    return FileFormat.XLSX if start.startswith(_ZIP) else FileFormat.CSV


def read(path: Path, format: FileFormat) -> Iterator[Row]:
    """The file's rows, the header first; cells are stripped texts. Raises BadFile on the way."""
    rows = _xlsx(path) if format is FileFormat.XLSX else _csv(path)
    for number, row in enumerate(rows, 1):
        if number > MAX_ROWS + 1:
            raise BadFile(f"more than {MAX_ROWS} rows; split the file")
        yield [cell.strip()[:MAX_CELL] for cell in row]


# -- CSV -------------------------------------------------------------------------------------------


def _csv(path: Path) -> Iterator[Row]:
    with path.open("rb") as file:
        encoding = _encoding(file)
        text = io.TextIOWrapper(file, encoding, errors="replace", newline="")
        start = text.read(8192)
        if not start.strip():
            raise BadFile("the file is empty")
        dialect = _delimiter(start)
        text.seek(0)
        if encoding == "utf-8":
            text.read(1 if start.startswith("\ufeff") else 0)
        reader = csv.reader(_lines(text), delimiter=dialect)
        try:
            for row in reader:
                if len(row) > MAX_COLUMNS:
                    raise BadFile(f"row {reader.line_num}: more than {MAX_COLUMNS} columns")
                yield row
        except csv.Error as error:
            raise BadFile(f"line {reader.line_num}: {error}") from error


def _encoding(file: BinaryIO) -> str:
    """UTF-8, UTF-16 by its mark, or else what old spreadsheets write."""
    start = file.read(_SAMPLE)
    file.seek(0)
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    if b"\x00" in start:
        raise BadFile("is neither CSV nor XLSX")
    try:
        io.TextIOWrapper(io.BytesIO(start), "utf-8").read()
    except UnicodeDecodeError as error:
        # A character that the end of the sample cut in two is no fault.
        if len(start) < _SAMPLE or error.start < len(start) - 4:
            return "cp1252"
    return "utf-8"


def _delimiter(start: str) -> str:
    """What stands most often in the header."""
    header = start.splitlines()[0]
    return max(_DELIMITERS, key=header.count)


def _lines(text: io.TextIOWrapper) -> Iterator[str]:
    number = 0
    while line := text.readline(_MAX_LINE):
        number += 1
        if len(line) == _MAX_LINE:
            raise BadFile(f"line {number} is longer than {_MAX_LINE // 1024} kB")
        yield line.replace("\x00", "")


# -- XLSX ------------------------------------------------------------------------------------------


def _xlsx(path: Path) -> Iterator[Row]:
    """Rows of the first sheet. A formula is what the spreadsheet last made of it; none is run."""
    _check_archive(path)
    try:
        # openpyxl reads XML through defusedxml, which refuses entities.
        with path.open("rb") as file:
            book = load_workbook(file, read_only=True, data_only=True, keep_links=False)
            yield from _sheet(book.worksheets[0])
    except BadFile:
        raise
    except Exception as error:  # whatever a broken workbook makes of the library
        raise BadFile(f"is no workbook that can be read: {type(error).__name__}") from error


def _sheet(sheet: Any) -> Iterator[Row]:
    sheet.reset_dimensions()  # what a sheet says of its own size is not to be trusted
    # One more of each, to tell that there are too many.
    rows = sheet.iter_rows(max_row=MAX_ROWS + 2, max_col=MAX_COLUMNS + 1, values_only=True)
    for number, row in enumerate(rows, 1):
        if len(row) > MAX_COLUMNS and row[MAX_COLUMNS] is not None:
            raise BadFile(f"row {number}: more than {MAX_COLUMNS} columns")
        cells = [_text(value) for value in islice(row, MAX_COLUMNS)]
        while cells and not cells[-1]:
            cells.pop()
        yield cells


def _check_archive(path: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            parts = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise BadFile(f"is no XLSX: {error}") from error
    # zipfile itself never unpacks more of a part than its entry says.
    if len(parts) > _MAX_PARTS or sum(part.file_size for part in parts) > _MAX_UNPACKED:
        raise BadFile("unpacks to more than any list of contacts")
    for part in parts:
        if part.flag_bits & 1:
            raise BadFile("is encrypted")
        if part.file_size > _MAX_RATIO * max(part.compress_size, 1024):
            raise BadFile("unpacks to more than any list of contacts")


def _text(value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case float() if value.is_integer() and abs(value) < 1e15:
            return str(int(value))  # telephone numbers that a spreadsheet took for numbers
        case datetime() | date():
            return value.isoformat()
    return str(value)
