"""A local server that speaks the OpenAI-style interface, scripted by a test.

Chat with server-sent events and tool calls, embeddings, transcriptions.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import gevent
from gevent.pywsgi import WSGIServer

JSON = {"Content-Type": "application/json"}


@dataclass
class Turn:
    """What the model says to one chat request: pieces of text, then tool calls.

    `pause`: seconds before each piece. `cut`: the connection ends before the answer does.
    """

    pieces: list[str] = field(default_factory=list)
    tools: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    pause: float = 0.0
    cut: bool = False
    status: int = 200
    body: bytes = b""
    usage: bool = True


@dataclass
class OpenAiServer:
    """`url` is the base URL; `asked` what it was sent: path, headers, JSON body or bytes."""

    chat: Callable[[dict[str, Any]], Turn]
    transcript: dict[str, Any] = field(default_factory=dict)
    port: int = 0
    asked: list[tuple[str, dict[str, str], Any]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def bodies(self, path: str) -> list[Any]:
        return [body for asked, _, body in self.asked if asked == path]

    def __call__(self, environ, start_response):  # type: ignore[no-untyped-def]
        path = environ["PATH_INFO"].removeprefix("/v1")
        raw = environ["wsgi.input"].read()
        body = json.loads(raw) if environ["CONTENT_TYPE"] == "application/json" else raw
        headers = {"authorization": environ.get("HTTP_AUTHORIZATION", "")}
        self.asked.append((path, headers, body))
        if path == "/chat/completions":
            return self._chat(body, start_response)
        answer = {"/embeddings": self._embeddings, "/audio/transcriptions": self._transcript}
        start_response("200 OK", list(JSON.items()))
        return [json.dumps(answer[path](body)).encode()]

    def _chat(self, body: dict[str, Any], start_response: Any) -> Iterator[bytes] | list[bytes]:
        turn = self.chat(body)
        if turn.status != 200:
            start_response(f"{turn.status} Refused", list(JSON.items()))
            return [turn.body]
        start_response("200 OK", [("Content-Type", "text/event-stream")])
        return self._events(turn)

    @staticmethod
    def _events(turn: Turn) -> Iterator[bytes]:
        def event(delta: dict[str, Any], finish: str | None = None) -> bytes:
            choice = {"index": 0, "delta": delta, "finish_reason": finish}
            return f"data: {json.dumps({'choices': [choice]})}\n\n".encode()

        yield b": hello\n\n"
        yield event({"role": "assistant"})
        for piece in turn.pieces:
            gevent.sleep(turn.pause)
            yield event({"content": piece})
        if turn.cut:
            return
        for index, (name, arguments) in enumerate(turn.tools):
            text = json.dumps(arguments)
            begun = {"name": name, "arguments": text[:3]}
            yield event({"tool_calls": [{"index": index, "id": f"c{index}", "function": begun}]})
            rest = {"arguments": text[3:]}
            yield event({"tool_calls": [{"index": index, "function": rest}]})
        yield event({}, "tool_calls" if turn.tools else "stop")
        if turn.usage:
            used = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
            yield f"data: {json.dumps({'choices': [], 'usage': used})}\n\n".encode()
        yield b"data: [DONE]\n\n"

    @staticmethod
    def _embeddings(body: dict[str, Any]) -> dict[str, Any]:
        """Vectors of letters: texts that share letters are near each other."""
        rows = [
            {"index": i, "embedding": [1.0 + text.lower().count(c) for c in "abcdefghijklmnop"]}
            for i, text in enumerate(body["input"])
        ]
        return {"data": rows[::-1], "usage": {"prompt_tokens": 3, "total_tokens": 3}}

    def _transcript(self, body: bytes) -> dict[str, Any]:
        return self.transcript


@contextmanager
def openai_server(chat: Callable[[dict[str, Any]], Turn] | Turn) -> Iterator[OpenAiServer]:
    """A server on a free port, until the end of the block."""
    model = OpenAiServer(chat if callable(chat) else lambda body: chat)
    server = WSGIServer(("127.0.0.1", 0), model, log=None, error_log=None)
    server.start()
    model.port = server.server_port
    try:
        yield model
    finally:
        server.stop(timeout=0)
