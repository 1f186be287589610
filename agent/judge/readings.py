"""A prompt is read twice, raw and normalised, and a reviewer's decision on nearly the same prompt comes first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.basis import Basis
from agent.concurrency import in_encoder_thread, together
from agent.judge.detect import CLEARLY_UNSAFE, Reading, detect
from agent.judge.exemplars import Exemplars, follow
from agent.prompt.align import Alignment
from agent.prompt.normalise import hides, variants
from propriety.verdict import Detector, Status, Violation

if TYPE_CHECKING:
    from agent.judge.client import ChatModel


async def read_prompt(prompt: str, basis: Basis, model: ChatModel, exemplars: Exemplars) -> Reading:
    """Read a prompt on this basis; what either of its two texts breaks counts.

    A raw text that hides what it says is noise to the detectors, just like words that a wrong decoding has garbled.
    So it is compared with the neighbours alone, and counts only where they are clear.
    """
    *raw, plain = await in_encoder_thread(variants, prompt)
    hidden = [text for text in raw if hides(text, plain)]
    detectors = {text: Detector.NEAREST if text in hidden else basis.detector for text in (*raw, plain)}
    readings = await together(
        detect(text, basis.policy, detector, basis.index, model) for text, detector in detectors.items()
    )
    by_text = {
        text: reading if text == prompt else await in_encoder_thread(_as_sent, reading, text, prompt)
        for text, reading in zip(detectors, readings, strict=True)
    }
    merged = merge(
        [reading for text, reading in by_text.items() if text not in hidden or reading.score >= CLEARLY_UNSAFE]
    )
    if basis.tenant is None or not exemplars.edition(basis.tenant, basis.policy):
        return merged
    exemplar = await in_encoder_thread(exemplars.nearest, prompt, basis.tenant, basis.policy)
    if exemplar is None:
        return merged
    return await in_encoder_thread(follow, merged, prompt, exemplar, basis.policy, basis.index)


def _as_sent(reading: Reading, text: str, prompt: str) -> Reading:
    """A reading of a normalised text, with its words as they stand in the prompt."""
    alignment = Alignment(prompt, text)
    found = {
        rule_id: [
            window._replace(span=alignment.span(window.span), passage=window.passage and alignment.span(window.passage))
            for window in windows
        ]
        for rule_id, windows in reading.found.items()
    }
    violations = [
        violation.model_copy(update={"spans": [alignment.span(span) for span in violation.spans]})
        for violation in reading.violations
    ]
    return reading._replace(violations=violations, found=found)


def merge(readings: list[Reading]) -> Reading:
    """One reading of several texts of one prompt: each rule at its highest confidence, gravest risk first.

    Neighbours and windows are those of the text at the highest risk.
    """
    worst = max(readings, key=lambda reading: reading.score)
    violations: dict[str, Violation] = {}
    for violation in (violation for reading in readings for violation in reading.violations):
        known = violations.get(violation.rule_id)
        if known is None or violation.confidence > known.confidence:
            violations[violation.rule_id] = violation
    status = next((reading.status for reading in readings if reading.status is not Status.OK), Status.OK)
    answers = {rule_id: answer for reading in readings for rule_id, answer in reading.answers.items()}
    ranked = sorted(violations.values(), key=lambda violation: -violation.confidence)
    return worst._replace(violations=ranked, status=status, answers=answers)
