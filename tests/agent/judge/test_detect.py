"""The detectors on small policies, with the real encoder and, where it is asked, the real LLM."""

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
DOUBTFUL = "a woman with a glass of wine"  # under `children` alone: near to both halves, and not clearly

Place = tuple[Policy, ConceptIndex]
Open = Callable[..., Place]


@pytest.fixture(scope="module")
def under(head: str, tmp_path_factory: pytest.TempPathFactory) -> Open:
    """A policy of the rules named and its index; vectors are shared."""
    encoder, known, places = load_encoder("multilingual-e5-small"), dict[str, Vector](), dict[tuple[str, ...], Place]()

    def opened(*rules: str) -> Place:
        if rules not in places:
            folder = tmp_path_factory.mktemp("policies")
            (folder / "base.yaml").write_text(head + "".join(RULES[rule] for rule in rules), encoding="utf-8")
            (folder / "concepts").mkdir()
            (folder / "concepts" / "shared.yaml").write_text(CONCEPTS, encoding="utf-8")
            policy = load_policies(folder)["base"]
            places[rules] = policy, ConceptIndex(policy, IndexedBank(load_bank(folder), encoder, known))
        return places[rules]

    return opened


Broken = Callable[[str, Place, Detector, ChatOpenAI], tuple[set[str], Status]]


@pytest.fixture(scope="module")
def broken(loop: asyncio.Runner) -> Broken:
    """The rules that a prompt breaks, and how that was found out."""

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
def test_a_prompt_breaks_only_a_rule_that_claims_its_topic_and_nearest_asks_no_llm(
    under: Open, broken: Broken, gone: ChatOpenAI, prompt: str, rules: list[str], expected: set[str]
) -> None:
    assert broken(prompt, under(*rules), Detector.NEAREST, gone) == (expected, Status.OK)


def test_the_search_names_no_rule_but_those_of_the_policy_and_its_windows_are_of_the_prompt(under: Open) -> None:
    prompt = "an old man beside a glass of wine at night"
    found = under("alcohol", "gambling")[1].search(prompt).windows
    assert set(found) <= {"alcohol", "gambling"}
    best = found["alcohol"][0]
    assert "wine" in best.span.text
    assert (best.concept.rule_id, best.margin > 0) == ("alcohol", True)
    assert all(prompt[w.span.start : w.span.end] == w.span.text for windows in found.values() for w in windows)
    margins = [window.margin for window in found["alcohol"]]
    assert margins == sorted(margins, reverse=True)


def test_the_same_words_break_one_rule_and_other_words_of_the_prompt_another(under: Open) -> None:
    index = under("alcohol", "gambling")[1]
    found = index.search("a glass of wine").windows
    assert found["alcohol"][0].margin > 0 >= found["gambling"][0].margin
    both = index.search("a glass of wine beside people betting money on cards").windows
    assert min(both["alcohol"][0].margin, both["gambling"][0].margin) > 0
    assert both["alcohol"][0].span != both["gambling"][0].span


def test_safe_surroundings_speak_for_the_words_in_them(under: Open) -> None:
    index, words = under("alcohol")[1], "a man drinking"
    by_itself, with_tea, with_beer = (
        next(window.margin for window in index.search(prompt).windows["alcohol"] if window.span.text == words)
        for prompt in (words, "a man drinking tea", "a man drinking beer")
    )
    assert with_tea < by_itself
    assert with_beer == pytest.approx(by_itself, abs=1e-5)


@pytest.mark.parametrize("detector", [Detector.CASCADE, Detector.LLM])
def test_with_the_llm_gone_the_neighbours_answer_strictly_and_say_so(
    under: Open, broken: Broken, gone: ChatOpenAI, loop: asyncio.Runner, detector: Detector
) -> None:
    place = under("children")
    alone = loop.run(detect(DOUBTFUL, place[0], Detector.NEAREST, place[1], gone))
    assert STRICT <= alone.score < FLAGGED, "the prompt is there to lie between the thresholds"
    assert alone.violations == []
    assert broken(DOUBTFUL, place, detector, gone) == ({"children"}, Status.DEGRADED)


