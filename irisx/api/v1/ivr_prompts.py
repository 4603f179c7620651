"""`/v1/ivr/prompts`: audio that a tenant uploads for its flows."""

from typing import Annotated, Any, ClassVar

from pydantic import Field

from irisx.api.http import Router
from irisx.api.schemas import (
    Answer,
    FilePart,
    Form,
    Name,
    OffsetPagination,
    OffsetQuery,
    PublicId,
    Success,
    Timestamp,
    listed,
)
from irisx.telephony.ivr import prompts
from irisx.telephony.ivr.prompt_models import Prompt
from irisx.telephony.ivr.prompts import PromptView
from irisx.tenancy.access import Caller

router = Router("IVR Prompts")

PromptId = Annotated[int, PublicId("prm")]


class NewPrompt(Form):
    """WAV, MP3 or OGG of at most ten minutes."""

    MAX_BYTES: ClassVar[int] = prompts.MAX_UPLOAD_BYTES

    name: Name
    file: FilePart


class PromptAnswer(Answer):
    id: PromptId
    name: str
    source_format: str = Field(description="What was uploaded: WAV, MP3 or OGG.")
    duration_ms: int
    size_bytes: int = Field(description="Of the upload.")
    created_at: Timestamp


class ListedPrompt(PromptAnswer):
    used_by: list[str] = Field(description="Flows whose published version plays it.")
    unused: bool
    missing: bool = Field(description="Its sound is not on this machine: upload it again.")


class Prompts(Answer):
    prompts: list[ListedPrompt]
    pagination: OffsetPagination


@router.get("/v1/ivr/prompts", access="ivr:read", answer=Success[Prompts])
def list_prompts(caller: Caller, query: OffsetQuery) -> dict[str, Any]:
    """List prompts, with those that no flow plays and those whose sound is missing."""
    found, total = prompts.list_page(caller.tenant_id, limit=query.limit, offset=query.offset)
    return listed("prompts", [_listed(view) for view in found], query, total)


@router.post("/v1/ivr/prompts", access="ivr:write", answer=PromptAnswer, status=201)
def upload_prompt(caller: Caller, form: NewPrompt) -> Prompt:
    """Upload a prompt: WAV, MP3 or OGG. It is kept at 8 and 16 kHz."""
    return prompts.upload(caller, caller.tenant_id, form.name, form.file.read())


@router.delete("/v1/ivr/prompts/<prompt_id>", access="ivr:write")
def delete_prompt(caller: Caller, prompt_id: PromptId) -> None:
    """Delete a prompt that no published flow plays."""
    prompts.delete(caller, caller.tenant_id, prompt_id)


def _listed(view: PromptView) -> dict[str, Any]:
    shown = dict(PromptAnswer.model_validate(view.row))
    return {**shown, "used_by": view.used_by, "unused": not view.used_by, "missing": view.missing}
