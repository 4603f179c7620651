"""docker-compose.yml: what can be checked of it without Docker."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from irisx.cli import irisx
from irisx.kernel.health import PARTS
from irisx.settings import Settings

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "docker-compose.yml").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]


def test_every_part_runs() -> None:
    commands = {service["command"][0] for service in SERVICES.values() if "build" in service}
    assert set(PARTS) < commands


@pytest.mark.parametrize("part", PARTS)
def test_a_part_is_a_command_and_waits_for_the_schema(part: str) -> None:
    assert part in irisx.list_commands(None)  # type: ignore[arg-type]
    assert "migrations" in SERVICES[part]["depends_on"]


def test_no_secret_has_a_default() -> None:
    for name, rest in re.findall(r"\$\{(\w*(?:PASSWORD|TOKEN|KEY)\w*)([^}]*)\}", TEXT):
        assert rest.startswith(":?"), name


def test_no_secret_is_written_down() -> None:
    for service in SERVICES.values():
        for name, value in service.get("environment", {}).items():
            if re.search("PASSWORD|TOKEN|KEY|AUTH", name):
                assert value.startswith("${"), name


def test_every_variable_of_irisx_is_a_setting() -> None:
    known = {f"IRISX_{name.upper()}" for name in Settings.model_fields}
    for name in SERVICES["engine"]["environment"]:
        assert name in known


def test_every_lasting_service_has_a_health_check() -> None:
    for name, service in SERVICES.items():
        assert "healthcheck" in service or service["restart"] == "no", name


def test_recordings_and_taps_have_one_path_in_the_switch_and_in_irisx() -> None:
    def shared(service: str) -> set[str]:
        mounts = SERVICES[service]["volumes"]
        return {mount for mount in mounts if mount.startswith(("recordings:", "taps:"))}

    assert len(shared("freeswitch")) == 2
    assert shared("freeswitch") == shared("engine") == shared("media") == shared("sandbox")


def test_every_volume_is_declared() -> None:
    for service in SERVICES.values():
        for mount in service.get("volumes", ()):
            source = mount.partition(":")[0]
            assert source.startswith("./") or source in COMPOSE["volumes"]


def test_what_is_mounted_from_here_exists() -> None:
    mounts = [mount for service in SERVICES.values() for mount in service.get("volumes", ())]
    for source in {mount.partition(":")[0] for mount in mounts if mount.startswith("./")}:
        assert (ROOT / source).is_dir()
