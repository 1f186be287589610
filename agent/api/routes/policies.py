"""`GET /v1/policies`, `GET /v1/policies/{locale}` and `POST /v1/policies/reload`."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import APIRouter

from agent.api.access import Anyone, Operator
from agent.api.errors import ApiError
from agent.policy.lookup import UnknownLocaleError, lookup
from agent.policy.source import PolicyError

router = APIRouter()


@router.get("/v1/policies")
async def policies(caller: Anyone) -> dict[str, Any]:
    """Every policy, in brief."""
    brief = {"locale", "title", "version", "lineage"}
    in_force = caller.service.moderator.policies.values()
    data = [{**policy.model_dump(mode="json", include=brief), "hash": policy.hash} for policy in in_force]
    return {"object": "list", "data": data}


@router.post("/v1/policies/reload")
async def reload(caller: Operator) -> dict[str, Any]:
    """Read the policy files again, in this process. If one is wrong: 409, and the previous policies stay in force."""
    in_force = caller.service.moderator.policies
    try:
        await asyncio.to_thread(in_force.reload)
    except PolicyError as error:
        message = f"The previous policies stay in force, because a file is wrong: {error}"
        raise ApiError(409, message, "policy_broken") from None
    return {"object": "policies.reloaded", "policies": len(in_force)}


@router.get("/v1/policies/{locale}")
async def policy(caller: Anyone, locale: str) -> dict[str, Any]:
    """The resolved policy of a locale, by RFC 4647 lookup: `de-AT` gets that of `de`, or of `base`."""
    in_force = caller.service.moderator.policies
    try:
        found = in_force[locale] if locale in in_force else lookup(in_force, locale)[1]
    except UnknownLocaleError as error:
        raise ApiError(404, f"locale: {error}.", "unknown_locale", "locale") from None
    return {**found.model_dump(mode="json"), "hash": found.hash}
