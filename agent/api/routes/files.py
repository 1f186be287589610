"""`/v1/files`: the files of batches, in OpenAI's shapes."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Sequence
from pathlib import PurePath
from typing import Annotated, Any, Generic, Literal, TypeVar

from fastapi import APIRouter, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import StreamingResponse
from pydantic import ConfigDict, Field, ValidationError
from starlette.datastructures import UploadFile

from agent.api.access import Asker, Caller
from agent.api.errors import ApiError
from agent.api.fields import Id
from agent.store.batch_lines import printable, read_lines
from agent.store.database import utc
from agent.store.files import BulkError, FileRow, Purpose
from propriety.verdict import Strict

router = APIRouter()

PATH = "/v1/files"
STATUS = {"invalid_file": 400, "not_found": 404, "file_in_use": 409, "storage_full": 413, "too_many_waiting": 429}


class Upload(Strict):
    """The form's fields."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    purpose: Literal["batch"]
    file: UploadFile


class Paging(Strict):
    """Which page of a list is asked for."""

    after: Id | None = Field(default=None, description="The id of the last one before, for the next page.")
    limit: int = Field(default=20, ge=1, le=100)


class Listed(Strict):
    """What is listed by pages."""

    id: str


class File(Listed):
    """OpenAI's file object; times are Unix seconds."""

    object: Literal["file"] = "file"
    bytes: int
    created_at: int
    filename: str
    purpose: Purpose
    status: Literal["processed"] = "processed"


Item = TypeVar("Item", bound=Listed)


class Page(Strict, Generic[Item]):
    """Newest first; the next page is asked for with `after=last_id`."""

    object: Literal["list"] = "list"
    data: list[Item]
    first_id: str | None
    last_id: str | None
    has_more: bool


def page(items: Sequence[Item], limit: int) -> dict[str, Any]:
    """The fields of a page of those of `items`, which are one more than the limit where there are more."""
    data = items[:limit]
    first, last = (data[0].id, data[-1].id) if data else (None, None)
    return {"data": data, "first_id": first, "last_id": last, "has_more": len(items) > limit}


class FileDeleted(Strict):
    id: str
    object: Literal["file"] = "file"
    deleted: Literal[True] = True


FORM = {
    "multipart/form-data": {
        "schema": {
            "type": "object",
            "required": ["file", "purpose"],
            "properties": {
                "purpose": {"type": "string", "enum": ["batch"]},
                "file": {"type": "string", "format": "binary", "description": "JSON Lines, a request of a batch each."},
            },
        }
    }
}


# The form is read here and not by FastAPI, which would take it in before it asks for a scope.
@router.post(PATH, openapi_extra={"requestBody": {"required": True, "content": FORM}})
async def upload(caller: Asker, request: Request) -> File:
    """Keep a batch's input; a line that is no request gets its error from the batch, a file without any is a 400."""
    with request.app.state.traffic.upload():
        return _file(await _taken_in(caller, request))


async def _taken_in(caller: Caller, request: Request) -> FileRow:
    async with request.form(max_files=1, max_fields=10) as form:
        given = dict(form)
        try:
            sent = Upload.model_validate(given)
        except ValidationError as error:
            errors = [{**one, "loc": ("body", *one["loc"])} for one in error.errors()]
            raise RequestValidationError(errors, body=given) from None
        settings, name = caller.moderator.settings, printable(PurePath(sent.file.filename or "").name)[:255]
        lines = read_lines(sent.file.file, settings.batch_prompts, settings.file_mib << 20)
        add = request.app.state.files.add
        try:
            row: FileRow = await asyncio.to_thread(add, caller.tenant.name, name, lines)
        except BulkError as error:
            raise refused(error, "file") from None
        return row


@router.get(PATH)
async def files(caller: Asker, request: Request, asked: Annotated[Paging, Query()]) -> Page[File]:
    """The caller's own, newest first."""
    listed = request.app.state.files.listed
    found = await asyncio.to_thread(listed, caller.tenant.name, asked.after, asked.limit + 1)
    return Page(**page([_file(row) for row in found], asked.limit))


@router.get("/v1/files/{file_id}")
async def file(caller: Asker, request: Request, file_id: Id) -> File:
    """One of the caller's own."""
    return _file(await found_file(caller, request, file_id, "file_id"))


@router.get(
    "/v1/files/{file_id}/content",
    response_class=StreamingResponse,
    responses={200: {"content": {"application/jsonl": {}}}},
)
async def content(caller: Asker, request: Request, file_id: Id) -> StreamingResponse:
    """Its lines; those of an output file are in the order of the input."""
    row = await found_file(caller, request, file_id, "file_id")
    lines = request.app.state.files.content(row.id)
    return StreamingResponse(lines, media_type="application/jsonl", headers={"Content-Length": str(row.bytes)})


@router.delete("/v1/files/{file_id}")
async def delete(caller: Asker, request: Request, file_id: Id) -> FileDeleted:
    """Delete one of the caller's own that no batch needs that is not done."""
    row = await found_file(caller, request, file_id, "file_id")
    try:
        await asyncio.to_thread(request.app.state.batches.delete, row)
    except BulkError as error:
        raise refused(error, "file_id") from None
    return FileDeleted(id=row.id)


async def found_file(caller: Caller, request: Request, file_id: str, param: str) -> FileRow:
    """A file of the caller's own; `param` names the field, for the error.

    Raises:
        ApiError: 404 where there is none.
    """
    find = request.app.state.files.find
    row: FileRow | None = await asyncio.to_thread(find, caller.tenant.name, file_id)
    if row is None:
        raise ApiError(404, f"There is no file {file_id!r} of yours.", "not_found", param)
    return row


def refused(error: BulkError, param: str) -> ApiError:
    """The refusal that says it to the caller."""
    return ApiError(STATUS[error.code], f"{param}: {error}.", error.code, param)


def _file(row: FileRow) -> File:
    told = {name: getattr(row, name) for name in ("id", "bytes", "filename", "purpose")}
    return File.model_validate({**told, "created_at": unix_seconds(row.created_at)})


def unix_seconds(moment: dt.datetime) -> int:
    """As OpenAI tells times."""
    return int(utc(moment).timestamp())
