"""What a queue may be told beside the specification's fields: kept as JSON in its row."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from irisx.telephony.calls.destinations import (
    AgentDestination,
    FlowDestination,
    NumberDestination,
    QueueDestination,
    SipDestination,
)
from irisx.telephony.ivr.audio import Prompt
from irisx.telephony.ivr.nodes.hours import Hours

Skill = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_.\-]{0,63}$")]
Level = Annotated[int, Field(ge=1, le=10)]
Skills = Annotated[list[Skill], Field(max_length=50)]
SkillLevels = Annotated[dict[Skill, Level], Field(max_length=50)]
Key = Annotated[str, StringConstraints(pattern=r"^[0-9*#]$")]
Code = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Relaxation(_Part):
    """From `after_seconds` of waiting on, these skills are required instead."""

    after_seconds: int = Field(ge=1, le=7200)
    skills_required: Skills
    skill_levels: SkillLevels = Field(default_factory=dict)


class VoicemailTarget(_Part):
    """The caller leaves a message, which is in `GET /v1/ivr/voicemail`."""

    type: Literal["voicemail"]
    mailbox: str = Field(min_length=1, max_length=100, examples=["sales"])
    greeting: Prompt | None = Field(None, description="Said before the beep.")


Target = Annotated[
    NumberDestination
    | SipDestination
    | AgentDestination
    | FlowDestination
    | QueueDestination
    | VoicemailTarget,
    Field(discriminator="type"),
]


class Overflow(_Part):
    """Where a caller goes who can't wait (any longer); null: the call ends.

    In an IVR flow the caller goes back to the flow instead, by the branch `timeout`, `full`,
    `closed` or, with no agents, `failed`.
    """

    wait: Target | None = Field(None, description="`max_wait_time` is over.")
    full: Target | None = Field(None, description="`max_length` callers wait already.")
    no_agents: Target | None = Field(
        None, description="No agent of the queue has been logged in for `no_agents_seconds`."
    )
    closed: Target | None = Field(None, description="Outside `hours`.")


class QueueOptions(BaseModel):
    """Everything has a default; seconds are whole."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    # who is rung, and when
    tier_wait_seconds: int = Field(
        30, ge=0, le=3600, description="Tier n is rung after (n - 1) times this; 0: all at once."
    )
    tier_skip_empty: bool = Field(
        True, description="A tier opens at once while nobody of those before it is logged in."
    )
    skill_relaxation: list[Relaxation] = Field(default_factory=list, max_length=10)
    sticky_seconds: int = Field(
        0, ge=0, le=3600, description="How long the agent of the last talk is waited for; 0: not."
    )
    sticky_days: int = Field(30, ge=1, le=365, description="How long ago that talk may be.")
    # ringing
    ring_seconds: int = Field(20, ge=5, le=120, description="How long an agent is rung.")
    reject_delay_seconds: int = Field(10, ge=1, le=3600)
    busy_delay_seconds: int = Field(30, ge=1, le=3600)
    no_answer_delay_seconds: int = Field(10, ge=1, le=3600)
    max_missed_offers: int = Field(
        3, ge=0, le=100, description="Not answered so often in a row, an agent is away; 0: never."
    )
    agent_announcement: Prompt | None = Field(
        None, description="Said to the agent who answers, before the caller is there."
    )
    record: bool = Field(False, description="Record from the agent's answer on.")
    # wrap-up
    wrap_up_seconds: int = Field(0, ge=0, le=7200, description="0: no work after a call.")
    wrap_up_codes: list[Code] = Field(default_factory=list, max_length=200)
    wrap_up_code_required: bool = Field(False, description="Wrap-up goes on until a code is given.")
    # what the caller hears
    welcome: Prompt | None = Field(None, description="Said before the music.")
    announce_position: bool = False
    announce_wait: bool = Field(False, description="The expected wait, in honest steps.")
    announce_every_seconds: int = Field(60, ge=15, le=3600)
    language: str = Field("en", pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$")
    # ways out
    exit_key: Key | None = None
    exit_to: Target | None = Field(None, description="null: as `overflow.wait`.")
    callback_key: Key | None = Field(
        None, description="Pressed, the caller hangs up and keeps the place for a callback."
    )
    callback_announcement: Prompt | None = None
    max_length: int | None = Field(None, ge=1, le=100_000, description="Callers who may wait.")
    no_agents_seconds: int | None = Field(
        None, ge=0, le=7200, description="0: nobody gets in without agents; null: callers wait."
    )
    hours: Hours | None = None
    overflow: Overflow = Field(default_factory=Overflow)
    return_window_seconds: int = Field(
        300, ge=0, le=86_400, description="Who hung up and calls again in it keeps the place."
    )
    # statistics
    service_level_seconds: int = Field(20, ge=1, le=3600)
    service_level_denominator: Literal["answered", "offered", "offered-without-short"] = (
        "offered-without-short"
    )
    short_abandon_seconds: int = Field(5, ge=0, le=60)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        steps = [step.after_seconds for step in self.skill_relaxation]
        if steps != sorted(set(steps)):
            raise ValueError("skill_relaxation: after_seconds must grow from rule to rule")
        if self.wrap_up_code_required and not self.wrap_up_codes:
            raise ValueError("wrap_up_code_required: give wrap_up_codes")
        if self.exit_key is not None and self.exit_key == self.callback_key:
            raise ValueError("exit_key and callback_key must differ")
        return self
