"""The caller of a route: a tenant whose key has the scope that the route needs, within its limits."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Annotated, Any, NamedTuple

from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from agent.api.errors import ApiError
from agent.api.limits import too_many
from agent.api.service import Service, service_of
from agent.basis import NotAllowedError
from agent.judge.errors import LLMBusyError
from agent.judge.patience import Patience, patience
from agent.policy.lookup import UnknownLocaleError
from agent.prompt.compose import BadPromptError, composed
from agent.store.store import Store
from agent.store.tenants import Scope, Tenant
from propriety.verdict import ChatMessage, Detector, Status, Verdict

CHARS_OF_A_PROMPT = 1000  # reading a prompt takes time in proportion to its length
BATCH_CALLER = "propriety.batch"  # in the ASGI scope of a batch's request: the caller, who was admitted with the batch

bearer = HTTPBearer(auto_error=False, description="A key made by `propriety keys create`.")
Documented = Annotated[HTTPAuthorizationCredentials | None, Security(bearer)]  # the middleware has read it already


class Caller(NamedTuple):
    """`turn` is held while a prompt is judged; `charge` counts prompts or pictures beyond the first."""

    tenant: Tenant
    service: Service
    turn: Callable[[], AbstractAsyncContextManager[None]]
    charge: Callable[[int], Awaitable[None]]

    @property
    def store(self) -> Store:
        return self.service.store

    def check(self, messages: Sequence[ChatMessage], param: str) -> int:
        """Refuse a prompt that cannot be judged, before others of the same request are.

        Returns:
            As how many prompts it counts: one for each `CHARS_OF_A_PROMPT` characters that it begins.

        Raises:
            ApiError: 400; `param` names the field that holds it.
        """
        try:
            return math.ceil(len(composed(messages, self.service.settings.max_prompt_chars)) / CHARS_OF_A_PROMPT)
        except BadPromptError as error:
            raise ApiError(400, f"{param}: {error}.", "invalid_prompt", param) from None

    async def ask(
        self, messages: Sequence[ChatMessage], locale: str | None, detector: Detector | None, param: str
    ) -> Verdict:
        """As `judge`, after the prompt is checked and counted by its length."""
        await self.charge(self.check(messages, param) - 1)
        return await self.judge(messages, locale, detector, param)

    async def judge(
        self, messages: Sequence[ChatMessage], locale: str | None, detector: Detector | None, param: str
    ) -> Verdict:
        """The verdict on a conversation; `param` names the field that holds it, for the errors.

        Raises:
            ApiError: 400 if the locale or the prompt is invalid, 403 if the tenant's terms exclude the request, 429 if
                the LLM has more questions than it answers in time; 503 if it did not answer in a batch.
        """
        try:
            async with self.turn():
                verdict = await self.service.moderator.moderate(messages, locale, detector, self.tenant)
        except UnknownLocaleError as error:
            raise ApiError(400, f"locale: {error}.", "unknown_locale", "locale") from None
        except NotAllowedError as error:
            raise ApiError(403, f"{error.param}: {error}.", error.code, error.param) from None
        except BadPromptError as error:
            raise ApiError(400, f"{param}: {error}.", "invalid_prompt", param) from None
        except LLMBusyError as error:
            raise too_many("more prompts wait for the LLM than it answers in time", error.wait_s) from None
        if verdict.status is Status.DEGRADED and patience() is Patience.OFFLINE:
            message = "The LLM did not answer, so this prompt was not judged; send it again later."
            raise ApiError(503, message, "llm_unavailable")
        return verdict


def _with_scope(*scopes: Scope) -> Any:
    """A caller whose key has one of these scopes, or any key if there are none."""

    async def admit(request: Request, _: Documented) -> AsyncIterator[Caller]:
        if (caller := request.scope.get(BATCH_CALLER)) is not None:
            yield caller
            return
        tenant, service = request.state.tenant, service_of(request.app)
        if scopes and not set(scopes) & set(tenant.terms.scopes):
            raise ApiError(403, f"This key lacks the scope {scopes[0].value!r}.", "missing_scope")
        await service.limits.enter(tenant)
        try:
            yield Caller(tenant, service, service.traffic.live, partial(service.limits.charge, tenant))
        finally:
            service.limits.leave(tenant)

    return Depends(admit)


Anyone = Annotated[Caller, _with_scope()]
Asker = Annotated[Caller, _with_scope(Scope.MODERATE)]
Drawer = Annotated[Caller, _with_scope(Scope.DRAW)]
Watcher = Annotated[Caller, _with_scope(Scope.METRICS, Scope.ADMIN)]
Operator = Annotated[Caller, _with_scope(Scope.ADMIN)]
