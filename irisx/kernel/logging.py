"""Structured logs: one JSON object a line, with the request id or call sid it belongs to.

`structlog.contextvars.bound_contextvars(request_id=…)` adds context to every line inside it.
Lines of libraries that use the standard library's logging take the same way.
"""

import logging
import re
import sys
from logging.handlers import RotatingFileHandler
from types import TracebackType
from typing import Any

import structlog
from structlog.stdlib import BoundLogger, ProcessorFormatter
from structlog.typing import EventDict, Processor, WrappedLogger

from irisx.settings import get_settings

_FILE_BYTES = 10_000_000
_FILES_KEPT = 5

HIDDEN = "[hidden]"
_SECRET_NAME = re.compile(
    r"password|secret|token|authorization|cookie|api_?key|signature|private_key", re.IGNORECASE
)
_SECRET_TEXT = re.compile(
    r"(?P<header>\b(?:Bearer|Basic)\s+)[^\s\"',]+"
    r"|(?P<url>://[^\s/:@]*:)[^\s/@]+(?=@)"
    r"|\b(?:irx_(?:live|test|admin)|whsec)_[\w-]+",
    re.IGNORECASE,
)
_EXCEPTION = re.compile(r"^[\w.]+(?:: .*)?$", re.MULTILINE)  # "KeyError: 'x'", after its trace
_NOISY = ("urllib3", "botocore", "s3transfer", "alembic")


def get_logger(name: str) -> BoundLogger:
    """The logger of a module."""
    logger: BoundLogger = structlog.stdlib.get_logger(name)
    return logger


def setup(part: str) -> None:
    """Send this process's log lines where the settings say.

    With `IRISX_LOG_DIR` to a rotated file `<part>.log` there, and warnings to standard error too;
    without it to standard output.
    """
    settings = get_settings()
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        redact,
    ]
    structlog.configure(
        processors=[*shared, ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=BoundLogger,
        cache_logger_on_first_use=True,
    )
    machines = structlog.processors.JSONRenderer(default=str)
    people = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    root = logging.getLogger()
    root.handlers.clear()
    root.setLevel(settings.log_level.upper())
    if settings.log_dir is None:
        renderer = machines if settings.log_json else people
        _add(logging.StreamHandler(sys.stdout), _formatter(shared, renderer))
    else:
        settings.log_dir.mkdir(parents=True, exist_ok=True)
        path = settings.log_dir / f"{part}.log"
        file = RotatingFileHandler(path, maxBytes=_FILE_BYTES, backupCount=_FILES_KEPT)
        _add(file, _formatter(shared, machines))
        _add(
            logging.StreamHandler(sys.stderr),
            _formatter(shared, _without_trace, people),
            logging.WARNING,
        )
    for name in _NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)
    sys.excepthook = _log_crash


def redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Hide what is named as a secret, at any depth, and what looks like one inside text."""
    return {key: _hide(key, value) for key, value in event.items()}


def without_secrets(text: str) -> str:
    """The text with API keys, and with the credentials of headers and URLs, hidden."""
    return _SECRET_TEXT.sub(lambda found: f"{found['header'] or found['url'] or ''}{HIDDEN}", text)


def _hide(name: object, value: Any) -> Any:
    if isinstance(name, str) and _SECRET_NAME.search(name) and value is not None:
        return HIDDEN
    if isinstance(value, str):
        return without_secrets(value)
    if isinstance(value, dict):
        return {key: _hide(key, item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_hide(None, item) for item in value]
    return value


def _without_trace(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """The terminal shows what an exception says; the file has the whole of it."""
    trace = event.pop("exception", None)
    if trace is not None:
        event["error"] = (_EXCEPTION.findall(trace) or [trace])[-1]
    return event


def _formatter(shared: list[Processor], *own: Processor) -> ProcessorFormatter:
    return ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[ProcessorFormatter.remove_processors_meta, *own],
    )


def _add(
    handler: logging.Handler, formatter: logging.Formatter, level: int = logging.NOTSET
) -> None:
    handler.setFormatter(formatter)
    handler.setLevel(level)
    logging.getLogger().addHandler(handler)


def _log_crash(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
        return
    get_logger(__name__).critical("the process ends on an error", exc_info=(kind, error, trace))
