"""The OpenAPI document as a whole."""

from collections import Counter
from enum import StrEnum
from typing import Any, get_args

import pytest
from flask import Flask
from openapi_spec_validator import OpenAPIV31SpecValidator
from pydantic import BaseModel

from irisx.api.auth import Access
from irisx.api.http import Rate
from irisx.api.schemas import Answer, Body
from irisx.tenancy.access import PERMISSIONS


@pytest.fixture
def document(app: Flask) -> dict[str, Any]:
    body: dict[str, Any] = app.test_client().get("/openapi.json").get_json()
    return body


@pytest.fixture
def operations(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [operation for item in document["paths"].values() for operation in item.values()]


def test_it_is_valid_openapi(document: dict[str, Any]) -> None:
    assert [error.message for error in OpenAPIV31SpecValidator(document).iter_errors()] == []


def test_every_operation_has_a_name_of_its_own_and_a_summary(
    operations: list[dict[str, Any]],
) -> None:
    names = Counter(operation["operationId"] for operation in operations)
    assert [name for name, times in names.items() if times > 1] == []
    assert [o["operationId"] for o in operations if not o.get("summary")] == []


def test_every_operation_says_who_may_and_how_often(operations: list[dict[str, Any]]) -> None:
    known = PERMISSIONS | {access.value for access in Access}
    assert [o["operationId"] for o in operations if o["x-access"] not in known] == []
    classes = {rate.name.lower() for rate in Rate}
    assert [o["operationId"] for o in operations if o["x-rate-limit"] not in classes] == []


#: POST because they take a document, though they change nothing; and a secret, though it is read.
READING_POSTS = {
    "post /v1/email/templates/{template_id}/preview",
    "post /v1/ivr/lint",
    "post /v1/ivr/flows/{flow_id}/lint",
    "post /v1/ivr/flows/{flow_id}/simulate",
    "post /v1/ivr/flows/{flow_id}/test",
    "post /v1/ai/knowledge/search",
    "post /v1/scripts/{script_id}/render",
    "post /v1/translation/detect",
}
GUARDED_GETS = {"get /v1/ivr/signing-secret"}


def test_a_read_permission_is_of_reading(document: dict[str, Any]) -> None:
    """GET never writes, and everything else needs `write`."""
    wrong = {
        f"{method} {path}"
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if operation["x-access"] in PERMISSIONS
        and (method == "get") is not operation["x-access"].endswith(":read")
    }
    assert wrong == READING_POSTS | GUARDED_GETS


def test_static_segments_beat_parameters(app: Flask) -> None:
    """As the changelog of the specification once had to mend."""
    rules = app.url_map.bind("localhost")
    for path, shadowed in (
        ("/v1/recordings/stats", "recording_id"),
        ("/v1/webhooks/events", "webhook_id"),
        ("/admin/features/tenant/ten_1", "feature_id"),
    ):
        _, arguments = rules.match(path, "GET")
        assert shadowed not in arguments


def test_no_two_models_share_a_name() -> None:
    """They would share a schema in the document, which then is wrong for one of them."""
    models = [Answer, Body]
    for model in models:  # grows as it goes
        models += model.__subclasses__()
    own = {model for model in models if "[" not in model.__name__}
    names = Counter(model.__name__ for model in own)
    assert [name for name, count in names.items() if count > 1] == []
    values: dict[str, set[tuple[str, ...]]] = {}
    for enum in {enum for model in own for enum in _enums_of(model)}:
        values.setdefault(enum.__name__, set()).add(tuple(enum))
    assert [name for name, found in values.items() if len(found) > 1] == []


def _enums_of(model: type[BaseModel]) -> set[type[StrEnum]]:
    """The enums in the annotations of a model's fields, however deep."""
    found: set[type[StrEnum]] = set()
    annotations = [field.annotation for field in model.model_fields.values()]
    for annotation in annotations:  # grows as it goes
        annotations += get_args(annotation)
        if isinstance(annotation, type) and issubclass(annotation, StrEnum):
            found.add(annotation)
    return found
