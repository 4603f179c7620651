"""Values in words, as a person says them: digits, numbers, dates, times, amounts of money."""

from collections.abc import Callable
from datetime import date, datetime, time
from decimal import Decimal, InvalidOperation

from num2words import num2words

from irisx.telephony.ivr.audio import Say, SayAs

#: What is longer is an account's number, not a quantity.
_MOST_DIGITS = 15
_SIGNS = {"*": "star", "#": "pound", "+": "plus", "-": "minus", ".": "point"}


def words(item: Say) -> str:
    """The text to speak for a value; one that is not what `as` says is spoken as it stands."""
    value = item.say.strip()
    language = (item.language or "en").partition("-")[0]
    try:
        return _WAYS[item.as_](value, language, item.currency)
    except (ValueError, InvalidOperation, OverflowError):
        return value


def _digits(value: str, language: str, currency: str) -> str:
    spoken = [
        _number_words(int(sign), language, "cardinal") if sign.isdecimal() else _SIGNS.get(sign)
        for sign in value
        if not sign.isspace()
    ]
    if None in spoken or not spoken:
        raise ValueError(value)
    return ", ".join(filter(None, spoken))


def _number(value: str, language: str, currency: str) -> str:
    return _number_words(_decimal(value), language, "cardinal")


def _ordinal(value: str, language: str, currency: str) -> str:
    number = int(_decimal(value))
    if number < 0:  # num2words raises TypeError
        raise ValueError(value)
    return _number_words(number, language, "ordinal")


def _currency(value: str, language: str, currency: str) -> str:
    amount = _decimal(value).quantize(Decimal("0.01"))
    try:
        return str(num2words(amount, lang=language, to="currency", currency=currency))
    except NotImplementedError:
        return f"{_number_words(amount, language, 'cardinal')} {' '.join(currency)}"


def _date(value: str, language: str, currency: str) -> str:
    try:
        day = date.fromisoformat(value)
    except ValueError:
        day = datetime.fromisoformat(value).date()
    ordinal = _number_words(day.day, "en", "ordinal")
    return f"{day:%B} {ordinal}, {_number_words(day.year, 'en', 'year')}"


def _time(value: str, language: str, currency: str) -> str:
    try:
        moment = time.fromisoformat(value)
    except ValueError:
        moment = datetime.fromisoformat(value).time()
    hour = _number_words(moment.hour % 12 or 12, "en", "cardinal")
    half = "P M" if moment.hour >= 12 else "A M"
    if moment.minute == 0:
        return f"{hour} {half}"
    oh = "oh " if moment.minute < 10 else ""
    return f"{hour} {oh}{_number_words(moment.minute, 'en', 'cardinal')} {half}"


def _decimal(value: str) -> Decimal:
    number = Decimal(value.replace(",", ""))
    if not number.is_finite() or len(number.as_tuple().digits) > _MOST_DIGITS:
        raise ValueError(value)
    if abs(number.adjusted()) > _MOST_DIGITS:  # 1e999999 would be written out
        raise ValueError(value)
    return number


def _number_words(number: int | Decimal, language: str, to: str) -> str:
    try:
        return str(num2words(number, lang=language, to=to))
    except NotImplementedError:  # a language that it does not know
        return str(num2words(number, lang="en", to=to))


_WAYS: dict[SayAs, Callable[[str, str, str], str]] = {
    SayAs.DIGITS: _digits,
    SayAs.NUMBER: _number,
    SayAs.ORDINAL: _ordinal,
    SayAs.DATE: _date,
    SayAs.TIME: _time,
    SayAs.CURRENCY: _currency,
}
