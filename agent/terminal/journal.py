"""JSON Lines that grow while a command works, so that it can be interrupted and go on where it was."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import IO, TypeVar

from pydantic import BaseModel, ValidationError

Form = TypeVar("Form", bound=BaseModel)


class JournalError(ValueError):
    """The file holds something else than what the command writes, so it is left as it is."""


def written(path: Path, form: type[Form]) -> Iterator[Form]:
    """The lines of an earlier run, if there was one; a half-written last line is cut off once all others are read.

    Raises:
        JournalError: where a line is not of that form.
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
                    f"{path}:{number}: not a line that this command writes; name another file, or remove this one"
                ) from None
            end += len(line)
    if end < path.stat().st_size:
        with path.open("rb+") as file:
            file.truncate(end)


def earlier(path: Path, form: type[Form], by: str) -> list[Form]:
    """The lines of an earlier run, whose form has a field `by`: all must have been made by the same.

    Raises:
        JournalError: as `written`, and where another made a line.
    """
    lines = list(written(path, form))
    if other := next((there for line in lines if (there := line.by) != by), None):  # type: ignore[attr-defined]
        raise JournalError(f"{path}: its lines are by “{other}”, not by “{by}”; name another file, or remove this one")
    return lines


def append(file: IO[bytes], line: BaseModel) -> None:
    """Write one line and hand it to the system at once."""
    file.write(line.model_dump_json().encode() + b"\n")
    file.flush()
