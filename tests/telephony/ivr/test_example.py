"""The flow of docs/ivr.md, which begins as the specification's example does."""

import json
from pathlib import Path

from irisx.telephony.ivr import service
from irisx.tenancy.access import SYSTEM
from irisx.tenancy.models import Tenant

EXAMPLE = Path(__file__).parents[3] / "docs" / "examples" / "main-menu.json"


def test_the_example_is_published_and_passes_its_own_tests(tenant: Tenant) -> None:
    document = json.loads(EXAMPLE.read_text())
    view = service.create(SYSTEM, tenant.id, document, publish=True)
    assert view.flow.published == 1
    results = service.run_tests(tenant.id, service.flow_of(view))
    assert [result.faults for result in results] == [[], []]
    issues = service.lint(tenant.id, document).issues
    assert [issue.code for issue in issues] == ["silent_loop"]
