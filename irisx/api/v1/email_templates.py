"""`/v1/email/templates`."""

from typing import Any

from pydantic import Field

from irisx.api.http import Rate, Router
from irisx.api.schemas import (
    UNSET,
    Answer,
    Body,
    JsonObject,
    Name,
    OffsetPagination,
    OffsetQuery,
    Success,
    Timestamp,
    listed,
)
from irisx.api.v1.email import (
    READ,
    WRITE,
    EmailAddress,
    NewEmail,
    Source,
    Subject,
    TemplateId,
    accepted,
)
from irisx.messaging.channels.email import service, templates
from irisx.messaging.channels.email.service import Mail
from irisx.messaging.channels.email.templates import Stored
from irisx.tenancy.access import Caller

router = Router("Email Templates")


class NewEmailTemplate(Body):
    name: Name
    subject: Subject = Field(examples=["Welcome, {{ name }}!"])
    html: Source | None = Field(None, examples=["<h1>Hello {{ name }}</h1>"])
    text: Source | None = Field(None, examples=["Hello {{ name }}"])


class EmailTemplateChange(Body):
    """What is left out stays. New words make a new version."""

    name: Name = UNSET
    subject: Subject = UNSET
    html: Source | None = UNSET
    text: Source | None = UNSET


class EmailTemplate(Answer):
    """`variables`: what it uses; of these `optional` may be left out."""

    id: TemplateId
    name: str
    version: int
    subject: str
    html: str | None
    text: str | None
    variables: list[str]
    optional: list[str]
    created_at: Timestamp
    updated_at: Timestamp


class EmailTemplates(Answer):
    templates: list[EmailTemplate]
    pagination: OffsetPagination


class EmailTemplateVersions(Answer):
    versions: list[EmailTemplate]


class EmailPreviewRequest(Body):
    variables: JsonObject = Field(default_factory=dict)
    version: int | None = Field(None, ge=1, description="Default: the newest.")


class EmailPreview(Answer):
    """`unused`: variables that were given and that the template has no use for."""

    subject: str
    html: str | None
    text: str
    unused: list[str]


class EmailTestRequest(EmailPreviewRequest):
    to: EmailAddress
    from_: EmailAddress | None = Field(None, alias="from")


@router.get("/v1/email/templates", access=READ, answer=Success[EmailTemplates])
def list_email_templates(caller: Caller, query: OffsetQuery) -> dict[str, Any]:
    """List templates, each with its newest version."""
    found, total = templates.list_page(caller.tenant_id, limit=query.limit, offset=query.offset)
    return listed("templates", [_template(each) for each in found], query, total)


@router.post("/v1/email/templates", access=WRITE, answer=EmailTemplate, status=201)
def create_email_template(caller: Caller, body: NewEmailTemplate) -> dict[str, Any]:
    """Create a template."""
    source = templates.Source(body.subject, body.html, body.text)
    return _template(templates.create(caller, caller.tenant_id, body.name, source))


@router.get("/v1/email/templates/<template_id>", access=READ, answer=EmailTemplate)
def get_email_template(caller: Caller, template_id: TemplateId) -> dict[str, Any]:
    """Get a template with its newest version."""
    return _template(templates.get(caller.tenant_id, template_id))


@router.put("/v1/email/templates/<template_id>", access=WRITE, answer=EmailTemplate)
def update_email_template(
    caller: Caller, template_id: TemplateId, body: EmailTemplateChange
) -> dict[str, Any]:
    """Change a template; messages that were sent keep the version that they had."""
    fields = body.model_dump(exclude_unset=True)
    name = fields.pop("name", None)
    return _template(templates.change(caller, caller.tenant_id, template_id, name, fields))


@router.delete("/v1/email/templates/<template_id>", access=WRITE)
def delete_email_template(caller: Caller, template_id: TemplateId) -> None:
    """Delete a template."""
    templates.remove(caller, caller.tenant_id, template_id)


@router.get(
    "/v1/email/templates/<template_id>/versions", access=READ, answer=Success[EmailTemplateVersions]
)
def list_email_template_versions(caller: Caller, template_id: TemplateId) -> dict[str, Any]:
    """List a template's versions, newest first."""
    found = templates.versions(caller.tenant_id, template_id)
    return {"data": {"versions": [_template(each) for each in found]}}


@router.post("/v1/email/templates/<template_id>/preview", access=READ, answer=EmailPreview)
def preview_email_template(
    caller: Caller, template_id: TemplateId, body: EmailPreviewRequest
) -> dict[str, Any]:
    """Render a template without sending it."""
    version = templates.get(caller.tenant_id, template_id, body.version).version
    rendered = templates.render(version, body.variables)
    return {
        "subject": rendered.subject,
        "html": rendered.html,
        "text": rendered.text,
        "unused": templates.unused(version, body.variables),
    }


@router.post(
    "/v1/email/templates/<template_id>/test",
    access=WRITE,
    answer=NewEmail,
    status=201,
    rate=Rate.BULK,
)
def test_email_template(
    caller: Caller, template_id: TemplateId, body: EmailTestRequest
) -> dict[str, Any]:
    """Send a template to one address, to see it there."""
    mail = Mail(
        from_=body.from_,
        template_id=template_id,
        template_version=body.version,
        variables=body.variables,
        origin="test",
    )
    return accepted(service.send(caller, body.to, mail))


def _template(stored: Stored) -> dict[str, Any]:
    version = stored.version
    return {
        "id": stored.row.id,
        "name": stored.row.name,
        "version": version.version,
        "subject": version.subject,
        "html": version.html,
        "text": version.text,
        "variables": version.variables,
        "optional": version.optional,
        "created_at": stored.row.created_at,
        "updated_at": version.created_at,
    }
