"""The Flask application: every router, request ids, and the one shape of errors."""

import time
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

import structlog
from flask import Flask, Response, g, json, request
from flask_openapi.models.info import Info
from flask_openapi.models.security_scheme import SecurityScheme
from flask_openapi.openapi import OpenAPI
from prometheus_client import Histogram
from redis import RedisError
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from werkzeug.exceptions import HTTPException

from irisx import __version__
from irisx.api.admin import carriers, features, phone_numbers, tenants
from irisx.api.admin import do_not_call as admin_do_not_call
from irisx.api.admin import system as admin_system
from irisx.api.admin import users as admin_users
from irisx.api.auth import request_id
from irisx.api.http import Router, rate_headers
from irisx.api.public import docs, internal, media, receivers, system
from irisx.api.public import email as email_links
from irisx.api.schemas import ErrorBody
from irisx.api.v1 import (
    agents,
    ai,
    ai_knowledge,
    amd,
    api_keys,
    assistants,
    audit,
    callbacks,
    calls,
    campaign_contacts,
    campaign_imports,
    campaign_results,
    campaigns,
    contacts,
    conversations,
    do_not_call,
    email,
    email_attachments,
    email_automation,
    email_campaigns,
    email_inboxes,
    email_statistics,
    email_templates,
    events,
    ivr,
    ivr_prompts,
    ivr_voicemail,
    messaging,
    messaging_rules,
    queues,
    recordings,
    scripts,
    settings,
    sip_accounts,
    sms,
    supervisor,
    translation,
    users,
    wallboard,
    webhooks,
    whatsapp,
    whatsapp_media,
    whatsapp_sessions,
    whatsapp_templates,
)
from irisx.kernel.errors import IrisxError, Unavailable

log = structlog.get_logger(__name__)

MAX_BODY_BYTES = 1024 * 1024

ROUTERS: Sequence[Router] = (
    system.router,
    callbacks.router,
    calls.router,
    sms.router,
    whatsapp.router,
    whatsapp_templates.router,
    whatsapp_sessions.router,
    whatsapp_media.router,
    messaging.router,
    messaging_rules.router,
    contacts.router,
    conversations.router,
    email_templates.router,
    email_campaigns.router,
    email_automation.router,
    email_attachments.router,
    email_inboxes.router,
    email_statistics.router,
    email.router,
    email_links.router,
    receivers.router,
    media.router,
    wallboard.router,
    webhooks.router,
    events.router,
    recordings.router,
    supervisor.router,
    ivr.router,
    ivr_prompts.router,
    amd.router,
    ivr_voicemail.router,
    agents.router,
    queues.router,
    assistants.router,
    campaigns.router,
    campaign_contacts.router,
    campaign_imports.router,
    campaign_results.router,
    do_not_call.router,
    ai.router,
    ai_knowledge.router,
    translation.router,
    users.router,
    api_keys.router,
    scripts.router,
    settings.router,
    sip_accounts.router,
    audit.router,
    tenants.router,
    admin_users.router,
    phone_numbers.router,
    carriers.router,
    features.router,
    admin_system.router,
    admin_do_not_call.router,
)

_SECURITY: dict[str, SecurityScheme | dict[str, Any]] = {
    "ApiKey": SecurityScheme(**{"type": "apiKey", "in": "header", "name": "X-API-Key"}),
    "Bearer": SecurityScheme(type="http", scheme="bearer", bearerFormat="JWT"),
    "Admin": SecurityScheme(type="http", scheme="bearer"),
}

_seconds = Histogram("irisx_http_request_seconds", "Time to answer.", ["method", "route", "status"])


def create_app() -> Flask:
    """The application with all its operations; the document is at /openapi.json."""
    app = OpenAPI(
        "irisx",
        info=Info(title="IRISX", version=__version__),
        security_schemes=_SECURITY,
        validation_error_status=400,
        validation_error_model=ErrorBody,
        doc_ui=False,
        static_folder=None,
    )
    app.openapi_version = "3.1.0"  # 3.2, flask-openapi's default, is not understood widely yet
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES
    app.url_map.redirect_defaults = False
    app.url_map.strict_slashes = False
    for router in ROUTERS:
        app.register_api(router.blueprint)
    app.register_blueprint(docs.blueprint)
    app.register_blueprint(internal.blueprint)
    app.before_request(_begin)
    app.after_request(_finish)
    for kind, handler in _HANDLERS:
        app.register_error_handler(kind, handler)
    docs.serve_document(app)
    return app


def _begin() -> None:
    g.started = time.perf_counter()
    g.request_id = request_id(request)
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(request_id=g.request_id)


def _finish(response: Response) -> Response:
    response.headers["X-Request-Id"] = g.request_id
    if usage := g.get("rate_usage"):
        response.headers.update(rate_headers(usage))
    response.headers.setdefault("Cache-Control", "no-store")
    response.headers["X-Content-Type-Options"] = "nosniff"
    elapsed = time.perf_counter() - g.started
    # The rule, not the path: a metric's labels must not grow with what strangers ask for.
    route = request.url_rule.rule if request.url_rule else "none"
    _seconds.labels(request.method, route, response.status_code).observe(elapsed)
    log.info(
        "request",
        method=request.method,
        route=route,
        status=response.status_code,
        ms=round(elapsed * 1000, 1),
    )
    return response


# --- errors -----------------------------------------------------------------------------------


def _irisx_error(error: IrisxError) -> Response:
    response = Response(json.dumps(error.body()), error.status.value, mimetype="application/json")
    response.headers.update(error.headers)
    return response


def _http_error(error: HTTPException) -> Response:
    """Werkzeug's own: unknown path, method not allowed, too large, …, in our shape."""
    status = HTTPStatus(error.code or 500)
    body = {
        "error": status.phrase,
        "message": error.description or status.description,
        "code": status.name,
        "details": [],
    }
    response = Response(json.dumps(body), status.value, mimetype="application/json")
    for name, value in error.get_headers(request.environ):
        if name.lower() != "content-type":
            response.headers[name] = value
    return response


def _database_away(error: Exception) -> Response:
    log.error("the database did not answer", error=str(error))
    return _irisx_error(
        Unavailable("The database does not answer. Try again.", headers={"Retry-After": "5"})
    )


def _redis_away(error: Exception) -> Response:
    log.error("redis did not answer", error=str(error))
    return _irisx_error(
        Unavailable("Redis does not answer. Try again.", headers={"Retry-After": "5"})
    )


def _unexpected(error: Exception) -> Response:
    """A defect of ours: logged whole, told to the client without any of it."""
    log.exception("unexpected error", exc_info=error)
    return _irisx_error(
        IrisxError("Something went wrong here. The request id finds it in the log.")
    )


_HANDLERS = (
    (IrisxError, _irisx_error),
    (HTTPException, _http_error),
    (OperationalError, _database_away),
    (InterfaceError, _database_away),
    (PoolTimeout, _database_away),
    (RedisError, _redis_away),
    (Exception, _unexpected),
)
