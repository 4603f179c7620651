"""From a row of a file to a contact."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from irisx.telephony.dialer.import_rows import BadMapping, Reader, as_number, check_mapping, columns


def reader(header: list[str], country: str | None = None, **mapping: str) -> Reader:
    return Reader(columns(header, mapping), country, None)


@pytest.mark.parametrize(
    ("text", "country", "number"),
    [
        ("+12025550123", None, "+12025550123"),
        ("12025550123", None, None),
        ("12025550123", "US", "+12025550123"),
        ("0012025550123", None, "+12025550123"),
        ("(202) 555-0123", "US", "+12025550123"),
        ("'+12025550123", None, "+12025550123"),
        ("030 123456", "DE", "+4930123456"),
        ("+1 202 555 0123 ext. 5", "US", "+12025550123"),
        ("911", "US", None),
        ("2025550123", None, None),
        ("=1+1", "US", None),
        ("1-800-FLOWERS", "US", None),
        ("+99912345678", None, None),
        ("n/a", "US", None),
    ],
)
def test_numbers_as_people_write_them(text: str, country: str | None, number: str | None) -> None:
    found, why = as_number(text, country)
    assert found == number
    assert bool(why) is (number is None)


def test_columns_are_taken_by_their_names() -> None:
    header = ["Full Name", "Phone", "Alt. Phone", "Time Zone", "Plan", "plan 2"]
    row = ["Ann", "+13055550123", "+13055550124", "America/Chicago", "gold", "x"]
    draft, faults = reader(header).draft(row)
    assert draft is not None and not faults
    assert (draft.name, list(draft.numbers)) == ("Ann", ["+13055550123", "+13055550124"])
    assert draft.time_zone == "America/Chicago"
    assert draft.data == {"Plan": "gold", "plan 2": "x"}


def test_a_mapping_takes_what_it_names_and_nothing_else() -> None:
    mapping = {"number": "B", "data.plan": "c"}
    read = Reader(columns(["A", "B", "C"], mapping), "US", None)
    draft, _ = read.draft(["x", "305 555 0123", "gold"])
    assert draft is not None and draft.data == {"plan": "gold"} and draft.name == ""


@pytest.mark.parametrize(
    ("mapping", "field"),
    [
        ({"name": "Name"}, "number"),
        ({"number": "Phone", "password": "P"}, "password"),
        ({"number": "Phone", "data.": "P"}, "data."),
    ],
)
def test_a_faulty_mapping_is_named(mapping: Mapping[str, str], field: str) -> None:
    with pytest.raises(BadMapping) as error:
        check_mapping(mapping)
    assert error.value.field == field


def test_a_column_that_is_not_there_is_named() -> None:
    for mapping in ({"number": "Telefon"}, {}):
        with pytest.raises(BadMapping) as error:
            columns(["Name", "Plan"], mapping)
        assert error.value.field == "number"


@pytest.mark.parametrize(
    ("cells", "fields", "added"),
    [
        (["+13055550123", "", "", ""], [], True),
        (["", "", "", ""], ["number"], False),
        (["12", "", "", ""], ["number"], False),
        (["12", "+13055550124", "", ""], ["number"], True),
        (["+13055550123", "", "Mars/Base", ""], ["time_zone"], False),
        (["+13055550123", "", "", "Florida"], ["region"], False),
        (["+13055550123", "", "", "FL"], [], True),
        (["+15555550100", "", "", ""], ["time_zone"], False),
        (["+15555550100", "", "UTC", ""], [], True),
        (["+13055550123"], [], True),
    ],
)
def test_what_is_wrong_with_a_row_is_said_cell_by_cell(
    cells: list[str], fields: list[str], added: bool
) -> None:
    draft, faults = reader(["phone", "phone2", "tz", "state"]).draft(cells)
    assert [fault.field for fault in faults] == fields
    assert (draft is not None) is added


@given(st.lists(st.text(max_size=30), max_size=6), st.sampled_from(["US", "DE", None]))
def test_no_row_breaks_the_reader(cells: list[str], country: str | None) -> None:
    draft, faults = reader(["phone", "name", "tz", "state", "priority", "x"], country).draft(cells)
    assert draft is not None or faults
