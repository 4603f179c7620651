"""A server that speaks what IRISX uses of Meta's Graph API: templates and media of one account."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from tests.receiver import Answer, Received, Receiver, receiving

TOKEN = "the-access-token"
BUSINESS = "2001"


def answered(body: Any, status: int = 200) -> Answer:
    return Answer(status, {"Content-Type": "application/json"}, json.dumps(body).encode())


def error(code: int, message: str, status: int = 400, subcode: int = 0) -> Answer:
    said = {"code": code, "message": message, "error_subcode": subcode, "type": "OAuthException"}
    return answered({"error": said}, status)


@dataclass
class Graph:
    """`templates`: as Meta has them. `media`: content type and bytes by id. `broken`: answered to
    everything, if it is set."""

    receiver: Receiver = field(init=False)
    templates: list[dict[str, Any]] = field(default_factory=list)
    media: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    broken: Answer | None = None
    page_size: int = 2

    @property
    def url(self) -> str:
        return self.receiver.url

    def answer(self, request: Received) -> Answer:
        if self.broken is not None:
            return self.broken
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            return error(190, "Invalid OAuth access token", 401)
        query = dict(parse_qsl(request.query))
        if request.path == f"/v25.0/{BUSINESS}/message_templates":
            return getattr(self, f"_{request.method.lower()}_templates")(request, query)
        if request.path == "/v25.0/1065/media":
            return self._post_media(request)
        number = request.path.rpartition("/")[2]
        if number not in self.media:
            return error(100, "Object does not exist", 404, 33)
        if request.path == f"/files/{number}":
            return Answer(200, {}, self.media[number][1])
        if request.method == "DELETE":
            del self.media[number]
            return answered({"success": True})
        content_type, data = self.media[number]
        about = {"id": number, "mime_type": content_type, "file_size": len(data)}
        return answered(about | {"url": f"{self.url}/files/{number}"})

    def _post_media(self, request: Received) -> Answer:
        """A multipart body (RFC 7578): its last part is the file."""
        boundary = request.body.partition(b"\r\n")[0]
        *_, part, _end = request.body.split(b"\r\n" + boundary)
        head, _, data = part.partition(b"\r\n\r\n")
        number = str(7000 + len(self.media))
        self.media[number] = head.rpartition(b"Content-Type: ")[2].decode(), data
        return answered({"id": number})

    def add(self, name: str, language: str = "en", status: str = "APPROVED", **more: Any) -> str:
        number = str(9000 + len(self.templates))
        body = {"type": "BODY", "text": "Hello {{1}}, order {{2}}."}
        known = {"id": number, "name": name, "language": language, "status": status}
        self.templates.append(known | {"category": "UTILITY", "components": [body]} | more)
        return number

    def _get_templates(self, request: Received, query: dict[str, str]) -> Answer:
        start = int(query.get("after", "0"))
        end = start + self.page_size
        paging: dict[str, Any] = {"cursors": {"before": str(start), "after": str(end)}}
        if end < len(self.templates):
            paging["next"] = "http://192.0.2.1/never-followed"
        return answered({"data": self.templates[start:end], "paging": paging})

    def _post_templates(self, request: Received, query: dict[str, str]) -> Answer:
        new = json.loads(request.body)
        if any(
            (t["name"], t["language"]) == (new["name"], new["language"]) for t in self.templates
        ):
            return error(100, "Content in this language already exists", 400, 2388024)
        if new["name"] == "refused":
            return error(100, f"Invalid parameter of {TOKEN}", 400, 2388299)
        number = self.add(**new, status="PENDING")
        return answered({"id": number, "status": "PENDING", "category": new["category"]})

    def _delete_templates(self, request: Received, query: dict[str, str]) -> Answer:
        kept = [t for t in self.templates if t["id"] != query["hsm_id"]]
        if len(kept) == len(self.templates):
            return error(100, "Message Template Not Found", 404, 2593002)
        self.templates = kept
        return answered({"success": True})


@contextmanager
def graph() -> Iterator[Graph]:
    """A running server with nothing in it."""
    server = Graph()
    with receiving(server.answer) as receiver:
        server.receiver = receiver
        yield server
