"""A client whose every answer is checked against /openapi.json."""

import re
from typing import Any

from flask import Flask
from jsonschema import Draft202012Validator, FormatChecker
from werkzeug.test import TestResponse

_SERVER_ERROR = 500


class ApiClient:
    """`client.post("/v1/calls", {"to": …}, status=201)` answers the body as Python values.

    `key`: an API key; `bearer`: a token. An answer that the document does not describe, or
    another status than the expected one, fails the test.
    """

    def __init__(self, app: Flask, *, key: str | None = None, bearer: str | None = None) -> None:
        self._app = app
        self._client = app.test_client()
        self.headers: dict[str, str] = {}
        if key is not None:
            self.headers["X-API-Key"] = key
        if bearer is not None:
            self.headers["Authorization"] = f"Bearer {bearer}"
        document: dict[str, Any] = app.api_doc
        # A static segment beats a parameter, as in werkzeug.
        paths = sorted(document["paths"].items(), key=lambda item: item[0].count("{"))
        self._paths = [(_pattern(path), item) for path, item in paths]
        self._components = document["components"]

    def get(self, path: str, *, status: int = 200, **options: Any) -> Any:
        return self.body(self.request("GET", path, status=status, **options))

    def post(self, path: str, json: Any = None, *, status: int = 200, **options: Any) -> Any:
        return self.body(self.request("POST", path, json=json, status=status, **options))

    def put(self, path: str, json: Any = None, *, status: int = 200, **options: Any) -> Any:
        return self.body(self.request("PUT", path, json=json, status=status, **options))

    def delete(self, path: str, *, status: int = 204, **options: Any) -> Any:
        return self.body(self.request("DELETE", path, status=status, **options))

    def request(
        self,
        method: str,
        path: str,
        *,
        status: int | None = None,
        headers: dict[str, str] | None = None,
        **options: Any,
    ) -> TestResponse:
        response = self._client.open(
            path, method=method, headers=self.headers | (headers or {}), **options
        )
        if status is not None:
            assert response.status_code == status, response.get_data(as_text=True)
        self._check(method, path.partition("?")[0], response)
        return response

    @staticmethod
    def body(response: TestResponse) -> Any:
        return response.get_json() if response.mimetype == "application/json" else response.data

    def _check(self, method: str, path: str, response: TestResponse) -> None:
        assert response.status_code != _SERVER_ERROR, response.get_data(as_text=True)
        operation = self._operation(method.lower(), path)
        if operation is None:
            return  # unknown paths and methods are in no document
        documented = operation["responses"].get(str(response.status_code))
        assert documented, f"{method} {path} does not document {response.status_code}"
        content = documented.get("content")
        if content is None:
            assert response.data == b""
            return
        assert response.mimetype in content, f"{response.mimetype} is not documented"
        if response.mimetype == "application/json":
            # With the components beside it, `#/components/schemas/…` resolves.
            schema = content["application/json"]["schema"] | {"components": self._components}
            checker = Draft202012Validator(schema, format_checker=FormatChecker())
            checker.validate(response.get_json())

    def _operation(self, method: str, path: str) -> dict[str, Any] | None:
        found = [item for pattern, item in self._paths if pattern.fullmatch(path)]
        return next((item[method] for item in found if method in item), None)


def _pattern(path: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(path)))
