"""The parts of the process group, each as a command of its own."""

import sys
from pkgutil import resolve_name

import click

from irisx.kernel import logging, metrics


def _part(name: str, entry: str, help: str) -> click.Command:
    def run() -> None:
        logging.setup(name)
        metrics.setup(name)  # before the rooms that declare metrics are imported
        sys.exit(resolve_name(entry)())

    return click.Command(name, callback=run, help=help)


engine = _part("engine", "irisx.telephony.engine:main", "Run the engine: it holds the live calls.")
media = _part("media", "irisx.cli.media:main", "Run media: speech and audio analysis.")
worker = _part("worker", "irisx.cli.worker:main", "Run the worker: deliveries and schedules.")
api = _part("api", "irisx.api.server:main", "Run the API.")
