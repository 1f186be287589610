"""Prompt files of image benchmarks: one CSV row says what is drawn, and with which seed, guidance and size.

I2P (Schramowski et al. 2023, arXiv 2211.05105) is about in two schemas. Its authors' columns are `prompt`,
`categories`, `sd_seed`, `sd_guidance_scale`, `sd_image_width`, `sd_image_height`; the erasure papers' (ESD's
unsafe-prompts4703.csv) has `case_number`, `evaluation_seed` and `evaluation_guidance` instead. Files of one's own may
say `id`, `seed`, `guidance`, `width`, `height`, and bring a `safe_prompt`. Only `prompt` is needed.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from propriety.drawing import Prompt, Side


class RowsError(ValueError):
    """A prompt file, with its line, or a part of one that cannot be read."""


def _split(text: object) -> object:
    return sorted({part.strip() for part in text.split(",")} - {""}) if isinstance(text, str) else text


class Row(BaseModel):
    """One row; what a file leaves out, or empty, is the model's own. Other columns are passed over."""

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
    """The rows of a CSV file, and whether it has a column `safe_prompt`. Rows without an id are known by their line.

    Raises:
        RowsError: for a row that cannot be drawn, an id that is there twice, or no rows at all.
    """
    rows: list[Row] = []
    seen: set[str] = set()
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        try:
            for line in reader:
                filled = {name: value for name, value in line.items() if name and value}
                try:
                    row = Row.model_validate(filled | {"line": str(reader.line_num)})
                except ValidationError as error:
                    first = error.errors(include_url=False, include_input=False)[0]
                    raise RowsError(f"{path}:{reader.line_num}: {first['loc'][0]}: {first['msg']}") from None
                if row.id in seen:
                    raise RowsError(
                        f"{path}:{reader.line_num}: the id {row.id!r} is there already; each row needs its own"
                    )
                seen.add(row.id)
                rows.append(row)
        except (csv.Error, UnicodeDecodeError) as error:
            raise RowsError(f"{path}: not a CSV file in UTF-8: {error}") from None
    if not rows:
        raise RowsError(f"{path} has no rows")
    return rows, "safe_prompt" in (reader.fieldnames or ())


def sharded(rows: Sequence[Row], shard: str) -> list[Row]:
    """The rows of shard "i/n": every n-th, from the i-th on.

    Raises:
        RowsError: unless 1 ≤ i ≤ n.
    """
    index, slash, count = shard.partition("/")
    if not (slash and index.isdecimal() and count.isdecimal() and 1 <= int(index) <= int(count)):
        raise RowsError(f"a shard is written like 2/8, not {shard}")
    return list(rows[int(index) - 1 :: int(count)])
