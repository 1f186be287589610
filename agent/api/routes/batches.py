"""`/v1/batches`: many requests from a file, judged between live requests, in OpenAI's shapes."""

from __future__ import annotations

import asyncio
import datetime as dt
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic.json_schema import SkipJsonSchema

from agent.api.access import Asker, Caller
from agent.api.errors import ApiError
from agent.api.fields import FromOpenAI, Id, Metadata, refuse_unsupported
from agent.api.routes.files import NO_EXPIRY, Listed, Page, Paging, found_file, page, refusal, unix_seconds
from agent.store.batch_lines import Endpoint
from agent.store.batches import BatchRow
from agent.store.files import BulkError
from propriety.verdict import Strict

router = APIRouter()


class BatchRequest(FromOpenAI):
    """OpenAI's fields."""

    input_file_id: Id
    endpoint: Endpoint
    completion_window: Literal["24h"]
    metadata: Metadata | None = None
    output_expires_after: SkipJsonSchema[Any] = None  # not supported


class RequestCounts(Strict):
    """`completed` are in the output file, `failed` in the error file."""

    total: int
    completed: int
    failed: int


class Batch(Listed):
    """OpenAI's batch object; times are Unix seconds. `validating` has not started yet."""

    object: Literal["batch"] = "batch"
    endpoint: Endpoint
    errors: None = None
    input_file_id: str
    completion_window: Literal["24h"] = "24h"
    status: Literal["validating", "in_progress", "completed", "expired", "cancelling", "cancelled"]
    output_file_id: str | None
    error_file_id: str | None
    created_at: int
    in_progress_at: int | None
    expires_at: int
    finalizing_at: int | None = None
    completed_at: int | None = None
    failed_at: None = None
    expired_at: int | None = None
    cancelling_at: int | None
    cancelled_at: int | None = None
    request_counts: RequestCounts
    metadata: dict[str, str] | None


@router.post("/v1/batches")
async def create(caller: Asker, body: BatchRequest) -> Batch:
    """Judge each request of a file within a day."""
    refuse_unsupported({"output_expires_after": body.output_expires_after}, NO_EXPIRY)
    row = await found_file(caller, body.input_file_id, "input_file_id")
    if row.purpose != "batch":
        message = f"input_file_id: {row.id!r} is the output of a batch; upload a file with the purpose 'batch'."
        raise ApiError(400, message, "invalid_file", "input_file_id")
    make = caller.store.batches.create
    try:
        return _batch(await asyncio.to_thread(make, caller.tenant.name, row, body.endpoint, body.metadata))
    except BulkError as error:
        raise refusal(error, "input_file_id") from None


@router.get("/v1/batches")
async def batches(caller: Asker, paging: Annotated[Paging, Query()]) -> Page[Batch]:
    """The caller's batches, newest first."""
    listed = caller.store.batches.listed
    found = await asyncio.to_thread(listed, caller.tenant.name, paging.after, paging.limit + 1)
    return Page(**page([_batch(row) for row in found], paging.limit))


@router.get("/v1/batches/{batch_id}")
async def batch(caller: Asker, batch_id: Id) -> Batch:
    """One of the caller's batches."""
    return _batch(await _found(caller, batch_id))


@router.post("/v1/batches/{batch_id}/cancel")
async def cancel(caller: Asker, batch_id: Id) -> Batch:
    """Judge no further line; results so far are kept."""
    row = await _found(caller, batch_id)
    if not await asyncio.to_thread(caller.store.batches.cancel, caller.tenant.name, batch_id):
        raise ApiError(409, f"The batch {batch_id} has already ended: {row.status}.", "batch_ended", "batch_id")
    return _batch(await _found(caller, batch_id))


async def _found(caller: Caller, batch_id: str) -> BatchRow:
    row: BatchRow | None = await asyncio.to_thread(caller.store.batches.find, caller.tenant.name, batch_id)
    if row is None:
        raise ApiError(404, f"The batch {batch_id!r} does not exist.", "not_found", "batch_id")
    return row


def _batch(row: BatchRow) -> Batch:
    ended: dict[str, Any] = {"output_file_id": None, "error_file_id": None}
    if row.ended_at is not None:
        ended = {"output_file_id": row.output_file_id, "error_file_id": row.error_file_id,
                 "finalizing_at": _seconds(row.ended_at), f"{row.status}_at": _seconds(row.ended_at)}  # fmt: skip
    return Batch.model_validate(
        {
            **ended, "id": row.id, "endpoint": row.endpoint, "input_file_id": row.input_file_id, "status": row.status,
            "created_at": _seconds(row.created_at), "in_progress_at": _seconds(row.in_progress_at),
            "expires_at": _seconds(row.expires_at), "cancelling_at": _seconds(row.cancelling_at),
            "request_counts": {"total": row.total, "completed": row.completed, "failed": row.failed},
            "metadata": row.notes,
        }
    )  # fmt: skip


def _seconds(moment: dt.datetime | None) -> int | None:
    return None if moment is None else unix_seconds(moment)
