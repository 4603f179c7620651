"""`/v1/whatsapp/templates`: templates as Meta has them."""

from dataclasses import asdict
from typing import Annotated, Any, Literal

from pydantic import Field, JsonValue

from irisx.api.http import Rate, Router
from irisx.api.schemas import (
    Answer,
    Body,
    JsonObject,
    OffsetPagination,
    OffsetQuery,
    PublicId,
    Success,
    Timestamp,
    listed,
)
from irisx.api.v1.messaging import AccountId
from irisx.messaging.channels.whatsapp import templates
from irisx.messaging.channels.whatsapp.content import LanguageCode, TemplateName
from irisx.messaging.channels.whatsapp.models import StoredTemplate, TemplateStatus
from irisx.messaging.channels.whatsapp.templates import NewTemplate, TemplateFilter
from irisx.tenancy.access import Caller

router = Router("WhatsApp Templates")

_READ = "whatsapp:read"
_WRITE = "whatsapp:write"

WhatsAppTemplateId = Annotated[int, PublicId("wat")]
TemplateCategory = Literal["MARKETING", "UTILITY", "AUTHENTICATION"]

_BODY: dict[str, Any] = {
    "type": "BODY",
    "text": "Hello {{1}}, your order {{2}} is on its way.",
    "example": {"body_text": [["John", "12345"]]},
}


class WhatsAppAccountChoice(Body):
    account_id: AccountId | None = Field(
        None, description="Which of your cloud-api accounts. Default: the first."
    )


class NewWhatsAppTemplate(WhatsAppAccountChoice):
    name: TemplateName
    language: LanguageCode
    category: TemplateCategory
    parameter_format: Literal["POSITIONAL", "NAMED"] = "POSITIONAL"
    components: list[JsonObject] = Field(
        min_length=1,
        max_length=4,
        description="HEADER, BODY, FOOTER, BUTTONS as the Cloud API has them.",
        examples=[[_BODY]],
    )


class WhatsAppTemplateAnswer(Answer):
    """`status`: as Meta said last. `business_account` is null in the sandbox, which approves at
    once; a name that ends in `_pending` or `_rejected` tries the others."""

    id: WhatsAppTemplateId
    name: str
    language: str
    category: str
    status: TemplateStatus
    rejected_reason: str | None
    components: list[dict[str, JsonValue]]
    business_account: str | None
    reference: str | None = Field(description="Meta's id of it.")
    sandbox: bool
    created_at: Timestamp
    updated_at: Timestamp


class WhatsAppTemplates(Answer):
    templates: list[WhatsAppTemplateAnswer]
    pagination: OffsetPagination


class WhatsAppSync(Answer):
    added: int
    changed: int
    removed: int
    total: int
    sandbox: bool


class WhatsAppTemplatesQuery(OffsetQuery):
    name: TemplateName | None = None
    language: LanguageCode | None = None
    category: TemplateCategory | None = None
    status: TemplateStatus | None = None


@router.get("/v1/whatsapp/templates", access=_READ, answer=Success[WhatsAppTemplates])
def list_whatsapp_templates(caller: Caller, query: WhatsAppTemplatesQuery) -> dict[str, Any]:
    """List the templates that are known here."""
    wanted = TemplateFilter(**query.model_dump(exclude={"limit", "offset"}))
    found, total = templates.list_page(
        caller.tenant_id, wanted, limit=query.limit, offset=query.offset
    )
    return listed("templates", [_shown(row) for row in found], query, total)


@router.post("/v1/whatsapp/templates", access=_WRITE, answer=WhatsAppTemplateAnswer, status=201)
def create_whatsapp_template(caller: Caller, body: NewWhatsAppTemplate) -> dict[str, Any]:
    """Submit a template for Meta's approval. Where Meta's answer got lost, this answers 503; sync
    then tells whether it is there."""
    fields = body.model_dump(exclude={"account_id"})
    return _shown(templates.create(caller, NewTemplate(**fields), body.account_id))


@router.post(
    "/v1/whatsapp/templates/sync", access=_WRITE, answer=Success[WhatsAppSync], rate=Rate.BULK
)
def sync_whatsapp_templates(caller: Caller, body: WhatsAppAccountChoice) -> dict[str, Any]:
    """Take over all templates that Meta has, with their status; what it has not is removed."""
    return {"data": asdict(templates.sync(caller, body.account_id))}


@router.get(
    "/v1/whatsapp/templates/<whatsapp_template_id>", access=_READ, answer=WhatsAppTemplateAnswer
)
def get_whatsapp_template(
    caller: Caller, whatsapp_template_id: WhatsAppTemplateId
) -> dict[str, Any]:
    """Get a template."""
    return _shown(templates.get(caller.tenant_id, whatsapp_template_id))


@router.delete("/v1/whatsapp/templates/<whatsapp_template_id>", access=_WRITE)
def delete_whatsapp_template(caller: Caller, whatsapp_template_id: WhatsAppTemplateId) -> None:
    """Delete a template, at Meta too. Its name can't be used again for 30 days there."""
    templates.remove(caller, whatsapp_template_id)


def _shown(row: StoredTemplate) -> dict[str, Any]:
    sandbox = row.business_account == templates.SANDBOX
    names = set(WhatsAppTemplateAnswer.model_fields) - {"business_account", "sandbox"}
    return {name: getattr(row, name) for name in names} | {
        "business_account": row.business_account or None,
        "sandbox": sandbox,
    }
