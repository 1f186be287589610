"""Sets are read strictly, sampled the same way each time, and reported by set and language."""

import json
from pathlib import Path

import pytest

from evaluation.text import DataError, Row, Score, calibration_over, read_sets, report, sample
from propriety.verdict import Status


def rows(*given: tuple[str, str]) -> list[Row]:
    return [Row(id=number, text=f"row {number}", label=label, lang=lang) for number, (label, lang) in enumerate(given)]


def scored(sets: dict[str, list[Row]], value: dict[str, float | None]) -> dict[tuple[str, str | int], Score]:
    """Every row scored by its label."""
    return {
        (name, row.id): Score(
            set=name, id=row.id, score=value[row.label], flagged=(value[row.label] or 0) >= 0.5, status=Status.OK, by=""
        )
        for name, those in sets.items()
        for row in those
    }


def test_rows_are_read_with_their_set_s_name_and_foreign_columns_passed_over(tmp_path: Path):
    line = {"id": "a", "text": "a tree", "label": "safe", "source": "x", "votes": {"safe": 3}}
    (tmp_path / "mine.jsonl").write_text("\ufeff" + json.dumps(line) + "\r\n\r\n", encoding="utf-8")
    assert read_sets(tmp_path, []) == {"mine": [Row(id="a", text="a tree", label="safe", lang="und")]}


@pytest.mark.parametrize(
    ("second", "reason"),
    [
        ("{", "Invalid JSON"),
        ('{"id": 2, "text": "a"}', "label: Field required"),
        ('{"id": 2, "text": "\\ud800", "label": "safe"}', "Invalid JSON"),
        ('{"id": 1, "text": "a", "label": "safe"}', "there already"),
    ],
)
def test_a_wrong_line_refuses_its_set_with_file_and_line(tmp_path: Path, second: str, reason: str):
    path = tmp_path / "mine.jsonl"
    path.write_text('{"id": 1, "text": "a", "label": "safe"}\n' + second)
    with pytest.raises(DataError, match=f"mine.jsonl:2: .*{reason}"):
        read_sets(tmp_path, ["mine"])


def test_a_set_that_is_not_there_is_refused_with_those_that_are(tmp_path: Path):
    with pytest.raises(DataError, match=r"no \*.jsonl"):
        read_sets(tmp_path, [])
    (tmp_path / "mine.jsonl").touch()
    with pytest.raises(DataError, match=r"no other.jsonl .* mine"):
        read_sets(tmp_path, ["other"])


def test_a_sample_holds_so_many_of_each_label_and_does_not_depend_on_other_sets():
    sets = {"one": rows(*[("safe", "en")] * 30, *[("unsafe", "en")] * 3), "two": rows(*[("safe", "en")] * 30)}
    sampled = sample(sets, 5, seed=1)
    assert [row.label for row in sampled["one"]] == ["safe"] * 5 + ["unsafe"] * 3
    assert sample({"two": sets["two"]}, 5, seed=1)["two"] == sampled["two"]
    assert sample(sets, 5, seed=2) != sampled


def test_languages_are_told_apart_only_where_there_are_several():
    sets = {"one": rows(("safe", "en"), ("unsafe", "en")), "two": rows(("safe", "de"), ("safe", "fr"))}
    lines = report(sets, scored(sets, {"safe": 0.2, "unsafe": 0.9}), [], seed=0)
    assert [(line.set, line.lang) for line in lines] == [("one", None), ("two", None), ("two", "de"), ("two", "fr")]


def test_a_language_without_safe_rows_is_compared_with_the_benign_sets():
    sets = {"mixed": rows(("unsafe", "de"), ("unsafe", "en"), ("safe", "en")), "plain": rows(("safe", "en"))}
    lines = {
        (line.set, line.lang): line for line in report(sets, scored(sets, {"safe": 0.2, "unsafe": 0.9}), ["plain"], 0)
    }
    assert lines["mixed", "de"].benign == ["plain"]
    assert lines["mixed", "en"].benign == lines["mixed", None].benign == lines["plain", None].benign == []


def test_labels_other_than_safe_and_unsafe_count_only_as_flagged():
    sets = {"one": rows(("safe", "en"), ("unsafe", "en"), ("probe", "en"), ("weak_unsafe", "en"))}
    value = {"safe": 0.9, "unsafe": 0.8, "probe": 0.7, "weak_unsafe": 0.1}
    (line,) = report(sets, scored(sets, value), [], seed=0)
    assert (line.unsafe, line.safe, line.discrimination.roc_auc.value) == (1, 1, 0)
    assert {label: rate.value for label, rate in line.flagged.items()} == {
        "probe": 1, "safe": 1, "unsafe": 1, "weak_unsafe": 0,
    }  # fmt: skip


def test_the_calibration_error_is_as_if_one_prompt_in_three_were_unsafe_and_each_set_weighs_the_same():
    sets = {"many": rows(*[("safe", "en")] * 9, ("unsafe", "en")), "few": rows(("safe", "en"), ("unsafe", "en"))}
    third = scored(sets, {"safe": 1 / 3, "unsafe": 1 / 3})
    sure = scored({"few": sets["few"]}, {"safe": 0.0, "unsafe": 1.0})
    many, few = report(sets, third, [], seed=0)
    assert (many.calibration_error, few.calibration_error) == (pytest.approx(0), pytest.approx(0))
    wrong = scored(sets, {"safe": 1.0, "unsafe": 1.0})
    assert calibration_over(sets, wrong, []) == pytest.approx(2 / 3)
    assert calibration_over(sets, {**wrong, **sure}, []) == pytest.approx(1 / 3)
    attacks = {"attacks": rows(("unsafe", "en"))}
    assert calibration_over(attacks, scored(attacks, {"unsafe": 1.0}), []) is None


def test_refused_rows_are_counted_and_left_out():
    sets = {"one": rows(("safe", "en"), ("unsafe", "en"), ("broken", "en"))}
    (line,) = report(sets, scored(sets, {"safe": 0.1, "unsafe": 0.9, "broken": None}), [], seed=0)
    assert (line.rows, line.refused, list(line.flagged)) == (3, 1, ["safe", "unsafe"])
