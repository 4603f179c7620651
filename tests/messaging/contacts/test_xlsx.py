import io
import zipfile
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from irisx.messaging.contacts import xlsx
from irisx.messaging.contacts.xlsx import NotAWorkbook, read_rows
from tests.api.v1.test_contacts import SHEET, STRINGS, workbook

GOOD = workbook(SHEET, STRINGS)


def test_cells_keep_their_columns() -> None:
    assert read_rows(GOOD, 10, 10) == [["name", "", "phone"], ["Ann", "", "+15555550110"]]
    assert read_rows(GOOD, 1, 2) == [["name"]]


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ("<c><v>15555550110</v></c>", "15555550110"),
        ("<c><v>1.5555550110E10</v></c>", "15555550110"),
        ("<c><v>5.0</v></c>", "5"),
        ('<c t="s"><v>99</v></c>', ""),
        ('<c t="s"><v>x</v></c>', ""),
        ('<c t="b"><v>1</v></c>', "1"),
        ("<c/>", ""),
    ],
)
def test_values(cell: str, text: str) -> None:
    assert read_rows(workbook(f"<row>{cell}</row>"), 5, 5) == [[text]]


def test_a_bomb_is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xlsx, "MAX_UNPACKED", 1000)
    with pytest.raises(NotAWorkbook, match="too large"):
        read_rows(workbook("<row/>" * 1000), 5, 5)


@given(st.integers(0, len(GOOD) - 1), st.integers(0, 255))
def test_a_damaged_workbook_is_read_or_refused(place: int, byte: int) -> None:
    with suppress(NotAWorkbook):
        read_rows(GOOD[:place] + bytes([byte]) + GOOD[place + 1 :], 5, 5)


@given(st.binary(max_size=300))
def test_any_member_is_read_or_refused(content: bytes) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("xl/worksheets/sheet1.xml", content)
    with suppress(NotAWorkbook):
        read_rows(file.getvalue(), 5, 5)
