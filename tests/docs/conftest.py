"""The documents and their code blocks.

markdown-it-py (which rich brings) parses them: Sybil and pytest-examples skip a block whose language they do not know,
and find no links.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).parents[2]
NOT_OURS = {"data", "models", "out", "secrets", "build"}  # .gitignore's folders
SHOWN = {"text"}  # languages of blocks that show what a program prints
DATA = {"csv", "json", "jsonl", "toml", "yaml"}
LONG = "propriety evaluate image"  # draws for ten seconds or more; `make test-all` runs these blocks

# The line above a block that says how the tests run it, in italics, for readers too.
NOT_RUN = re.compile(r"Not run in the tests: (\S.*)")
NEEDS_LLM = re.compile(r"Needs the LLM\b")
SHORTENED = re.compile(r"`([^`]+)` instead of `([^`]+)`")
VARIABLE = re.compile(r'^\w+="[^"`$]*"(?= *$| +#)', re.MULTILINE)


@dataclass(frozen=True)
class Document:
    """A Markdown file and its tokens."""

    path: Path
    tokens: tuple[Token, ...]

    @property
    def name(self) -> str:
        return str(self.path.relative_to(ROOT))

    def inline(self, kind: str) -> Iterator[Token]:
        """All links (`link_open`), pictures (`image`) or code in backticks (`code_inline`)."""
        for token in self.tokens:
            yield from (child for child in token.children or () if child.type == kind)

    @property
    def code(self) -> list[str]:
        """What is in backticks, and every fenced block."""
        return [token.content for token in self.inline("code_inline")] + [block.text for block in self.blocks]

    @property
    def blocks(self) -> "list[Block]":
        found, variables = [], ""
        for index, token in enumerate(self.tokens):
            if token.type == "fence" and token.map:
                language = token.info.strip()
                found.append(Block(self.name, token.map[0] + 1, language, token.content, self._note(index), variables))
                if language == "bash":
                    variables += "".join(f"{line}\n" for line in VARIABLE.findall(token.content))
        return found

    def _note(self, index: int) -> str:
        """The paragraph before the token of that index, where all of it is in italics."""
        if index < 2 or self.tokens[index - 1].type != "paragraph_close":
            return ""
        emphasised = re.fullmatch(r"\*([^*]+)\*", self.tokens[index - 2].content)
        return " ".join(emphasised[1].split()) if emphasised else ""


@dataclass(frozen=True)
class Block:
    """A fenced block.

    `note` is the sentence in italics right above it, if there is one. `variables` are the lines of earlier blocks that
    set a variable, which a reader's shell still has.
    """

    document: str
    line: int
    language: str
    text: str
    note: str
    variables: str

    @property
    def reason(self) -> str | None:
        """Why it is not run."""
        found = NOT_RUN.search(self.note)
        return found[1] if found else None

    @property
    def how(self) -> str:
        """What the tests do with it."""
        if self.language in SHOWN:
            return "show output"
        if self.language in DATA:
            return "are parsed"
        if self.reason:
            return "are not run"
        return "run with the LLM" if NEEDS_LLM.search(self.note) else "run"

    @property
    def replacements(self) -> list[tuple[str, str]]:
        """Pairs of what the tests leave out and what they write in its place."""
        return [(old, new) for new, old in SHORTENED.findall(self.note)]

    @property
    def source(self) -> str:
        """What is run: the text, shortened as the note says."""
        text = self.text
        for old, new in self.replacements:
            assert old in text, f"{self.document}:{self.line} has no {old!r} to replace"
            text = text.replace(old, new)
        return text if self.language == "python" else self.variables + text


@cache
def documents() -> tuple[Document, ...]:
    """Every Markdown file of the repository."""
    folders = [path for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith(".")]
    inside = [path for folder in folders if folder.name not in NOT_OURS for path in folder.rglob("*.md")]
    parser = MarkdownIt("commonmark").enable("table")
    return tuple(
        Document(path, tuple(parser.parse(path.read_text(encoding="utf-8"))))
        for path in sorted([*ROOT.glob("*.md"), *inside])
    )


@cache
def blocks() -> tuple[Block, ...]:
    return tuple(block for document in documents() for block in document.blocks)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that takes a `document` gets each; one that takes a `runnable`, `asking` or `data_block` such blocks."""
    if "document" in metafunc.fixturenames:
        metafunc.parametrize("document", documents(), ids=lambda document: document.name)
    for name, how in {"runnable": "run", "asking": "run with the LLM", "data_block": "are parsed"}.items():
        if name in metafunc.fixturenames:
            chosen = [block for block in blocks() if block.how == how]
            marked = [pytest.param(block, marks=pytest.mark.all if LONG in block.text else ()) for block in chosen]
            metafunc.parametrize(name, marked, ids=lambda block: f"{block.document}:{block.line}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """How many blocks there are of each kind; with `-rs` those that are not run, and why."""
    counts = Counter(block.how for block in blocks())
    shortened = sum(bool(block.replacements) for block in blocks())
    summary = ", ".join(f"{count} {how}" for how, count in sorted(counts.items()))
    terminalreporter.write_line(f"code blocks of the documents: {summary} ({shortened} of them shortened)")
    for block in blocks() if terminalreporter.hasopt("skipped") else ():
        if block.how == "are not run":
            terminalreporter.write_line(f"  {block.document}:{block.line} is not run: {block.reason}")


@pytest.fixture(scope="session")
def all_documents() -> tuple[Document, ...]:
    return documents()


@pytest.fixture(scope="session")
def all_blocks() -> tuple[Block, ...]:
    return blocks()
