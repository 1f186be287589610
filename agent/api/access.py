"""Who asks, and what of it is granted: keys, scopes, limits, and the places and detectors of a tenant's terms."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager
from typing import Annotated, Any, NamedTuple

from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.types import ASGIApp, Receive, Send
from starlette.types import Scope as Connection

from agent.api.errors import CLOSE, ApiError, answered
from agent.api.limits import Limits
from agent.moderator import Moderator
from agent.policy.lookup import UnknownLocaleError, lookup
from agent.settings import is_loopback
from agent.store.conversations import Sessions
from agent.store.database import AWAY
from agent.store.tenants import ANYONE, HINT, Scope, Tenant, Tenants
from propriety.verdict import Detector

OVERLAY = "-x-"
OPEN = {"/healthz", "/readyz", "/docs", "/docs/oauth2-redirect", "/redoc", "/openapi.json"}  # to whoever asks
HOST = re.compile(r"(\[[^\]]*\]|[^:]*)(?::\d*)?")  # of the header: a name or an address, and a port
BATCH = "propriety.batch"  # of an ASGI scope that a batch made: the caller, who was let in when the batch was

_lookups = ThreadPoolExecutor(8, thread_name_prefix="keys")  # of their own: what is embedded fills the others

_bearer = HTTPBearer(auto_error=False, description="A key made by `propriety keys create`; none where there is none.")
Documented = Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)]  # `KeyFirst` has read it


class Caller(NamedTuple):
    """A tenant whose request was let in, and who decides on it; `turn` is held while a prompt is judged."""

    tenant: Tenant
    moderator: Moderator
    limits: Limits
    sessions: Sessions
    turn: Callable[[], AbstractAsyncContextManager[None]]

    def granted(self, locale: str | None, detector: Detector | None) -> tuple[str, Detector | None]:
        """The locale and the detector that are used for those that a request names.

        Raises:
            ApiError: 400 where the locale is none, 403 where the tenant's terms do not have it, or the detector.
        """
        terms, settings, policies = self.tenant.terms, self.moderator.settings, self.moderator.policies
        chosen = locale
        if chosen is None:
            chosen = terms.default_locale or settings.default_locale
        try:
            tag, policy = lookup(policies, chosen)
            if terms.audience and policy.audience != terms.audience:
                if policy.audience:
                    message = f"locale: pictures are for the audience {terms.audience!r} here, not {policy.audience!r}."
                    raise ApiError(403, message, "audience_not_allowed", "locale")
                tag, policy = lookup(policies, f"{tag}{OVERLAY}{terms.audience}")
        except UnknownLocaleError as error:
            raise ApiError(400, f"locale: {error}.", "unknown_locale", "locale") from None
        if terms.locales is not None and not any(_within(tag, place) for place in terms.locales):
            message = f"locale: {tag!r} is none of this key's, which are {', '.join(terms.locales)}."
            raise ApiError(403, message, "locale_not_allowed", "locale")
        if self.tenant is ANYONE:
            return tag, detector
        own = terms.detector or settings.detector or policy.detector
        if detector not in (None, own):
            message = f"model: the detector is {own.value!r} here; ask for the model 'propriety'."
            raise ApiError(403, message, "detector_not_allowed", "model")
        return tag, own


def _within(tag: str, language_range: str) -> bool:
    """RFC 4647, section 3.3.1: `de` holds `de-AT`."""
    return f"{tag.lower()}-".startswith(f"{language_range.lower()}-")


class KeyFirst:
    """ASGI middleware: who asks is known before the body is read, and without a good key it is not read."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Connection, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] not in OPEN:
            request = Request(scope)
            try:
                request.state.tenant = await _tenant(request, await _bearer(request))
            except (ApiError, *AWAY) as error:
                await answered(error)(scope, receive, send)
                return
        await self.app(scope, receive, send)


async def _tenant(request: Request, credentials: HTTPAuthorizationCredentials | None) -> Tenant:
    tenants: Tenants = request.app.state.tenants
    key = None if credentials is None else credentials.credentials
    tenant = tenants.remembered(key)
    if tenant is None:
        tenant = await asyncio.get_running_loop().run_in_executor(_lookups, tenants.asking, key)
    if tenant is ANYONE:
        if not _from_here(request):
            message = "No key is configured, so only this machine is served; make one with `propriety keys create`."
            raise _unauthorised(message)
    elif key is None:
        message = "No API key is given; send it in the header Authorization: Bearer KEY."
        raise _unauthorised(message)
    elif tenant is None:
        message = f"The API key {key[:HINT]}… is not known, or has ended."
        raise _unauthorised(message)
    return tenant


def _from_here(request: Request) -> bool:
    """Whether this machine asks, and calls the server by a name of its own: a page in its browser whose name was bound
    to this address (DNS rebinding), or a proxy on it, asks for others."""
    named = HOST.fullmatch(request.headers.get("host", ""))
    asked = named[1].strip("[]").lower() if named else ""
    loopback = asked == "localhost" or is_loopback(asked)
    return loopback and (request.client is None or is_loopback(request.client.host))


def _unauthorised(message: str) -> ApiError:
    return ApiError(401, message, "invalid_api_key", headers={"WWW-Authenticate": "Bearer", **CLOSE})


def _allowed(*scopes: Scope) -> Any:
    """Whoever's key has one of these scopes; any key, where there are none."""

    async def admit(request: Request, _: Documented) -> AsyncIterator[Caller]:
        if (caller := request.scope.get(BATCH)) is not None:
            yield caller
            return
        tenant, state = request.state.tenant, request.app.state
        if scopes and not set(scopes) & set(tenant.terms.scopes):
            raise ApiError(403, f"This key lacks the scope {scopes[0].value!r}.", "missing_scope")
        state.limits.enter(tenant)
        try:
            yield Caller(tenant, state.moderator, state.limits, state.sessions, state.traffic.live)
        finally:
            state.limits.leave(tenant)

    return Depends(admit)


Anyone = Annotated[Caller, _allowed()]
Asker = Annotated[Caller, _allowed(Scope.MODERATE)]
Drawer = Annotated[Caller, _allowed(Scope.DRAW)]
Watcher = Annotated[Caller, _allowed(Scope.METRICS, Scope.ADMIN)]
Operator = Annotated[Caller, _allowed(Scope.ADMIN)]
