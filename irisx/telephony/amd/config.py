"""Settings of answering-machine detection: a tenant's, a call's, and the plan of both."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from irisx.kernel import template
from irisx.kernel.db import transaction
from irisx.kernel.errors import invalid
from irisx.kernel.ids import row_key
from irisx.media.amd import AmdMode, Result, Settings
from irisx.media.amd.settings import (
    AfterGreetingSilence,
    BetweenWordsSilence,
    GreetingLength,
    InitialSilence,
    MaximumWords,
    MinimumWordLength,
    TotalAnalysisTime,
)
from irisx.telephony.amd.models import AmdConfig
from irisx.telephony.calls import capacity, destinations
from irisx.telephony.ivr.audio import Prompt, UploadedPrompt, template_of
from irisx.telephony.ivr.prompt_models import Prompt as PromptRow
from irisx.tenancy import audit
from irisx.tenancy.access import Actor


class Action(StrEnum):
    #: The call goes on: with its `on_answer`, or waiting for commands.
    CONNECT = "connect"
    HANG_UP = "hangup"
    #: `message` after the beep, then the end; without a message: hang up.
    LEAVE_VOICEMAIL = "leave_voicemail"
    #: The flow `flow_id`.
    FLOW = "flow"


_Action = Literal[Action.CONNECT, Action.HANG_UP, Action.FLOW]

_ACTIONS: dict[Result, Action] = {
    Result.HUMAN: Action.CONNECT,
    Result.MACHINE: Action.LEAVE_VOICEMAIL,
    Result.FAX: Action.HANG_UP,
    # Somebody who says nothing may be somebody; nobody who answers is hung up on by a guess.
    Result.SILENCE: Action.CONNECT,
    Result.UNKNOWN: Action.CONNECT,
}
_NUMBERS = Settings.model_fields.keys() - {"mode"}


class AmdOptions(BaseModel):
    """How a call is detected and what follows. What is left out is the tenant's setting; a number
    that the tenant has not set either is the mode's own (docs/amd.md). Times are ms."""

    model_config = ConfigDict(extra="forbid", strict=True)

    mode: AmdMode | None = Field(
        None,
        strict=False,
        description="`fast`, `balanced`, or `message_end`: the verdict on a machine comes when a "
        "message may be left. One other than the tenant's brings its own numbers.",
    )
    initial_silence: InitialSilence | None = None
    greeting_length: GreetingLength | None = None
    after_greeting_silence: AfterGreetingSilence | None = None
    total_analysis_time: TotalAnalysisTime | None = None
    minimum_word_length: MinimumWordLength | None = None
    between_words_silence: BetweenWordsSilence | None = None
    maximum_words: MaximumWords | None = None
    action_on_human: _Action | None = None
    action_on_machine: Action | None = Field(None, strict=False)
    action_on_fax: _Action | None = None
    action_on_silence: _Action | None = None
    action_on_unknown: _Action | None = None
    flow_id: str | None = Field(
        None, pattern=r"^flow_[0-9]{1,18}$", description="What the action `flow` begins."
    )
    message: Prompt | None = Field(
        None,
        description="What `leave_voicemail` leaves. Templates: `call`, `caller`, `metadata`.",
        examples=[{"text": "Hello {{metadata.name}}, please call us back."}],
    )
    keep_audio: bool | None = Field(
        None, description="Keep what the decision rests on, to listen to and to label."
    )


class AmdSettings(AmdOptions):
    """A tenant's settings."""

    enabled: bool | None = Field(
        None, description="Detect on every call out that does not say `amd_enabled`."
    )
    audio_retention_days: int | None = Field(
        None, ge=1, le=3650, description="Days for which audio is kept. Default: 30."
    )


class Plan(BaseModel):
    """What the engine does with a call: all settled."""

    settings: Settings
    actions: dict[Result, Action]
    flow_id: str | None
    message: Prompt | None
    keep_audio: bool
    audio_retention_days: int

    def action(self, result: Result) -> Action:
        return self.actions[result]


def given(tenant_id: int) -> dict[str, Any]:
    """What a tenant has set, and nothing else."""
    with transaction() as session:
        row = session.get(AmdConfig, tenant_id)
        return {} if row is None else row.given


def change(by: Actor, tenant_id: int, changes: AmdSettings) -> dict[str, Any]:
    """Set what is given, forget what is null (the default applies again); what is set then.

    Raises ValidationError.
    """
    changed = changes.model_dump(mode="json", exclude_unset=True, by_alias=True)
    _check(tenant_id, settle(_changed(given(tenant_id), changed)), prefix="")
    with transaction() as session:
        capacity.lock_tenant(session, tenant_id)  # two changes at once: both count
        row = session.get(AmdConfig, tenant_id) or AmdConfig(tenant_id=tenant_id, given={})
        before = row.given
        row.given = after = _changed(before, changed)
        session.add(row)
        audit.record(
            session,
            by,
            "amd_config.updated",
            "amd_config",
            tenant_id=tenant_id,
            before=before,
            after=after,
        )
    return after


def _changed(before: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in (before | changes).items() if value is not None}


def plan(tenant_id: int, options: AmdOptions) -> dict[str, Any]:
    """What a call's row carries as `options["amd"]`. Raises ValidationError about `amd.…`."""
    tenants = given(tenant_id)
    calls = options.model_dump(mode="json", exclude_none=True, by_alias=True)
    tenants_mode = tenants.get("mode", AmdMode.BALANCED)
    if calls.get("mode", tenants_mode) != tenants_mode:
        tenants = {name: value for name, value in tenants.items() if name not in _NUMBERS}
    settled = settle(tenants | calls)
    _check(tenant_id, settled, prefix="amd.")
    return settled.model_dump(mode="json", by_alias=True)


def settle(chosen: Mapping[str, Any]) -> Plan:
    """Everything that was chosen, and the defaults of the rest."""
    numbers = Settings.model_fields.keys() & chosen.keys()
    actions = {
        result: chosen.get(f"action_on_{result}", action) for result, action in _ACTIONS.items()
    }
    return Plan(
        settings=Settings.model_validate({name: chosen[name] for name in numbers}),
        actions=actions,
        flow_id=chosen.get("flow_id"),
        message=chosen.get("message"),
        keep_audio=chosen.get("keep_audio", False),
        audio_retention_days=chosen.get("audio_retention_days", 30),
    )


def _check(tenant_id: int, settled: Plan, prefix: str) -> None:
    field = f"{prefix}flow_id"
    if settled.flow_id is not None:
        destination = destinations.parse({"type": "flow", "id": settled.flow_id}, field)
        destinations.resolve(destination, tenant_id, field)
    elif Action.FLOW in settled.actions.values():
        raise invalid(field, "the action `flow` needs it")
    if settled.message is None:
        return
    items = list(settled.message.items(f"{prefix}message."))
    if not items:
        raise invalid(f"{prefix}message", "has neither text nor prompts")
    for place, item in items:
        try:
            template.check(template_of(item) or "")
        except template.BadTemplate as error:
            raise invalid(place, str(error)) from error
        if isinstance(item, UploadedPrompt):
            _check_prompt(tenant_id, item, place)


def _check_prompt(tenant_id: int, item: UploadedPrompt, field: str) -> None:
    with transaction() as session:
        row = session.get(PromptRow, row_key("prm", item.prompt))
        if row is None or row.tenant_id != tenant_id:
            raise invalid(field, f"there is no prompt {item.prompt}")
