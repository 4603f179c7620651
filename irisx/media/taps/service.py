"""The taps of the media process, served over Redis."""

import time
from collections.abc import Mapping

import gevent
from gevent.event import Event
from redis import RedisError

from irisx.kernel.logging import get_logger
from irisx.media.taps import messages
from irisx.media.taps.messages import RESTARTED, Report, Start, Tell
from irisx.media.taps.reader import MakeConsumer, Taps
from irisx.settings import get_settings

log = get_logger(__name__)

_BLOCK_SECONDS = 1.0
#: Reports that wait while Redis is away; the engine acts without those that are older.
_MOST_REPORTS = 10_000
_OLDEST_SECONDS = 30.0


class TapService:
    """Takes the engines' requests for the nodes that this process is beside, and reports back."""

    def __init__(self, consumers: Mapping[str, MakeConsumer]) -> None:
        settings = get_settings()
        self._nodes = settings.nodes
        self._directory = settings.taps_path
        self._taps = Taps(consumers, self._directory, self._tell)
        self._waiting: list[tuple[str, Report]] = []
        self._something_to_tell = Event()

    def run(self) -> None:
        """Serve until killed."""
        if not self._nodes:
            log.warning("taps.no_node", fix="set IRISX_ESL_URL to the switch that media is beside")
            return
        self._directory.mkdir(parents=True, exist_ok=True)
        for node in self._nodes:
            self._tell(node, Report("", "", "", RESTARTED, {}))
        loops = [self._taps.run, self._taps.forget_strangers, self._report]
        greenlets = [gevent.spawn(loop) for loop in loops]
        try:
            self._serve()
        finally:
            gevent.killall(greenlets)
            self._taps.end_all()
            self._send()

    def _serve(self) -> None:
        while True:
            try:
                messages.show_alive(self._nodes)
                request = messages.requests(self._nodes, _BLOCK_SECONDS)
            except RedisError as error:
                log.warning("redis is away; no taps", reason=str(error))
                gevent.sleep(_BLOCK_SECONDS)
                continue
            except (ValueError, KeyError, TypeError) as error:
                log.warning("not a request for a tap", reason=repr(error))
                continue
            if isinstance(request, Start):
                self._taps.start(request)
            elif isinstance(request, Tell):
                self._taps.tell(request)
            elif request is not None:
                self._taps.stop(request.id)

    def _tell(self, node: str, report: Report) -> None:
        self._waiting.append((node, report))
        self._something_to_tell.set()

    def _report(self) -> None:
        while True:
            self._something_to_tell.wait()
            if not self._send():
                gevent.sleep(_BLOCK_SECONDS)

    def _send(self) -> bool:
        """Tell the engines what waits; False if Redis is away."""
        oldest = time.time() - _OLDEST_SECONDS
        waiting = [each for each in self._waiting[-_MOST_REPORTS:] if each[1].at > oldest]
        self._waiting = []
        self._something_to_tell.clear()
        try:
            for node in {node for node, _ in waiting}:
                messages.report(node, [report for other, report in waiting if other == node])
        except RedisError as error:
            log.warning("redis is away; taps are not reported", reason=str(error))
            self._waiting = waiting + self._waiting
            self._something_to_tell.set()
            return False
        return True