def test_the_cascade_asks_no_llm_where_the_neighbours_are_sure(under: Open, broken: Broken, gone: ChatOpenAI) -> None:
    place = under("gambling")
    assert broken("a glass of wine", place, Detector.CASCADE, gone) == (set(), Status.OK)
    assert broken("a poker table in a casino", place, Detector.CASCADE, gone) == ({"gambling"}, Status.OK)


@pytest.mark.parametrize("beside", [[], ["gambling"], ["alcohol"], ["alcohol", "gambling"]], ids="+".join)
def test_a_rule_with_company_is_broken_in_company_alone_claimed_or_not(
    under: Open, broken: Broken, gone: ChatOpenAI, beside: list[str]
) -> None:
    place = under("children", *beside)
    wine = {"alcohol"} & set(beside)
    assert broken(CHILD, place, Detector.NEAREST, gone) == (set(), Status.OK)
    assert broken(WINE, place, Detector.NEAREST, gone) == (wine, Status.OK)
    assert broken(CHILD_WITH_WINE, place, Detector.NEAREST, gone) == ({"children"} | wine, Status.OK)


@pytest.mark.parametrize(
    ("prompt", "detector", "expected"),
    [
        (WINE, Detector.CASCADE, set()),
        (CHILD_WITH_WINE, Detector.CASCADE, {"children"}),
        (CHILD, Detector.LLM, set()),  # the judge sees a child and says yes
    ],
)
def test_the_judge_does_not_break_a_rule_with_company_by_itself(
    under: Open, broken: Broken, model: ChatOpenAI, prompt: str, detector: Detector, expected: set[str]
) -> None:
    assert broken(prompt, under("children"), detector, model) == (expected, Status.OK)


def test_a_further_rule_is_named_only_where_the_neighbours_find_it_too(under: Open) -> None:
    policy = under("alcohol", "gambling")[0]

    def named(risks: dict[str, float], near: dict[str, float]) -> list[str]:
        return [violation.rule_id for violation in _reading(risks, near, FLAGGED, {}, policy).violations]

    risks = {"alcohol": 0.9, "gambling": 0.98}
    assert named(risks, {"alcohol": 0.3, "gambling": 0.3}) == ["gambling"]
    assert named(risks, {"alcohol": 0.6, "gambling": 0.3}) == ["gambling", "alcohol"]
    assert named({"alcohol": 0.3, "gambling": 0.4}, {"alcohol": 0.6, "gambling": 0.9}) == []


def test_a_rule_with_company_is_named_second_even_where_the_neighbours_are_not_sure_of_it(under: Open) -> None:
    policy = under("children", "alcohol")[0]
    risks, near = {"alcohol": 0.9, "children": 0.6}, {"alcohol": 0.8, "children": 0.3}
    named = [violation.rule_id for violation in _reading(risks, near, FLAGGED, {}, policy).violations]
    assert named == ["alcohol", "children"]


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_judge_and_neighboursfuse_are_a_probability_and_it_never_falls_with_either(
    judged: float, judged_too: float, near: float, near_too: float
) -> None:
    less, more = sorted((judged, judged_too))
    farther, nearer = sorted((near, near_too))
    assert 0 < fuse(less, farther) <= fuse(more, farther) < 1
    assert fuse(less, farther) <= fuse(less, nearer) < 1


@given(st.floats(0.01, 0.98), st.floats(0.19, 0.8))
def test_it_rises_with_both_where_neither_is_sure(judged: float, near: float) -> None:
    assert fuse(judged, near) < fuse(judged + 0.01, near)
    assert fuse(judged, near) < fuse(judged, near + 0.01)


@given(st.floats(0, 1))
def test_the_neighbours_count_no_more_for_being_certain(judged: float) -> None:
    assert fuse(judged, 1.0) == fuse(judged, 0.999)
    assert fuse(judged, 0.0) == fuse(judged, 0.001)
