"""What gather and menu share: ask, wait for digits, ask again."""

import re
from collections.abc import Callable, Iterator

from pydantic import Field

from irisx.telephony.ivr.audio import Audio, Prompt, Prompted, rendered
from irisx.telephony.ivr.nodes.base import NodeConfig
from irisx.telephony.ivr.step import Digits, Gathering, Step

TIMEOUT = "timeout"
INVALID = "invalid"
#: What branches of typed digits are called.
DIGITS = re.compile(r"[0-9*#]{1,32}")


class Asking(Prompted, NodeConfig):
    """Base of configs that ask for digits."""

    WAITS = True
    ASKS = True

    timeout: float = Field(5, ge=1, le=60, description="Seconds to wait for the first digit.")
    digit_timeout: float = Field(2, ge=0.5, le=30, description="Seconds between two digits.")
    attempts: int = Field(1, ge=1, le=10, description="How often it is asked altogether.")
    no_input: Prompt | None = Field(None, description="Played when nothing came, before asking on.")
    invalid: Prompt | None = Field(
        None, description="Played when the input was wrong, before asking on."
    )
    barge_in: bool = Field(True, description="A digit stops the prompt.")
    typed_ahead: bool = Field(True, description="Digits typed before the prompt count.")

    def played(self) -> Iterator[tuple[str, Audio]]:
        yield from self.items()
        for field, prompt in (("no_input.", self.no_input), ("invalid.", self.invalid)):
            if prompt is not None:
                yield from prompt.items(field)

    def _gathering(self, low: int, high: int, terminators: str) -> Gathering:
        return Gathering(
            min_digits=low,
            max_digits=high,
            timeout_ms=round(self.timeout * 1000),
            digit_timeout_ms=round(self.digit_timeout * 1000),
            terminators=terminators,
            barge_in=self.barge_in,
            typed_ahead=self.typed_ahead,
        )

    def _ask(self, step: Step, how: Gathering, accept: Callable[[Digits], str | None]) -> str:
        """The outcome that `accept` makes of the digits; None from it asks again."""
        ahead: list[Audio] = []
        failure = TIMEOUT
        for attempt in range(1, self.attempts + 1):
            typed = step.gather([*ahead, *rendered(self.audio, step.render)], how)
            if typed.digits or typed.terminator:
                outcome = accept(typed)
                if outcome is not None:
                    return outcome
                failure, regret = INVALID, self.invalid
                step.explain(f"attempt {attempt}: {typed.digits!r} is not accepted")
            else:
                failure, regret = TIMEOUT, self.no_input
                step.explain(f"attempt {attempt}: nothing typed in {self.timeout:g} s")
            ahead = list(rendered(regret.audio, step.render)) if regret else []
        return failure
