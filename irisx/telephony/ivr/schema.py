"""JSON Schema of flows, one schema a node type, so that editors complete and check them."""

from typing import Any

from irisx.kernel.errors import NotFound
from irisx.telephony.ivr.flow import NODES, Flow

DIALECT = "https://json-schema.org/draft/2020-12/schema"
PATH = "/v1/ivr/schema"
_REF = "#/$defs/{model}"


def flow_schema() -> dict[str, Any]:
    """The schema of a flow document."""
    schema = Flow.model_json_schema(ref_template=_REF)
    return {"$schema": DIALECT, "$id": PATH, **schema, "title": "IRISX IVR flow"}


def node_schema(type: str) -> dict[str, Any]:
    """The schema of one node type's nodes. NotFound if there is no such type."""
    if type not in NODES:
        raise NotFound(f"There is no node type {type!r}; types are {', '.join(NODES)}.")
    schema = NODES[type].model_json_schema(ref_template=_REF)
    title = f"IRISX IVR {type} node"
    return {"$schema": DIALECT, "$id": f"{PATH}/{type}", **schema, "title": title}
