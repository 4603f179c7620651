"""How an operation is written: a decorated function of a `Router`.

    router = Router("API Keys")

    @router.post("/v1/api-keys", access="api-keys:write", answer=IssuedKey, status=201)
    def create_api_key(caller: Caller, body: NewKey) -> api_keys.Issued:
        \"\"\"Create an API key.\"\"\"
        return api_keys.create(caller, caller.tenant_id, **body.model_dump())

The router authenticates, counts against the rate limit, checks the permission, parses path,
query and body by the function's annotations, keeps answers by Idempotency-Key, writes the answer
by the `answer` model, and documents all of it in OpenAPI. A view is what remains: one service
call.
"""

import hashlib
import inspect
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from enum import Enum
from http import HTTPStatus
from typing import Any, get_args, get_origin, get_type_hints

import gevent
import structlog
from flask import Request, Response, g, request
from flask_openapi.blueprint import APIBlueprint
from flask_openapi.models.response import Response as DocumentedResponse
from flask_openapi.models.tag import Tag
from pydantic import BaseModel, TypeAdapter, create_model
from pydantic import ValidationError as PydanticError
from pydantic_core import ErrorDetails, from_json
from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import RequestEntityTooLarge, UnsupportedMediaType

from irisx.api.auth import (
    ADMIN,
    PUBLIC,
    Access,
    admin_caller,
    credentials,
    idempotency_key,
    tenant_caller,
)
from irisx.api.schemas import IN_PATH, ErrorBody, Form
from irisx.kernel.errors import Detail, TooManyRequests, Unavailable, ValidationError
from irisx.kernel.ratelimit import Usage, limiter
from irisx.tenancy import idempotency
from irisx.tenancy.access import Actor, Admin, Caller

View = Callable[..., Any]

#: Longest time of an operation, its body's arrival included; a stream may last longer.
REQUEST_SECONDS = 30.0


