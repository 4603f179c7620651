"""A TCP proxy that can be cut: what a network between two parts may do to them."""

from typing import Any

import gevent
from gevent import socket
from gevent.server import StreamServer


class Proxy:
    """Forwards connections to `port` of 127.0.0.1. `cut` ends them and refuses new ones."""

    def __init__(self, target_port: int) -> None:
        self._target = ("127.0.0.1", target_port)
        self._sockets: set[Any] = set()
        self._server = self._listen(0)
        self.port: int = self._server.server_port

    def cut(self) -> None:
        self._server.stop(timeout=0)
        for each in self._sockets:
            each.shutdown(socket.SHUT_RDWR)

    def mend(self) -> None:
        self._server = self._listen(self.port)

    def _listen(self, port: int) -> StreamServer:
        server = StreamServer(("127.0.0.1", port), self._serve)
        server.reuse_addr = 1
        server.start()
        return server

    def _serve(self, near: Any, address: object) -> None:
        with socket.create_connection(self._target) as far:
            pair = {near, far}
            self._sockets |= pair
            try:
                ways = [gevent.spawn(_pass, near, far), gevent.spawn(_pass, far, near)]
                gevent.joinall(ways, count=1)
            finally:
                self._sockets -= pair
                gevent.killall(ways)


def _pass(source: Any, sink: Any) -> None:
    try:
        while data := source.recv(65536):
            sink.sendall(data)
    except OSError:
        return
