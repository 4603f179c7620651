"""The one family of errors that reaches a client, and its one shape.

`{"error": "Not Found", "message": "…", "code": "NOT_FOUND", "details": []}`
"""

from collections.abc import Sequence
from http import HTTPStatus
from typing import TypedDict


class Detail(TypedDict):
    """One fault of a request: which field, what is wrong and what would be right."""

    field: str
    message: str


class IrisxError(Exception):
    """An answer other than success. `message` is for people, `code` for programs.

    Subclasses fix `status` and `code`; a raise may give a more exact `code`.
    """

    status = HTTPStatus.INTERNAL_SERVER_ERROR
    code = "INTERNAL_ERROR"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        details: Sequence[Detail] = (),
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or type(self).code
        self.details = list(details)
        self.headers = headers or {}

    def body(self) -> dict[str, object]:
        """The JSON body of the answer."""
        return {
            "error": self.status.phrase,
            "message": self.message,
            "code": self.code,
            "details": self.details,
        }


class ValidationError(IrisxError):
    """The request is wrong; `details` names every faulty field."""

    status = HTTPStatus.BAD_REQUEST
    code = "VALIDATION_ERROR"


def invalid(field: str, message: str) -> ValidationError:
    """A ValidationError about one field."""
    return ValidationError(f"{field}: {message}", details=[{"field": field, "message": message}])


class Unauthorized(IrisxError):
    status = HTTPStatus.UNAUTHORIZED
    code = "INVALID_API_KEY"


class Forbidden(IrisxError):
    status = HTTPStatus.FORBIDDEN
    code = "PERMISSION_DENIED"


class NotFound(IrisxError):
    status = HTTPStatus.NOT_FOUND
    code = "NOT_FOUND"


class Conflict(IrisxError):
    """The request is right, but not in the present state."""

    status = HTTPStatus.CONFLICT
    code = "CONFLICT"


class TooManyRequests(IrisxError):
    status = HTTPStatus.TOO_MANY_REQUESTS
    code = "RATE_LIMIT_EXCEEDED"


class Unavailable(IrisxError):
    """Something that this request needs is down or not configured; the message names it."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    code = "SERVICE_UNAVAILABLE"
