"""`return`: go back to the flow that called this one."""

from pydantic import Field

from irisx.telephony.ivr.nodes.base import NEXT, Leave, NodeConfig, Outcomes, Result
from irisx.telephony.ivr.step import Step


class Return(NodeConfig):
    """End a subflow with an outcome, which is a branch of the `subflow` node.

    In a flow that no other flow called, the call ends.
    """

    outcome: str = Field(NEXT, pattern=r"^[A-Za-z][A-Za-z0-9_\-]{0,63}$", examples=["verified"])

    def outcomes(self) -> Outcomes:
        return Outcomes(required=frozenset())

    def run(self, step: Step, exits: frozenset[str]) -> Result:
        return Leave(self.outcome)
