"""What every node type is: a config model with its outcomes, its own checks and its run."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from re import Pattern
from typing import ClassVar, Protocol

from pydantic import BaseModel, ConfigDict

from irisx.kernel.template import Use, uses
from irisx.telephony.ivr.audio import Audio, template_of
from irisx.telephony.ivr.step import Step

#: The outcome of a node that did its work; `next` names where it leads.
NEXT = "next"
#: The branch of every outcome that has none of its own.
DEFAULT = "default"
#: The outcome of a node whose `time_limit` passed.
TIME_LIMIT = "time_limit"
#: The outcome of a node that could not do its work, such as a text with a value that is missing.
FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Enter:
    """Go on in another flow; with `returns` come back when it ends, with its outcome."""

    flow: str
    returns: bool


@dataclass(frozen=True, slots=True)
class Leave:
    """Return from a subflow with an outcome; in a call's first flow it is the end."""

    outcome: str


@dataclass(frozen=True, slots=True)
class End:
    """Hang up, with a cause of the switch's."""

    cause: str = "NORMAL_CLEARING"


#: What `run` gives: an outcome, or one of the three that leave the flow.
Result = str | Enter | Leave | End


@dataclass(frozen=True, slots=True)
class Outcomes:
    """How a node can be left.

    `required`: these must lead somewhere: by a branch of their own, by `fallback`'s branch or by
    `default` (`next`, for the outcome of that name, may be missing: the flow ends there).
    `named`: these, which the config names, must have a branch of their own.
    `optional`: these may have a branch, which is taken instead of what is usual.
    `keys`: what further branches may be called, such as digits; `keys_are` says it in words.
    """

    required: frozenset[str] = frozenset({NEXT})
    named: frozenset[str] = frozenset()
    optional: frozenset[str] = frozenset()
    keys: Pattern[str] | None = None
    keys_are: str = ""
    fallback: Mapping[str, str] = field(default_factory=dict)

    def allows(self, branch: str) -> bool:
        """Whether a node may have a branch of this name."""
        return (
            branch == DEFAULT
            or branch in self.required | self.named
            or branch in self.optional
            or (self.keys is not None and self.keys.fullmatch(branch) is not None)
        )


@dataclass(frozen=True, slots=True)
class Fault:
    """What a node finds wrong with its own config. `field`: below `config`, may be empty."""

    field: str
    message: str
    warning: bool = False


class Catalog(Protocol):
    """What the tenant has, asked by checks; every name that is not the tenant's is unknown.

    `refuses_…`: why something can't be reached, None if it can. `flows_entered`: all flows that a
    published flow enters, also by way of others; `variables_set`: what they may set.
    """

    def has_prompt(self, prompt_id: str) -> bool: ...
    def has_agent(self, account_id: str) -> bool: ...
    def has_number(self, number: str) -> bool: ...
    def has_published_flow(self, flow_id: str) -> bool: ...
    def has_queue(self, queue_id: str) -> bool: ...
    def has_assistant(self, assistant_id: str) -> bool: ...
    def room_is_there(self, room: str) -> bool: ...
    def refuses_destination(self, number: str) -> str | None: ...
    def refuses_url(self, url: str) -> str | None: ...
    def flows_entered(self, flow_id: str) -> frozenset[str]: ...
    def variables_set(self, flow_id: str) -> frozenset[str]: ...


class NodeConfig(BaseModel):
    """The `config` of a node type, and what the type does. Frozen: one serves many calls."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    #: Whether it waits for a person, so that a loop through it takes its time.
    WAITS: ClassVar[bool] = False
    #: Whether it takes time all the same, which a `time_limit` can cut short.
    TIMED: ClassVar[bool] = False
    #: Whether what the caller types decides how it is left.
    ASKS: ClassVar[bool] = False
    #: Whether its variables are set before its own templates are rendered.
    SETS_FIRST: ClassVar[bool] = False

    def outcomes(self) -> Outcomes:
        """How it can be left."""
        return Outcomes()

    def played(self) -> Iterator[tuple[str, Audio]]:
        """All that it may play, each with the field that holds it."""
        yield from ()

    def templates(self) -> Iterator[tuple[str, str]]:
        """All templates in it, each with its field."""
        for name, item in self.played():
            if (template := template_of(item)) is not None:
                yield name, template

    def uses(self) -> Iterator[tuple[str, Use]]:
        """What its templates use, each with its field. Raises BadTemplate."""
        for name, text in self.templates():
            for use in uses(text):
                yield name, use

    def sets(self) -> Iterable[str]:
        """Variables that are set whichever way it is left."""
        return ()

    def reads(self) -> Iterable[tuple[str, str]]:
        """Variables that it reads other than by templates: (field, path)."""
        return ()

    def check(self, catalog: Catalog) -> Iterator[Fault]:
        """Faults that the model can't see; prompts and templates are checked by the linter."""
        yield from ()

    def run(self, step: Step, exits: frozenset[str]) -> Result:
        """Do it on a call. `exits`: names of the node's branches, and `next` if it has one."""
        raise NotImplementedError
