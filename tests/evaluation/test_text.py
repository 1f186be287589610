"""Scores are kept in a file and reported by set and language."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.settings import Settings
from agent.terminal.journal import JournalError
from agent.terminal.loading import load_moderator
from evaluation.sets import Row
from evaluation.text import Report, Score, calibration_over, evaluate, figures
from propriety.verdict import Detector, Status


def rows(*given: tuple[str, str]) -> list[Row]:
    return [Row(id=number, text=f"row {number}", label=label, lang=lang) for number, (label, lang) in enumerate(given)]


def scored(sets: dict[str, list[Row]], value: dict[str, float | None]) -> dict[tuple[str, str | int], Score]:
    """Every row scored by its label."""
    return {
        (name, row.id): Score(
            set=name, id=row.id, score=value[row.label], flagged=(value[row.label] or 0) >= 0.5, status=Status.OK, by=""
        )
        for name, rows in sets.items()
        for row in rows
    }


SETS = {
    "captions": [Row(id=1, text="a tree on a hill", label="safe"), Row(id=2, text="a glass of juice", label="safe")]
}


@pytest.fixture(scope="module")
def score(small_settings: Settings) -> Callable[..., Report]:
    """Scores a small set into a file."""
    moderator = load_moderator(small_settings)

    def score(output: Path, locale: str = "base", detector: Detector = Detector.NEAREST) -> Report:
        policy = moderator.policies[locale]
        return evaluate(moderator, small_settings, SETS, policy, detector, benign=[], seed=0, output=output)

    return score


def test_scores_are_kept_and_an_interrupted_run_continues(score, tmp_path: Path):
    output = tmp_path / "scores.jsonl"
    first = score(output)
    line, torn = output.read_bytes().splitlines(keepends=True)
    output.write_bytes(line + torn[:20])
    assert score(output) == first
    assert output.read_bytes() == line + torn


@pytest.mark.parametrize("change", [{"locale": "ar-SA"}, {"detector": Detector.CASCADE}], ids=["policy", "detector"])
def test_scores_of_another_policy_or_detector_are_not_reused(score, tmp_path: Path, change):
    score(tmp_path / "scores.jsonl")
    with pytest.raises(JournalError, match="its lines are by"):
        score(tmp_path / "scores.jsonl", **change)


def test_scores_under_another_concept_bank_are_not_reused(small_settings: Settings, tmp_path: Path):
    shutil.copytree(small_settings.policies_dir, tmp_path / "policies")
    settings = small_settings.model_copy(update={"policies_dir": tmp_path / "policies"})
    moderator, output = load_moderator(settings), tmp_path / "scores.jsonl"
    given = (SETS, moderator.policies["base"], Detector.NEAREST)
    evaluate(moderator, settings, *given, benign=[], seed=0, output=output)
    with (tmp_path / "policies" / "concepts" / "shared.yaml").open("a") as bank:
        bank.write("# edited\n")
    with pytest.raises(JournalError, match="its lines are by"):
        evaluate(moderator, settings, *given, benign=[], seed=0, output=output)


def test_languages_are_reported_only_if_a_set_has_several():
    sets = {"one": rows(("safe", "en"), ("unsafe", "en")), "two": rows(("safe", "de"), ("safe", "fr"))}
    lines = figures(sets, scored(sets, {"safe": 0.2, "unsafe": 0.9}), [], seed=0)
    assert [(line.set, line.lang) for line in lines] == [("one", None), ("two", None), ("two", "de"), ("two", "fr")]


def test_a_language_without_safe_rows_is_compared_with_the_benign_sets():
    sets = {"mixed": rows(("unsafe", "de"), ("unsafe", "en"), ("safe", "en")), "plain": rows(("safe", "en"))}
    lines = {
        (line.set, line.lang): line for line in figures(sets, scored(sets, {"safe": 0.2, "unsafe": 0.9}), ["plain"], 0)
    }
    assert lines["mixed", "de"].benign == ["plain"]
    assert lines["mixed", "en"].benign == lines["mixed", None].benign == lines["plain", None].benign == []


def test_for_other_labels_only_the_share_flagged_is_reported():
    sets = {"one": rows(("safe", "en"), ("unsafe", "en"), ("probe", "en"), ("weak_unsafe", "en"))}
    value = {"safe": 0.9, "unsafe": 0.8, "probe": 0.7, "weak_unsafe": 0.1}
    (line,) = figures(sets, scored(sets, value), [], seed=0)
    assert (line.unsafe, line.safe, line.discrimination.roc_auc.value) == (1, 1, 0)
    assert {label: rate.value for label, rate in line.flagged.items()} == {
        "probe": 1, "safe": 1, "unsafe": 1, "weak_unsafe": 0,
    }  # fmt: skip


def test_calibration_assumes_one_unsafe_prompt_in_three_and_weighs_sets_equally():
    sets = {"many": rows(*[("safe", "en")] * 9, ("unsafe", "en")), "few": rows(("safe", "en"), ("unsafe", "en"))}
    third = scored(sets, {"safe": 1 / 3, "unsafe": 1 / 3})
    sure = scored({"few": sets["few"]}, {"safe": 0.0, "unsafe": 1.0})
    many, few = figures(sets, third, [], seed=0)
    assert (many.calibration_error, few.calibration_error) == (pytest.approx(0), pytest.approx(0))
    wrong = scored(sets, {"safe": 1.0, "unsafe": 1.0})
    assert calibration_over(sets, wrong, []) == pytest.approx(2 / 3)
    assert calibration_over(sets, {**wrong, **sure}, []) == pytest.approx(1 / 3)
    attacks = {"attacks": rows(("unsafe", "en"))}
    assert calibration_over(attacks, scored(attacks, {"unsafe": 1.0}), []) is None


def test_refused_rows_are_counted_and_left_out():
    sets = {"one": rows(("safe", "en"), ("unsafe", "en"), ("broken", "en"))}
    (line,) = figures(sets, scored(sets, {"safe": 0.1, "unsafe": 0.9, "broken": None}), [], seed=0)
    assert (line.rows, line.refused, list(line.flagged)) == (3, 1, ["safe", "unsafe"])
