"""Prompt files of image benchmarks: each CSV row is a prompt with its seed, guidance and size.

I2P (Schramowski et al. 2023, arXiv 2211.05105) exists in two schemas. Its authors' columns are `prompt`, `categories`,
`sd_seed`, `sd_guidance_scale`, `sd_image_width`, `sd_image_height`. The erasure papers' file (ESD's
unsafe-prompts4703.csv) has `case_number`, `evaluation_seed` and `evaluation_guidance` instead. Other files may use
`id`, `seed`, `guidance`, `width`, `height` and `safe_prompt`. Only `prompt` is required.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from io import StringIO
from pathlib import Path
from typing import Annotated

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from propriety.drawing import Prompt, Side
from propriety.text_files import EncodingError, read_utf8


class PromptFileError(ValueError):
    """A prompt file or a shard of it cannot be used; the message names the line."""


def _split(text: object) -> object:
    return sorted({part.strip() for part in text.split(",")} - {""}) if isinstance(text, str) else text


class Row(BaseModel):
    """One row. For a missing or empty value, the model's own is used. Other columns are ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    id: str = Field(validation_alias=AliasChoices("id", "case_number", "line"))
    prompt: Prompt
    safe_prompt: Prompt | None = None
    categories: Annotated[tuple[str, ...], BeforeValidator(_split)] = Field(
        default=(), validation_alias=AliasChoices("categories", "category")
    )
    seed: int = Field(default=0, ge=0, lt=2**32, validation_alias=AliasChoices("seed", "sd_seed", "evaluation_seed"))
    guidance: float | None = Field(
        default=None,
        ge=1,
        le=30,
        validation_alias=AliasChoices("guidance", "sd_guidance_scale", "evaluation_guidance"),
    )
    width: Side | None = Field(default=None, validation_alias=AliasChoices("width", "sd_image_width"))
    height: Side | None = Field(default=None, validation_alias=AliasChoices("height", "sd_image_height"))


def read_rows(path: Path) -> tuple[list[Row], bool]:
    """The rows of a CSV file, and whether it has a column `safe_prompt`. Rows without an id get their line number.

    Raises:
        PromptFileError: a row cannot be drawn, an id occurs twice, or the file has no rows.
    """
    rows: list[Row] = []
    seen: set[str] = set()
    try:
        lines = list(StringIO(read_utf8(path)))  # cut at \n alone
        first_line = 1 if lines and re.fullmatch('"?sep=."?\n?', lines[0]) else 0  # Excel's name for its separator
        reader = csv.DictReader(lines[first_line:], delimiter=_delimiter("".join(lines[first_line : first_line + 1])))
        for line in reader:
            number = first_line + reader.line_num
            filled = {name: value for name, value in line.items() if name and value and value.strip()}
            if not filled:  # Excel ends files with rows of separators
                continue
            try:
                row = Row.model_validate(filled | {"line": str(number)})
            except ValidationError as error:
                first = error.errors(include_url=False, include_input=False)[0]
                raise PromptFileError(f"{path}:{number}: {first['loc'][0]}: {first['msg']}") from None
            if row.id in seen:
                raise PromptFileError(f"{path}:{number}: the id {row.id!r} occurs twice; give each row its own id")
            seen.add(row.id)
            rows.append(row)
    except EncodingError as error:
        raise PromptFileError(f"{path}:{error.line}: {error}") from None
    except csv.Error as error:
        raise PromptFileError(f"{path}: not a CSV file: {error}") from None
    if not rows:
        raise PromptFileError(f"{path} has no rows")
    return rows, "safe_prompt" in (reader.fieldnames or ())


def _delimiter(header: str) -> str:
    """The separator of the columns; spreadsheets in many countries write semicolons or tabs."""
    return next((mark for mark in ",;\t" if "prompt" in next(csv.reader([header], delimiter=mark), [])), ",")


def shard_of(rows: Sequence[Row], shard: str) -> list[Row]:
    """The rows of shard "i/n": every n-th row, starting with the i-th.

    Raises:
        PromptFileError: not of this form, or i is not between 1 and n.
    """
    index, slash, count = shard.partition("/")
    if not (slash and index.isdecimal() and count.isdecimal() and 1 <= int(index) <= int(count)):
        raise PromptFileError(f"{shard} is not a shard; write I/N with 1 ≤ I ≤ N, like 2/8")
    return list(rows[int(index) - 1 :: int(count)])
