"""`GET /v1/policies`, `/v1/policies/{locale}`, `/healthz` and `/readyz`."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from agent.api.access import Anyone, Operator
from agent.api.errors import ApiError
from agent.moderator import Moderator
from agent.policy.lookup import UnknownLocaleError, lookup
from agent.policy.source import PolicyError

router = APIRouter()


@router.get("/v1/policies")
async def policies(caller: Anyone) -> dict[str, Any]:
    """Every policy in brief."""
    brief = {"locale", "title", "version", "lineage"}
    known = caller.moderator.policies.values()
    data = [{**policy.model_dump(mode="json", include=brief), "hash": policy.hash} for policy in known]
    return {"object": "list", "data": data}


@router.post("/v1/policies/reload")
async def reload(caller: Operator) -> dict[str, Any]:
    """Read the policy files anew, in this process; where one is broken it is a 409, and those of before stay."""
    try:
        await asyncio.to_thread(caller.moderator.reload)
    except PolicyError as error:
        message = f"The policies of before go on being served, because one is broken: {error}"
        raise ApiError(409, message, "policy_broken") from None
    return {"object": "policies.reloaded", "policies": len(caller.moderator.policies)}


@router.get("/v1/policies/{locale}")
async def policy(caller: Anyone, locale: str) -> dict[str, Any]:
    """The resolved policy that holds for a locale, by RFC 4647 lookup: `de-AT` is answered by `de`, or by `base`."""
    known = caller.moderator.policies
    try:
        found = known[locale] if locale in known else lookup(known, locale)[1]
    except UnknownLocaleError as error:
        raise ApiError(404, f"locale: {error}.", "unknown_locale", "locale") from None
    return {**found.model_dump(mode="json"), "hash": found.hash}


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """The process answers."""
    return {"status": "ok"}


@router.get("/readyz", responses={503: {"description": "A part is unready; the body is that of a 200."}})
async def readyz(request: Request) -> JSONResponse:
    """200 where every part is `ok` or `degraded: …`, which still fails closed; 503 with what is amiss otherwise."""
    moderator: Moderator = request.app.state.moderator
    parts = await moderator.ready()
    states = {state.partition(":")[0] for state in parts.values()}
    status = "ok" if states <= {"ok"} else "degraded" if states <= {"ok", "degraded"} else "unready"
    return JSONResponse({"status": status, "parts": parts}, 503 if status == "unready" else 200)
