"""The installation in the home directory: its secrets, and how a command joins one that runs."""

import json
import os
import secrets
from pathlib import Path

from irisx.kernel.embedded import HomeInUse, home_lock
from irisx.settings import get_settings

#: Settings that are secrets, and the file of the home directory where a generated one is kept.
#: scripts/freeswitch reads and makes the same file for the token.
_SECRETS = {
    "IRISX_SECRET_KEY": "secret-key",
    "IRISX_XML_TOKEN": "xml-token",
    "IRISX_ADMIN_TOKEN": "admin-token",
}


def make_home(home: Path) -> None:
    """Create the home directory; nobody else may list it."""
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name in ("log", "run", "recordings"):
        (home / name).mkdir(exist_ok=True)


def write_private(path: Path, text: str) -> None:
    """Replace a file that only this user may read."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.touch(mode=0o600)
    fresh.write_text(text)
    fresh.replace(path)


def secret_settings(home: Path) -> dict[str, str]:
    """The secrets of this installation: from the environment, else kept in (or made into) home."""
    return {name: os.environ.get(name) or _kept(home / file) for name, file in _SECRETS.items()}


def publish(home: Path, settings: dict[str, str]) -> None:
    """Let commands on this home join: what `irisx up` set for its parts."""
    write_private(_published(home), json.dumps(settings))


def join() -> None:
    """Take the settings of the `irisx up` that runs on this home, where none are given."""
    home = get_settings().home
    if not _published(home).exists() or not _runs(home):
        return
    for name, value in json.loads(_published(home).read_text()).items():
        os.environ.setdefault(name, value)
    get_settings.cache_clear()


def _runs(home: Path) -> bool:
    try:
        with home_lock(home):
            return False
    except HomeInUse:
        return True


def _published(home: Path) -> Path:
    return home / "run" / "settings.json"


def _kept(path: Path) -> str:
    if not path.exists():
        write_private(path, secrets.token_urlsafe(32))
    return path.read_text().strip()
