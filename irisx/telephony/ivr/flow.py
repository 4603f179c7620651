"""A flow as a document: what an administrator writes, checked for its form."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, JsonValue, SerializeAsAny, model_validator

from irisx.telephony.ivr.nodes import TYPES
from irisx.telephony.ivr.nodes.base import DEFAULT, FAILED, NEXT, TIME_LIMIT, NodeConfig
from irisx.telephony.ivr.scope import VariableName

MAX_NODES = 500
MAX_TESTS = 100

NodeId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.\-]{1,64}$", examples=["node_1"])]
Branch = Annotated[str, Field(min_length=1, max_length=64)]


class Node(BaseModel):
    """One step of a flow."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: NodeId
    type: str = Field(examples=["play"])
    config: SerializeAsAny[NodeConfig]
    next: NodeId | None = Field(None, description="The node that comes then; none: the flow ends.")
    branches: dict[Branch, NodeId] = Field(
        default_factory=dict,
        max_length=200,
        description="The node that comes after an outcome, by the outcome's name; `default` is "
        "the branch of all that have none.",
    )
    time_limit: float | None = Field(
        None,
        ge=1,
        le=3600,
        description="Seconds after which the node is left by the outcome `time_limit`.",
    )

    @model_validator(mode="before")
    @classmethod
    def _config_of_its_type(cls, raw: Any) -> Any:
        if not isinstance(raw, Mapping) or isinstance(raw.get("config"), NodeConfig):
            return raw
        config = TYPES.get(raw.get("type", "")) if isinstance(raw.get("type"), str) else None
        if config is None:
            raise ValueError(
                f"there is no node type {raw.get('type')!r}; types are {', '.join(sorted(TYPES))}"
            )
        return {**raw, "config": config.model_validate(raw.get("config", {}))}

    @property
    def exits(self) -> frozenset[str]:
        """Names of its branches, and `next` if it has one: what `run` may choose from."""
        return frozenset(self.branches) | ({NEXT} if self.next else frozenset())

    def target(self, outcome: str) -> str | None:
        """The node that an outcome leads to; None: nowhere, the flow ends."""
        if outcome == NEXT and self.next is not None:
            return self.next
        fallback = self.config.outcomes().fallback.get(outcome, "")
        for branch in (outcome, fallback, DEFAULT):
            if branch in self.branches:
                return self.branches[branch]
        return self.next if outcome in (TIME_LIMIT, FAILED) else None


class Flow(BaseModel):
    """A flow: `entry_point` names the node that comes first."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1, max_length=200, examples=["Main Menu"])
    entry_point: NodeId
    nodes: list[Node] = Field(min_length=1, max_length=MAX_NODES)
    variables: dict[VariableName, JsonValue] = Field(
        default_factory=dict, max_length=100, description="Variables and what they are at first."
    )

    def node(self, node_id: str) -> Node | None:
        """The node of that id."""
        return next((node for node in self.nodes if node.id == node_id), None)
