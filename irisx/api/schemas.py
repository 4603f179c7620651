"""What requests and answers are made of: base models, ids, times, envelopes, pagination."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Any, ClassVar, Generic, Literal, TypeVar

from flask_openapi.models.file import FileStorage
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    JsonValue,
    PlainSerializer,
    StringConstraints,
    ValidationInfo,
    WithJsonSchema,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from irisx.kernel.clock import isoformat
from irisx.kernel.crypto import BadToken, sign, verify
from irisx.kernel.errors import NotFound, invalid
from irisx.kernel.ids import public_id, row_key


class Body(BaseModel):
    """A JSON request body: unknown fields are refused, `"5"` is no number."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Form(BaseModel):
    """A multipart/form-data body with a file; at most MAX_BYTES in all."""

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)
    MAX_BYTES: ClassVar[int]


def _is_a_file(value: Any) -> Any:
    if isinstance(value, str):
        raise ValueError("send it as a file, with a filename")
    return value


#: A file of a Form.
FilePart = Annotated[FileStorage, AfterValidator(_is_a_file)]


#: Default of a field that a change may leave out: `model_dump(exclude_unset=True)` has it not.
#: The document shows neither a default nor null.
UNSET: Any = Field(default_factory=lambda: None)


class Query(BaseModel):
    """Query parameters: unknown ones are refused."""

    model_config = ConfigDict(extra="forbid")


class Answer(BaseModel):
    """A JSON answer; built from rows as well as from dicts."""

    model_config = ConfigDict(from_attributes=True, populate_by_name=True)


class Fault(Answer):
    field: str
    message: str


class ErrorBody(Answer):
    """The one shape of every error."""

    error: str
    message: str
    code: str
    details: list[Fault]


# --- values -----------------------------------------------------------------------------------

#: A time in an answer: `2026-02-17T12:00:00.000Z`.
Timestamp = Annotated[
    datetime,
    PlainSerializer(isoformat, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time"}, mode="serialization"),
]


def _in_utc(moment: datetime) -> datetime:
    """PostgreSQL knows no zone beyond 16 hours, and no year 0."""
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("not within the years 1 to 9999") from None


#: A time in a request body, with its zone.
Moment = Annotated[AwareDatetime, AfterValidator(_in_utc)]

#: A one-line name given by a person.
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]

MAX_JSON_DEPTH = 20
_MAX_JSON_INT = 2**63 - 1


def _check_storable(value: JsonValue, depth: int = 0) -> None:
    """Refuse what PostgreSQL's JSONB or another JSON reader can't hold."""
    if depth > MAX_JSON_DEPTH:
        raise ValueError(f"nested more than {MAX_JSON_DEPTH} deep")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("numbers must be finite")
    if isinstance(value, int) and abs(value) > _MAX_JSON_INT:
        raise ValueError("integers must fit in 64 bits")
    if isinstance(value, dict):
        value = list(value.values())
    for child in value if isinstance(value, list) else ():
        _check_storable(child, depth + 1)


def _storable(value: dict[str, JsonValue]) -> dict[str, JsonValue]:
    _check_storable(value)
    return value


#: Free-form JSON of a client, such as a call's metadata.
JsonObject = Annotated[dict[str, JsonValue], AfterValidator(_storable)]


#: The validation context of a path's parameters.
IN_PATH = "path"


@dataclass(frozen=True)
class PublicId:
    """`Annotated[int, PublicId("key")]` is the row key 3 in Python and `key_3` in JSON.

    In a path an id that can't exist is NotFound; elsewhere it is a fault of its field.
    """

    prefix: str

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.json_or_python_schema(
            json_schema=core_schema.no_info_after_validator_function(
                self._from_body, core_schema.str_schema(strict=True)
            ),
            python_schema=core_schema.with_info_plain_validator_function(self._from_python),
            serialization=core_schema.plain_serializer_function_ser_schema(
                lambda key: public_id(self.prefix, key), when_used="json"
            ),
        )

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {"type": "string", "pattern": f"^{self.prefix}_[0-9]{{1,19}}$"}

    def _from_python(self, value: int | str, info: ValidationInfo) -> int:
        if isinstance(value, int):
            return value
        return row_key(self.prefix, value) if info.context == IN_PATH else self._from_body(value)

    def _from_body(self, value: str) -> int:
        try:
            return row_key(self.prefix, value)
        except NotFound as error:
            raise ValueError(error.message) from None


