"""The lines of a batch: requests in, answers out, as OpenAI declares them."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Annotated, Any, BinaryIO, Literal

from pydantic import Field, ValidationError, field_validator

from agent.store.files import BulkError, Line
from propriety.verdict import Strict

LINE_BYTES, FLAW_CHARS = 1 << 18, 300
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
            raise ValueError(f"{named[0]} is not for batches")
        return body

    @property
    def prompts(self) -> int:
        """How many are judged; text in parts counts as many too."""
        prompts = self.body.get("input")
        return len(prompts) if isinstance(prompts, list) else 1


def read_lines(source: BinaryIO, most_prompts: int, most_bytes: int) -> Iterator[Line]:
    """The lines of an input file, counted without empty ones; a line that is no request has its `flaw`.

    Raises:
        BulkError: the file is too large, is no text, or has no request in it.
    """
    seen, first_flaw, count, prompts, size = dict[str, int](), "", 0, 0, 0
    for place, raw in enumerate(iter(lambda: source.readline(LINE_BYTES + 1), b""), 1):
        size += len(raw)
        text = _decoded(raw, place).removeprefix("\ufeff").strip()
        request = _request(text, place, seen) if text else None
        prompts += request.prompts if isinstance(request, LineRequest) else bool(text)
        if prompts > most_prompts or size > most_bytes:
            message = f"the file has more than {most_prompts} prompts, or than {most_bytes} bytes; cut it into several"
            raise BulkError(message, "invalid_file")
        if request is None:
            continue
        count += 1
        flaw = request if isinstance(request, str) else None
        first_flaw = first_flaw or flaw or ""
        yield Line(count, text, flaw)
    if not seen:
        raise BulkError(f"no line is a request; {first_flaw}" if first_flaw else "it is empty", "invalid_file")


def _decoded(raw: bytes, place: int) -> str:
    if len(raw) > LINE_BYTES:
        raise BulkError(f"line {place} is longer than {LINE_BYTES} bytes", "invalid_file")
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        raise BulkError(f"line {place} is no UTF-8", "invalid_file") from None
    if "\0" in text:
        raise BulkError(f"line {place} has a NUL in it; is the file text?", "invalid_file")
    return text


def _request(text: str, place: int, seen: dict[str, int]) -> LineRequest | str:
    """The request, or what is wrong: never the line itself, which may hold what must not be logged."""
    try:
        request = LineRequest.model_validate_json(text)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        told = [*map(str, problem["loc"]), problem["msg"].replace(" at line 1 column", " at column")]
        return printable(": ".join([f"line {place}", *told]))[:FLAW_CHARS]
    if first := seen.get(request.custom_id):
        return f"line {place}: custom_id: it is that of line {first} too"
    seen[request.custom_id] = place
    return request


def printable(text: str) -> str:
    """Without what breaks lines or databases."""
    return "".join(character if character.isprintable() else "?" for character in text)


def custom_id(line: Line) -> str | None:
    """Whatever can be read of it, also in a line that is no request."""
    try:
        name = json.loads(line.text)["custom_id"]
        name.encode()  # of a lone surrogate, which no file can hold, it is a ValueError
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None
    return str(name)


def new_id() -> str:
    """Of a line of an output or error file, and of the request that it answers."""
    return f"batch_req_{uuid.uuid4().hex}"


def answered(line: Line, name: str, status: int, body: Any) -> Line:
    """A line of an output or error file: what the request of that id was answered."""
    return _told(line, name, {"status_code": status, "request_id": name, "body": body}, None)


def unanswered(line: Line, error: dict[str, str]) -> Line:
    """A line of an error file: why the request was not asked, by `code` and `message`."""
    return _told(line, new_id(), None, error)


def _told(line: Line, name: str, response: dict[str, Any] | None, error: dict[str, str] | None) -> Line:
    told = {"id": name, "custom_id": custom_id(line), "response": response, "error": error}
    return Line(line.number, json.dumps(told, ensure_ascii=False))
