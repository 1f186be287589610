"""Loading refuses whatever could weaken a policy, and says where; lookup follows RFC 4647."""

import json
import re
from pathlib import Path

import pytest

from agent.policy.concept_bank import load_bank
from agent.policy.files import json_schema, load_policies
from agent.policy.lookup import UnknownLocaleError, lookup
from agent.policy.source import PolicyError, read_yaml
from agent.settings import Settings

BASE = """\
locale: base
extends: null
title: Everywhere
version: 2026-01-01
detector: nearest
severities:
  low: {action: rewrite, wxi: 0.5, tau_gc: 0.3}
  medium: {action: rewrite, wxi: 0.75, tau_gc: 0.2}
  high: {action: rewrite, wxi: 0.95, tau_gc: 0.1}
  critical: {action: block}
message:
  rewrite: {en: Changed.}
  block: {en: Blocked.}
rules:
  - id: a.rule
    category: hate
    severity: high
    definition: What it forbids.
    message: {en: No.}
    sources: [a law]
"""
CHILD = """\
locale: de-DE
extends: base
title: Deutschland
version: 2026-01-02
rules:
  - id: a.rule
    severity: low
"""


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        (folder / f"{name.replace('_', '-')}.yaml").write_text(text, encoding="utf-8")
    return folder


def write_bank(folder: Path, **files: str) -> Path:
    (folder / "concepts").mkdir(exist_ok=True)
    write(folder / "concepts", **files)
    return folder


@pytest.mark.parametrize("tag", ["!!python/object/apply:os.mkdir", "!!python/object/new:os.mkdir", "!mkdir"])
def test_nothing_that_a_file_names_is_run(tmp_path: Path, tag: str) -> None:
    made = tmp_path / "made"
    title = f"title: {tag} [{json.dumps(str(made))}]"
    with pytest.raises(PolicyError, match="title"):
        load_policies(write(tmp_path, base=BASE.replace("title: Everywhere", title)))
    assert not made.exists()


def test_the_policies_that_ship_are_sound_and_the_bank_is_large() -> None:
    directory = Settings().policies_dir
    assert set(load_policies(directory)) >= {"base", "en-US", "fr-FR", "de-DE", "ar-SA", "th-TH"}
    topics = load_bank(directory).topics.values()
    assert sum(len(topic.unsafe) + len(topic.safe) for topic in topics) >= 300


def test_every_topic_that_a_policy_claims_is_in_the_bank() -> None:
    directory = Settings().policies_dir
    bank = load_bank(directory).topics
    for policy in load_policies(directory).values():
        assert {topic for rule in policy.rules for topic in rule.topics} <= set(bank)


def test_a_child_overrides_field_by_field(tmp_path: Path) -> None:
    rule = load_policies(write(tmp_path, base=BASE, de_DE=CHILD))["de-DE"].rules[0]
    assert (rule.severity, rule.definition) == ("low", "What it forbids.")


def test_a_rule_is_switched_off_with_a_reason(tmp_path: Path) -> None:
    child = CHILD.replace("severity: low", "disabled: not an offence in this place\n  - {id: b, category: hate, severity: low, definition: d, message: {en: m}, sources: [s]}")  # fmt: skip  # noqa: E501
    assert [rule.id for rule in load_policies(write(tmp_path, base=BASE, de_DE=child))["de-DE"].rules] == ["b"]


