"""`GET /docs`: Swagger UI, for the API's OpenAPI document. Every file of the page comes from this server.

The files are those of fastapi-swagger, the package on PyPI with the newest Swagger UI. Its own page is not used: it has
an inline script, which the content security policy forbids.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import FileResponse, HTMLResponse, Response

from agent.api.errors import ApiError

router = APIRouter(prefix="/docs", include_in_schema=False)

FOLDER = Path(str(files("fastapi_swagger"))) / "resources"
FILES = {"swagger-ui-bundle.js", "swagger-ui.css", "favicon-32x32.png"}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
# Paths are relative, so that the page also works under a proxy's prefix.
PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Propriety's API</title>
<link rel="icon" href="./docs/favicon-32x32.png">
<link rel="stylesheet" href="./docs/swagger-ui.css">
</head>
<body>
<div id="page"></div>
<script src="./docs/swagger-ui-bundle.js"></script>
<script src="./docs/start.js"></script>
</body>
</html>
"""
# Without `validatorUrl: null` the page would send the document's address to a public validator.
START = 'SwaggerUIBundle({dom_id: "#page", url: "openapi.json", deepLinking: true, validatorUrl: null});\n'


@router.get("")
async def page() -> HTMLResponse:
    """The page."""
    return HTMLResponse(PAGE, headers={"Content-Security-Policy": POLICY})


@router.get("/start.js")
async def start() -> Response:
    """The script that starts Swagger UI."""
    return Response(START, media_type="text/javascript")


@router.get("/{name}")
async def part(name: str) -> FileResponse:
    """A file of Swagger UI."""
    if name not in FILES:
        raise ApiError(404, f"The page has no file {name!r}.", "not_found", "name")
    return FileResponse(FOLDER / name)
