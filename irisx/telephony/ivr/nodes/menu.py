"""`menu`: let the caller choose."""

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from irisx.telephony.ivr.audio import Audio, Text
from irisx.telephony.ivr.nodes.asking import DIGITS, INVALID, TIMEOUT, Asking
from irisx.telephony.ivr.nodes.base import Outcomes, Result
from irisx.telephony.ivr.step import Digits, Step

Key = Annotated[str, Field(pattern=r"^[0-9*#]{1,4}$")]
Label = Annotated[str, Field(min_length=1, max_length=100)]


class Menu(Asking):
    """Offer choices, each a branch named by its digits."""

    options: dict[Key, Label] = Field(
        default_factory=dict,
        max_length=20,
        description="What the choices are called; without it the branches are the choices.",
        examples=[{"1": "sales", "2": "support"}],
    )
    announce: bool = Field(False, description="Say the options: For sales, press 1.")
    attempts: int = Field(3, ge=1, le=10, description="How often it is asked altogether.")

    def outcomes(self) -> Outcomes:
        return Outcomes(
            required=frozenset({TIMEOUT}),
            named=frozenset(self.options),
            optional=frozenset({INVALID}),
            keys=None if self.options else DIGITS,
            keys_are="the choice's digits",
            fallback={INVALID: TIMEOUT},
        )

    def items(self, field: str = "") -> Iterator[tuple[str, Audio]]:
        yield from super().items(field)
        if self.announce and self.options:
            spoken = " ".join(f"For {label}, press {key}." for key, label in self.options.items())
            yield f"{field}options", Text(text=spoken, voice=self.voice, language=self.language)

    def run(self, step: Step, exits: frozenset[str]) -> Result:
        choices = set(self.options) or {name for name in exits if DIGITS.fullmatch(name)}

        def accept(typed: Digits) -> str | None:
            if typed.digits not in choices:
                return None
            step.explain(f"the caller chose {self.options.get(typed.digits, typed.digits)}")
            return typed.digits

        longest = max(map(len, choices), default=1)
        return self._ask(step, self._gathering(1, longest, terminators=""), accept)
