import pytest
from pydantic import ValidationError

from irisx.media.amd import AmdMode, Settings

#: The example of the API's specification.
SPECIFIED = {
    "initial_silence": 2500,
    "greeting_length": 1500,
    "after_greeting_silence": 800,
    "total_analysis_time": 5000,
    "minimum_word_length": 100,
    "between_words_silence": 50,
    "maximum_words": 3,
}


def test_given_numbers_are_kept() -> None:
    settings = Settings.model_validate(SPECIFIED)
    assert settings.model_dump(mode="json") == SPECIFIED | {"mode": "balanced"}


def test_the_rest_is_the_modes_own() -> None:
    fast, careful = (
        Settings.model_validate({"mode": m}) for m in (AmdMode.FAST, AmdMode.MESSAGE_END)
    )
    assert fast.greeting_length < Settings.model_validate({}).greeting_length
    assert Settings.model_validate({}).greeting_length < careful.greeting_length
    assert Settings.model_validate({"mode": "fast", "greeting_length": 900}).greeting_length == 900


@pytest.mark.parametrize(
    "wrong",
    [
        {"initial_silence": -1},
        {"greeting_length": 30_001},
        {"after_greeting_silence": 0},
        {"between_words_silence": 0},
        {"maximum_words": 0},
        {"maximum_words": 101},
        {"mode": "slow"},
        {"mode": ["fast"]},
        {"silence_threshold": 256},
        [],
        None,
    ],
)
def test_others_are_refused(wrong: object) -> None:
    with pytest.raises(ValidationError):
        Settings.model_validate(wrong)
