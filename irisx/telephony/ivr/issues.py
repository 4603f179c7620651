"""What the linter says."""

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """An error refuses publishing."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Issue:
    """One thing that is wrong, and how it is mended.

    `code`: for programs; `node`: the node's id, None: the flow as a whole; `field`: where, as a
    path from the node, or from the flow.
    """

    severity: Severity
    code: str
    message: str
    node: str | None = None
    field: str = ""


def error(code: str, message: str, node: str | None = None, field: str = "") -> Issue:
    return Issue(Severity.ERROR, code, message, node, field)


def warning(code: str, message: str, node: str | None = None, field: str = "") -> Issue:
    return Issue(Severity.WARNING, code, message, node, field)
