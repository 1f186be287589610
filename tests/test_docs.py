"""The documents name nothing that is not there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = [path for path in sorted((ROOT / "docs").glob("*.md")) if "`test_" in path.read_text(encoding="utf-8")]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_test_that_a_document_names_is_there(document: Path) -> None:
    tests = {path: path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py")}
    there = {path.name for path in tests} | {
        name for text in tests.values() for name in re.findall(r"def (test_\w+)", text)
    }
    named = set(re.findall(r"`(test_[\w.]+)`", document.read_text(encoding="utf-8")))
    assert named
    assert named <= there
