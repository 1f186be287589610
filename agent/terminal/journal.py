"""JSON Lines that a command appends to while it works, so that an interrupted run can be continued."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import IO, TypeVar

from pydantic import BaseModel, ValidationError

Form = TypeVar("Form", bound=BaseModel)


class JournalError(ValueError):
    """The file holds something that the command did not write, so it is left unchanged."""


def written(path: Path, form: type[Form]) -> Iterator[Form]:
    """The lines of an earlier run, if there was one. A half-written last line is cut off after all others are read.

    Raises:
        JournalError: a line does not have that form.
    """
    if not path.exists():
        return
    first_key, end = f'{{"{next(iter(form.model_fields))}":'.encode(), 0
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            torn = not line.endswith(b"\n")
            try:
                if torn and line[: len(first_key)] == first_key[: len(line)]:
                    break
                yield form.model_validate_json(line)
            except ValidationError:
                raise JournalError(
                    f"{path}:{number}: this command did not write this line; name another file, or remove this one"
                ) from None
            end += len(line)
    if end < path.stat().st_size:
        with path.open("rb+") as file:
            file.truncate(end)


def earlier(path: Path, form: type[Form], by: str) -> list[Form]:
    """The lines of an earlier run, which must all have this value in their field `by`.

    Raises:
        JournalError: as `written`; or a line has another value.
    """
    lines = list(written(path, form))
    if other := next((maker for line in lines if (maker := line.by) != by), None):  # type: ignore[attr-defined]
        raise JournalError(f"{path}: its lines are by “{other}”, not by “{by}”; name another file, or remove this one")
    return lines


def append(file: IO[bytes], line: BaseModel) -> None:
    """Write one line, and flush it to the system."""
    file.write(line.model_dump_json().encode() + b"\n")
    file.flush()
