"""Who is calling: found out before the body is read, so that a request without a valid key costs little."""

from __future__ import annotations

import asyncio
import re
from concurrent.futures import ThreadPoolExecutor

from fastapi import Request
from fastapi.security import HTTPAuthorizationCredentials
from starlette.types import ASGIApp, Receive, Scope, Send

from agent.api.access import bearer
from agent.api.drawing.links import LINK_PATH
from agent.api.errors import CLOSE, ApiError, answered
from agent.api.service import service_of
from agent.concurrency import working_for
from agent.settings import is_loopback
from agent.store.database import AWAY
from agent.store.tenants import ANYONE, HINT, PREFIX, Tenant

# Open to everybody: health, the documentation, and pictures, whose links are secrets themselves.
PUBLIC = re.compile(rf"/(healthz|readyz|openapi\.json|docs(/[^/]*)?)|{LINK_PATH}[^/]+")
HOST = re.compile(r"(\[[^\]]*\]|[^:]*)(?::\d*)?")  # the header's name or address, and port

_lookups = ThreadPoolExecutor(8, thread_name_prefix="keys")  # separate, since encoding fills the default executor


class Authentication:
    """ASGI middleware: puts the tenant into `request.state.tenant`, or refuses without reading the body."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not PUBLIC.fullmatch(scope["path"]):
            request = Request(scope)
            try:
                tenant = await _tenant(request, await bearer(request))
            except (ApiError, *AWAY) as error:
                await answered(error)(scope, receive, send)
                return
            request.state.tenant = tenant
            working_for.set(tenant.name)
        await self.app(scope, receive, send)


async def _tenant(request: Request, credentials: HTTPAuthorizationCredentials | None) -> Tenant:
    service = service_of(request.app)
    key = None if credentials is None else credentials.credentials
    # OpenAI's clients always send a key, so one that is not ours counts as none.
    if service.settings.keyless and not (key and key.startswith(PREFIX)):
        if _from_this_machine(request):
            return ANYONE
        raise _unauthorised("Without a key, only this machine is served, as localhost or by a loopback address.")
    if key is None:
        raise _unauthorised("The API key is missing; send it in the header Authorization: Bearer KEY.")
    tenants = service.store.tenants
    tenant = tenants.remembered(key)
    if tenant is None:
        tenant = await asyncio.get_running_loop().run_in_executor(_lookups, tenants.of, key)
    if tenant is None:
        raise _unauthorised(f"The API key {key[:HINT]}… is unknown, expired or revoked.")
    return tenant


def _from_this_machine(request: Request) -> bool:
    """Whether the request comes from this machine, and names it as such. A proxy here, or a page in its browser whose
    name was rebound to this address (DNS rebinding), comes from here but for somebody else."""
    match = HOST.fullmatch(request.headers.get("host", ""))
    named = match[1].strip("[]").lower() if match else ""
    loopback = named == "localhost" or is_loopback(named)
    return loopback and (request.client is None or is_loopback(request.client.host))


def _unauthorised(message: str) -> ApiError:
    return ApiError(401, message, "invalid_api_key", headers={"WWW-Authenticate": "Bearer", **CLOSE})
