"""What the documents name exists: files, anchors, tests, settings, commands with their options, routes."""

import json
import re
import shlex
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import click
import typer.main

import cli
from agent.settings import Settings

ROOT = Path(__file__).parents[2]
FOLDERS = {"agent", "benchmarks", "cli", "deploy", "docs", "evaluation", "generator", "policies", "propriety", "tests"}
SUFFIXES = ("csv", "json", "jsonl", "md", "png", "py", "safetensors", "sh", "toml", "txt", "yaml", "yml")
PATH = re.compile(rf"\.?[\w-][\w.-]*(/[\w.-]+)*/|[\w.-]+(/[\w.-]+)*\.({'|'.join(SUFFIXES)})|[\w-]+(/[\w.-]+)+")
IN_SOURCE = re.compile(rf"(?<![\w./-])(?:{'|'.join(FOLDERS)})/[\w./-]*\.(?:{'|'.join(SUFFIXES)})\b")
# Files that users or commands make, and files of other projects.
MADE = re.compile(
    r"(data|out|models|secrets|drafts)/.*|propriety\.toml|docker-compose\.override\.yml|\.venv(/.*)?"
    r"|(prompts|judged|decisions|statements|scores|i2p|s|left)\.(jsonl|csv)|[a-z]{2}-[A-Z]{2}\.yaml"
)
FOREIGN = {"pytorch_model.bin"}
PAST = "CHANGELOG.md"  # names what there was


def test_a_link_leads_somewhere(document: Any) -> None:
    dead = [link for link in _links(document) if not _leads_somewhere(document.path, link)]
    assert dead == []


def test_a_path_in_backticks_exists(document: Any) -> None:
    if document.name == PAST:
        return
    named = {token.content for token in document.inline("code_inline")}
    paths = {name for name in named if PATH.fullmatch(name) and not MADE.fullmatch(name) and name not in FOREIGN}
    assert sorted(path for path in paths if not _exists(document.path, path)) == []


def test_a_path_that_source_or_configuration_names_exists() -> None:
    files = [
        path for folder in FOLDERS for path in (ROOT / folder).rglob("*") if path.suffix in {".py", ".yml", ".yaml"}
    ]
    files += [ROOT / name for name in ("Dockerfile", "Makefile", "pyproject.toml", *map(str, ROOT.glob("*.yml")))]
    dead = {
        f"{file.relative_to(ROOT)}: {path}"
        for file in files
        for path in IN_SOURCE.findall(file.read_text(encoding="utf-8"))
        if not (ROOT / path).exists()
    }
    assert sorted(dead) == []


def test_a_test_that_a_document_names_exists(document: Any) -> None:
    named = {
        token.content for token in document.inline("code_inline") if re.fullmatch(r"test_\w+(\.py)?", token.content)
    }
    assert sorted(named - _tests()) == []


def test_a_setting_that_a_document_names_exists(document: Any) -> None:
    text = document.path.read_text(encoding="utf-8")
    fields = {name.upper() for name in Settings.model_fields}
    whole = {name.rstrip("_") for name in re.findall(r"\bPROPRIETY_(\w+)", text)}
    parts = set(re.findall(r"…_([A-Z_]+)", text))
    assert whole - fields == set()
    assert {part for part in parts if not any(field.endswith(part) for field in fields)} == set()


def test_a_command_that_a_document_names_exists_with_its_options(document: Any) -> None:
    if document.name == PAST:
        return
    wrong = [problem for code in document.code for words in _commands(code) if (problem := _problem(words))]
    assert wrong == []


def test_cli_md_names_every_command(all_documents: tuple[Any, ...]) -> None:
    text = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    assert [name for name in _leaves(typer.main.get_command(cli.app)) if f"propriety {name}" not in text] == []


def test_api_md_names_every_route_and_no_other() -> None:
    text = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    paths = json.loads((ROOT / "agent" / "api" / "openapi.json").read_text(encoding="utf-8"))["paths"]
    served = {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods}
    named = set(re.findall(r"`((?:GET|POST|DELETE|PUT) /[\w/{}.-]*)`", text))
    assert named == {re.sub(r"\{\w+\}", "{id}", route) if "policies" not in route else route for route in served}


def _links(document: Any) -> Iterator[str]:
    for kind, attribute in (("link_open", "href"), ("image", "src")):
        yield from (str(token.attrs[attribute]) for token in document.inline(kind))