def _start_of_day(value: Any) -> Any:
    """`2026-02-17` is its first moment in UTC."""
    if isinstance(value, str) and len(value) == 10:
        return datetime.combine(date.fromisoformat(value), time(), UTC)
    return value


def _end_of_day(value: Any) -> Any:
    """`2026-02-17` means all of that day: the next one's first moment, exclusive."""
    if isinstance(value, str) and len(value) == 10:
        day = date.fromisoformat(value)
        if day == date.max:
            raise ValueError("not within the years 1 to 9999")
        return datetime.combine(day, time(), UTC) + timedelta(days=1)
    return value


_DATE_SCHEMA = WithJsonSchema(
    {"anyOf": [{"type": "string", "format": "date"}, {"type": "string", "format": "date-time"}]}
)
#: A list's date filters: a day or a time with its zone. `rows.at >= from`, `rows.at < to`.
FromDate = Annotated[Moment, BeforeValidator(_start_of_day), _DATE_SCHEMA]
ToDate = Annotated[Moment, BeforeValidator(_end_of_day), _DATE_SCHEMA]


# --- envelopes and pagination -----------------------------------------------------------------


Data = TypeVar("Data", bound=BaseModel)


class Success(Answer, Generic[Data]):
    """`{"success": true, "data": {…}}`, the envelope of lists and of the areas that fix it."""

    success: Literal[True] = True
    data: Data


class OffsetQuery(Query):
    """`limit` and `offset`."""

    limit: int = Field(50, ge=1, le=100)
    offset: int = Field(0, ge=0, le=1_000_000)


class OffsetPagination(Answer):
    limit: int
    offset: int
    total: int


def listed(
    plural: str, rows: Sequence[object], query: OffsetQuery, total: int
) -> dict[str, object]:
    """A page of a list by offset, for a `Success[…]` answer."""
    pagination = {"limit": query.limit, "offset": query.offset, "total": total}
    return {"data": {plural: rows, "pagination": pagination}}


class CursorQuery(Query):
    """`limit`, and `cursor` from the `next_cursor` of the page before: any depth costs the same."""

    limit: int = Field(50, ge=1, le=100)
    cursor: str | None = Field(None, max_length=1000)


class CursorPagination(Answer):
    limit: int
    next_cursor: str | None


class PageQuery(Query):
    """`page` (from 1) and `limit`."""

    page: int = Field(1, ge=1, le=100_000)
    limit: int = Field(50, ge=1, le=100)

    @property
    def offset(self) -> int:
        return (self.page - 1) * self.limit


class PagePagination(Answer):
    page: int
    limit: int
    total: int
    total_pages: int = Field(alias="totalPages")


def page_pagination(query: PageQuery, total: int) -> PagePagination:
    return PagePagination(
        page=query.page,
        limit=query.limit,
        total=total,
        total_pages=-(-total // query.limit),
    )


class WindowQuery(Query):
    """The last `days` days."""

    days: int = Field(30, ge=1, le=366)


_CURSOR_SECONDS = 2 * 24 * 3600


def write_cursor(listing: str, tenant_id: int | None, position: list[Any]) -> str:
    """A `next_cursor`: where the next page of this list of this tenant begins."""
    return sign(f"cursor/{listing}/{tenant_id}", position, _CURSOR_SECONDS)


def read_cursor(listing: str, tenant_id: int | None, cursor: str | None) -> list[Any] | None:
    """The position that `write_cursor` was given; ValidationError for any other text."""
    if cursor is None:
        return None
    try:
        return list(verify(f"cursor/{listing}/{tenant_id}", cursor))
    except BadToken as error:
        raise invalid("cursor", str(error)) from None
