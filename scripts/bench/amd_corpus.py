"""A folder of labelled recordings, and the statistics of a few hundred of them."""

import csv
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from irisx.media.amd.frames import Samples
from irisx.media.amd.recordings import read


@dataclass(frozen=True)
class Clip:
    """A recording that begins at the answer; times in ms from there."""

    file: str
    label: str
    voice: str
    text: str
    speech_at: int | None
    beep_at: int | None
    samples: Samples


def clips(folder: Path) -> Iterator[Clip]:
    """The recordings of `labels.csv`. Columns beside `file` and `label` may be missing."""
    with (folder / "labels.csv").open(newline="") as table:
        for row in csv.DictReader(table):
            yield Clip(
                file=row["file"],
                label=row["label"],
                voice=f"{row.get('engine', '')} {row.get('voice', '')}",
                text=row.get("text") or row["file"],
                speech_at=_ms(row.get("speech_start_s")),
                beep_at=_ms(row.get("beep_start_s")),
                samples=read(folder / row["file"]),
            )


def _ms(seconds: str | None) -> int | None:
    return round(float(seconds) * 1000) if seconds else None


def wilson(hits: int, of: int) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson 1927)."""
    if not of:
        return 0.0, 1.0
    z = 1.96
    share = hits / of
    middle = (share + z * z / (2 * of)) / (1 + z * z / of)
    half = z * math.sqrt(share * (1 - share) / of + z * z / (4 * of * of)) / (1 + z * z / of)
    return max(0.0, middle - half), min(1.0, middle + half)


def share(hits: int, of: int) -> str:
    low, high = wilson(hits, of)
    return f"{hits}/{of} = {hits / of if of else 0:.3f} [{low:.3f}, {high:.3f}]"
