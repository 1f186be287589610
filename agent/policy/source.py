"""YAML files that know their lines, so that every error names file, line and what was expected."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from pydantic import ValidationError

from agent.policy.yaml_fixes import fix_for
from propriety.text_files import EncodingError, read_utf8

Location = Iterable[str | int]  # the keys and indices that lead to a part of a file, as pydantic gives them


class PolicyError(ValueError):
    """A file that must not be served: `path`, `line` (from 1) and what was expected there."""

    def __init__(self, path: Path, line: int, expected: str) -> None:
        super().__init__(f"{path}:{line}: {expected}")
        self.path, self.line, self.expected = path, line, expected


class Source(NamedTuple):
    """A YAML file: its content as plain data, and the parse tree that knows where each part is."""

    path: Path
    data: Any
    tree: yaml.Node | None

    def error(self, location: Location, expected: str) -> PolicyError:
        """An error at a part of the file. Where a part is missing, the line is that of the part around it."""
        return PolicyError(self.path, _locate(self.tree, location)[0], expected)

    def invalid(self, error: ValidationError, within: tuple[str | int, ...] = ()) -> PolicyError:
        """The first problem that pydantic found in the file, or in the part `within`; but an unknown key before others.

        A misspelt key is two problems, and the missing key is the less helpful one.
        """
        problems = error.errors(include_url=False)
        first = next((problem for problem in problems if problem["type"] == "extra_forbidden"), problems[0])
        line, names = _locate(self.tree, (*within, *first["loc"]))
        given = f", not {first['input']!r}" if isinstance(first["input"], str | int | float) else ""
        match first["type"]:
            case "extra_forbidden":
                problem = "unknown key; correct its spelling or remove it"
            case "missing":
                problem = "required, but missing; add it"
            case "model_type":
                problem = "expected keys and values"
            case "string_type":
                problem = f"expected text, but {_read_as(first['input'])}"
            case "value_error":
                problem = str(first["ctx"]["error"])
            case _:
                problem = first["msg"].replace("Input should be", "expected") + given
        return PolicyError(self.path, line, f"{'.'.join(names) or 'the file'}: {problem}")


def policy_files(folder: Path) -> list[Path]:
    """The YAML files of a folder, without those that editors and systems hide beside them (`~$x.yaml`, `.x.yaml`).

    Raises:
        PolicyError: a name ends in `.yml`, `.YAML` or `.yaml.txt`, so that the file would be left out unnoticed.
    """
    files = [path for path in sorted(folder.glob("*")) if not path.name.startswith((".", "~$"))]
    for path in files:
        if (found := re.search(r"\.ya?ml(\.txt)?$", path.name, re.IGNORECASE)) and found[0] != ".yaml":
            name = f"{path.name[: found.start()]}.yaml"
            raise PolicyError(path, 1, f"expected a name that ends in .yaml; rename the file to {name!r}, or remove it")
    return [path for path in files if path.suffix == ".yaml"]


def read_yaml(path: Path) -> Source:
    """Read a YAML 1.2 file. Its text is normalised (NFC), since systems compose letters and their marks differently.

    Raises:
        PolicyError: the file cannot be read, is not valid YAML, has a key twice or a tag that makes an object.
    """
    text = ""
    try:
        text = unicodedata.normalize("NFC", read_utf8(path))
        loader = _Loader(text)
        tree = loader.get_single_node()
        return Source(path, None if tree is None else loader.construct_document(tree), tree)
    except yaml.MarkedYAMLError as error:
        mark, begin = error.problem_mark or error.context_mark, error.context_mark
        problem = (
            f"{error.problem} {error.context} that begins on line {begin.line + 1}"
            if error.context and begin
            else str(error.problem)
        )
        fix = fix_for(problem, text, begin.line if begin else mark.line, mark.line, mark.column) if mark else ""
        raise PolicyError(path, mark.line + 1 if mark else 1, f"expected valid YAML: {problem}{fix}") from None
    except yaml.reader.ReaderError as error:
        line = text.encode()[: error.position].count(b"\n") + 1
        character = f"the character U+{error.character:04X}, which cannot be seen, is not allowed; delete it"
        raise PolicyError(path, line, f"expected valid YAML: {character}") from None
    except EncodingError as error:
        raise PolicyError(path, error.line, f"expected UTF-8: {error}") from None
    except OSError as error:
        raise PolicyError(path, 1, f"expected a readable file: {error}") from None


class _Loader(yaml.CSafeLoader):
    """Reads YAML 1.2 (its core schema, section 10.3), which is what editors check: `no` is a word, a date is text.

    PyYAML's own loaders read YAML 1.1.
    """

    yaml_implicit_resolvers: dict[str, Any] = {}

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (ArithmeticError, AttributeError, LookupError, ValueError):  # PyYAML's, for a tag such as `!!int x`
            kind = node.tag.removeprefix("tag:yaml.org,2002:")
            problem = f"this does not read as {kind}; put it in quotes, or remove its tag"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark) from None

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(None, None, f"duplicate key {key.value!r}", key.start_mark)
                seen.add(key.value)
        return super().construct_mapping(node, deep)


for _kind, _pattern, _first in (
    ("null", "~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", "true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", "[-+]?(0|[1-9][0-9]*)", list("-+0123456789")),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", list("-+.0123456789")),
    ("merge", "<<", ["<"]),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_kind}", re.compile(f"(?:{_pattern})$"), _first)


def _read_as(value: Any) -> str:
    """What YAML made of a value that should be text, and how to fix it."""
    match value:
        case None:
            return "there is none; add it"
        case dict():
            return "YAML reads this as a key and its value; put text that holds a colon in quotes"
        case list():
            return "YAML reads this as a list; put text in brackets in quotes, or give one text"
        case _:
            return "YAML reads this as a number, or as true or false; put it in quotes"


def _locate(node: yaml.Node | None, location: Location) -> tuple[int, list[str]]:
    """The line (from 1) and the names of the deepest part of the file on the way to `location`.

    An item of a list that has an `id` is named by that, and otherwise by its index.
    """
    line, names = 1, list[str]()
    for step in location:
        if isinstance(node, yaml.MappingNode):
            if (entry := _entry(node, step)) is not None:
                line, node = entry[0].start_mark.line + 1, entry[1]
            elif step in ("override", "disabled"):
                continue  # pydantic names the member of a union too, which is not a part of the file
            names.append(str(step))
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            node = node.value[step]
            line = node.start_mark.line + 1
            own = _entry(node, "id") if isinstance(node, yaml.MappingNode) else None
            names.append(str(own[1].value if own else step))
    return line, names


def _entry(node: yaml.MappingNode, key: str | int) -> tuple[yaml.Node, yaml.Node] | None:
    return next((entry for entry in node.value if entry[0].value == str(key)), None)
