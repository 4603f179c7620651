"""What tenants use of models, and the limit of a month."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from sqlalchemy import func, select

from irisx.intelligence import config
from irisx.intelligence.chat import Tokens
from irisx.intelligence.errors import LimitReached
from irisx.intelligence.models import AiUsage
from irisx.kernel import clock
from irisx.kernel.db import transaction
from irisx.kernel.errors import IrisxError

#: Where a provider counts no tokens, so many characters stand for one in the monthly limit.
_CHARACTERS_A_TOKEN = 4


class Provider(Protocol):
    """Whatever is metered."""

    provider: str
    model: str


@dataclass
class Meter:
    """Filled while a model is used; written when the use ends."""

    tokens: Tokens | None = None
    characters_in: int = 0
    characters_out: int = 0
    audio_seconds: float | None = None
    error: str | None = None
    began: float = field(default_factory=time.monotonic)


@contextmanager
def metered(tenant_id: int, task: str, used: Provider) -> Iterator[Meter]:
    """Write a usage row at the end of the block, also of a use that failed or was broken off."""
    meter = Meter()
    try:
        yield meter
    except IrisxError as error:
        meter.error = error.code
        raise
    except GeneratorExit:
        meter.error = "ABANDONED"
        raise
    except BaseException as error:
        meter.error = type(error).__name__
        raise
    finally:
        with transaction() as session:
            session.add(
                AiUsage(
                    tenant_id=tenant_id,
                    task=task,
                    provider=used.provider,
                    model=used.model,
                    prompt_tokens=meter.tokens and meter.tokens.prompt,
                    completion_tokens=meter.tokens and meter.tokens.completion,
                    characters_in=meter.characters_in,
                    characters_out=meter.characters_out,
                    audio_seconds=meter.audio_seconds,
                    duration_ms=round((time.monotonic() - meter.began) * 1000),
                    error=meter.error,
                )
            )


def check_limit(tenant_id: int) -> None:
    """Raises LimitReached when the tenant has used up its tokens of this calendar month (UTC)."""
    limit = config.of(tenant_id).monthly_token_limit
    if limit is not None and (used := tokens_this_month(tenant_id)) >= limit:
        raise LimitReached(f"{used} of this month's {limit} AI tokens are used (ai config).")


def tokens_this_month(tenant_id: int) -> int:
    """Tokens of language models; estimated from characters where a provider counts none."""
    characters = AiUsage.characters_in + AiUsage.characters_out
    tokens = func.coalesce(
        AiUsage.prompt_tokens + AiUsage.completion_tokens, characters / _CHARACTERS_A_TOKEN
    )
    start = clock.now().replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    spent = select(func.coalesce(func.sum(tokens), 0)).where(
        AiUsage.tenant_id == tenant_id,
        AiUsage.created_at >= start,
        AiUsage.provider != "local",
    )
    with transaction() as session:
        return session.scalars(spent).one() or 0
