"""A server that speaks what IRISX uses of WAHA: sessions, sending, files."""

import hashlib
import hmac
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.graph_server import answered
from tests.receiver import Answer, Received, Receiver, receiving

KEY = "the-api-key"
HMAC_KEY = "the-webhook-hmac-key"
PNG = b"\x89PNG\r\n\x1a\nqr"
ME = {"id": "15550001000@c.us", "pushName": "Acme"}


@dataclass
class Waha:
    """`sessions`: name -> status and config. `sent`: operation and body. `files`: by path."""

    receiver: Receiver = field(init=False)
    sessions: dict[str, dict[str, Any]] = field(default_factory=dict)
    sent: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return self.receiver.url

    def is_now(self, status: str, name: str = "default") -> None:
        self.sessions[name]["status"] = status

    def event(self, kind: str, payload: dict[str, Any]) -> tuple[bytes, dict[str, str]]:
        """A webhook call's body and headers, signed with the key that the session was given."""
        (webhook,) = self.sessions["default"]["config"]["webhooks"]
        assert kind in webhook["events"]
        body = json.dumps({"event": kind, "session": "default", "payload": payload}).encode()
        mac = hmac.new(webhook["hmac"]["key"].encode(), body, hashlib.sha512).hexdigest()
        return body, {"X-Webhook-Hmac": mac, "X-Webhook-Hmac-Algorithm": "sha512"}

    def answer(self, request: Received) -> Answer:
        if request.headers.get("x-api-key") != KEY:
            return answered({"message": "Unauthorized", "statusCode": 401}, 401)
        match request.path.strip("/").split("/"):
            case ["api", "sessions"]:
                new = json.loads(request.body)
                status = "SCAN_QR_CODE" if new["start"] else "STOPPED"
                self.sessions[new["name"]] = new | {"status": status, "me": None}
                return answered(new, 201)
            case ["api", "sessions", name, *verb]:
                return self._session(request, name, *verb)
            case ["api", name, "auth", "qr"]:
                if self.sessions[name]["status"] != "SCAN_QR_CODE":
                    return self._not(name, "SCAN_QR_CODE")
                if "raw" in request.query:
                    return answered({"value": "2@secret"})
                return Answer(200, {"Content-Type": "image/png"}, PNG)
            case ["api", "files", *_] if request.path in self.files:
                return Answer(200, {}, self.files[request.path])
            case ["api", operation] if operation.startswith("send"):
                return self._send(operation, json.loads(request.body))
        return answered({"message": "Not Found", "statusCode": 404}, 404)

    def _session(self, request: Received, name: str, verb: str = "") -> Answer:
        session = self.sessions.get(name)
        if session is None:
            return answered({"message": "Session not found", "statusCode": 404}, 404)
        if verb in ("start", "restart"):
            session["status"] = "WORKING" if session["me"] else "SCAN_QR_CODE"
        elif verb in ("stop", "logout"):
            session["status"] = "STOPPED"
            session["me"] = None if verb == "logout" else session["me"]
        elif request.method == "PUT":
            session |= json.loads(request.body)
        return answered(session, 201 if verb else 200)

    def scan(self, name: str = "default") -> None:
        self.sessions[name] |= {"status": "WORKING", "me": ME}

    def _send(self, operation: str, body: dict[str, Any]) -> Answer:
        if self.sessions.get(body["session"], {}).get("status") != "WORKING":
            return self._not(body["session"], "WORKING")
        self.sent.append((operation, body))
        number = len(self.sent)
        return answered({"id": {"_serialized": f"true_{body['chatId']}_{number}"}}, 201)

    def _not(self, name: str, expected: str) -> Answer:
        status = self.sessions.get(name, {}).get("status", "STOPPED")
        said = {"error": "Session status is not as expected.", "status": status}
        return answered(said | {"session": name, "expected": [expected]}, 422)


@contextmanager
def waha() -> Iterator[Waha]:
    """A running server without sessions."""
    server = Waha()
    with receiving(server.answer) as receiver:
        server.receiver = receiver
        yield server
