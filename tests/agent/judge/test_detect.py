"""The detectors on small policies, with the real encoder and, for some tests, the real LLM."""

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_openai import ChatOpenAI

from agent.judge.detect import FLAGGED, STRICT, _reading, detect, fuse
from agent.policy.concept_bank import load_bank
from agent.policy.files import load_policies
from agent.policy.model import Policy
from agent.retrieval.encoder import Vector, load_encoder
from agent.retrieval.index import ConceptIndex, IndexedBank
from propriety.verdict import Detector, Status

RULES = {
    "children": """\
  - id: children
    category: regulated_substances
    severity: high
    only_with: [alcohol]
    definition: A child or a teenager.
    examples:
      violating: [a child, a little girl, a boy of ten, children in a park]
      allowed: [a woman, an old man, adults at a party, a young couple]
    message: {en: No children beside alcohol.}
    sources: [a test]
""",
    "alcohol": """\
  - id: alcohol
    category: regulated_substances
    severity: medium
    topics: [alcohol]
    definition: Wine, beer or other alcoholic drinks.
    examples:
      violating: [a man drinking beer, a bottle of wine on a table]
      allowed: [a glass of juice on a table, a cup of coffee]
    message: {en: No alcohol.}
    sources: [a test]
""",
    "nudity": """\
  - id: nudity
    category: sexual_content
    severity: medium
    topics: [gambling]
    definition: Naked people.
    message: {en: No nudity.}
    sources: [a test]
""",
    "gambling": """\
  - id: gambling
    category: gambling
    severity: medium
    topics: [gambling]
    definition: Casinos, betting and games played for money.
    examples:
      violating: [a roulette table in a casino, men betting money on cards]
      allowed: [two men playing chess, a family board game]
    message: {en: No gambling.}
    sources: [a test]
""",
}
CONCEPTS = """\
topics:
  alcohol:
    category: regulated_substances
    unsafe:
      - {text: a glass of wine, safe: [a glass of juice]}
      - {text: a bottle of wine, safe: [a bottle of water]}
      - {text: a man drinking beer, safe: [a man drinking tea]}
    safe: [a glass of water, a cup of coffee]
  gambling:
    category: gambling
    unsafe:
      - {text: a poker table in a casino, safe: [a chess board in a café]}
      - {text: people betting money on cards, safe: [people playing a board game]}
    safe: [a game of chess, a deck of cards on a shelf]
  everyday:
    category: null
    safe: [a tree on a hill, a park with a pond, a bench in a garden, a red bicycle, a dog on a beach, a night street]
"""
CHILD, WINE, CHILD_WITH_WINE = "a child in a park", "a glass of wine", "a child with a glass of wine"
DOUBTFUL = "a woman with a glass of wine"  # with `children` alone: near to both halves, but not clearly

Place = tuple[Policy, ConceptIndex]
MakePlace = Callable[..., Place]


@pytest.fixture(scope="module")
def place_with(head: str, tmp_path_factory: pytest.TempPathFactory) -> MakePlace:
    """Makes a policy of the named rules and its index; vectors are shared."""
    encoder, known, places = load_encoder("multilingual-e5-small"), dict[str, Vector](), dict[tuple[str, ...], Place]()

    def make(*rules: str) -> Place:
        if rules not in places:
            folder = tmp_path_factory.mktemp("policies")
            (folder / "base.yaml").write_text(head + "".join(RULES[rule] for rule in rules), encoding="utf-8")
            (folder / "concepts").mkdir()
            (folder / "concepts" / "shared.yaml").write_text(CONCEPTS, encoding="utf-8")
            policy = load_policies(folder)["base"]
            places[rules] = policy, ConceptIndex(policy, IndexedBank(load_bank(folder), encoder, known))
        return places[rules]

    return make


BrokenRules = Callable[[str, Place, Detector, ChatOpenAI], tuple[set[str], Status]]


@pytest.fixture(scope="module")
def broken_rules(loop: asyncio.Runner) -> BrokenRules:
    """Finds the rules that a prompt breaks, and the status of the reading."""

    def read(prompt: str, place: Place, detector: Detector, model: ChatOpenAI) -> tuple[set[str], Status]:
        reading = loop.run(detect(prompt, place[0], detector, place[1], model))
        return {violation.rule_id for violation in reading.violations}, reading.status

    return read


