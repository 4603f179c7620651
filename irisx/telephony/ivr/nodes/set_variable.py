"""`set_variable`: keep values for later."""

from collections.abc import Iterable, Iterator

from pydantic import Field, JsonValue

from irisx.kernel.template import Use, uses
from irisx.telephony.ivr.nodes.base import NEXT, NodeConfig, Result
from irisx.telephony.ivr.scope import VariableName
from irisx.telephony.ivr.step import Step
from irisx.telephony.ivr.values import rendered_values, templates_in


class SetVariable(NodeConfig):
    """Set variables; the templates in a value are rendered in the order written."""

    variables: dict[VariableName, JsonValue] = Field(
        min_length=1, max_length=50, examples=[{"tries": "{{ tries|default(0) + 1 }}"}]
    )

    def templates(self) -> Iterator[tuple[str, str]]:
        yield from templates_in("variables", self.variables)

    def uses(self) -> Iterator[tuple[str, Use]]:
        earlier: set[str] = set()
        for name, value in self.variables.items():
            for field, text in templates_in(f"variables.{name}", value):
                yield from ((field, use) for use in uses(text) if use.name not in earlier)
            earlier.add(name)

    def sets(self) -> Iterable[str]:
        return tuple(self.variables)

    def run(self, step: Step, exits: frozenset[str]) -> Result:
        for name, value in self.variables.items():
            step.scope.set(name, rendered_values(value, step.render))
            step.explain(f"{name} = {step.scope.variables[name]!r}"[:200])
        return NEXT
