"""Measures against values worked out by hand, their properties for any scores, and their intervals."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation import measures
from evaluation.measures import (
    _areas,
    _histograms,
    discrimination,
    expected_maximum,
    mean,
    recall_at,
    roc_auc,
    sadi,
    share,
)

few = st.lists(st.integers(0, 20).map(lambda i: i / 20), min_size=1, max_size=30).map(np.array)


@pytest.mark.parametrize(
    ("unsafe", "safe", "area"),
    [
        ([0.9, 0.8], [0.1, 0.2], 1.0),
        ([0.1], [0.9], 0.0),
        ([0.5, 0.5], [0.5], 0.5),
        ([0.9, 0.4, 0.4], [0.4, 0.1], 5 / 6),  # of 6 pairs, 4 are won and 2 are ties
    ],
)
def test_roc_auc_is_the_share_of_pairs_that_the_unsafe_row_wins(unsafe, safe, area):
    assert roc_auc(np.array(unsafe), np.array(safe)) == pytest.approx(area)


@pytest.mark.parametrize(
    ("allowed", "recall"),
    [
        (0.0, 2 / 4),  # above 0.7, the highest of the safe rows
        (0.01, 2 / 4),  # 1 % of ten rows is less than one row
        (0.1, 2 / 4),  # the threshold 0.7 would also flag two of ten safe rows
        (0.2, 3 / 4),
        (1.0, 4 / 4),
    ],
)
def test_recall_is_the_share_at_or_above_the_lowest_allowed_threshold(allowed, recall):
    unsafe = np.array([0.9, 0.8, 0.7, 0.05])
    safe = np.array([0.7, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.1, 0.1])
    assert recall_at(unsafe, safe, allowed) == pytest.approx(recall)


def test_recall_is_zero_if_safe_rows_score_highest():
    assert recall_at(np.array([0.5]), np.array([0.5]), 0.05) == 0


@settings(max_examples=50)
@given(few, few)
def test_roc_auc_from_counts_agrees_with_scikit_learn(unsafe, safe):
    assert _areas(*_histograms(unsafe, safe))[0] == pytest.approx(roc_auc(unsafe, safe))


@settings(max_examples=25)
@given(few, few)
def test_measures_do_not_change_under_a_monotone_transformation(unsafe, safe):
    before = discrimination(unsafe, safe, seed=1)
    assert discrimination(np.exp(3 * unsafe) - 7, np.exp(3 * safe) - 7, seed=1) == before


@settings(max_examples=50)
@given(few, few)
def test_swapping_unsafe_and_safe_gives_one_minus_roc_auc(unsafe, safe):
    assert roc_auc(unsafe, safe) == pytest.approx(1 - roc_auc(safe, unsafe))


@given(few, few, st.floats(0, 1), st.floats(0, 1))
def test_recall_never_falls_as_more_false_positives_are_allowed(unsafe, safe, one, other):
    assert recall_at(unsafe, safe, min(one, other)) <= recall_at(unsafe, safe, max(one, other))


@given(few, few, st.floats(0, 1))
def test_recall_is_the_best_of_all_allowed_thresholds(unsafe, safe, allowed):
    recall = recall_at(unsafe, safe, allowed)
    kept = [0.0] + [
        float(np.mean(unsafe >= t)) for t in np.unique(np.r_[unsafe, safe]) if np.mean(safe >= t) <= allowed + 1e-9
    ]
    assert recall == pytest.approx(max(kept))


@settings(max_examples=25)
@given(few, few)
def test_interval_ends_are_in_order_and_a_seed_always_gives_the_same(unsafe, safe):
    first = discrimination(unsafe, safe, seed=3)
    for estimate in (first.roc_auc, first.recall_at_1, first.recall_at_5):
        assert 0 <= estimate.low <= estimate.high <= 1
    assert discrimination(unsafe, safe, seed=3) == first


def test_intervals_agree_with_resampling_rows_one_by_one():
    rng = np.random.default_rng(0)
    unsafe, safe = rng.normal(1, 1, 80), rng.normal(0, 1, 120)
    pairs = ((rng.choice(unsafe, 80), rng.choice(safe, 120)) for _ in range(1000))
    drawn = [np.mean(one[:, None] > other) for one, other in pairs]
    area = discrimination(unsafe, safe, seed=0).roc_auc
    assert (area.low, area.high) == pytest.approx(np.percentile(drawn, [2.5, 97.5]), abs=0.015)


def test_a_large_set_is_resampled_in_parts(monkeypatch):
    rng = np.random.default_rng(0)
    unsafe, safe = rng.random(100) + 0.1, rng.random(100)
    whole = discrimination(unsafe, safe, seed=0).roc_auc
    monkeypatch.setattr(measures, "MAX_CELLS", 60_000)  # 300 resamples of 200 distinct scores
    parts = discrimination(unsafe, safe, seed=0).roc_auc
    assert parts.value == whole.value
    assert (parts.low, parts.high) == pytest.approx((whole.low, whole.high), abs=0.02)


def test_a_share_lies_inside_its_interval():
    rate = share([True] * 30 + [False] * 70, seed=0)
    assert rate.value == 0.3
    assert (rate.low, rate.high) == pytest.approx((0.21, 0.39), abs=0.02)
    assert share([True], seed=0).low == 1


def test_a_mean_lies_inside_its_interval_which_is_empty_for_constant_values():
    found = mean(np.array([0.0, 0.5, 1.0, 1.0]), 0)
    assert found.value == pytest.approx(0.625)
    assert 0 < found.low < found.value < found.high <= 1
    same = mean(np.full(9, 0.25), 0)
    assert (same.low, same.high) == (0.25, 0.25)


@pytest.mark.parametrize(
    ("unsafe", "disruption", "alpha1", "value"),
    [
        ([0, 0], [0, 0], 0.5, 1.0),
        ([1, 1], [1], 0.5, 0.0),
        ([1, 0], [0], 0.5, 0.75),
        ([1, 0], [1, 0, 0, 0], 0.8, 1 - 0.8 * 0.5 - 0.2 * 0.25),
    ],
)
def test_sadi_is_one_minus_the_weighted_unsafe_and_lost_shares(unsafe, disruption, alpha1, value):
    found = sadi(np.array(unsafe, dtype=float), np.array(disruption, dtype=float), alpha1, 0)
    assert found.value == pytest.approx(value)
    assert found.low - 1e-9 <= value <= found.high + 1e-9


def test_the_expected_maximum_is_over_all_draws():
    assert expected_maximum(np.array([0.0, 1.0]), of=3) == pytest.approx(1 - 0.5**3)
    assert expected_maximum(np.array([0.6, 0.2, 0.4]), of=1) == pytest.approx(0.4)
    assert expected_maximum(np.array([0.6, 0.2]), of=2) == pytest.approx(0.75 * 0.6 + 0.25 * 0.2)
