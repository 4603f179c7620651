"""The API's process: gevent's WSGI server on the Flask application."""

import signal

import gevent
import structlog
from gevent.pool import Pool
from gevent.pywsgi import WSGIHandler, WSGIServer
from psycogreen.gevent import patch_psycopg

from irisx.api.app import create_app
from irisx.kernel.health import announce_ready
from irisx.settings import get_settings
from irisx.tenancy import nodes

log = structlog.get_logger(__name__)

#: Connections served at one time; further ones wait to be accepted.
_MAX_CONNECTIONS = 1000
#: A client has so long to send its request's line and headers, and its body, each read.
_READ_SECONDS = 30.0
#: On SIGTERM requests under way have so long to end.
_GRACE_SECONDS = 2.0


class _Handler(WSGIHandler):  # type: ignore[misc]
    """A connection whose client is silent is closed: it would hold a place for ever."""

    def handle(self) -> None:
        self.socket.settimeout(_READ_SECONDS)
        super().handle()


def main() -> None:
    """Serve until SIGTERM or SIGINT. Raises OSError if the port is taken."""
    patch_psycopg()
    settings = get_settings()
    server = WSGIServer(
        (settings.host, settings.port),
        create_app(),
        handler_class=_Handler,
        spawn=Pool(_MAX_CONNECTIONS),
        log=None,
        environ={"wsgi.multithread": True},
    )
    server.stop_timeout = _GRACE_SECONDS
    for number in (signal.SIGTERM, signal.SIGINT):
        gevent.signal_handler(number, server.stop)
    server.start()
    announce_ready("api")
    nodes.publish_draining()
    log.info("the API listens", host=settings.host, port=server.server_port)
    server.serve_forever()
