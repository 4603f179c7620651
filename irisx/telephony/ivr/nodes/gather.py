"""`gather`: collect digits."""

from collections.abc import Iterable, Iterator

from pydantic import Field, model_validator

from irisx.telephony.ivr import patterns
from irisx.telephony.ivr.nodes.asking import DIGITS, INVALID, TIMEOUT, Asking
from irisx.telephony.ivr.nodes.base import NEXT, Catalog, Fault, Outcomes, Result
from irisx.telephony.ivr.scope import VariableName
from irisx.telephony.ivr.step import Digits, Step


class Gather(Asking):
    """Collect digits, keep them in a variable, and branch by them."""

    SETS_FIRST = True

    num_digits: int | None = Field(None, ge=1, le=32, description="Exactly so many digits.")
    min_digits: int = Field(1, ge=1, le=32)
    max_digits: int = Field(32, ge=1, le=32, description="Ends the input without a terminator.")
    terminators: str = Field(
        "#", pattern=r"^[0-9*#]{0,12}$", description="Digits that end the input; empty: none does."
    )
    pattern: str | None = Field(
        None,
        max_length=patterns.MAX_LENGTH,
        description="Regular expression that all of the input must match, else it is invalid.",
        examples=["[0-9]{5}"],
    )
    variable: VariableName = Field("digits", description="Variable that gets what was typed.")

    @model_validator(mode="after")
    def _consistent(self) -> "Gather":
        low, high = self.bounds
        if low > high:
            raise ValueError(f"min_digits {low} is more than max_digits {high}")
        return self

    @property
    def bounds(self) -> tuple[int, int]:
        """The least and the most digits."""
        if self.num_digits is not None:
            return self.num_digits, self.num_digits
        return self.min_digits, self.max_digits

    def outcomes(self) -> Outcomes:
        return Outcomes(
            required=frozenset({TIMEOUT}),
            optional=frozenset({NEXT, INVALID}),
            keys=DIGITS,
            keys_are="the digits typed",
            fallback={INVALID: TIMEOUT},
        )

    def sets(self) -> Iterable[str]:
        return (self.variable,)

    def check(self, catalog: Catalog) -> Iterator[Fault]:
        if self.pattern is not None:
            try:
                patterns.check(self.pattern)
            except patterns.BadPattern as error:
                yield Fault("pattern", str(error))

    def run(self, step: Step, exits: frozenset[str]) -> Result:
        def accept(typed: Digits) -> str | None:
            step.scope.set(self.variable, typed.digits)
            if not self._is_complete(typed.digits):
                return None
            if typed.digits in exits:
                step.explain(f"the caller typed {typed.digits}")
                return typed.digits
            if NEXT in exits:
                step.explain(f"the caller typed {typed.digits}, which has no branch of its own")
                return NEXT
            return None

        step.scope.set(self.variable, "")
        return self._ask(step, self._gathering(*self.bounds, self.terminators), accept)

    def _is_complete(self, digits: str) -> bool:
        if len(digits) < self.bounds[0]:
            return False
        return self.pattern is None or patterns.matches(self.pattern, digits)
