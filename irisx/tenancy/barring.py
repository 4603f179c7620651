"""Call barring: where a tenant's calls may go. Toll fraud dials what is dear and far.

Everything is barred but the tenant's countries; within them, numbers that charge the caller more
(premium, shared cost, personal) stay barred. `allowed_prefixes` lets a range through all the same.
Countries and kinds of numbers are those of Google's libphonenumber.
"""

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumber, PhoneNumberType

from irisx.kernel.errors import Forbidden
from irisx.tenancy.settings import TenantSettings

#: Calling codes that belong to no country: freephone +800, satellite, premium +979 …
WORLD = "001"
_UNKNOWN = "ZZ"
_DEAR = frozenset(
    {
        PhoneNumberType.PREMIUM_RATE,
        PhoneNumberType.SHARED_COST,
        PhoneNumberType.PERSONAL_NUMBER,
        PhoneNumberType.PAGER,
    }
)
#: Premium ranges that libphonenumber does not know as such: the 976 exchange of each area.
_PREMIUM_EXCHANGE = "976"
_SHORTEST = 4


def check_destination(number: str, settings: TenantSettings) -> None:
    """Raises Forbidden (DESTINATION_NOT_ALLOWED), naming the setting that would allow the number.

    `number` is E.164 by its form; it need not be in service.
    """
    if any(number.startswith(f"+{prefix}") for prefix in settings.allowed_prefixes):
        return
    region = country(number)
    if region in (WORLD, _UNKNOWN):
        raise _barred(number, "belongs to no country", "allowed_prefixes")
    if region not in settings.allowed_countries:
        raise _barred(number, f"is in {region}", "allowed_countries")
    if is_dear(number):
        raise _barred(number, "charges the caller more", "allowed_prefixes")


def country(number: str) -> str:
    """ISO 3166 code of the number's country; "001" for worldwide codes, "ZZ" for unknown ones.

    Countries that share a calling code are told apart by their area codes, whether or not the
    rest of the number is in service. What is left belongs to the code's main country.
    """
    parsed = _parse(number)
    if parsed is None or parsed.country_code is None:
        return _UNKNOWN
    region = phonenumbers.region_code_for_number(parsed)
    return region or phonenumbers.region_code_for_country_code(parsed.country_code)


def is_dear(number: str) -> bool:
    """Whether a call to the number is charged beyond the ordinary rate of its country.

    Carriers ignore digits beyond the end of a number, so one that is no valid number as a whole is
    judged by each of its beginnings.
    """
    parsed = _parse(number)
    if parsed is None:
        return False
    national = str(parsed.national_number)
    if parsed.country_code == 1 and national[3:6] == _PREMIUM_EXCHANGE:
        return True
    if phonenumbers.is_valid_number(parsed):
        return phonenumbers.number_type(parsed) in _DEAR
    beginnings = (_parse(number[:end]) for end in range(len(number), _SHORTEST, -1))
    return any(part and phonenumbers.number_type(part) in _DEAR for part in beginnings)


def _parse(number: str) -> PhoneNumber | None:
    try:
        return phonenumbers.parse(number)
    except NumberParseException:
        return None


def _barred(number: str, what: str, setting: str) -> Forbidden:
    return Forbidden(
        f"{number} {what}; the tenant's setting {setting} does not allow it.",
        code="DESTINATION_NOT_ALLOWED",
        details=[{"field": setting, "message": f"does not allow {number}"}],
    )
