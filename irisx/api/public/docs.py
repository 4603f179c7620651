"""`/openapi.json` and `/docs`: the document, and Swagger UI on it, without any other host."""

from importlib.resources import files

from flask import Blueprint, Response, json, send_from_directory
from flask_openapi.openapi import OpenAPI

blueprint = Blueprint("docs", __name__)

_ASSETS = files("flask_openapi_swagger") / "templates" / "swagger"

#: Everything comes from here; Swagger UI draws its icons from data: URLs.
_CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>IRISX API</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="stylesheet" href="/docs/assets/css/swagger-ui.css">
</head>
<body>
<div id="explorer"></div>
<script src="/docs/assets/js/swagger-ui-bundle.js"></script>
<script src="/docs/explorer.js"></script>
</body>
</html>
"""

_SCRIPT = """SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#explorer",
  deepLinking: true,
  docExpansion: "none",
  filter: true,
  validatorUrl: null,
});
"""


@blueprint.get("/docs")
def explorer() -> Response:
    response = Response(_PAGE, mimetype="text/html")
    response.headers["Content-Security-Policy"] = _CSP
    return response


@blueprint.get("/docs/explorer.js")
def script() -> Response:
    return Response(_SCRIPT, mimetype="text/javascript")


@blueprint.get("/docs/assets/<path:name>")
def asset(name: str) -> Response:
    return send_from_directory(str(_ASSETS), name, max_age=86_400)


def serve_document(app: OpenAPI) -> None:
    """Write the document once, with all of the app's operations, and serve it."""
    text = json.dumps(app.api_doc)
    app.add_url_rule(
        "/openapi.json", "openapi", lambda: Response(text, mimetype="application/json")
    )
