"""Labelled prompt sets, one JSON Lines file of {"id", "text", "label", "lang"} each.

Only the labels `safe` and `unsafe` say what is right. For other labels (`probe`, `contested`, …) only the share of
flagged rows is reported.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from unicodedata import normalize

from pydantic import BaseModel, ConfigDict, StrictInt, StrictStr, ValidationError

from propriety.text_files import EncodingError, read_utf8

Id = StrictStr | StrictInt


class DataError(ValueError):
    """A set cannot be used: its file does not exist, or a line is wrong."""


class Row(BaseModel):
    """One prompt of a set. Other keys are ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    id: Id
    text: StrictStr
    label: StrictStr
    lang: StrictStr = "und"


Sets = dict[str, list[Row]]


def read_sets(directory: Path, names: Iterable[str]) -> Sets:
    """The named sets of a folder, by name; all of them if none is named.

    Raises:
        DataError: with file and line.
    """
    files = (path for path in sorted(directory.glob("*.jsonl")) if not path.name.startswith((".", "~$")))
    paths = {normalize("NFC", path.stem): path for path in files}  # systems compose letters and marks differently
    chosen = list(dict.fromkeys(normalize("NFC", name) for name in names)) or list(paths)
    for name in chosen:
        if name not in paths:
            raise DataError(f"{directory} has no {name}.jsonl; its sets are: {', '.join(paths) or 'none'}")
    if not chosen:
        raise DataError(f"{directory} has no *.jsonl")
    return {name: _read(paths[name]) for name in chosen}


def sample(sets: Sets, limit: int, seed: int) -> Sets:
    """At most `limit` rows of each set and label. A seed always draws the same rows, whatever other sets there are."""
    sampled: Sets = {}
    for name, rows in sets.items():
        by_label = defaultdict(list)
        for row in rows:
            by_label[row.label].append(row)
        sampled[name] = [
            row
            for label, labelled in sorted(by_label.items())
            for row in random.Random(f"{seed} {name} {label}").sample(labelled, min(limit, len(labelled)))
        ]
    return sampled


def _read(path: Path) -> list[Row]:
    rows, seen = [], set()
    try:
        lines = read_utf8(path).split("\n")
    except EncodingError as error:
        raise DataError(f"{path}:{error.line}: {error}") from None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = Row.model_validate_json(line)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            place = f"{first['loc'][0]}: " if first["loc"] else ""
            raise DataError(f"{path}:{number}: {place}{first['msg']}") from None
        if row.id in seen:
            raise DataError(f"{path}:{number}: id: {row.id!r} occurs twice; give each row its own id")
        seen.add(row.id)
        rows.append(row)
    return rows
