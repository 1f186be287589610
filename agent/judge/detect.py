"""The detectors: nearest neighbours, the LLM on the rules that they suggest, and the cascade of both."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from agent.concurrency import in_encoder_thread
from agent.judge.client import ChatModel
from agent.judge.errors import LLMUnavailableError
from agent.judge.question import judge
from agent.policy.model import Policy, Rule
from agent.retrieval.index import ConceptIndex, Window
from propriety.verdict import Category, Detector, Span, Status, Violation

log = logging.getLogger("propriety")

FLAGGED = 0.5
STRICT = 0.33  # without the LLM
CLEARLY_SAFE, CLEARLY_UNSAFE = 0.127, 0.954  # between them the cascade asks the LLM
# Only a judge tells these from what is never drawn, so the cascade always asks, and without a judge they are blocked.
NEEDS_JUDGE = {Category.SEXUAL_CONTENT, Category.SEX_RELATED_CRIMES, Category.CHILD_SEXUAL_EXPLOITATION}
MAX_RULES_ASKED = 5  # for one prompt; with three, ROC-AUC between ToxicBench's twins is .04 less
MAX_PASSAGES_ASKED = 3  # of a long prompt, about one rule
# Chosen on rows of ToxicBench, T2ISafety, PartiPrompts and XSTest, on evaluation/prompts, and by the tests that
# policies carry: docs/judge.md.
# The margin at even odds (above 0, since the best of many windows is biased upwards), and the margin that multiplies
# the odds by e.
MARGIN_AT_EVEN, MARGIN_SCALE = 0.012, 0.0171
# The log-odds of judge and neighbours are added, so that an injected instruction, which moves only the judge, has less
# effect.
JUDGE_WEIGHT, NEIGHBOUR_WEIGHT, MAX_NEIGHBOUR_ODDS, BIAS = 0.35, 1.0, 2.63, -0.263
MAX_SPANS = 1


class Reading(NamedTuple):
    """What a detector found in a prompt.

    score: the highest risk of any rule, in [0, 1].
    found: the windows nearest to each rule.
    near: the neighbours' risk, by rule.
    answers: the LLM's probability of yes, by rule that it was asked about.
    """

    violations: list[Violation]
    score: float
    found: Mapping[str, Sequence[Window]] = {}
    near: Mapping[str, float] = {}
    answers: Mapping[str, float] = {}
    status: Status = Status.OK


async def detect(text: str, policy: Policy, detector: Detector, index: ConceptIndex, model: ChatModel) -> Reading:
    """Read one text under a policy. Without the LLM the neighbours decide strictly, and the status is `degraded`.

    Raises:
        LLMBusyError: a live prompt is refused, since the LLM has more questions than it answers in time.
    """
    found, margins = await in_encoder_thread(index.search, text)
    company = {rule_id: _risk(margin) for rule_id, margin in margins.items()}
    near = _joined({rule_id: _risk(windows[0].margin) for rule_id, windows in found.items()}, company)
    asked = _rules_to_ask(near, company, policy, detector)
    if not asked:
        return _reading(near, near, FLAGGED, found, policy)
    model.admit()
    try:
        excerpts = {rule.id: _excerpt(text, found.get(rule.id, ())) for rule in asked}
        answers = await judge(model, policy, asked, text, excerpts)
    except LLMUnavailableError as error:
        log.warning("degraded: %s", error)
        return _reading(near, near, STRICT, found, policy)._replace(status=Status.DEGRADED)
    kept = near if detector is Detector.CASCADE else {}
    fused = {rule_id: fuse(answer, near.get(rule_id, 0.0)) for rule_id, answer in answers.items()}
    return _reading(_joined({**kept, **fused}, company), near, FLAGGED, found, policy)._replace(answers=answers)


def _rules_to_ask(
    near: Mapping[str, float], company: Mapping[str, float], policy: Policy, detector: Detector
) -> list[Rule]:
    if detector is Detector.NEAREST:
        return []
    ranked = sorted(near, key=lambda rule_id: -near[rule_id])
    if detector is Detector.CASCADE:
        settled = {rule_id: _settled_at(policy.rules_by_id[rule_id]) for rule_id in ranked}
        ranked = [rule_id for rule_id in ranked if CLEARLY_SAFE < near[rule_id] < settled[rule_id]]
    joint = [rule_id for rule_id in company if near.get(rule_id, 0.0) > CLEARLY_SAFE]
    return [policy.rules_by_id[rule_id] for rule_id in dict.fromkeys([*ranked[:MAX_RULES_ASKED], *joint])]


def _excerpt(text: str, windows: Sequence[Window]) -> str:
    """What the LLM reads of a text for a rule: the passages with its nearest windows, since it overlooks a sentence
    among many. A text of one passage is read whole."""
    passages: dict[int, Span] = {}
    for window in windows:
        if window.passage is None:
            return text
        passages[window.passage.start] = window.passage
        if len(passages) == MAX_PASSAGES_ASKED:
            break
    return " ".join(passages[start].text for start in sorted(passages)) or text


def _settled_at(rule: Rule) -> float:
    """The neighbours' risk from which the cascade does not ask the LLM about a rule."""
    return math.inf if rule.category in NEEDS_JUDGE else CLEARLY_UNSAFE


