"""The lines of a batch: requests in, responses out, in OpenAI's form."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Annotated, Any, BinaryIO, Literal

from pydantic import Field, ValidationError, field_validator

from agent.store.files import BulkError, Line
from propriety.verdict import Strict

MAX_LINE_BYTES, MAX_FLAW_CHARS = 1 << 18, 300
MAX_EMPTY_LINES = 100_000  # reading a hundred million takes minutes
NOT_IN_BATCHES = ("stream", "conversation_id")

Endpoint = Literal["/v1/moderations", "/v1/chat/completions"]


class LineRequest(Strict):
    """A line of an input file."""

    custom_id: Annotated[str, Field(min_length=1, max_length=512)]
    method: Literal["POST"]
    url: Endpoint
    body: dict[str, Any]

    @field_validator("body")
    @classmethod
    def _stands_alone(cls, body: dict[str, Any]) -> dict[str, Any]:
        if named := [field for field in NOT_IN_BATCHES if body.get(field)]:
            raise ValueError(f"{named[0]} cannot be used in a batch")
        return body

    @property
    def prompts(self) -> int:
        """How many prompts it has; each text part counts as one."""
        prompts = self.body.get("input")
        return len(prompts) if isinstance(prompts, list) else 1


def read_lines(source: BinaryIO, max_prompts: int, max_bytes: int) -> Iterator[Line]:
    """The lines of an input file, numbered without empty ones; an invalid line has its `flaw`.

    Raises:
        BulkError: the file is too large, is not text, or has no valid line.
    """
    seen, first_flaw, count, prompts, size = dict[str, int](), "", 0, 0, 0
    for place, raw in enumerate(iter(lambda: source.readline(MAX_LINE_BYTES + 1), b""), 1):
        size += len(raw)
        text = _decoded(raw, place).removeprefix("\ufeff").strip()
        request = _request(text, place, seen) if text else None
        prompts += request.prompts if isinstance(request, LineRequest) else bool(text)
        if prompts > max_prompts or size > max_bytes:
            message = f"the file has more than {max_prompts} prompts or {max_bytes} bytes; split it"
            raise BulkError(message, "invalid_file")
        if request is None:
            if place - count > MAX_EMPTY_LINES:
                raise BulkError(f"the file has more than {MAX_EMPTY_LINES} empty lines; remove them", "invalid_file")
            continue
        count += 1
        flaw = request if isinstance(request, str) else None
        first_flaw = first_flaw or flaw or ""
        yield Line(count, text, flaw)
    if not seen:
        raise BulkError(f"no line is a valid request; {first_flaw}" if first_flaw else "it is empty", "invalid_file")


def _decoded(raw: bytes, place: int) -> str:
    if len(raw) > MAX_LINE_BYTES:
        raise BulkError(f"line {place} is longer than {MAX_LINE_BYTES} bytes", "invalid_file")
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        raise BulkError(f"line {place} is not UTF-8", "invalid_file") from None
    if "\0" in text:
        raise BulkError(f"line {place} contains a NUL character; is the file text?", "invalid_file")
    return text


def _request(text: str, place: int, seen: dict[str, int]) -> LineRequest | str:
    """The request, or what is wrong with it; never the line itself, which must not be logged."""
    try:
        request = LineRequest.model_validate_json(text)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        parts = [*map(str, problem["loc"]), problem["msg"].replace(" at line 1 column", " at column")]
        return printable(": ".join([f"line {place}", *parts]))[:MAX_FLAW_CHARS]
    if first := seen.get(request.custom_id):
        return f"line {place}: custom_id: line {first} has the same"
    seen[request.custom_id] = place
    return request


def printable(text: str) -> str:
    """Replaces characters that break lines or databases."""
    return "".join(character if character.isprintable() else "?" for character in text)


def custom_id(line: Line) -> str | None:
    """The line's custom_id, also if the line is invalid; None if it cannot be read."""
    try:
        name = json.loads(line.text)["custom_id"]
        name.encode()  # a lone surrogate, which no file can hold, raises a ValueError
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None
    return str(name)


def new_id() -> str:
    """An id for a line of an output or error file, and for the request that it answers."""
    return f"batch_req_{uuid.uuid4().hex}"


def answered(line: Line, name: str, status: int, body: Any) -> Line:
    """A line of an output or error file: the response to the request of that id."""
    return _output_line(line, name, {"status_code": status, "request_id": name, "body": body}, None)


def unanswered(line: Line, error: dict[str, str]) -> Line:
    """A line of an error file: why the request was not judged, as `code` and `message`."""
    return _output_line(line, new_id(), None, error)


def _output_line(line: Line, name: str, response: dict[str, Any] | None, error: dict[str, str] | None) -> Line:
    fields = {"id": name, "custom_id": custom_id(line), "response": response, "error": error}
    return Line(line.number, json.dumps(fields, ensure_ascii=False))
