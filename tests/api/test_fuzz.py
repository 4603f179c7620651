"""schemathesis: whatever is sent, no operation answers 500, nor what is not documented.

`FUZZ_EXAMPLES` sends more to each operation than the suite's few.
"""

import os
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from limits.storage import RedisStorage
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from irisx.api import http
from irisx.api.app import create_app
from irisx.kernel.ratelimit import RateLimiter
from irisx.tenancy.models import Tenant
from tests.api.client import ApiClient
from tests.api.foreign import ForeignIds

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "4"))


def no_defect(_context: object, response: Any, _case: object) -> None:
    """503 is an answer: it names what is down or not part of this version."""
    assert response.status_code in (503, *range(200, 500))


CHECKS = [
    no_defect,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
#: An answer without an end.
STREAMS = {"GET /v1/events"}

SCHEMA = schemathesis.openapi.from_wsgi("/openapi.json", create_app())
OPERATIONS = {
    operation.label: operation
    for operation in (found.ok() for found in SCHEMA.get_all_operations())
    if operation.label not in STREAMS
}


@pytest.fixture(autouse=True)
def no_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    away = RateLimiter(RedisStorage("redis://127.0.0.1:1", wrap_exceptions=False))
    monkeypatch.setattr(http, "limiter", lambda: away)


@pytest.mark.parametrize("label", OPERATIONS)
def test_nothing_sent_is_a_server_error(
    label: str, client: ApiClient, admin: ApiClient, tenant: Tenant
) -> None:
    operation = OPERATIONS[label]
    headers = (admin if "/admin/" in label else client).headers
    own = ForeignIds(tenant.id)
    modes = [
        operation.as_strategy(generation_mode=mode)
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
    ]

    @settings(
        max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), database=None
    )
    @given(case=st.one_of(modes), there=st.booleans())
    def send(case: Any, there: bool) -> None:
        if there:  # else the ids that were made up
            known = {name: own[name] for name in case.path_parameters if name in own}
            case.path_parameters = {**case.path_parameters, **known}
        response = case.call(headers=headers)
        case.validate_response(response, checks=CHECKS)

    send()
