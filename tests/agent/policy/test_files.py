"""Loading refuses whatever could weaken a policy, and says where."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.policy.files import json_schema, load_policies
from agent.policy.model import Policy
from agent.policy.source import PolicyError, read_yaml
from agent.settings import Settings

Write = Callable[[dict[str, str]], Path]


def test_the_policies_that_ship_load(shipped: dict[str, Policy]) -> None:
    assert set(shipped) >= {"base", "en-US", "fr-FR", "de-DE", "ar-SA", "th-TH", "base-x-children"}


def test_a_base_policy_is_required(write: Write, child: str) -> None:
    with pytest.raises(PolicyError, match=r"base\.yaml:1: expected this file"):
        load_policies(write({"de-DE": child}))


def test_a_folder_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match=r"nowhere:1: expected a folder of policy files"):
        load_policies(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("old", "new", "line", "expected"),
    [
        ("    severity: low", "    severty: low", 7, "rules.a.rule.severty: unknown key"),
        ("    severity: low", "    category: rudeness", 7, "rules.a.rule.category: expected 'violent_crimes'"),
        ("extends: base", "extends: nowhere", 2, "extends: expected one of base, de-DE, not 'nowhere'"),
        ("extends: base", "extends: de-DE", 2, "cycle, de-DE → de-DE"),
        ("extends: base", "extends: null", 2, "expected a parent, such as base"),
        ("extends: base\n", "", 1, "extends: required, but missing"),
        ("title:", "titel:", 3, "titel: unknown key"),
        ("    severity: low", "    severity: low\n  - id: a.rule", 8, "used twice"),
        ("  - id: a.rule\n    severity: low", "  - severity: low", 6, "rules.0.id: required, but missing"),
        ("title: Deutschland", "title: Deutschland\ntitle: Germany", 4, "duplicate key 'title'"),
        ("locale: de-DE", "locale: de-AT", 1, "expected 'de-DE', the file's name"),
        ("2026-01-02", "2026-99-99", 4, "version: expected a valid date, such as 2026-01-31, not '2026-99-99'"),
        ("2026-01-02", "02.01.2026", 4, "version: expected a valid date"),
        ("2026-01-02", "2026-01-02 00:00", 4, "version: expected a valid date"),
        ("2026-01-02", "0", 4, "version: expected a valid date"),
        ("2026-01-02", "٢٠٢٦-٠١-٠٢", 4, "version: expected a valid date"),
        ("Deutschland", "true", 3, "title: expected text, but YAML reads this as a number, or as true or false; put"),
        ("Deutschland", "08", 3, "title: expected text"),
        ("Deutschland", "", 3, "title: expected text, but there is none"),
        ("Deutschland", "[Bund]", 3, "title: expected text, but YAML reads this as a list"),
        (
            "    severity: low",
            "    exceptions:\n      - ein Schild: kein Bier",
            8,
            "put text that holds a colon in quotes",
        ),
        ("    severity: low", "    category: child_sexual_exploitation", 6, "expected severity critical"),
        ("  - id: a.rule\n    severity: low", "  - id: b.rule\n    disabled: it does not hold here", 6, "no inherited"),
        ("  - id: a.rule", "  - id: b.rule", 6, "rules.b.rule.category: required, but missing"),
        ("rules:", "tests:\n  - {prompt: p, expect: {action: allow, rule: c}}\nrules:", 6, "a rule of this policy"),
    ],
)
def test_a_broken_file_is_refused_with_its_line(
    write: Write, base: str, child: str, old: str, new: str, line: int, expected: str
) -> None:
    assert old in child
    with pytest.raises(PolicyError, match=re.escape(expected)) as refusal:
        load_policies(write({"base": base, "de-DE": child.replace(old, new)}))
    assert (refusal.value.path.name, refusal.value.line) == ("de-DE.yaml", line)


@pytest.mark.parametrize("text", ["", "[]", "a word"])
def test_a_file_without_keys_is_refused(write: Write, base: str, text: str) -> None:
    with pytest.raises(PolicyError, match=r"de-DE\.yaml:1: the file: expected keys and values"):
        load_policies(write({"base": base, "de-DE": text}))


def test_the_name_of_a_file_is_a_registered_tag(write: Write, base: str, child: str) -> None:
    with pytest.raises(PolicyError, match="expected a registered BCP-47 tag"):
        load_policies(write({"base": base, "xx-YY": child.replace("de-DE", "xx-YY")}))


@pytest.mark.parametrize(
    ("locale", "usual"),
    [
        ("NO", "no"),
        ("ar-sa", "ar-SA"),
        ("iw-IL", "he-IL"),
        ("cmn-TW", "zh-TW"),
        ("arb-SA", "ar-SA"),
        ("en-UK", "en-GB"),
        ("ar-arz-EG", "ar-EG"),
    ],
)
def test_a_locale_under_which_no_request_finds_the_file_is_refused(
    write: Write, base: str, child: str, locale: str, usual: str
) -> None:
    with pytest.raises(PolicyError, match=f":1: locale: expected '{usual}'"):
        load_policies(write({"base": base, locale: child.replace("de-DE", locale)}))


def test_an_audience_is_no_part_of_a_places_name(write: Write, base: str, child: str) -> None:
    locale = "de-DE-x-children"
    with pytest.raises(PolicyError, match="locale: expected a place alone"):
        load_policies(write({"base": base, locale: child.replace("de-DE", locale)}))


@pytest.mark.parametrize("name", ["de-DE (1)", "de-DE - Kopie", "Copy of de-DE"])
def test_a_copy_of_a_file_is_refused(write: Write, base: str, child: str, name: str) -> None:
    with pytest.raises(PolicyError, match=r"the file's name, not 'de-DE'; .* remove the file if it is a copy"):
        load_policies(write({"base": base, "de-DE": child, name: child}))


@pytest.mark.parametrize("name", ["fr-FR.yml", "audience/teens.YAML", "concepts/fr.yaml.txt"])
def test_a_file_in_any_folder_that_would_be_left_out_unnoticed_is_refused(write: Write, base: str, name: str) -> None:
    folder = write({"base": base, "audience/none": "", "concepts/none": ""})
    for empty in ("audience/none.yaml", "concepts/none.yaml"):
        (folder / empty).unlink()
    (folder / name).write_text("{}", encoding="utf-8")
    with pytest.raises(PolicyError, match=r"expected a name that ends in \.yaml"):
        load_policies(folder)


@pytest.mark.parametrize(
    ("old", "new", "line"), [("wxi: 0.5", "wxi: 1.5", 7), ("critical: {action: block}", "critical: {action: allow}", 6)]
)
def test_a_severity_out_of_range_is_refused(write: Write, base: str, old: str, new: str, line: int) -> None:
    with pytest.raises(PolicyError) as refusal:
        load_policies(write({"base": base.replace(old, new)}))
    assert (refusal.value.path.name, refusal.value.line) == ("base.yaml", line)


def test_a_draft_replaces_its_locales_file_from_any_folder(write: Write, base: str, child: str) -> None:
    stricter = child.replace("severity: low", "severity: critical")
    folder = write({"base": base, "de-DE": child, "drafts/stricter": stricter})
    draft = folder / "drafts" / "stricter.yaml"
    assert load_policies(folder, instead=draft)["de-DE"].rules_by_id["a.rule"].severity == "critical"
    assert load_policies(folder)["de-DE"].rules_by_id["a.rule"].severity == "low"
    draft.write_text("locale: [", encoding="utf-8")
    with pytest.raises(PolicyError, match="stricter"):
        load_policies(folder, instead=draft)


def test_the_committed_json_schema_is_current_and_every_policy_names_it() -> None:
    directory = Settings().policies_dir
    committed = json.loads((directory / "schema.json").read_text(encoding="utf-8"))
    assert committed == json_schema(), "write it again: propriety policy schema > policies/schema.json"
    for path in directory.glob("*.yaml"):
        assert path.read_text(encoding="utf-8").startswith("# yaml-language-server: $schema=schema.json\n")
    for path in (directory / "audience").glob("*.yaml"):
        assert path.read_text(encoding="utf-8").startswith("# yaml-language-server: $schema=../schema.json\n")


def test_the_json_schema_accepts_the_policies_that_ship_and_refuses_a_typo() -> None:
    validator = pytest.importorskip("jsonschema").Draft202012Validator(json_schema())
    directory = Settings().policies_dir
    for path in (*directory.glob("*.yaml"), *(directory / "audience").glob("*.yaml")):
        document = read_yaml(path).data
        assert validator.is_valid(document)
        assert not validator.is_valid(document | {"titel": "a typo"})