class Rate(Enum):
    """Requests a minute by class of operation (the specification's Rate Limiting)."""

    STANDARD = 100
    SMS = 30
    CALL_CREATION = 10
    BULK = 5
    SIGN_IN = 20
    NONE = 0

    def limit(self, standard: int | None) -> int:
        """The limit of a key whose own standard limit is `standard`: every class in proportion."""
        if standard is None:
            return self.value
        return max(1, self.value * standard // Rate.STANDARD.value)


class Router:
    """The operations of one noun, registered on the app by `create_app`."""

    def __init__(self, tag: str) -> None:
        name = re.sub(r"\W+", "-", tag).lower()
        self.blueprint = APIBlueprint(name, __name__, abp_tags=[Tag(name=tag)])

    def get(self, rule: str, **options: Any) -> Callable[[View], View]:
        return self._operation("get", rule, **options)

    def post(self, rule: str, **options: Any) -> Callable[[View], View]:
        """A caller may repeat any POST with an Idempotency-Key."""
        return self._operation("post", rule, **options)

    def put(self, rule: str, **options: Any) -> Callable[[View], View]:
        return self._operation("put", rule, **options)

    def delete(self, rule: str, **options: Any) -> Callable[[View], View]:
        return self._operation("delete", rule, **options)

    def _operation(
        self,
        method: str,
        rule: str,
        *,
        access: str | Access,
        answer: Any = None,
        status: int | None = None,
        rate: Rate = Rate.STANDARD,
        produces: str = "application/json",
        also: Mapping[int, str | type[BaseModel]] | None = None,
    ) -> Callable[[View], View]:
        """Register an operation.

        `access`: a permission (`calls:write`), ADMIN or PUBLIC. `answer`: model of the body,
        None for 204 or, with `produces`, for a Response of other content that the view makes.
        `also`: further statuses: what such an error means, or the model of its body.
        """
        done = status or (200 if answer or produces != "application/json" else 204)

        def register(view: View) -> View:
            operation = _Operation(view, rule, access, answer, done, rate)
            documented = getattr(self.blueprint, method)(
                rule,
                operation_id=view.__name__,
                security=operation.security,
                responses=operation.responses(method, produces, also or {}),
                openapi_extensions={
                    "x-rate-limit": rate.name.lower(),
                    "x-access": access.value if isinstance(access, Access) else access,
                },
            )
            documented(operation.endpoint())
            return view

        return register


class _Operation:
    """One view with everything that happens around it."""

    def __init__(
        self,
        view: View,
        rule: str,
        access: str | Access,
        answer: Any,
        status: int,
        rate: Rate,
    ) -> None:
        hints = get_type_hints(view, include_extras=True)
        self.view = view
        self.access = access
        self.status = status
        self.rate = rate
        self.answer = TypeAdapter(answer) if answer else None
        self.answer_model = answer
        self.takes_caller = "caller" in hints
        self.takes_request = "request" in hints
        self.body: type[BaseModel] | None = hints.get("body")
        self.query: type[BaseModel] | None = hints.get("query")
        self.form: type[Form] | None = hints.get("form")
        self.query_lists = _list_fields(self.query) if self.query else frozenset()
        names = re.findall(r"<(?:\w+:)?(\w+)>", rule)
        self.path: type[BaseModel] | None = None
        if names:
            fields: dict[str, Any] = {name: (hints[name], ...) for name in names}
            self.path = create_model(f"{view.__name__}_path", **fields)

    def endpoint(self) -> View:
        """The function that Flask calls; its annotations are what flask-openapi documents."""

        def endpoint(**path: str) -> Response:
            limit = gevent.Timeout(REQUEST_SECONDS)
            try:
                with limit:
                    return self.run(path)
            except gevent.Timeout as expired:
                if expired is not limit:
                    raise
                raise Unavailable(f"This took longer than {REQUEST_SECONDS:.0f} s.") from None

        parts = {"path": self.path, "query": self.query, "body": self.body, "form": self.form}
        endpoint.__name__ = self.view.__name__
        endpoint.__doc__ = inspect.getdoc(self.view)
        endpoint.__annotations__ = {name: part for name, part in parts.items() if part}
        # Requests are parsed here, not by flask-openapi: it takes malformed JSON for null and
        # builds the query's JSON schema anew for each request.
        endpoint.__delay_validate_request__ = True  # type: ignore[attr-defined]
        return endpoint

    def run(self, path: dict[str, str]) -> Response:
        caller = self._caller()
        self._count(caller)
        if isinstance(caller, Caller):
            caller.require(str(self.access))
        elif isinstance(caller, Admin) and request.method != "GET":
            caller.require_writer()
        key = idempotency_key(request) if request.method == "POST" and caller else None
        if key is not None and isinstance(caller, Caller):
            caller = replace(caller, idempotency_key=key)
        arguments = self._parse(path)
        if self.takes_caller:
            arguments["caller"] = caller
        if self.takes_request:
            arguments["request"] = request
        if key is None or caller is None:
            return self._answer(arguments)
        return self._once(caller, key, arguments)

    def _caller(self) -> Actor | None:
        if self.access is PUBLIC:
            return None
        authenticate = admin_caller if self.access is ADMIN else tenant_caller
        caller = authenticate(credentials(request), request_id=g.request_id, ip=request.remote_addr)
        structlog.contextvars.bind_contextvars(
            actor=caller.name, tenant_id=getattr(caller, "tenant_id", None)
        )
        return caller

    def _count(self, caller: Actor | None) -> None:
        """Count the request; the headers of the state are set on every answer, errors too."""
        if self.rate is Rate.NONE:
            return
        limit = self.rate.limit(caller.rate_limit if isinstance(caller, Caller) else None)
        who = caller.name if caller else request.remote_addr
        usage = limiter().hit(f"{self.rate.name}:{who}", limit)
        g.rate_usage = usage
        if usage.exceeded:
            raise TooManyRequests(
                f"More than {limit} requests in this minute.",
                headers={"Retry-After": str(usage.retry_after_seconds)},
            )

    def _parse(self, path: dict[str, str]) -> dict[str, Any]:
        """The view's arguments; every fault of path, query and body in one ValidationError."""
        arguments: dict[str, Any] = {}
        faults: list[Detail] = []
        if self.path is not None:
            try:
                parsed = self.path.model_validate(path, context=IN_PATH)
                arguments |= {name: getattr(parsed, name) for name in path}
            except PydanticError as error:
                faults += _faults(error)
        try:
            query = _query_values(request.args, self.query_lists)
            if self.query is not None:
                arguments["query"] = self.query.model_validate(query)
            elif query:
                faults += [{"field": name, "message": "unknown parameter"} for name in query]
        except PydanticError as error:
            faults += _faults(error)
        except ValidationError as error:
            faults += error.details
        if self.body is not None:
            try:
                arguments["body"] = self.body.model_validate_json(_json_bytes(request))
            except PydanticError as error:
                faults += _faults(error)
        if self.form is not None:
            try:
                arguments["form"] = self.form.model_validate(_form_values(request, self.form))
            except PydanticError as error:
                faults += _faults(error)
        if faults:
            raise ValidationError(_summary(faults), details=faults)
        return arguments

    def _once(self, caller: Actor, key: str, arguments: dict[str, Any]) -> Response:
        """Carry a POST out, or answer as its first time did."""
        tenant = caller.tenant_id if isinstance(caller, Caller) else "platform"
        scope = f"tenant_{tenant}"
        sent = f"{request.method} {request.full_path}\n".encode() + request.get_data()
        kept = idempotency.begin(scope, key, hashlib.sha256(sent).hexdigest())
        if kept is not None:
            response = Response(kept.body, kept.status, mimetype="application/json")
            response.headers["Idempotency-Replayed"] = "true"
            return response
        try:
            response = self._answer(arguments)
        except BaseException:
            idempotency.abandon(scope, key)
            raise
        idempotency.finish(scope, key, response.status_code, response.get_data(as_text=True))
        return response

    def _answer(self, arguments: dict[str, Any]) -> Response:
        result = self.view(**arguments)
        if isinstance(result, Response):
            return result
        if self.answer is None:
            return Response(status=self.status)
        value = self.answer.validate_python(result, from_attributes=True)
        return Response(
            self.answer.dump_json(value, by_alias=True),
            self.status,
            mimetype="application/json",
        )

    @property
    def security(self) -> list[dict[str, list[Any]]]:
        if self.access is PUBLIC:
            return []
        return [{"Admin": []}] if self.access is ADMIN else [{"ApiKey": []}, {"Bearer": []}]

    def responses(
        self, method: str, produces: str, also: Mapping[int, str | type[BaseModel]]
    ) -> dict[str, Any]:
        """Every status that the operation can answer, for the document."""
        documented: dict[str, Any] = {}
        if produces != "application/json":
            media = {"schema": {"type": "string", "format": "binary"}}
            documented[str(self.status)] = {"content": {produces: media}}
        else:
            documented[str(self.status)] = self.answer_model
        errors = {400, 503}
        errors |= {429} if self.rate is not Rate.NONE else set()
        errors |= {401, 403} if self.access is not PUBLIC else set()
        errors |= {404} if self.path else set()
        errors |= {409} if method != "get" else set()
        errors |= {413} if method == "post" else set()
        errors |= {413, 415} if self.body or self.form else set()
        for code in sorted(errors | set(also)):
            meaning = also.get(code) or HTTPStatus(code).phrase
            if not isinstance(meaning, str):
                documented[str(code)] = meaning
                continue
            if code < HTTPStatus.BAD_REQUEST:
                content = documented[str(self.status)]["content"] if code == 206 else None
                documented[str(code)] = DocumentedResponse(description=meaning, content=content)
                continue
            documented[str(code)] = DocumentedResponse(
                description=meaning,
                content={
                    "application/json": {
                        "schema": {"$ref": f"#/components/schemas/{ErrorBody.__name__}"}
                    }
                },
            )
        return documented


# --- parsing ----------------------------------------------------------------------------------


def _list_fields(model: type[BaseModel]) -> frozenset[str]:
    """Names of the query parameters that may be given several times."""

    def is_list(annotation: Any) -> bool:
        return get_origin(annotation) is list or any(is_list(a) for a in get_args(annotation))

    return frozenset(
        field.alias or name
        for name, field in model.model_fields.items()
        if is_list(field.annotation)
    )


def _query_values(args: MultiDict[str, str], lists: frozenset[str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    faults: list[Detail] = []
    for name, given in args.lists():
        if any("\x00" in text for text in given):
            faults.append({"field": name, "message": "must not contain a NUL character"})
        elif len(given) > 1 and name not in lists:
            faults.append({"field": name, "message": "given more than once"})
        values[name] = given if name in lists else given[0]
    if faults:
        raise ValidationError(_summary(faults), details=faults)
    return values


def _json_bytes(incoming: Request) -> bytes:
    """The body, if it says that it is JSON and holds nothing that PostgreSQL can't store."""
    mimetype = incoming.mimetype
    if mimetype and mimetype != "application/json":
        raise UnsupportedMediaType(f"Send JSON as application/json, not {mimetype}.")
    raw = incoming.get_data()
    # A chunked body has no length beforehand: werkzeug cuts it at the limit and says nothing.
    if len(raw) >= (incoming.max_content_length or math.inf):
        raise RequestEntityTooLarge
    if rb"\u0000" in raw and (fields := _fields_with_nul(raw)):
        raise ValidationError(
            "The body contains a NUL character.",
            details=[
                {"field": field, "message": "must not contain a NUL character"} for field in fields
            ],
        )
    return raw


def _form_values(incoming: Request, form: type[Form]) -> dict[str, Any]:
    """The fields and files of a multipart body."""
    if incoming.mimetype != "multipart/form-data":
        raise UnsupportedMediaType("Send multipart/form-data, with the file in a part of its own.")
    incoming.max_content_length = form.MAX_BYTES
    raw = incoming.get_data()  # kept by werkzeug: an Idempotency-Key stands for these bytes
    if len(raw) >= form.MAX_BYTES:
        raise RequestEntityTooLarge
    if any("\x00" in text for text in incoming.form.values()):
        raise ValidationError(
            "A field contains a NUL character.",
            details=[{"field": "body", "message": "fields must not contain a NUL character"}],
        )
    return {**incoming.form.to_dict(), **incoming.files.to_dict()}


def _fields_with_nul(raw: bytes) -> list[str]:
    try:
        body = from_json(raw)
    except ValueError:
        return []  # malformed: the model says so
    if not isinstance(body, dict):
        return ["body"] if _holds_nul(body) else []
    if _holds_nul(list(body)):  # a name of a field
        return ["body"]
    return [name for name, value in body.items() if _holds_nul(value)]


def _holds_nul(value: Any) -> bool:
    pending = [value]
    while pending:
        value = pending.pop()
        if isinstance(value, str) and "\x00" in value:
            return True
        if isinstance(value, dict):
            pending += [*value.keys(), *value.values()]
        elif isinstance(value, list):
            pending += value
    return False


def _faults(error: PydanticError) -> list[Detail]:
    return [_fault(item) for item in error.errors(include_url=False, include_context=False)]


def _fault(item: ErrorDetails) -> Detail:
    if item["type"] == "json_invalid":
        problem = item["msg"].removeprefix("Invalid JSON: ")
        return {"field": "body", "message": f"malformed JSON: {problem}"}
    field = ".".join(str(part) for part in item["loc"]) or "body"
    message = {
        "extra_forbidden": "unknown field",
        "missing": "required",
    }.get(item["type"], item["msg"].removeprefix("Value error, "))
    return {"field": field, "message": message}


def _summary(faults: list[Detail]) -> str:
    first = faults[0]
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    return f"{first['field']}: {first['message']}{more}"


def rate_headers(usage: Usage) -> dict[str, str]:
    return {
        "X-RateLimit-Limit": str(usage.limit),
        "X-RateLimit-Remaining": str(usage.remaining),
        "X-RateLimit-Reset": str(usage.reset_ms),
    }
