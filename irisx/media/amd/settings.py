"""The settings of the detector, named and meant as Asterisk's AMD() names and means them."""

from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator


class AmdMode(StrEnum):
    #: Decides early and errs more often.
    FAST = "fast"
    #: Right nine times in ten, three seconds after the answer on average.
    BALANCED = "balanced"
    #: Decides with care, and on a machine answers only after its beep or the greeting's end.
    MESSAGE_END = "message_end"


#: What each mode takes for a number that is not given; how they were found: docs/amd.md.
_PRESETS: dict[AmdMode, dict[str, int]] = {
    AmdMode.FAST: {
        "initial_silence": 3000,
        "greeting_length": 1400,
        "after_greeting_silence": 900,
        "total_analysis_time": 3500,
        "maximum_words": 1,
    },
    AmdMode.BALANCED: {
        "initial_silence": 4000,
        "greeting_length": 1800,
        "after_greeting_silence": 1000,
        "total_analysis_time": 5000,
        "maximum_words": 1,
    },
    AmdMode.MESSAGE_END: {
        "initial_silence": 5000,
        "greeting_length": 2800,
        "after_greeting_silence": 1150,
        "total_analysis_time": 7000,
        "between_words_silence": 420,
        "maximum_words": 1,
    },
}

_LONGEST_MS = 30_000


InitialSilence = Annotated[
    int,
    Field(
        description="No speech for so long after the answer: silence, or unknown if music plays.",
        ge=0,
        le=_LONGEST_MS,
    ),
]
GreetingLength = Annotated[
    int, Field(description="So much speech in all: machine.", ge=100, le=_LONGEST_MS)
]
AfterGreetingSilence = Annotated[
    int, Field(description="A pause so long after speech: human.", ge=100, le=_LONGEST_MS)
]
TotalAnalysisTime = Annotated[
    int,
    Field(description="Undecided so long after the first speech: unknown.", ge=500, le=_LONGEST_MS),
]
MinimumWordLength = Annotated[
    int, Field(description="Speech that is shorter is no word.", ge=0, le=2_000)
]
BetweenWordsSilence = Annotated[
    int, Field(description="A pause so long ends a word.", ge=20, le=2_000)
]
MaximumWords = Annotated[int, Field(description="More words than these: machine.", ge=1, le=100)]


class Settings(BaseModel):
    """When the detector decides. Times are ms.

    A number left out is the mode's own; one that is given is honoured as it is. All clocks but
    that of `initial_silence` start at the first speech, not at the answer.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    mode: AmdMode = AmdMode.BALANCED
    initial_silence: InitialSilence
    greeting_length: GreetingLength
    after_greeting_silence: AfterGreetingSilence
    total_analysis_time: TotalAnalysisTime
    minimum_word_length: MinimumWordLength = 100
    between_words_silence: BetweenWordsSilence = 350
    maximum_words: MaximumWords

    @model_validator(mode="before")
    @classmethod
    def _with_preset(cls, given: Any) -> Any:
        if not isinstance(given, dict) or given.get("mode", AmdMode.BALANCED) not in tuple(AmdMode):
            return given
        return _PRESETS[AmdMode(given.get("mode", AmdMode.BALANCED))] | given
