"""`GET /v1/events`: the tenant's events as they happen (server-sent events, WHATWG HTML §9.2)."""

import json
import re
from collections.abc import Iterator

from flask import Request, Response
from pydantic import Field
from sqlalchemy.exc import DBAPIError

from irisx.api.http import Router
from irisx.api.schemas import Query
from irisx.integration.webhooks.catalogue import EVENTS
from irisx.kernel.clock import isoformat
from irisx.kernel.errors import invalid
from irisx.kernel.event_stream import EventStream, EventStreams, Position, StreamedEvent
from irisx.kernel.ids import public_id
from irisx.kernel.logging import get_logger
from irisx.tenancy.access import Caller

log = get_logger(__name__)

router = Router("Events")

#: The streams of this process; the server stops them before it stops itself.
streams = EventStreams()

_EVENT_ID = re.compile(r"([0-9]{1,18})-([0-9]{1,18})\Z")


class EventsQuery(Query):
    types: str | None = Field(
        None,
        max_length=2000,
        description="Names of events, separated by commas; left out: all.",
        examples=["call.completed,call.failed"],
    )


@router.get("/v1/events", access="events:read", produces="text/event-stream")
def stream_events(caller: Caller, query: EventsQuery, request: Request) -> Response:
    """Stream events. With the header `Last-Event-ID` it goes on behind that event, else it begins
    now. It ends after five minutes at the latest; an EventSource resumes by itself."""
    position = _position(request.headers.get("Last-Event-ID"))
    stream = streams.open(caller.tenant_id, position, _types(query.types))
    response = Response(_text(stream), mimetype="text/event-stream")
    response.headers["X-Accel-Buffering"] = "no"
    response.call_on_close(stream.close)
    return response


def _text(events: EventStream) -> Iterator[str]:
    yield "retry: 1000\n\n"
    try:
        for event in events:
            yield ": keep-alive\n\n" if event is None else _message(event)
    except DBAPIError as error:
        log.warning("an event stream ends: the database is away", reason=str(error.orig))


def _message(event: StreamedEvent) -> str:
    body = {
        "id": public_id("evt", event.position.id),
        "type": event.type,
        "timestamp": isoformat(event.occurred_at),
        "data": event.data,
    }
    position = f"{event.position.xid}-{event.position.id}"
    # JSON in one line: a line break would end the field.
    return f"id: {position}\nevent: {event.type}\ndata: {json.dumps(body)}\n\n"


def _position(last_event_id: str | None) -> Position | None:
    if not last_event_id:
        return None
    match = _EVENT_ID.match(last_event_id)
    if match is None:
        raise invalid("Last-Event-ID", "is not an id of this stream")
    return Position(int(match[1]), int(match[2]))


def _types(text: str | None) -> list[str] | None:
    if text is None:
        return None
    types = [name.strip() for name in text.split(",")]
    for name in types:
        if name not in EVENTS:
            raise invalid("types", f"{name!r} is no event; GET /v1/webhooks/events lists them")
    return types
