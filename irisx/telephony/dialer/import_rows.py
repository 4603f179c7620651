"""From a row of a file to a contact: which column is what, and what is wrong with a cell."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

import phonenumbers

from irisx.telephony.dialer.contacts import MAX_NUMBERS, Draft, ZoneUnknown, place_for
from irisx.telephony.dialer.import_files import Row

#: Fields of a contact that a column can be mapped to; `data.<name>` is one of its own.
FIELDS = frozenset(
    {"number", "name", "time_zone", "region", "priority"}
    | {f"number_{n}" for n in range(2, MAX_NUMBERS + 1)}
)
_DATA = "data."
#: Headers that are understood without a mapping, in small letters and without anything else.
_ALIASES = {
    "number": "number",
    "phone": "number",
    "phonenumber": "number",
    "telephone": "number",
    "tel": "number",
    "msisdn": "number",
    "to": "number",
    "mobile": "number_2",
    "mobilephone": "number_2",
    "cell": "number_2",
    "altphone": "number_2",
    "alternatephone": "number_2",
    "name": "name",
    "fullname": "name",
    "contact": "name",
    "timezone": "time_zone",
    "tz": "time_zone",
    "region": "region",
    "state": "region",
    "priority": "priority",
    **{f"{word}{n}": f"number_{n}" for word in ("number", "phone") for n in range(2, 6)},
}
_REGION = re.compile(r"[A-Z]{2}(-[A-Z0-9]{1,3})?\Z")
_MAX_PRIORITY = 1000


class BadMapping(Exception):
    """`field`: what of the mapping is wrong."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field
        self.message = message


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a cell. Without a draft the row became no contact."""

    field: str
    value: str
    message: str


def check_mapping(mapping: Mapping[str, str]) -> None:
    """Raises BadMapping."""
    for field in mapping:
        if field not in FIELDS and not (field.startswith(_DATA) and len(field) > len(_DATA)):
            known = ", ".join(sorted(FIELDS))
            raise BadMapping(field, f"is no field of a contact; there are {known} and data.…")
    if mapping and "number" not in mapping:
        raise BadMapping("number", "say which column holds the number")


def columns(header: Row, mapping: Mapping[str, str]) -> dict[str, int]:
    """Field -> index of its column; without a mapping, by the names of the header.

    Raises BadMapping.
    """
    if not mapping:
        return _by_names(header)
    places = {name.casefold(): index for index, name in reversed(list(enumerate(header)))}
    found = {}
    for field, name in mapping.items():
        index = places.get(name.strip().casefold())
        if index is None:
            raise BadMapping(field, f"the file has no column {name!r}")
        found[field] = index
    return found


def _by_names(header: Row) -> dict[str, int]:
    found: dict[str, int] = {}
    for index, name in enumerate(header):
        plain = re.sub(r"[^a-z0-9]", "", name.casefold())
        field = _ALIASES.get(plain)
        if field is not None and field not in found:
            found[field] = index
        elif name:
            found.setdefault(f"{_DATA}{name}", index)
    if "number" not in found:
        raise BadMapping("number", "no column is named number or phone; give a mapping")
    return found


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads the rows of one file. `places`: of `columns`. `country`: of national numbers."""

    places: Mapping[str, int]
    country: str | None
    default_zone: str | None

    def draft(self, row: Row) -> tuple[Draft | None, list[Fault]]:
        """The contact in a row, and what is wrong with it. A number that is none is left out, as
        long as another is left."""
        faults: list[Fault] = []
        numbers = self._numbers(row, faults)
        zone = self._zone(row, faults)
        region = self._region(row, numbers, faults)
        priority = self._priority(row, faults)
        others = [fault for fault in faults if not fault.field.startswith("number")]
        if not numbers or others:
            if not faults:
                faults.append(Fault("number", "", "is empty"))
            return None, faults
        draft = Draft(
            numbers=numbers,
            name=self._cell(row, "name")[:200],
            time_zone=zone,
            region=region,
            priority=priority,
            data={
                field.removeprefix(_DATA): row[index]
                for field, index in self.places.items()
                if field.startswith(_DATA) and index < len(row)
            },
        )
        try:
            place_for(draft, self.default_zone)
        except ZoneUnknown as error:
            return None, [*faults, Fault("time_zone", numbers[0], str(error))]
        return draft, faults

    def _cell(self, row: Row, field: str) -> str:
        index = self.places.get(field)
        return row[index] if index is not None and index < len(row) else ""

    def _numbers(self, row: Row, faults: list[Fault]) -> Sequence[str]:
        found: list[str] = []
        for field in ("number", *(f"number_{n}" for n in range(2, MAX_NUMBERS + 1))):
            text = self._cell(row, field)
            if not text:
                continue
            number, fault = as_number(text, self.country)
            if number is None:
                faults.append(Fault(field, text[:100], fault))
            elif number not in found:
                found.append(number)
        return found

    def _zone(self, row: Row, faults: list[Fault]) -> str | None:
        text = self._cell(row, "time_zone")
        if not text:
            return None
        try:
            return ZoneInfo(text).key
        except (LookupError, ValueError, OSError):
            faults.append(Fault("time_zone", text[:100], "is no IANA time zone"))
            return None

    def _region(self, row: Row, numbers: Sequence[str], faults: list[Fault]) -> str | None:
        text = self._cell(row, "region").upper()
        if not text:
            return None
        american = bool(numbers) and numbers[0].startswith("+1")
        region = f"US-{text}" if american and len(text) == 2 and text not in ("US", "CA") else text
        if not _REGION.match(region):
            faults.append(Fault("region", text[:100], "is no region such as US-FL or DE"))
            return None
        return region

    def _priority(self, row: Row, faults: list[Fault]) -> int:
        text = self._cell(row, "priority")
        if not text:
            return 0
        if not re.fullmatch(r"-?[0-9]{1,4}", text) or abs(int(text)) > _MAX_PRIORITY:
            faults.append(Fault("priority", text[:100], "is no whole number from -1000 to 1000"))
            return 0
        return int(text)


def as_number(text: str, country: str | None) -> tuple[str | None, str]:
    """A number as people write it, in E.164; or why it is none."""
    if re.search(r"[A-Za-z=]", re.sub(r"(?i)\b(ext|x|tel)[.:]?", "", text)):
        return None, "is no telephone number"
    cleaned = text.strip().lstrip("'").strip()
    if cleaned.startswith("00"):
        cleaned = f"+{cleaned.removeprefix('00')}"
    if country is None and not cleaned.startswith("+"):
        return None, "has no country code: begin with +, or give default_country"
    try:
        parsed = phonenumbers.parse(cleaned, country)
    except phonenumbers.NumberParseException as error:
        return None, str(error)
    if not phonenumbers.is_possible_number(parsed):
        return None, "has too few or too many digits for its country"
    number = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
    if not re.fullmatch(r"\+[1-9][0-9]{6,14}", number):
        return None, "is no E.164 number"
    return number, ""
