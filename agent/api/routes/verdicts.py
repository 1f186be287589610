"""`GET /v1/verdicts/{id}`: an earlier verdict."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter

from agent.api.access import Anyone
from agent.api.errors import ApiError
from agent.api.fields import Id
from propriety.verdict import Verdict

router = APIRouter()


@router.get("/v1/verdicts/{verdict_id}")
async def verdict(caller: Anyone, verdict_id: Id) -> Verdict:
    """A verdict that was given to the caller. Those of others are a 404, like ones that do not exist."""
    found = await asyncio.to_thread(caller.store.decisions.read, verdict_id, caller.tenant.name)
    if found is None:
        raise ApiError(404, f"The verdict {verdict_id!r} does not exist.", "not_found", "verdict_id")
    return found
