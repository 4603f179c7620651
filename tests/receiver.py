"""A real HTTP server on loopback that answers as a test says and keeps what it was sent."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import gevent
from gevent.pywsgi import WSGIServer


@dataclass(frozen=True)
class Received:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    query: str = ""


@dataclass
class Answer:
    status: int = 204
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    after: float = 0.0


@dataclass
class Receiver:
    """`answer` decides by request; `port` is where it listens, `url` its root."""

    answer: Callable[[Received], Answer]
    port: int = 0
    received: list[Received] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __call__(self, environ, start_response):  # type: ignore[no-untyped-def]
        request = Received(
            environ["REQUEST_METHOD"],
            environ["PATH_INFO"],
            {
                name[5:].replace("_", "-").lower(): value
                for name, value in environ.items()
                if name.startswith("HTTP_")
            },
            environ["wsgi.input"].read(),
            environ["QUERY_STRING"],
        )
        self.received.append(request)
        answer = self.answer(request)
        gevent.sleep(answer.after)
        start_response(f"{answer.status} Scripted", list(answer.headers.items()))
        return [answer.body]


@contextmanager
def receiving(
    answer: Callable[[Received], Answer] = lambda request: Answer(),
) -> Iterator[Receiver]:
    """A receiver on a free port, until the end of the block."""
    receiver = Receiver(answer)
    server = WSGIServer(("127.0.0.1", 0), receiver, log=None, error_log=None)
    server.start()
    receiver.port = server.server_port
    try:
        yield receiver
    finally:
        server.stop(timeout=0)