@pytest.mark.parametrize(
    ("prompt", "rules", "expected"),
    [
        (WINE, ["alcohol", "gambling"], {"alcohol"}),
        (WINE, ["gambling"], set()),
        ("people betting money in a casino", ["alcohol", "gambling"], {"gambling"}),
        ("people betting money in a casino", ["alcohol"], set()),
        ("a tree on a hill", ["alcohol", "gambling"], set()),
    ],
)
def test_a_prompt_breaks_only_a_rule_that_claims_its_topic_and_nearest_needs_no_llm(
    place_with: MakePlace,
    broken_rules: BrokenRules,
    missing_llm: ChatOpenAI,
    prompt: str,
    rules: list[str],
    expected: set[str],
) -> None:
    assert broken_rules(prompt, place_with(*rules), Detector.NEAREST, missing_llm) == (expected, Status.OK)


def test_the_search_returns_rules_of_the_policy_and_windows_of_the_prompt(place_with: MakePlace) -> None:
    prompt = "an old man beside a glass of wine at night"
    found = place_with("alcohol", "gambling")[1].search(prompt).windows
    assert set(found) <= {"alcohol", "gambling"}
    best = found["alcohol"][0]
    assert "wine" in best.span.text
    assert (best.concept.rule_id, best.margin > 0) == ("alcohol", True)
    assert all(prompt[w.span.start : w.span.end] == w.span.text for windows in found.values() for w in windows)
    margins = [window.margin for window in found["alcohol"]]
    assert margins == sorted(margins, reverse=True)


def test_different_words_of_a_prompt_break_different_rules(place_with: MakePlace) -> None:
    index = place_with("alcohol", "gambling")[1]
    found = index.search("a glass of wine").windows
    assert found["alcohol"][0].margin > 0 >= found["gambling"][0].margin
    both = index.search("a glass of wine beside people betting money on cards").windows
    assert min(both["alcohol"][0].margin, both["gambling"][0].margin) > 0
    assert both["alcohol"][0].span != both["gambling"][0].span


def test_a_safe_context_lowers_the_margin_of_the_words_in_it(place_with: MakePlace) -> None:
    index, words = place_with("alcohol")[1], "a man drinking"
    by_itself, with_tea, with_beer = (
        next(window.margin for window in index.search(prompt).windows["alcohol"] if window.span.text == words)
        for prompt in (words, "a man drinking tea", "a man drinking beer")
    )
    assert with_tea < by_itself
    assert with_beer == pytest.approx(by_itself, abs=1e-5)


@pytest.mark.parametrize("detector", [Detector.CASCADE, Detector.LLM])
def test_without_the_llm_the_neighbours_decide_strictly_and_the_status_is_degraded(
    place_with: MakePlace, broken_rules: BrokenRules, missing_llm: ChatOpenAI, loop: asyncio.Runner, detector: Detector
) -> None:
    place = place_with("children")
    alone = loop.run(detect(DOUBTFUL, place[0], Detector.NEAREST, place[1], missing_llm))
    assert STRICT <= alone.score < FLAGGED, "the prompt must lie between the thresholds"
    assert alone.violations == []
    assert broken_rules(DOUBTFUL, place, detector, missing_llm) == ({"children"}, Status.DEGRADED)


def test_the_cascade_needs_no_llm_if_the_neighbours_are_sure(
    place_with: MakePlace, broken_rules: BrokenRules, missing_llm: ChatOpenAI
) -> None:
    place = place_with("gambling")
    assert broken_rules("a glass of wine", place, Detector.CASCADE, missing_llm) == (set(), Status.OK)
    assert broken_rules("a poker table in a casino", place, Detector.CASCADE, missing_llm) == ({"gambling"}, Status.OK)


