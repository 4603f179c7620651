"""Metrics of several processes shown as one."""

import os
import subprocess
import sys
from pathlib import Path

from irisx.kernel import metrics

_COUNT = """
from irisx.kernel import metrics
metrics.setup({part!r})
from prometheus_client import Counter, Gauge
Counter("irisx_jobs", "Jobs.").inc({count})
Gauge("irisx_live", "Live.", multiprocess_mode="livesum").{gauge}
"""
_SHOW = """
from irisx.kernel import metrics
metrics.setup("api")
print(metrics.render()[0].decode())
"""


def _run(code: str, home: Path) -> str:
    env = os.environ | {"IRISX_HOME": str(home)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, check=True, capture_output=True, text=True
    )
    return done.stdout


def test_one_page_shows_every_part_across_restarts(tmp_path: Path) -> None:
    _run(_COUNT.format(part="engine", count=2, gauge="set(5)"), tmp_path)
    _run(_COUNT.format(part="worker", count=3, gauge="set(2)"), tmp_path)
    page = _run(_SHOW, tmp_path)
    assert "irisx_jobs_total 5.0" in page
    assert "irisx_live 7.0" in page

    _run(_COUNT.format(part="engine", count=1, gauge="inc(1)"), tmp_path)
    page = _run(_SHOW, tmp_path)
    assert "irisx_jobs_total 6.0" in page
    assert "irisx_live 3.0" in page


def test_a_new_run_starts_at_zero(tmp_path: Path) -> None:
    _run(_COUNT.format(part="engine", count=2, gauge="set(5)"), tmp_path)
    metrics.clear(tmp_path)
    assert "irisx_jobs_total" not in _run(_SHOW, tmp_path)
