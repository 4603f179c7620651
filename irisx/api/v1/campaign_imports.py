"""`/v1/campaigns/{id}/contacts/import`: contacts from files."""

import json
from typing import Annotated, Any, ClassVar

from flask_openapi.models.file import FileStorage
from pydantic import Field, field_validator

from irisx.api.http import Rate, Router
from irisx.api.schemas import (
    Answer,
    Form,
    OffsetPagination,
    OffsetQuery,
    PublicId,
    Success,
    Timestamp,
    listed,
)
from irisx.api.v1.campaigns import CampaignId
from irisx.telephony.dialer import imports
from irisx.telephony.dialer.import_files import MAX_UPLOAD_BYTES, FileFormat
from irisx.telephony.dialer.models import CampaignImport, ImportStatus
from irisx.tenancy.access import Caller
from irisx.tenancy.settings import CountryCode

router = Router("Campaign Imports")

_READ, _WRITE = "campaigns:read", "campaigns:write"

ImportId = Annotated[int, PublicId("imp")]


class NewImport(Form):
    """A CSV or XLSX file whose first row names the columns: at most 20 MB and 200,000 rows."""

    MAX_BYTES: ClassVar[int] = MAX_UPLOAD_BYTES + 64 * 1024

    file: FileStorage
    mapping: Annotated[
        str,
        Field(
            max_length=20_000,
            description="JSON object: field of a contact (`number`, `number_2` to `number_5`, "
            "`name`, `time_zone`, `region`, `priority`, `data.…`) to the name of a column. "
            "Without it columns are taken by their names, the unknown ones into `data`.",
            examples=['{"number": "Phone", "name": "Customer", "data.plan": "Plan"}'],
        ),
    ] = "{}"
    default_country: CountryCode | None = Field(
        None, description="Of numbers without a country code."
    )

    @field_validator("mapping")
    @classmethod
    def _is_a_mapping(cls, text: str) -> str:
        try:
            mapping = json.loads(text)
        except (ValueError, RecursionError):
            raise ValueError("is no JSON") from None
        if not isinstance(mapping, dict) or not all(isinstance(v, str) for v in mapping.values()):
            raise ValueError("must be a JSON object of column names")
        return text

    @field_validator("file", mode="after")
    @classmethod
    def _is_a_file(cls, value: Any) -> Any:
        if isinstance(value, str):
            raise ValueError("send it as a file, with a filename")
        return value


class ImportAnswer(Answer):
    id: ImportId
    filename: str
    format: FileFormat
    status: ImportStatus
    size_bytes: int
    rows: int = Field(validation_alias="done", description="Read so far, without the header.")
    added: int
    duplicates: int = Field(description="Rows whose main number the campaign had already.")
    rejected: int = Field(description="Rows that became no contact; `…/rows` says why.")
    error: str | None = Field(description="Why the file could not be read to its end.")
    created_at: Timestamp
    finished_at: Timestamp | None


class Imports(Answer):
    imports: list[ImportAnswer]
    pagination: OffsetPagination


class ImportFault(Answer):
    row: int = Field(description="As spreadsheets count: the header is row 1.")
    field: str
    value: str
    message: str


class ImportFaults(Answer):
    rows: list[ImportFault]
    pagination: OffsetPagination


@router.post(
    "/v1/campaigns/<campaign_id>/contacts/import",
    access=_WRITE,
    rate=Rate.BULK,
    answer=ImportAnswer,
    status=202,
)
def import_campaign_contacts(
    caller: Caller, campaign_id: CampaignId, form: NewImport
) -> CampaignImport:
    """Import contacts from a CSV or XLSX file. It is read in the background, row by row: what can
    be read is added, the rest is reported."""
    return imports.begin(
        caller,
        caller.tenant_id,
        campaign_id,
        filename=(form.file.filename or "")[:200],
        content=form.file.read(),
        mapping=json.loads(form.mapping),
        default_country=form.default_country,
    )


@router.get("/v1/campaigns/<campaign_id>/contacts/imports", access=_READ, answer=Success[Imports])
def list_campaign_imports(
    caller: Caller, campaign_id: CampaignId, query: OffsetQuery
) -> dict[str, Any]:
    """List imports."""
    found, total = imports.list_page(
        caller.tenant_id, campaign_id, limit=query.limit, offset=query.offset
    )
    return listed("imports", found, query, total)


@router.get(
    "/v1/campaigns/<campaign_id>/contacts/imports/<import_id>",
    access=_READ,
    answer=ImportAnswer,
)
def get_campaign_import(
    caller: Caller, campaign_id: CampaignId, import_id: ImportId
) -> CampaignImport:
    """Get an import: how far it is, and what came of it."""
    return imports.get(caller.tenant_id, campaign_id, import_id)


@router.get(
    "/v1/campaigns/<campaign_id>/contacts/imports/<import_id>/rows",
    access=_READ,
    answer=Success[ImportFaults],
)
def list_campaign_import_rows(
    caller: Caller, campaign_id: CampaignId, import_id: ImportId, query: OffsetQuery
) -> dict[str, Any]:
    """List what was wrong with rows of the file, and which contacts the campaign had already."""
    found, total = imports.faults(
        caller.tenant_id, campaign_id, import_id, limit=query.limit, offset=query.offset
    )
    return listed("rows", found, query, total)
