"""The parts of the process group, each as a command of its own."""

import sys
from pkgutil import resolve_name

import click

from irisx.kernel import logging, metrics


def _part(name: str, entry: str, help: str) -> click.Command:
    def run(spare: bool) -> None:
        logging.setup(name)
        # Before the rooms that declare metrics are imported.
        metrics.setup(f"{name}-spare" if spare else name)
        main = resolve_name(entry)
        if spare:
            if not sys.stdin.readline():
                return  # nobody is left who could need it
            metrics.setup(name)
        sys.exit(main())

    option = click.Option(
        ["--spare"],
        is_flag=True,
        help="Load everything, and begin when a line comes on standard input.",
    )
    return click.Command(name, callback=run, params=[option], help=help)


engine = _part("engine", "irisx.telephony.engine:main", "Run the engine: it holds the live calls.")
media = _part("media", "irisx.cli.media:main", "Run media: speech and audio analysis.")
worker = _part("worker", "irisx.cli.worker:main", "Run the worker: deliveries and schedules.")
api = _part("api", "irisx.api.server:main", "Run the API.")
