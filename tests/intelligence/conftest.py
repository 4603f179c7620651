"""Settings of AI providers for a test."""

from collections.abc import Callable, Iterator

import pytest

from irisx.settings import get_settings


@pytest.fixture
def configure(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """`configure(ai_base_url=server.url)` sets IRISX_AI_BASE_URL for the rest of the test."""

    def set_values(**values: object) -> None:
        for name, value in values.items():
            monkeypatch.setenv(f"IRISX_{name.upper()}", str(value))
        get_settings.cache_clear()

    yield set_values
    monkeypatch.undo()
    get_settings.cache_clear()