@pytest.mark.parametrize(
    ("old", "new", "line", "expected"),
    [
        ("    severity: low", "    severty: low", 7, "severty"),
        ("    severity: low", "    category: rudeness", 7, "category"),
        ("extends: base", "extends: nowhere", 2, "nowhere"),
        ("extends: base", "extends: de-DE", 2, "cycle"),
        ("    severity: low", "    severity: low\n  - id: a.rule", 8, "twice"),
        ("title: Deutschland", "title: Deutschland\ntitle: Germany", 4, "duplicate key"),
        ("locale: de-DE", "locale: de-AT", 1, "the file's name"),
        ("    severity: low", "    category: child_sexual_exploitation", 6, "critical"),
        ("  - id: a.rule\n    severity: low", "  - id: b.rule\n    disabled: it does not hold here", 6, "inherited"),
        ("title: Deutschland", "title: [", 5, "YAML"),
        ("rules:", "tests:\n  - {prompt: p, expect: {action: allow, rule: c}}\nrules:", 6, "rule of this policy"),
    ],
)
def test_a_broken_file_is_refused_with_its_line(tmp_path: Path, old: str, new: str, line: int, expected: str) -> None:
    assert old in CHILD
    write(tmp_path, base=BASE, de_DE=CHILD.replace(old, new))
    with pytest.raises(PolicyError, match=re.escape(expected)) as refusal:
        load_policies(tmp_path)
    assert (refusal.value.path.name, refusal.value.line) == ("de-DE.yaml", line)


@pytest.mark.parametrize(
    ("old", "new", "line", "expected"),
    [
        ("    severity: low", "    topics: [alcohol, alcohl]", 6, "'alcohl'"),
        ("    severity: low", "    only_with: [alcohl]", 6, "'alcohl'"),
        ("    severity: low", "    topics: [alcohol]\n  - {RULE, topics: [alcohol]}", 8, "'a.rule' has it"),
        ("    severity: low", "    severity: low\n  - {RULE, topics: [pork]}", 8, "'held' has it"),
    ],
    ids=["claimed", "company", "claimed twice", "claimed by the parent"],
)
def test_a_topic_that_is_unknown_or_claimed_twice_is_refused_with_its_line(
    tmp_path: Path, old: str, new: str, line: int, expected: str
) -> None:
    rule = "category: hate, severity: low, definition: d, message: {en: m}, sources: [s]"
    base = BASE + f"  - {{id: held, {rule}, topics: [pork]}}\n"
    bank = "topics: {alcohol: {category: null}, pork: {category: null}}\n"
    write_bank(tmp_path, shared=bank)
    assert set(load_policies(write(tmp_path, base=base, de_DE=CHILD))) == {"base", "de-DE"}
    write(tmp_path, de_DE=CHILD.replace(old, new.replace("RULE", f"id: b.rule, {rule}")))
    with pytest.raises(PolicyError, match=re.escape(expected)) as refusal:
        load_policies(tmp_path)
    assert (refusal.value.path.name, refusal.value.line) == ("de-DE.yaml", line)


def test_the_bank_is_put_together_from_its_files_in_whatever_order_they_come(tmp_path: Path) -> None:
    german = "topics: {alcohol: {unsafe: [{text: ein Bier, safe: [ein Tee]}], safe: [ein Glas Wasser]}}\n"
    shared = "topics: {alcohol: {category: regulated_substances, safe: [a glass of water]}}\n"
    topic = load_bank(write_bank(tmp_path, de=german, shared=shared)).topics["alcohol"]
    assert (topic.category, [unsafe.text for unsafe in topic.unsafe]) == ("regulated_substances", ["ein Bier"])
    assert set(topic.safe) == {"ein Glas Wasser", "a glass of water"}


@pytest.mark.parametrize(
    ("german", "expected"),
    [
        ("topics:\n  alcohl: {safe: [ein Tee]}\n", "a category in one file"),
        ("topics:\n  alcohol: {category: gambling}\n", "another file gives it"),
    ],
    ids=["a typo", "two categories"],
)
def test_a_topic_has_its_category_from_one_file(tmp_path: Path, german: str, expected: str) -> None:
    write_bank(tmp_path, ar="topics: {alcohol: {category: regulated_substances}}\n", de=german)
    with pytest.raises(PolicyError, match=expected) as refusal:
        load_bank(tmp_path)
    assert (refusal.value.path.name, refusal.value.line) == ("de.yaml", 2)


@pytest.mark.parametrize(
    ("old", "new"), [("wxi: 0.5", "wxi: 1.5"), ("critical: {action: block}", "critical: {action: allow}")]
)
def test_a_severity_out_of_range_is_refused(tmp_path: Path, old: str, new: str) -> None:
    with pytest.raises(PolicyError, match=r"base\.yaml"):
        load_policies(write(tmp_path, base=BASE.replace(old, new)))


