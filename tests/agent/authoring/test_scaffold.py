"""A scaffold loads, and is never written over another file."""

from pathlib import Path

import pytest

from agent.authoring.scaffold import ScaffoldError, write_scaffold
from agent.policy.files import load_policies


def test_the_scaffold_loads_and_inherits(folder: Path) -> None:
    policies = load_policies(folder)
    assert write_scaffold(folder, "vi-VN", policies) == folder / "vi-VN.yaml"
    write_scaffold(folder, "ar-EG", policies, extends="ar-SA")
    policies = load_policies(folder)
    assert policies["vi-VN"].lineage == ["vi-VN", "base"]
    assert "alcohol" in policies["ar-EG"].rules_by_id


def test_the_explained_rule_loads_once_it_is_uncommented(folder: Path) -> None:
    path = write_scaffold(folder, "vi-VN", load_policies(folder))
    lines = path.read_text(encoding="utf-8").splitlines()
    text = "\n".join(line.removeprefix("#") if line.startswith("#  ") else line for line in lines)
    path.write_text(text.replace("rules: []", "rules:").replace("tests: []", "tests:"), encoding="utf-8")
    policy = load_policies(folder)["vi-VN"]
    assert "substances.alcohol" in policy.rules_by_id
    assert len(policy.tests) == 2


def test_an_existing_file_is_left_as_it_is(folder: Path) -> None:
    before = (folder / "ar-SA.yaml").read_bytes()
    with pytest.raises(FileExistsError):
        write_scaffold(folder, "ar-SA", load_policies(folder))
    assert (folder / "ar-SA.yaml").read_bytes() == before


@pytest.mark.parametrize(
    ("locale", "extends", "parameter"),
    [
        ("../x", "base", "locale"),
        ("xx-YY", "base", "locale"),
        ("de_de", "base", "locale"),
        ("de-x-a", "base", "locale"),
        ("arb-SA", "base", "locale"),
        ("vi-VN", "nowhere", "extends"),
    ],
)
def test_an_invalid_locale_or_parent_is_refused(folder: Path, locale: str, extends: str, parameter: str) -> None:
    before = sorted(folder.iterdir())
    with pytest.raises(ScaffoldError) as refusal:
        write_scaffold(folder, locale, load_policies(folder), extends)
    assert refusal.value.parameter == parameter
    assert sorted(folder.iterdir()) == before
