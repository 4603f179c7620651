"""The body of `POST /v1/calls`, which campaigns and callbacks use too."""

import json
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, StringConstraints

from irisx.telephony.amd.config import AmdOptions
from irisx.telephony.calls.destinations import Destination, Number

MAX_METADATA_BYTES = 8192
MAX_METADATA_KEYS = 50
MAX_METADATA_DEPTH = 5


def _bounded(metadata: dict[str, JsonValue]) -> dict[str, JsonValue]:
    if len(metadata) > MAX_METADATA_KEYS:
        raise ValueError(f"more than {MAX_METADATA_KEYS} keys")
    if _depth(metadata) > MAX_METADATA_DEPTH:
        raise ValueError(f"nested more than {MAX_METADATA_DEPTH} deep")
    try:
        text = json.dumps(metadata, ensure_ascii=False, allow_nan=False)
        size = len(text.encode())
    except ValueError:  # NaN, or half of a surrogate pair
        raise ValueError("holds something that is no JSON") from None
    if size > MAX_METADATA_BYTES:
        raise ValueError(f"more than {MAX_METADATA_BYTES} bytes")
    if "\\u0000" in text.replace("\\\\", ""):  # PostgreSQL keeps none
        raise ValueError("holds a NUL character")
    return metadata


def _depth(value: JsonValue) -> int:
    match value:
        case dict():
            return 1 + max(map(_depth, value.values()), default=0)
        case list():
            return 1 + max(map(_depth, value), default=0)
        case _:
            return 0


#: Free-form facts of the client about a call, kept and handed back with it.
Metadata = Annotated[dict[str, JsonValue], AfterValidator(_bounded)]

#: A name shown to the callee: letters, digits and little else, since switches and phones parse it.
CallerName = Annotated[
    str, StringConstraints(pattern=r"^[\w .,&()+#/@-]+$", min_length=1, max_length=64)
]


class CallRequest(BaseModel):
    """An outbound call."""

    model_config = ConfigDict(extra="forbid", strict=True, populate_by_name=True)

    to: Number = Field(description="Number to call, E.164.")
    from_: Number | None = Field(
        None,
        alias="from",
        description="Caller id, one of your numbers. Default: the setting default_caller_id, "
        "or else your first number.",
    )
    record: bool | None = Field(
        None, description="Record the call. Default: the setting record_calls."
    )
    amd_enabled: bool | None = Field(
        None,
        description="Detect answering machines. Default: true with `amd`, or else `enabled` of "
        "your AMD settings.",
    )
    amd: AmdOptions | None = Field(
        None, description="Settings of the detection for this call, over yours."
    )
    metadata: Metadata = Field(
        default_factory=dict, description="Your own facts about the call, at most 8 KB of JSON."
    )
    timeout: int | None = Field(
        None,
        ge=5,
        le=300,
        description="Seconds to ring. Default: the setting ring_timeout_seconds.",
    )
    caller_name: CallerName | None = Field(None, description="Name shown beside the caller id.")
    on_answer: Destination | None = Field(
        None,
        description="What the call is connected with when it is answered. Without it the call "
        "waits for your commands.",
    )