@pytest.mark.parametrize(
    ("asked", "tag", "served"),
    [
        ("de-DE", "de-DE", "de-DE"),
        ("dE-dE", "de-DE", "de-DE"),
        ("de_de", "de-DE", "de-DE"),
        ("de-Latn-DE", "de-DE", "de-DE"),  # a script that goes without saying
        ("de-DE-1996", "de-DE-1996", "de-DE"),
        ("de-DE-u-co-phonebk", "de-DE-u-co-phonebk", "de-DE"),
        ("de-AT", "de-AT", "base"),
        ("de", "de", "base"),
        ("zh-Hant-TW", "zh-Hant-TW", "zh-Hant"),
        ("zh-TW", "zh-TW", "base"),
        ("zh", "zh", "base"),
        ("iw-IL", "he-IL", "he"),
        ("he-Hebr-IL", "he-IL", "he"),
        ("x-private", "x-private", "base"),
        ("i-klingon", "tlh", "base"),
        ("und", "und", "base"),
    ],
)
def test_lookup_truncates_to_the_nearest_policy(tmp_path: Path, asked: str, tag: str, served: str) -> None:
    more = {name: CHILD.replace("de-DE", name) for name in ("zh-Hant", "he")}
    found = lookup(load_policies(write(tmp_path, base=BASE, de_DE=CHILD, **more)), asked)
    assert (found[0], found[1].locale) == (tag, served)


@pytest.mark.parametrize(
    "locale",
    ["", "-", "de-", "de--DE", "de-DE-u", "C", "123", "xx-YY", "a-b", "toolongsubtag", "de-DE; drop", "../base",
     "de-DE\n", "dé", "\ud800", "de-x-" + "-".join(["a" * 8] * 100_000)],
)  # fmt: skip
def test_a_malformed_or_unregistered_locale_is_refused(tmp_path: Path, locale: str) -> None:
    with pytest.raises(UnknownLocaleError, match="write it like de-DE"):
        lookup(load_policies(write(tmp_path, base=BASE)), locale)


RULE = "category: hate, definition: d, message: {en: m}, sources: [s]"
YOUNG = f"""\
locale: young
extends: null
title: Kinder
version: 2026-01-03
rules:
  - {{id: a.rule, severity: medium}}
  - {{id: young.alcohol, severity: high, topics: [alcohol], {RULE}}}
tests:
  - {{prompt: a tree, expect: {{action: allow}}}}
"""


def with_audience(folder: Path, text: str = YOUNG) -> Path:
    (folder / "audience").mkdir()
    (folder / "audience" / "young.yaml").write_text(text, encoding="utf-8")
    write_bank(folder, shared="topics: {alcohol: {category: null}, pork: {category: null}}\n")
    german = CHILD + f"  - {{id: food, severity: low, topics: [alcohol, pork], {RULE}}}\n"
    return write(folder, base=BASE, de_DE=german)


@pytest.mark.parametrize(
    ("asked", "served", "severity"),
    [
        ("de-DE", "de-DE", "low"),
        ("de-DE-x-young", "de-DE-x-young", "medium"),
        ("de-DE-x-YOUNG", "de-DE-x-young", "medium"),
        ("de-AT-x-young", "base-x-young", "high"),  # the base rule is graver, and an audience never weakens
        ("en-x-young", "base-x-young", "high"),
    ],
)
def test_an_audience_is_laid_over_any_locale_and_only_adds(
    tmp_path: Path, asked: str, served: str, severity: str
) -> None:
    policies = load_policies(with_audience(tmp_path))
    policy = lookup(policies, asked)[1]
    assert (policy.locale, policy.rules_by_id["a.rule"].severity) == (served, severity)
    assert ("young.alcohol" in policy.rules_by_id) is ("young" in served)


