"""`python -m irisx.sandbox`: run the embedded switch.

Prints one line of JSON, `{"ready": true, "port": …, "sip": …}`, when it listens; SIGTERM ends it.
"""

import argparse
import asyncio
import ipaddress
import json
import logging
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from irisx.sandbox import api_calls  # noqa: F401  (registers the commands)
from irisx.sandbox.server import listen
from irisx.sandbox.switch import Settings, Switch

if TYPE_CHECKING:
    from irisx.sandbox.sip import SipEndpoint

log = logging.getLogger(__name__)


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def parse_arguments(arguments: list[str]) -> Settings:
    """Read the command line; exits with a message when it makes no sense."""
    parser = argparse.ArgumentParser(prog="irisx.sandbox", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 chooses a free one")
    parser.add_argument(
        "--password",
        default=os.environ.get("IRISX_SANDBOX_PASSWORD", ""),
        help="or IRISX_SANDBOX_PASSWORD, which `ps` doesn't show",
    )
    parser.add_argument(
        "--recordings",
        type=Path,
        action="append",
        default=[],
        help="a directory below which files may be written; may be given again",
    )
    parser.add_argument("--speed", type=float, default=1.0, help="run N times faster")
    parser.add_argument("--sip", default="", metavar="HOST:PORT", help="take and place SIP calls")
    parser.add_argument(
        "--allow-remote", action="store_true", help="listen on an address that isn't loopback"
    )
    options = parser.parse_args(arguments)
    if not options.password:
        parser.error("a password is needed")
    if not is_loopback(options.host) and not options.allow_remote:
        parser.error(f"{options.host} is not loopback; this needs --allow-remote")
    if options.sip and options.speed != 1:
        parser.error("real SIP calls need --speed 1")
    if options.speed <= 0:
        parser.error("--speed must be positive")
    return Settings(
        host=options.host,
        port=options.port,
        password=options.password,
        writable=tuple(path.resolve() for path in options.recordings),
        speed=options.speed,
        sip=options.sip,
    )


async def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT."""
    switch = Switch(settings)
    switch.start()
    switch.sip = await open_sip(switch)
    server = await listen(switch)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    port = server.sockets[0].getsockname()[1]
    said = {"ready": True, "port": port, "sip": settings.sip if switch.sip else None}
    sys.stdout.write(json.dumps(said) + "\n")
    sys.stdout.flush()
    await stop.wait()
    server.close()
    if switch.sip is not None:
        await switch.sip.close()


async def open_sip(switch: Switch) -> "SipEndpoint | None":
    """Real SIP, where it was asked for and the platform has the wheel of baresip."""
    if not switch.settings.sip:
        return None
    try:
        from irisx.sandbox.sip import open_endpoint
    except ImportError as error:
        log.warning("no SIP calls: baresip-python can't be imported (%s)", error)
        return None
    return await open_endpoint(switch, switch.settings.sip)


def main() -> None:
    logging.basicConfig(stream=sys.stderr, level=os.environ.get("IRISX_LOG_LEVEL", "WARNING"))
    asyncio.run(run(parse_arguments(sys.argv[1:])))


if __name__ == "__main__":
    main()
