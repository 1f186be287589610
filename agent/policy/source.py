"""YAML sources that know their lines, so that every error names file, line and what was expected."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError


class PolicyError(ValueError):
    """A file that must not be served: `path`, `line` (from 1) and what was expected there."""

    def __init__(self, path: Path, line: int, expected: str) -> None:
        super().__init__(f"{path}:{line}: {expected}")
        self.path, self.line, self.expected = path, line, expected


def read_yaml(path: Path) -> Any:
    """Parse a YAML file into maps and lists that know their lines; duplicate keys are refused."""
    try:
        return YAML(typ="rt", pure=True).load(path.read_text(encoding="utf-8"))
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise PolicyError(path, mark.line + 1 if mark else 1, f"expected valid YAML: {error.problem}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise PolicyError(path, 1, f"expected a readable UTF-8 file: {error}") from None
    except (YAMLError, ValueError) as error:  # control characters, a date such as 2026-99-99: no mark to go by
        raise PolicyError(path, 1, f"expected valid YAML: {str(error).splitlines()[0]}") from None


def explain(error: ValidationError, document: Any, path: Path) -> PolicyError:
    """The first thing that pydantic found wrong, with its place in the file."""
    first = error.errors(include_url=False)[0]
    line, where = locate(document, first["loc"])
    given = f", not {first['input']!r}" if isinstance(first["input"], str | int | float) else ""
    return PolicyError(path, line, f"{where or 'file'}: {first['msg']}{given}")


def locate(document: Any, location: Iterable[str | int]) -> tuple[int, str]:
    """The line (from 1) and the dotted name of the deepest node of `document` on the path `location`."""
    line, names = 1, []
    for step in location:
        if isinstance(document, CommentedMap) and step in document:
            line = document.lc.key(step)[0] + 1
        elif isinstance(document, CommentedSeq) and isinstance(step, int) and step < len(document):
            line = document.lc.item(step)[0] + 1
        elif isinstance(document, CommentedMap) and step not in ("override", "disabled"):
            names.append(str(step))  # a required key that is missing
            continue
        else:
            continue  # pydantic names the member of a union too, which is no node of the file
        names.append(str(step))
        document = document[step]
    return line, ".".join(names)
