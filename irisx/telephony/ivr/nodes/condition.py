"""`condition`: branch by what is known."""

from collections.abc import Iterable, Iterator
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from irisx.telephony.ivr import expressions
from irisx.telephony.ivr.expressions import Comparison, Condition
from irisx.telephony.ivr.nodes.base import DEFAULT, Catalog, Fault, NodeConfig, Outcomes, Result
from irisx.telephony.ivr.step import Step
from irisx.tenancy.settings import TimeZone

#: What one node may cost the engine, in which all calls run.
MAX_COMPARISONS = 200
MAX_PATTERNS = 10


class Case(BaseModel):
    """A branch, and when it is taken."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    when: Condition = Field(examples=[{"value": "contact.tier", "is": "equal", "to": "gold"}])
    branch: str = Field(pattern=r"^[A-Za-z0-9_\-]{1,64}$", examples=["vip"])


class ConditionNode(NodeConfig):
    """Take the branch of the first case that holds, or `default`."""

    cases: list[Case] = Field(min_length=1, max_length=50)
    time_zone: TimeZone = Field("UTC", description="Of the fields of `now`.")

    def outcomes(self) -> Outcomes:
        return Outcomes(
            required=frozenset({DEFAULT}), named=frozenset(case.branch for case in self.cases)
        )

    def templates(self) -> Iterator[tuple[str, str]]:
        for field, comparison in self._comparisons():
            yield from expressions.templates(comparison, field)

    def reads(self) -> Iterable[tuple[str, str]]:
        return [(field, comparison.value) for field, comparison in self._comparisons()]

    def check(self, catalog: Catalog) -> Iterator[Fault]:
        comparisons = list(self._comparisons())
        if len(comparisons) > MAX_COMPARISONS:
            yield Fault("cases", f"more than {MAX_COMPARISONS} comparisons; use several conditions")
        patterns = sum(comparison.is_ == "matches" for _, comparison in comparisons)
        if patterns > MAX_PATTERNS:
            yield Fault("cases", f"more than {MAX_PATTERNS} patterns; use several conditions")
        for field, comparison in comparisons:
            for fault in expressions.faults(comparison):
                yield Fault(field, fault)

    def run(self, step: Step, exits: frozenset[str]) -> Result:
        now = expressions.time_values(step.now(), self.time_zone)
        values: dict[str, Any] = {**step.scope.values, "now": now}
        for number, case in enumerate(self.cases, 1):
            if expressions.holds(case.when, values, step.render):
                step.explain(f"case {number} holds: {case.branch}")
                return case.branch
        step.explain("no case holds")
        return DEFAULT

    def _comparisons(self) -> Iterator[tuple[str, Comparison]]:
        for index, case in enumerate(self.cases):
            yield from expressions.comparisons(case.when, f"cases.{index}.when")
