"""CPU per event of IRISX (Connection, Decoder, Event, Dispatcher) ÷ that of bare greenswitch.

Both read the same stream over TCP: `esl-capture.gz`, five answered SIP calls (two legs each, an
IVR of two prompts, DTMF) as FreeSWITCH 1.10.12 sent them, repeated. Both read the same headers of
every event. Each run is a process of its own, the two take turns, and only the reader's CPU is
counted (user and system), from the first byte to the last event handled.
"""

import gzip
import logging
import os
import platform
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import structlog
from gevent.event import Event
from greenswitch.esl import InboundESL

from irisx.telephony.esl.connection import Connection
from irisx.telephony.esl.dispatch import Dispatcher

CAPTURE = Path(__file__).with_name("esl-capture.gz")
# What the call state machines look at in an event.
HEADERS = (
    "Event-Name",
    "Event-Date-Timestamp",
    "Unique-ID",
    "Channel-Call-UUID",
    "Channel-State",
    "Answer-State",
    "Hangup-Cause",
    "Application-UUID",
    "variable_irisx_call_id",
    "variable_irisx_tenant_id",
)


def main() -> None:
    if sys.argv[1:2] in (["irisx"], ["greenswitch"]):
        consume(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
        return
    events = int(sys.argv[1]) if sys.argv[1:] else 10_000
    runs = int(sys.argv[2]) if sys.argv[2:] else 7
    capture = gzip.decompress(CAPTURE.read_bytes())
    per_capture = capture.count(b"Content-Type: text/event-plain\n")
    repeats = max(1, events // per_capture)
    load_before = os.getloadavg()[0]
    spent: dict[str, list[float]] = {"greenswitch": [], "irisx": []}
    for _ in range(runs):
        for who, seconds in spent.items():
            seconds.append(serve(who, capture, repeats, per_capture * repeats))
    median = {who: statistics.median(seconds) * 1e6 for who, seconds in spent.items()}
    print(
        f"Event Socket: CPU per event, median of {runs} interleaved runs of "
        f"{per_capture * repeats} events, {len(capture) / per_capture:.0f} bytes each on average"
    )
    for who, seconds in spent.items():
        low, high = min(seconds) * 1e6, max(seconds) * 1e6
        print(f"  {who:12} {median[who]:7.1f} µs   ({low:.1f} to {high:.1f})")
    print(f"  ratio        {median['irisx'] / median['greenswitch']:7.2f}      (at most 1.0)")
    print(
        f"box: {os.cpu_count()} CPUs, {platform.machine()}, Python {platform.python_version()}, "
        f"load {load_before:.2f} before, {os.getloadavg()[0]:.2f} after"
    )


def serve(who: str, capture: bytes, repeats: int, events: int) -> float:
    """Seconds of CPU per event that one reader took."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        command = [sys.executable, "-m", __spec__.name, who, str(port), str(events)]
        reader = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        connection, _ = server.accept()
        with connection:
            feed(connection, capture, repeats)
            output, _ = reader.communicate(timeout=300)
    if reader.returncode:
        raise SystemExit(f"{who} failed")
    return float(output) / events


def feed(connection: socket.socket, capture: bytes, repeats: int) -> None:
    """Greet, answer every command +OK, and send the stream once the reader subscribed."""
    connection.sendall(b"Content-Type: auth/request\n\n")
    commands = connection.makefile("rb")
    for line in iter(commands.readline, b""):
        if line != b"\n":
            connection.sendall(b"Content-Type: command/reply\nReply-Text: +OK accepted\n\n")
        if line.startswith(b"event plain"):
            break
    for _ in range(repeats):
        connection.sendall(capture)


def consume(who: str, port: int, events: int) -> None:
    """Handle that many events, print the seconds of CPU that it took, and end."""
    done = Event()
    left = events

    def handle(get: Callable[[str], str | None]) -> None:
        nonlocal left
        for name in HEADERS:
            get(name)
        left -= 1
        if not left:
            done.set()

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    started = time.process_time()
    if who == "irisx":
        dispatcher = Dispatcher(lambda event: handle(event.get), lambda event: event.uuid)
        Connection(f"esl://:x@127.0.0.1:{port}", dispatcher.dispatch).start()
    else:
        bare = InboundESL("127.0.0.1", port, "x")
        bare.register_handle("*", lambda event: handle(event.headers.get))
        bare.connect()
        bare.send("event plain ALL")
    if not done.wait(240):
        raise SystemExit(f"{who}: {left} of {events} events are missing")
    print(time.process_time() - started, flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