def test_a_topic_that_an_audience_claims_is_taken_from_the_locales_rule(tmp_path: Path) -> None:
    policies = load_policies(with_audience(tmp_path))
    assert policies["de-DE"].rules_by_id["food"].topics == ["alcohol", "pork"]
    young = policies["de-DE-x-young"]
    assert (young.rules_by_id["food"].topics, young.rules_by_id["young.alcohol"].topics) == (["pork"], ["alcohol"])
    assert (young.language, young.lineage) == ("de", ["young", "de-DE", "base"])


def test_an_audience_has_its_own_tests_over_base_and_the_locales_tests_hold_under_the_locale_alone(
    tmp_path: Path,
) -> None:
    policies = load_policies(with_audience(tmp_path))
    assert [len(policies[name].tests) for name in ("base-x-young", "de-DE-x-young")] == [1, 0]


def test_an_audience_that_is_not_there_is_refused_and_never_dropped(tmp_path: Path) -> None:
    with pytest.raises(UnknownLocaleError, match="no audience 'old', only young"):
        lookup(load_policies(with_audience(tmp_path)), "de-DE-x-old")


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("extends: null", "extends: base", 1),
        ("{id: a.rule, severity: medium}", "{id: a.rule, disabled: not for the young at all}", 6),
        ("topics: [alcohol]", "topics: [alcohl]", 7),
    ],
    ids=["a parent", "a rule switched off", "an unknown topic"],
)
def test_a_broken_audience_is_refused_with_its_line(tmp_path: Path, old: str, new: str, line: int) -> None:
    assert old in YOUNG
    with pytest.raises(PolicyError) as refusal:
        load_policies(with_audience(tmp_path, YOUNG.replace(old, new)))
    assert (refusal.value.path.name, refusal.value.line) == ("young.yaml", line)


def test_a_draft_takes_the_place_of_its_locales_file_wherever_it_lies(tmp_path: Path) -> None:
    (tmp_path / "drafts").mkdir()
    draft = tmp_path / "drafts" / "stricter.yaml"
    draft.write_text(CHILD.replace("severity: low", "severity: critical"), encoding="utf-8")
    write(tmp_path, base=BASE, de_DE=CHILD)
    assert load_policies(tmp_path, instead=draft)["de-DE"].rules_by_id["a.rule"].severity == "critical"
    assert load_policies(tmp_path)["de-DE"].rules_by_id["a.rule"].severity == "low"
    draft.write_text("locale: [", encoding="utf-8")
    with pytest.raises(PolicyError, match="stricter"):
        load_policies(tmp_path, instead=draft)


def test_the_committed_json_schema_is_current_and_every_policy_names_it() -> None:
    directory = Settings().policies_dir
    committed = json.loads((directory / "schema.json").read_text(encoding="utf-8"))
    assert committed == json_schema(), "write it anew: propriety policy schema > policies/schema.json"
    for path in directory.glob("*.yaml"):
        assert path.read_text(encoding="utf-8").startswith("# yaml-language-server: $schema=schema.json\n")
    for path in (directory / "audience").glob("*.yaml"):
        assert path.read_text(encoding="utf-8").startswith("# yaml-language-server: $schema=../schema.json\n")


def test_the_json_schema_takes_the_policies_that_ship_and_not_a_typo() -> None:
    validator = pytest.importorskip("jsonschema").Draft202012Validator(json_schema())
    directory = Settings().policies_dir
    for path in (*directory.glob("*.yaml"), *(directory / "audience").glob("*.yaml")):
        # Dates as an editor reads them, by YAML's core schema: strings.
        document = json.loads(json.dumps(read_yaml(path), default=str))
        assert validator.is_valid(document)
        assert not validator.is_valid(document | {"titel": "a typo"})


def test_the_hash_changes_with_a_rule_and_not_with_a_test(tmp_path: Path) -> None:
    before = load_policies(write(tmp_path, base=BASE))["base"].hash
    tested = load_policies(write(tmp_path, base=BASE + "tests:\n  - {prompt: p, expect: {action: allow}}\n"))["base"]
    changed = load_policies(write(tmp_path, base=BASE.replace("forbids", "bans")))["base"]
    assert tested.hash == before != changed.hash
