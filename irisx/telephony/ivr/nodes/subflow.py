"""`subflow`: run another flow, and come back."""

import re
from collections.abc import Iterator

from pydantic import Field

from irisx.telephony.ivr.nodes.base import (
    FAILED,
    Catalog,
    Enter,
    Fault,
    NodeConfig,
    Outcomes,
    Result,
)
from irisx.telephony.ivr.step import Step

OUTCOME = re.compile(r"[A-Za-z][A-Za-z0-9_\-]{0,63}")


class Subflow(NodeConfig):
    """Run a published flow of yours. When it ends, or by a `return` node, the call comes back.

    Both flows see the same variables.
    """

    flow: str = Field(pattern=r"^flow_[0-9]{1,18}$", examples=["flow_3"])

    def outcomes(self) -> Outcomes:
        return Outcomes(
            optional=frozenset({FAILED}), keys=OUTCOME, keys_are="the outcome of a return node"
        )

    def check(self, catalog: Catalog) -> Iterator[Fault]:
        if not catalog.has_published_flow(self.flow):
            yield Fault("flow", f"there is no published flow {self.flow}; publish it first")

    def run(self, step: Step, exits: frozenset[str]) -> Result:
        return Enter(self.flow, returns=True)
