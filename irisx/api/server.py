"""The API's process: gevent's WSGI server on the Flask application."""

import signal
import socket
from contextlib import suppress
from typing import ClassVar

import gevent
from gevent.pool import Pool
from gevent.pywsgi import WSGIHandler, WSGIServer

from irisx.api.app import create_app
from irisx.api.v1 import events
from irisx.kernel.health import announce_ready
from irisx.kernel.logging import get_logger
from irisx.settings import get_settings
from irisx.tenancy import nodes

log = get_logger(__name__)

#: Connections served at one time; further ones wait to be accepted.
_MAX_CONNECTIONS = 1000
#: A connection without a request is kept open for so long.
_IDLE_SECONDS = 75.0
#: A client has so long to send its headers, and for each read or write after them.
_CLIENT_SECONDS = 20.0
#: On SIGTERM requests under way have so long to end.
_GRACE_SECONDS = 1.5


class _Handler(WSGIHandler):  # type: ignore[misc]
    """A client that is silent, or sends a byte now and then, does not hold a place for ever."""

    #: Connections between two requests.
    idle: ClassVar[set[socket.socket]] = set()

    def handle(self) -> None:
        self.socket.settimeout(_CLIENT_SECONDS)
        # Headers and body are two writes: the second would wait 40 ms for the client's ACK.
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super().handle()

    def read_requestline(self) -> str:
        self.idle.add(self.socket)
        try:
            with gevent.Timeout(_IDLE_SECONDS, TimeoutError):
                return str(super().read_requestline())
        finally:
            self.idle.discard(self.socket)

    def read_request(self, raw_requestline: str) -> bool:
        with gevent.Timeout(_CLIENT_SECONDS, TimeoutError):
            return bool(super().read_request(raw_requestline))


def main() -> None:
    """Serve until SIGTERM or SIGINT. Raises OSError if the port is taken."""
    settings = get_settings()
    server = WSGIServer(
        (settings.host, settings.port),
        create_app(),
        handler_class=_Handler,
        spawn=Pool(_MAX_CONNECTIONS),
        log=None,
    )
    server.stop_timeout = _GRACE_SECONDS

    def stop() -> None:
        events.streams.stop()  # they would last longer than the grace
        for connection in list(_Handler.idle):
            with suppress(OSError):  # its client has gone
                connection.shutdown(socket.SHUT_RD)
        server.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        gevent.signal_handler(number, stop)
    server.start()
    nodes.publish_draining()
    announce_ready("api")
    log.info("the API listens", host=settings.host, port=server.server_port)
    server.serve_forever()
    log.info("the API has stopped")
