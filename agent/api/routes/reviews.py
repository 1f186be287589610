"""`GET /v1/reviews` and `POST /v1/reviews/{verdict_id}`: the operator reviews decisions, across tenants."""

from __future__ import annotations

import asyncio
import datetime as dt
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field

from agent.api.access import Operator
from agent.api.errors import ApiError
from agent.api.fields import Id, Text
from agent.store.reviews import Outcome, Review, Reviewed, ReviewError
from propriety.verdict import Strict, Verdict

router = APIRouter()


def _in_utc(moment: dt.datetime) -> dt.datetime:
    try:
        return moment.astimezone(dt.UTC)
    except OverflowError:
        raise ValueError("it is outside the years 1 to 9999 in UTC") from None


# Parsed by Python, since pydantic also accepts a number of seconds.
Moment = Annotated[AwareDatetime, BeforeValidator(dt.datetime.fromisoformat), AfterValidator(_in_utc)]


class ReviewRequest(Strict):
    """A reviewer's decision on a decision."""

    outcome: Outcome
    reason: Annotated[Text, Field(min_length=1, max_length=2000, description="Why; kept with the review.")]
    holds_for: Literal["tenant", "all"] = Field(
        default="tenant", description="Whose prompts follow an overturned decision: its tenant's, or everybody's."
    )
    rule: Text | None = Field(default=None, description="To overturn an allowed prompt: the rule that it breaks.")


class ReviewItem(Strict):
    """A decision and its review."""

    id: str
    object: Literal["review"] = "review"
    created_at: dt.datetime = Field(description="When it was decided.")
    tenant: str
    status: Literal["open", "confirmed", "overturned"]
    reason: str | None
    reviewer: str | None = Field(description="The tenant whose key reviewed it.")
    holds_for: Literal["tenant", "all"] | None
    verdict: Verdict


class ReviewList(Strict):
    object: Literal["list"] = "list"
    data: list[ReviewItem]
    has_more: bool


@router.get("/v1/reviews")
async def reviews(
    caller: Operator,
    status: Literal["open", "done"] = "open",
    tenant: Annotated[Text | None, Query(max_length=64)] = None,
    before: Annotated[Moment | None, Query(description="Older than this `created_at`, for the next page.")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> ReviewList:
    """Decisions, newest first: restrictions that wait for a review (`open`), or reviewed ones (`done`)."""
    listed = caller.store.reviews.listed
    found = await asyncio.to_thread(listed, status == "done", tenant, before, limit + 1)
    return ReviewList(data=[_item(reviewed) for reviewed in found[:limit]], has_more=len(found) > limit)


@router.post("/v1/reviews/{verdict_id}")
async def review(caller: Operator, verdict_id: Id, body: ReviewRequest) -> ReviewItem:
    """Confirm or overturn a decision. From then on, nearly the same prompts follow an overturned one."""
    written = Review(body.outcome, body.reason, caller.tenant.name, body.holds_for == "all", body.rule)
    moderator = caller.service.moderator
    try:
        reviewed = await asyncio.to_thread(caller.store.reviews.review, verdict_id, written, moderator.policies)
    except ReviewError as error:
        raise ApiError(409, f"This decision cannot be overturned: {error}.", "not_reviewable", "outcome") from None
    if reviewed is None:
        raise ApiError(404, f"The verdict {verdict_id!r} does not exist.", "not_found", "verdict_id")
    await asyncio.to_thread(moderator.exemplars.refresh)
    return _item(reviewed)


def _item(reviewed: Reviewed) -> ReviewItem:
    fields: dict[str, Any] = {"status": "open", "reason": None, "reviewer": None, "holds_for": None}
    if review := reviewed.review:
        fields = {"status": review.outcome.value, "reason": review.reason, "reviewer": review.reviewer,
                "holds_for": "all" if review.for_all else "tenant"}  # fmt: skip
    entry = reviewed.entry
    return ReviewItem(
        id=entry.verdict.id, created_at=entry.created_at, tenant=entry.tenant, verdict=entry.verdict, **fields
    )
