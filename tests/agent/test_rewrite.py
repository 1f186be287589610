"""Which words are swapped, how the LLM words the swap, and a rewrite by the whole moderator."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from langchain_openai import ChatOpenAI

from agent.judge.detect import Reading
from agent.judge.errors import LLMUnavailableError
from agent.moderator import Moderator
from agent.retrieval.concepts import Concept
from agent.retrieval.index import Window
from agent.rewrite import MAX_WINDOWS, Rewritten, Swap, reworded, rewrite, swaps
from propriety.verdict import Action, Category, ChatMessage, Detector, Severity, Span, Status, Violation

PROMPT = "a woman holding a wine glass on a beach"
JUICE, TEA = "a glass of juice", "a cup of tea"


def window(text: str, similarity: float, margin: float, *safe: str) -> Window:
    start = PROMPT.index(text)
    concept = Concept("a wine glass", "alcohol", safe or (JUICE,))
    return Window(Span(start=start, end=start + len(text), text=text), concept, similarity, margin)


def test_the_most_similar_window_comes_first_and_safe_windows_are_left_alone() -> None:
    found = {
        "alcohol": [
            window(PROMPT, 0.99, 0.4),  # the whole prompt
            window("holding a wine glass", 0.8, 0.3, JUICE, TEA),
            window("a wine glass", 0.95, 0.2),
            window("on a beach", 0.97, -0.1),  # nearer to something safe
        ]
    }
    assert swaps(PROMPT, found, ["alcohol"]) == [
        Swap("a wine glass", JUICE),
        Swap("holding a wine glass", JUICE),
        Swap("holding a wine glass", TEA),
    ]


def test_only_the_most_similar_windows_are_swapped_and_each_swap_occurs_once() -> None:
    texts = ["a wine glass", "wine glass", "holding a wine", "a wine"]
    found = {"alcohol": [window(text, 0.9 - i / 10, 0.2, JUICE, JUICE) for i, text in enumerate(texts)]}
    assert swaps(PROMPT, found, ["alcohol"]) == [Swap(text, JUICE) for text in texts[:MAX_WINDOWS]]


def test_without_an_offending_window_the_whole_prompt_is_swapped() -> None:
    found = {"alcohol": [window(PROMPT, 0.9, 0.1), window("on a beach", 0.8, -0.1)]}
    assert swaps(PROMPT, found, ["alcohol"])[0] == Swap(PROMPT, JUICE)
    assert swaps(PROMPT, {"alcohol": [window(PROMPT, 0.9, -0.2)]}, ["alcohol"]) == [Swap(PROMPT, JUICE)]


def test_the_first_broken_rule_comes_first_and_unbroken_rules_are_left_alone() -> None:
    found = {
        "places": [window("on a beach", 0.99, 0.5, "in a garden")],
        "alcohol": [window("a wine glass", 0.7, 0.2)],
        "people": [window("a woman", 0.99, 0.5, "a tree")],
    }
    broken = ["alcohol", "places", "no.window"]
    assert swaps(PROMPT, found, broken) == [Swap("a wine glass", JUICE), Swap("on a beach", "in a garden")]
    assert swaps(PROMPT, found, []) == []


UNSAFE, SAFE = ("wine", "beer"), Reading([], 0.1)
VIOLATION = Violation(
    rule_id="alcohol", category=Category.REGULATED_SUBSTANCES, severity=Severity.MEDIUM, confidence=0.9,
    rationale="", spans=[],
)  # fmt: skip


def offending(*words: str) -> Callable[[str], Awaitable[Reading]]:
    """Reads a text by these words alone."""

    async def read(text: str) -> Reading:
        held = [word for word in words if word in text]
        return (
            Reading([VIOLATION], 0.9, {"alcohol": [window(word, 0.9, 0.2, "hill") for word in held]}) if held else SAFE
        )

    return read


async def allow(_: str) -> Reading:
    return SAFE


def rewritten(
    loop: asyncio.Runner,
    found: dict[str, list[Window]],
    similarity: float = 0.9,
    unsafe: tuple[str, ...] = UNSAFE,
    rest: Callable[[str], Awaitable[Reading]] | None = None,
) -> tuple[str | None, list[str]]:
    """The rewrite of `PROMPT` without an LLM, if each word of `unsafe` is unsafe; and the texts that were judged."""
    judged: list[str] = []

    async def read(text: str) -> Reading:
        judged.append(text)
        if not any(word in text for word in unsafe):
            return SAFE
        return Reading([VIOLATION], 0.9, {rule: [w for w in ws if w.span.text in text] for rule, ws in found.items()})

    first = Reading([VIOLATION], 0.9, found)
    done = loop.run(rewrite(PROMPT, first, read, rest or allow, lambda _, __: similarity, None, attempts=3))
    assert (done.worded, done.degraded) == (False, False)
    return done.safe_prompt, judged


def test_the_first_faithful_candidate_that_passes_wins_and_no_other_is_tried(loop: asyncio.Runner) -> None:
    found = {"alcohol": [window("a wine glass", 0.9, 0.2, "a beer glass", JUICE, TEA)]}
    text, judged = rewritten(loop, found)
    assert text == "a woman holding a glass of juice on a beach"
    assert judged == ["a woman holding a beer glass on a beach", text]


def test_all_candidates_are_tried_if_none_is_faithful(loop: asyncio.Runner) -> None:
    found = {"alcohol": [window("a wine glass", 0.9, 0.2, JUICE, TEA)]}
    text, judged = rewritten(loop, found, similarity=0.5)
    assert text in judged
    assert len(judged) == 2


def test_if_no_candidate_passes_the_least_risky_is_rewritten_again_and_then_a_safe_concept_is_used_alone(
    loop: asyncio.Runner,
) -> None:
    found = {"alcohol": [window("a wine glass", 0.9, 0.2, "a beer glass", JUICE)]}
    text, judged = rewritten(loop, found, unsafe=("beach",))
    assert text in ("a beer glass", JUICE)
    assert len(judged) == len(set(judged))


def test_words_are_swapped_only_if_what_is_left_over_does_not_offend(loop: asyncio.Runner) -> None:
    found = {"alcohol": [window("holding a wine", 0.9, 0.2), window("wine glass", 0.8, 0.2)]}
    text, judged = rewritten(loop, found, unsafe=("wine",), rest=offending("glass"))
    assert text == "a woman holding a a glass of juice on a beach"
    assert judged == [text]


def test_an_offence_in_two_places_is_swapped_in_both(loop: asyncio.Runner) -> None:
    found = {"alcohol": [window("wine", 0.9, 0.2), window("beach", 0.8, 0.2, "hill")]}
    text, _ = rewritten(loop, found, unsafe=("wine", "beach"), rest=offending("wine", "beach"))
    assert text == "a woman holding a a glass of juice glass on a hill"


def test_of_a_long_prompt_the_llm_edits_the_passage_alone(
    loop: asyncio.Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    others = "A yellow tram stands at the corner. " * 6
    prompt, edited = f"{others}{PROMPT.capitalize()}. {others}", list[str]()

    async def edit(_: object, text: str, swap: Swap) -> str:
        edited.append(text)
        return text.replace(swap.remove, swap.instead).rstrip(".")

    async def read(text: str) -> Reading:
        return Reading([VIOLATION], 0.9, {"alcohol": [wine]}) if "wine" in text else SAFE

    monkeypatch.setattr("agent.rewrite.reworded", edit)
    start = prompt.index("a wine glass")
    wine = Window(
        Span(start=start, end=start + 12, text="a wine glass"), Concept("wine", "alcohol", (JUICE,)), 0.9, 0.2
    )
    first = loop.run(read(prompt))
    model: Any = object()
    done = loop.run(rewrite(prompt, first, read, read, lambda _, __: 1.0, model, attempts=3))
    assert edited == [f"{PROMPT.capitalize()}."]
    assert done.safe_prompt == prompt.replace("a wine glass", JUICE)


def test_there_is_no_rewrite_if_nothing_passes(loop: asyncio.Runner) -> None:
    found = {"alcohol": [window("a wine glass", 0.9, 0.2, JUICE)]}
    assert rewritten(loop, found, unsafe=("a",))[0] is None
    assert rewritten(loop, {})[0] is None


def test_the_llm_words_the_swap_and_keeps_the_scene(loop: asyncio.Runner, model: ChatOpenAI) -> None:
    text = loop.run(reworded(model, PROMPT, Swap("a wine glass", JUICE)))
    assert "juice" in text
    assert "beach" in text
    assert "wine" not in text


def test_a_missing_rewriter_raises_llm_unavailable(loop: asyncio.Runner, missing_llm: ChatOpenAI) -> None:
    with pytest.raises(LLMUnavailableError, match="the rewriter is unavailable"):
        loop.run(reworded(missing_llm, PROMPT, Swap("a wine glass", JUICE)))


def test_a_rewritten_prompt_keeps_the_scene_and_passes_the_judgement_it_failed(
    loop: asyncio.Runner, moderator: Moderator
) -> None:
    message = ChatMessage(role="user", content=PROMPT)
    verdict = loop.run(moderator.moderate([message], "ar-SA", Detector.CASCADE))
    assert (verdict.action, verdict.status, verdict.prompt) == (Action.REWRITE, Status.OK, PROMPT)
    assert verdict.safe_prompt is not None
    assert verdict.fidelity is not None
    assert "woman" in verdict.safe_prompt
    assert "beach" in verdict.safe_prompt
    assert "wine" not in verdict.safe_prompt
    assert verdict.fidelity > 0.8
    again = loop.run(moderator.read(verdict.safe_prompt, moderator.policies["ar-SA"], Detector.CASCADE))
    assert (again.violations, again.status) == ([], Status.OK)


def test_replacements_in_the_prompt_s_own_script_come_first() -> None:
    found = {"alcohol": [window("a wine glass", 0.9, 0.2, "كوب عصير", JUICE, "🧃")]}
    assert [swap.instead for swap in swaps(PROMPT, found, ["alcohol"])] == [JUICE, "كوب عصير", "🧃"]


def test_a_rewrite_without_its_llm_says_that_it_is_degraded(loop: asyncio.Runner, missing_llm: ChatOpenAI) -> None:
    found = {"alcohol": [window("a wine glass", 0.9, 0.2, JUICE)]}

    async def read(text: str) -> Reading:
        return SAFE

    first = Reading([], 0.9, found)._replace(
        violations=[
            Violation(
                rule_id="alcohol", category=Category.REGULATED_SUBSTANCES, severity=Severity.MEDIUM, confidence=0.9,
                rationale="", spans=[],
            )
        ]
    )  # fmt: skip
    done = loop.run(rewrite(PROMPT, first, read, allow, lambda _, __: 1.0, missing_llm, attempts=3))
    assert done == Rewritten("a woman holding a glass of juice on a beach", worded=False, degraded=True)
