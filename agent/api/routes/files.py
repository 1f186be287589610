"""`/v1/files`: input and output of batches, in OpenAI's shapes."""

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
from agent.api.fields import FromOpenAI, Id, Text, refuse_unsupported
from agent.store.batch_lines import printable, read_lines
from agent.store.database import utc
from agent.store.files import BulkError, FileRow, Purpose
from propriety.verdict import Strict

router = APIRouter()

PATH = "/v1/files"
NO_EXPIRY = "files are kept until you delete them, or for as long as the operator keeps decisions"
STATUS = {"invalid_file": 400, "not_found": 404, "file_in_use": 409, "storage_full": 413, "too_many_waiting": 429}


class Upload(FromOpenAI):
    """The form's fields."""

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="ignore", strict=False)

    purpose: Literal["batch"]
    file: UploadFile


class Paging(Strict):
    """The page of a list to return."""

    after: Id | None = Field(default=None, description="`last_id` of the previous page.")
    limit: int = Field(default=20, ge=1, le=100)


class FilePaging(Paging):
    """OpenAI's parameters for a list of files."""

    limit: int = Field(default=20, ge=1, le=10_000)
    order: Literal["asc", "desc"] = Field(default="desc", description="By age: `desc` lists the newest first.")
    purpose: Annotated[Text, Field(max_length=64)] | None = Field(default=None, description="Only files with it.")


class Listed(Strict):
    """An item of a paged list."""

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
    """Newest first, unless another order was requested; `after=last_id` gives the next page."""

    object: Literal["list"] = "list"
    data: list[Item]
    first_id: str | None
    last_id: str | None
    has_more: bool


def page(items: Sequence[Item], limit: int) -> dict[str, Any]:
    """The fields of a page. `items` has one item more than the limit if there is another page."""
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
                "file": {
                    "type": "string",
                    "format": "binary",
                    "description": "JSON Lines: one request in each line.",
                },
            },
        }
    }
}


# FastAPI would read the form before it checks the scope, so the route reads it.
@router.post(PATH, openapi_extra={"requestBody": {"required": True, "content": FORM}})
async def upload(caller: Asker, request: Request) -> File:
    """Keep a batch's input. An invalid line gets an error from the batch; a file without any valid line is a 400."""
    with caller.service.traffic.upload(caller.tenant.name):
        return _file(await _receive(caller, request))


async def _receive(caller: Caller, request: Request) -> FileRow:
    async with request.form(max_files=1, max_fields=10) as form:
        fields = dict(form)
        expiry = {"expires_after": any(name.startswith("expires_after") for name in fields)}
        refuse_unsupported(expiry, NO_EXPIRY)
        try:
            upload = Upload.model_validate(fields)
        except ValidationError as error:
            errors = [{**one, "loc": ("body", *one["loc"])} for one in error.errors()]
            raise RequestValidationError(errors, body=fields) from None
        settings, name = caller.service.settings, printable(PurePath(upload.file.filename or "").name)[:255]
        lines = read_lines(upload.file.file, settings.batch_prompts, settings.file_mib << 20)
        try:
            return await asyncio.to_thread(caller.store.files.add, caller.tenant.name, name, lines)
        except BulkError as error:
            raise refusal(error, "file") from None


@router.get(PATH)
async def files(caller: Asker, paging: Annotated[FilePaging, Query()]) -> Page[File]:
    """The caller's files, by age."""
    found = await asyncio.to_thread(
        caller.store.files.listed,
        caller.tenant.name,
        paging.after,
        paging.limit + 1,
        purpose=paging.purpose,
        oldest_first=paging.order == "asc",
    )
    return Page(**page([_file(row) for row in found], paging.limit))


@router.get("/v1/files/{file_id}")
async def file(caller: Asker, file_id: Id) -> File:
    """One of the caller's files."""
    return _file(await found_file(caller, file_id, "file_id"))


@router.get(
    "/v1/files/{file_id}/content",
    response_class=StreamingResponse,
    responses={200: {"content": {"application/jsonl": {}}}},
)
async def content(caller: Asker, file_id: Id) -> StreamingResponse:
    """The file's lines; those of an output file are in the order of the input."""
    row = await found_file(caller, file_id, "file_id")
    lines = caller.store.files.content(row.id)
    return StreamingResponse(lines, media_type="application/jsonl", headers={"Content-Length": str(row.bytes)})


@router.delete("/v1/files/{file_id}")
async def delete(caller: Asker, file_id: Id) -> FileDeleted:
    """Delete one of the caller's files, unless an unfinished batch needs it."""
    row = await found_file(caller, file_id, "file_id")
    try:
        await asyncio.to_thread(caller.store.batches.delete, row)
    except BulkError as error:
        raise refusal(error, "file_id") from None
    return FileDeleted(id=row.id)


async def found_file(caller: Caller, file_id: str, param: str) -> FileRow:
    """One of the caller's files; `param` names the field, for the error.

    Raises:
        ApiError: 404 if it does not exist.
    """
    find = caller.store.files.find
    row: FileRow | None = await asyncio.to_thread(find, caller.tenant.name, file_id)
    if row is None:
        raise ApiError(404, f"The file {file_id!r} does not exist.", "not_found", param)
    return row


def refusal(error: BulkError, param: str) -> ApiError:
    """The error for the caller."""
    return ApiError(STATUS[error.code], f"{param}: {error}.", error.code, param)


def _file(row: FileRow) -> File:
    fields = {name: getattr(row, name) for name in ("id", "bytes", "filename", "purpose")}
    return File.model_validate({**fields, "created_at": unix_seconds(row.created_at)})


def unix_seconds(moment: dt.datetime) -> int:
    """Seconds since 1970, as OpenAI gives times."""
    return int(utc(moment).timestamp())
