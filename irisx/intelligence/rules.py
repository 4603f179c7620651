"""What is made of a text where no language model is configured: nothing is invented."""

import re
from collections import Counter
from collections.abc import Iterator

import phonenumbers

from irisx.intelligence.chat import sentences
from irisx.intelligence.extractive import stems

_SPEAKER = re.compile(r"^\s*\w+:\s*")
_EMAIL = re.compile(r"\b[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,5}\b")
_URL = re.compile(r"\bhttps?://[^\s<>\"']{1,2000}")
_MONEY = re.compile(
    r"(?:[$€£¥]\s?\d[\d.,]{0,15}|\b\d[\d.,]{0,15}\s?(?:USD|EUR|GBP|JPY|dollars?|euros?|pounds?)\b)"
)
_DATE = re.compile(
    r"\b(?:\d{4}-\d{2}-\d{2}|\d{1,2}[/.]\d{1,2}[/.]\d{2,4}|(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct"
    r"|Nov|Dec)[a-z]{0,6}\.?\s\d{1,2}(?:st|nd|rd|th)?(?:,?\s\d{4})?)\b"
)

#: Kinds of entities that rules find.
ENTITY_TYPES = ("email", "url", "phone", "money", "date")


def summary(text: str, count: int) -> list[str]:
    """The sentences, in their order, whose words are the most frequent of the text.

    Luhn, "The Automatic Creation of Literature Abstracts", IBM Journal 1958.
    """
    said = [_SPEAKER.sub("", sentence) for sentence in sentences([text])]
    frequency = Counter(stem for sentence in said for stem in stems(sentence))

    def weight(sentence: str) -> float:
        words = stems(sentence)
        return sum(frequency[word] for word in words) / (len(words) + 3)

    best = sorted(range(len(said)), key=lambda at: (-weight(said[at]), at))[:count]
    return [said[at] for at in sorted(best)]


def entities(text: str, region: str | None) -> Iterator[tuple[str, str, str | None, int]]:
    """Type, text, normal form and place. `region`: whose phone numbers need no country code."""
    for kind, pattern in (("email", _EMAIL), ("url", _URL), ("money", _MONEY), ("date", _DATE)):
        for match in pattern.finditer(text):
            yield kind, match[0], None, match.start()
    for found in phonenumbers.PhoneNumberMatcher(text, region):
        number = phonenumbers.format_number(found.number, phonenumbers.PhoneNumberFormat.E164)
        yield "phone", found.raw_string, number, found.start
