"""What requests and answers are made of."""

from datetime import UTC, datetime
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from irisx.api.schemas import (
    IN_PATH,
    MAX_JSON_DEPTH,
    FromDate,
    JsonObject,
    Moment,
    PublicId,
    Timestamp,
    ToDate,
    read_cursor,
    write_cursor,
)
from irisx.kernel.errors import NotFound
from irisx.kernel.errors import ValidationError as Faulty

KEY: TypeAdapter[int] = TypeAdapter(Annotated[int, PublicId("key")])
OBJECT: TypeAdapter[dict[str, Any]] = TypeAdapter(JsonObject)


@given(st.integers(0, 2**63 - 1))
def test_an_id_is_its_row_key_again(key: int) -> None:
    shown = KEY.dump_json(key)
    assert shown == f'"key_{key}"'.encode()
    assert KEY.validate_json(shown) == key
    assert KEY.validate_python(f"key_{key}") == key


@given(st.text())
def test_any_other_id_is_not_found_in_a_path_and_a_fault_in_a_body(text: str) -> None:
    with pytest.raises(NotFound):
        KEY.validate_python(f"usr_{text}", context=IN_PATH)
    with pytest.raises(ValidationError):
        KEY.validate_python(f"usr_{text}")  # in a query or a form
    with pytest.raises(ValidationError):
        KEY.validate_json(b'"usr_1"')
    with pytest.raises(ValidationError):
        KEY.validate_json(b"1")


@pytest.mark.parametrize(
    "hostile",
    ['{"a": 1e999}', '{"a": NaN}', '{"a": [-Infinity]}', '{"a": {"b": 9223372036854775808}}'],
)
def test_what_jsonb_can_not_hold_is_refused(hostile: str) -> None:
    with pytest.raises(ValidationError):
        OBJECT.validate_json(hostile)


def test_json_is_nested_to_a_depth() -> None:
    def nested(depth: int) -> str:
        return '{"a":' * depth + "1" + "}" * depth

    OBJECT.validate_json(nested(MAX_JSON_DEPTH))
    with pytest.raises(ValidationError, match="nested more than"):
        OBJECT.validate_json(nested(MAX_JSON_DEPTH + 1))


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("2026-02-17", datetime(2026, 2, 17, tzinfo=UTC), datetime(2026, 2, 18, tzinfo=UTC)),
        (
            "2026-02-17T12:00:00+02:00",
            datetime(2026, 2, 17, 10, tzinfo=UTC),
            datetime(2026, 2, 17, 10, tzinfo=UTC),
        ),
    ],
)
def test_a_day_is_all_of_it(text: str, start: datetime, end: datetime) -> None:
    assert TypeAdapter(FromDate).validate_python(text) == start
    assert TypeAdapter(ToDate).validate_python(text) == end


@pytest.mark.parametrize(
    "text",
    ["2026-02-30", "9999-12-31T23:59:59-01:00", "0001-01-01T00:00:00+01:00", "2026-02-17T12:00"],
)
def test_a_time_that_is_none(text: str) -> None:
    for kind in (FromDate, ToDate, Moment):
        with pytest.raises(ValidationError):
            TypeAdapter(kind).validate_python(text)


def test_the_last_day_has_no_end() -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(ToDate).validate_python("9999-12-31")


def test_a_time_is_kept_in_utc_and_shown_with_milliseconds() -> None:
    moment = TypeAdapter(Moment).validate_json(b'"2026-02-17T12:00:00.123456+16:21"')
    assert moment.tzinfo is UTC
    assert TypeAdapter(Timestamp).dump_json(moment) == b'"2026-02-16T19:39:00.123Z"'


def test_a_cursor_is_of_its_list_and_tenant() -> None:
    cursor = write_cursor("calls", 1, ["x", 2])
    assert read_cursor("calls", 1, cursor) == ["x", 2]
    assert read_cursor("calls", 1, None) is None
    for listing, tenant_id, text in (("calls", 2, cursor), ("logs", 1, cursor), ("calls", 1, "x")):
        with pytest.raises(Faulty):
            read_cursor(listing, tenant_id, text)
