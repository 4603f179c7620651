"""A flow as a document: what an administrator writes, checked for its form."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union

from pydantic import BaseModel, ConfigDict, Field, JsonValue, SerializeAsAny, create_model

from irisx.telephony.ivr.nodes import TYPES
from irisx.telephony.ivr.nodes.base import DEFAULT, FAILED, NEXT, TIME_LIMIT, NodeConfig
from irisx.telephony.ivr.scope import VariableName
from irisx.telephony.ivr.script import FlowTest

MAX_NODES = 500
MAX_TESTS = 100

NodeId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.\-]{1,64}$", examples=["node_1"])]
Branch = Annotated[str, Field(min_length=1, max_length=64)]


class Node(BaseModel):
    """One step of a flow."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: NodeId
    type: str
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

    @property
    def exits(self) -> frozenset[str]:
        """Names of its branches, and `next` if it has one: what `run` may choose from."""
        return frozenset(self.branches) | ({NEXT} if self.next else frozenset())

    def target(self, outcome: str) -> str | None:
        """The node that an outcome leads to; None: nowhere, the flow ends."""
        return next((node for node in map(self._exit, self._names(outcome)) if node), None)

    def _names(self, outcome: str) -> Iterator[str]:
        """The branches that an outcome takes, the first that is there."""
        outcomes = self.config.outcomes()
        name: str | None = outcome
        while name is not None:
            yield name
            name = outcomes.fallback.get(name)
        if outcome != NEXT:
            yield DEFAULT
        if outcome in {TIME_LIMIT, FAILED} - outcomes.required:
            yield NEXT

    def _exit(self, branch: str) -> str | None:
        return self.next if branch == NEXT else self.branches.get(branch)


def _node_of_type(name: str, config: type[NodeConfig]) -> type[Node]:
    of_type: Any = Literal[name]
    own: Any = (config, Field(default_factory=dict, validate_default=True))
    return create_model(
        f"{config.__name__}Node",
        __base__=Node,
        __doc__=config.__doc__,
        type=(of_type, ...),
        config=own,
    )


#: The model of each node type's nodes, by the type's name.
NODES = {name: _node_of_type(name, config) for name, config in TYPES.items()}

if TYPE_CHECKING:
    AnyNode = Node
else:
    AnyNode = Annotated[Union[tuple(NODES.values())], Field(discriminator="type")]  # noqa: UP007


class Flow(BaseModel):
    """A flow: `entry_point` names the node that comes first."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    schema_: str | None = Field(
        None, alias="$schema", max_length=200, description="Address of this schema, for editors."
    )
    name: str = Field(min_length=1, max_length=200, examples=["Main Menu"])
    entry_point: NodeId
    nodes: list[AnyNode] = Field(min_length=1, max_length=MAX_NODES)
    variables: dict[VariableName, JsonValue] = Field(
        default_factory=dict,
        max_length=100,
        description="Variables and what they are at first. In a subflow those that its caller has "
        "set already stay as they are.",
    )
    tests: list[FlowTest] = Field(
        default_factory=list,
        max_length=MAX_TESTS,
        description="Simulated calls; publishing runs them.",
    )

    def node(self, node_id: str) -> Node | None:
        """The node of that id."""
        return next((node for node in self.nodes if node.id == node_id), None)