def test_the_cascade_always_asks_about_what_only_a_judge_tells_from_what_is_never_drawn(
    place_with: MakePlace, broken_rules: BrokenRules, missing_llm: ChatOpenAI
) -> None:
    sure = "a poker table in a casino"  # the neighbours settle it under a rule of another category
    assert broken_rules(sure, place_with("gambling"), Detector.CASCADE, missing_llm) == ({"gambling"}, Status.OK)
    assert broken_rules(sure, place_with("nudity"), Detector.CASCADE, missing_llm) == ({"nudity"}, Status.DEGRADED)
    assert broken_rules(WINE, place_with("nudity"), Detector.CASCADE, missing_llm) == (set(), Status.OK)


@pytest.mark.parametrize("other_rules", [[], ["gambling"], ["alcohol"], ["alcohol", "gambling"]], ids="+".join)
def test_a_rule_with_only_with_is_broken_only_together_with_its_topic(
    place_with: MakePlace, broken_rules: BrokenRules, missing_llm: ChatOpenAI, other_rules: list[str]
) -> None:
    place = place_with("children", *other_rules)
    wine = {"alcohol"} & set(other_rules)
    assert broken_rules(CHILD, place, Detector.NEAREST, missing_llm) == (set(), Status.OK)
    assert broken_rules(WINE, place, Detector.NEAREST, missing_llm) == (wine, Status.OK)
    assert broken_rules(CHILD_WITH_WINE, place, Detector.NEAREST, missing_llm) == ({"children"} | wine, Status.OK)


@pytest.mark.parametrize(
    ("prompt", "detector", "expected"),
    [
        (WINE, Detector.CASCADE, set()),
        (CHILD_WITH_WINE, Detector.CASCADE, {"children"}),
        (CHILD, Detector.LLM, set()),  # the LLM sees a child and answers yes
    ],
)
def test_the_llm_alone_does_not_break_a_rule_with_only_with(
    place_with: MakePlace,
    broken_rules: BrokenRules,
    model: ChatOpenAI,
    prompt: str,
    detector: Detector,
    expected: set[str],
) -> None:
    assert broken_rules(prompt, place_with("children"), detector, model) == (expected, Status.OK)


def test_a_further_rule_is_named_only_if_the_neighbours_find_it_too(place_with: MakePlace) -> None:
    policy = place_with("alcohol", "gambling")[0]

    def named(risks: dict[str, float], near: dict[str, float]) -> list[str]:
        return [violation.rule_id for violation in _reading(risks, near, FLAGGED, {}, policy).violations]

    risks = {"alcohol": 0.9, "gambling": 0.98}
    assert named(risks, {"alcohol": 0.3, "gambling": 0.3}) == ["gambling"]
    assert named(risks, {"alcohol": 0.6, "gambling": 0.3}) == ["gambling", "alcohol"]
    assert named({"alcohol": 0.3, "gambling": 0.4}, {"alcohol": 0.6, "gambling": 0.9}) == []


def test_a_rule_with_only_with_is_named_second_even_if_the_neighbours_are_unsure(place_with: MakePlace) -> None:
    policy = place_with("children", "alcohol")[0]
    risks, near = {"alcohol": 0.9, "children": 0.6}, {"alcohol": 0.8, "children": 0.3}
    named = [violation.rule_id for violation in _reading(risks, near, FLAGGED, {}, policy).violations]
    assert named == ["alcohol", "children"]


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_the_fused_risk_is_a_probability_that_never_falls_with_either_input(
    judged: float, judged_too: float, near: float, near_too: float
) -> None:
    less, more = sorted((judged, judged_too))
    farther, nearer = sorted((near, near_too))
    assert 0 < fuse(less, farther) <= fuse(more, farther) < 1
    assert fuse(less, farther) <= fuse(less, nearer) < 1


@given(st.floats(0.01, 0.98), st.floats(0.19, 0.8))
def test_the_fused_risk_rises_with_both_inputs_if_neither_is_certain(judged: float, near: float) -> None:
    assert fuse(judged, near) < fuse(judged + 0.01, near)
    assert fuse(judged, near) < fuse(judged, near + 0.01)


@given(st.floats(0, 1))
def test_the_weight_of_certain_neighbours_is_bounded(judged: float) -> None:
    assert fuse(judged, 1.0) == fuse(judged, 0.999)
    assert fuse(judged, 0.0) == fuse(judged, 0.001)
