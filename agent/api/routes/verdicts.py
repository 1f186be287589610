"""`GET /v1/verdicts/{id}`: a verdict given before."""

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
    """One of the caller's own; another's is a 404, as one that never was."""
    found = await asyncio.to_thread(caller.moderator.logged, verdict_id, caller.tenant.name)
    if found is None:
        raise ApiError(404, f"There is no verdict {verdict_id!r} of yours.", "not_found", "verdict_id")
    return found