def _joined(risks: Mapping[str, float], company: Mapping[str, float]) -> dict[str, float]:
    """A rule with `only_with` has no higher risk than the topics that must be present too."""
    return {rule_id: min(risk, company.get(rule_id, 1.0)) for rule_id, risk in risks.items()}


def _reading(
    risks: Mapping[str, float],
    near: Mapping[str, float],
    threshold: float,
    found: Mapping[str, Sequence[Window]],
    policy: Policy,
) -> Reading:
    """The rule at the highest risk, and others that the neighbours find too: a judge that has seen one offence easily
    says yes to others. A rule with `only_with` is named with its company, whose risk is at least as high."""
    ranked = sorted(risks, key=lambda rule_id: -risks[rule_id])
    violations = [
        _violation(policy.rules_by_id[rule_id], risks[rule_id], found.get(rule_id, ()))
        for rule_id in ranked
        if risks[rule_id] >= threshold
        and (rule_id == ranked[0] or near[rule_id] >= threshold or policy.rules_by_id[rule_id].only_with)
    ]
    return Reading(violations, max(risks.values(), default=0.0), found, near)


def _violation(rule: Rule, risk: float, windows: Sequence[Window]) -> Violation:
    return Violation(
        rule_id=rule.id,
        category=rule.category,
        severity=rule.severity,
        confidence=risk,
        rationale=f"near “{windows[0].concept.text}”" if windows else rule.definition,
        spans=[window.span for window in windows[:MAX_SPANS]],
    )


def _risk(margin: float) -> float:
    return _probability((margin - MARGIN_AT_EVEN) / MARGIN_SCALE)


def fuse(judged: float, neighbours: float) -> float:
    """One probability from the LLM's and the neighbours', both in [0, 1]; it rises with each."""
    return _probability(JUDGE_WEIGHT * log_odds(judged) + NEIGHBOUR_WEIGHT * neighbour_odds(neighbours) + BIAS)


def _probability(log_odds: float) -> float:
    return 1 / (1 + math.exp(-log_odds))


def neighbour_odds(near: float) -> float:
    """The neighbours' share of the log-odds, before weighting, bounded by `MAX_NEIGHBOUR_ODDS`."""
    return min(max(log_odds(near), -MAX_NEIGHBOUR_ODDS), MAX_NEIGHBOUR_ODDS)


def log_odds(probability: float) -> float:
    """ln p/(1-p), with p kept off 0 and 1."""
    p = min(max(probability, 1e-4), 1 - 1e-4)
    return math.log(p / (1 - p))