def _leads_somewhere(document: Path, link: str) -> bool:
    """Of an address elsewhere only the form is checked: tests need no network."""
    parts = urlsplit(link)
    if parts.scheme:
        return parts.scheme in {"http", "https"} and bool(re.fullmatch(r"[\w-]+(\.[\w-]+)+(:\d+)?", parts.netloc))
    target = (document.parent / unquote(parts.path)).resolve() if parts.path else document
    return target.exists() and (not parts.fragment or parts.fragment in _anchors(target))


@cache
def _anchors(document: Path) -> set[str]:
    """Those that GitHub gives to headings."""
    found: list[str] = []
    text = re.sub(r"^```.*?^```", "", document.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for heading in re.findall(r"^#{1,6} +(.+?) *$", text, re.MULTILINE):
        plain = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        found.append(f"{plain}-{found.count(plain)}" if plain in found else plain)
    return set(found)


def _exists(document: Path, name: str) -> bool:
    """Beside the document, in the repository, or as the end of a path that is long to write."""
    if (ROOT / name).exists() or (document.parent / name).exists():
        return True
    return any(f"/{path}".endswith(f"/{name.rstrip('/')}") for path in _paths())


@cache
def _paths() -> set[str]:
    return {str(path.relative_to(ROOT)) for folder in FOLDERS for path in (ROOT / folder).rglob("*")}


@cache
def _tests() -> set[str]:
    files = list((ROOT / "tests").rglob("test_*.py"))
    functions = {name for path in files for name in re.findall(r"def (test_\w+)", path.read_text(encoding="utf-8"))}
    return functions | {path.name for path in files}


def _commands(code: str) -> Iterator[list[str]]:
    """The words of each command of ours, without what the shell makes of their output."""
    for line in code.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars="();<>|&`")
        lexer.whitespace_split, lexer.commenters = True, "#"
        try:
            words = list(lexer)
        except ValueError:  # a quotation over several lines
            words = line.split()
        for index, word in enumerate(words):
            command = word.removeprefix("$(").removeprefix(".venv/bin/")
            if command in {"propriety", "python", "make", "torchrun"}:
                end = next((i for i in range(index, len(words)) if re.fullmatch(r"[();<>|&`]+", words[i])), len(words))
                yield [command, *words[index + 1 : end]]
                break


def _problem(words: list[str]) -> str | None:
    program, *arguments = words
    options = {word.partition("=")[0] for word in arguments if word.startswith("--")}
    if program == "make":
        targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
        missing = [word for word in arguments if re.fullmatch(r"[a-z-]+", word) and word not in targets]
        return f"make has no {missing}" if missing else None
    if program == "propriety":
        return _problem_of_ours(arguments, options)
    module = arguments[arguments.index("-m") + 1] if "-m" in arguments[:-1] else None
    if module is None or module == "pytest":
        return None
    spec = find_spec(module)
    source = spec and (
        Path(spec.origin or "").parent / "__main__.py" if spec.submodule_search_locations else Path(spec.origin or "")
    )
    if not source or not source.exists():
        return f"{module} cannot be run"
    after = {word.partition("=")[0] for word in arguments[arguments.index(module) :] if word.startswith("--")}
    text = source.read_text(encoding="utf-8")
    unknown = [
        name for name in after if f'"{name}"' not in text and not re.search(rf"\b{name[2:].replace('-', '_')}:", text)
    ]
    return f"{module} has no {unknown}" if unknown else None


def _problem_of_ours(arguments: list[str], options: set[str]) -> str | None:
    command: Any = typer.main.get_command(cli.app)
    for word in arguments:
        if not hasattr(command, "list_commands") or word.startswith("-"):
            break
        if not re.fullmatch(r"[a-z-]+", word):
            return None
        try:
            command = _resolved(command, word)
        except click.UsageError as error:
            return error.message
    known = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)} | {"--help"}
    return f"{' '.join(arguments)} has an unknown option: {sorted(options - known)}" if options - known else None


def _resolved(group: Any, name: str) -> Any:
    """A command of a group, which may be imported for it."""
    return group.resolve_command(click.Context(group), [name])[1]


def _leaves(command: Any, path: str = "") -> Iterator[str]:
    if hasattr(command, "list_commands"):
        for name in command.list_commands(click.Context(command)):
            yield from _leaves(_resolved(command, name), f"{path} {name}".strip())
    else:
        yield path
