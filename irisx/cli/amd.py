"""irisx amd"""

import json
from pathlib import Path

import click

from irisx.media.amd.recordings import UnreadableRecording, classify, read
from irisx.media.amd.settings import AmdMode, Settings


@click.group()
def amd() -> None:
    """Answering-machine detection."""


@amd.command("classify")
@click.argument(
    "files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@click.option("--json", "as_json", is_flag=True, help="A JSON object a file, one a line.")
@click.option(
    "--mode",
    type=click.Choice([mode.value for mode in AmdMode]),
    default=AmdMode.BALANCED.value,
    show_default=True,
)
def classify_(files: tuple[Path, ...], as_json: bool, mode: str) -> None:
    """Say who or what took the call, from recordings that begin at the answer.

    WAV, FLAC and whatever else libsndfile reads, at any rate. A file that can't be read is
    reported in its place, the others are still done, and the exit code is 1.
    """
    settings = Settings.model_validate({"mode": mode})
    unreadable = 0
    for file in files:
        try:
            samples = read(file)
        except UnreadableRecording as error:
            unreadable += 1
            click.echo(json.dumps({"file": str(file), "error": str(error)}) if as_json else error)
            continue
        verdict = classify(samples, settings)
        row = {
            "file": str(file),
            "result": verdict.result,
            "cause": verdict.cause,
            "decided_at_ms": verdict.decided_at_ms,
            "beep_at_ms": verdict.beep_at_ms,
            "confidence": verdict.confidence,
        }
        click.echo(json.dumps(row) if as_json else _sentence(row))
    if unreadable:
        raise SystemExit(1)


def _sentence(row: dict[str, object]) -> str:
    beep = "" if row["beep_at_ms"] is None else f", beep at {row['beep_at_ms']} ms"
    return f"{row['file']}: {row['result']} ({row['cause']}) at {row['decided_at_ms']} ms{beep}"
