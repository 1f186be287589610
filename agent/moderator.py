"""The agent: from a chat and a locale to a verdict, step by step."""

from __future__ import annotations

import asyncio
import logging
import time
import unicodedata
import uuid
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from agent.compose import compose
from agent.concepts import ConceptIndex, Window, load_bank
from agent.decide import Decision, decide
from agent.encoder import load_encoder
from agent.judge import Opinion, judge
from agent.llm import LLMUnavailableError, chat_model
from agent.normalise import variants
from agent.policy import Policy
from agent.policy_files import load_policies, lookup
from agent.record import DecisionLog
from agent.rewrite import candidates
from agent.schema import Action, Category, ChatMessage, Detector, PolicyRef, Status, Verdict, Violation
from agent.settings import Settings
from agent.vectors import kept_vectors

log = logging.getLogger("propriety")

FLAGGED = 0.5
STRICT = 0.3  # with the LLM gone
CLEARLY_SAFE, CLEARLY_UNSAFE = 0.1, 0.9  # between them the cascade asks the LLM
# Cosine difference at even odds, and the one that moves the odds by e: the best of many windows is biased upwards.
MARGIN_AT_EVEN, MARGIN_SCALE = 0.015, 0.015
NEIGHBOUR_WEIGHT = 0.5  # of the neighbours' log-odds beside the judge's: an injected instruction moves the judge alone
SPANS_KEPT = 1
# Only a judge tells these from what is never drawn, so without one they are blocked, not rewritten.
BLOCKED_UNJUDGED = {Category.SEXUAL_CONTENT, Category.SEX_RELATED_CRIMES, Category.CHILD_SEXUAL_EXPLOITATION}


class BadPromptError(ValueError):
    """The prompt is empty, too long, or no text: nothing to judge."""


class _Reading(NamedTuple):
    """What the detectors made of a prompt."""

    violations: list[Violation]
    score: float
    found: dict[str, list[Window]]
    status: Status
    judged: bool


class Moderator:
    """Policies, index and models, loaded once; `moderate` may be called concurrently."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.policies = load_policies(settings.policies_dir)
        bank, self._encoder = load_bank(settings.policies_dir), load_encoder(settings.encoder)
        with kept_vectors(settings.data_dir, self._encoder) as known:
            self._indexes = {
                name: ConceptIndex(policy, bank, self._encoder, known) for name, policy in self.policies.items()
            }
        self._model = chat_model(settings)
        self._log = DecisionLog(settings.decision_log_url)

    async def moderate(self, messages: Sequence[ChatMessage], locale: str, detector: Detector | None = None) -> Verdict:
        """Judge a chat, and rewrite what offends.

        Raises:
            UnknownLocaleError: the locale is malformed or unregistered.
            BadPromptError: there is nothing to judge, or more than `max_prompt_chars`.
        """
        started, timings = time.perf_counter(), {}
        prompt = self._composed(messages)
        tag, policy = lookup(self.policies, locale)
        chosen = detector or self.settings.detector or policy.detector
        reading = await self._read(prompt, policy, chosen)
        timings["detect"] = _ms_since(started)

        decision = decide(reading.violations, policy)
        if not reading.judged and any(v.category in BLOCKED_UNJUDGED for v in reading.violations):
            decision = Decision(Action.BLOCK, decision.severity, None, None)
        safe_prompt: str | None = prompt if decision.action is Action.ALLOW else None
        if decision.action is Action.REWRITE:
            rewriting = time.perf_counter()
            safe_prompt = await self._rewrite(prompt, policy, chosen, reading)
            timings["rewrite"] = _ms_since(rewriting)
            if safe_prompt is None:
                decision = Decision(Action.BLOCK, decision.severity, None, None)
        index = self._indexes[policy.locale]
        fidelity = None if safe_prompt is None else await asyncio.to_thread(index.similarity, prompt, safe_prompt)
        timings["total"] = _ms_since(started)
        verdict = Verdict(
            id=f"verdict-{uuid.uuid4().hex}",
            status=reading.status,
            action=decision.action,
            severity=decision.severity,
            flagged=bool(reading.violations),
            score=reading.score,
            violations=reading.violations,
            prompt=prompt,
            safe_prompt=safe_prompt,
            fidelity=fidelity,
            wxi=decision.wxi,
            tau_gc=decision.tau_gc,
            locale=tag,
            policy=PolicyRef(locale=policy.locale, version=policy.version.isoformat(), hash=policy.hash),
            model=f"{self._encoder.name}+{self.settings.llm_model}" if reading.judged else self._encoder.name,
            message=self._message(policy, decision, reading.violations),
            timings_ms=timings,
        )
        await asyncio.to_thread(self._log.write, verdict)
        return verdict

    async def read(self, prompt: str, locale: str, detector: Detector | None = None) -> _Reading:
        """Judge one prompt and leave it there: nothing is rewritten or logged. For measuring.

        Raises: as `moderate`.
        """
        _, policy = lookup(self.policies, locale)
        chosen = detector or self.settings.detector or policy.detector
        return await self._read(self._composed([ChatMessage(role="user", content=prompt)]), policy, chosen)

    async def ready(self) -> dict[str, str]:
        """Which parts can answer: `ok`, or what is wrong."""
        try:
            await judge(self._model, self.policies["base"], "a red apple on a table")
            llm = "ok"
        except LLMUnavailableError as error:
            llm = f"degraded: {error}"
        return {"policies": "ok", "index": "ok", "llm": llm}

    def _composed(self, messages: Sequence[ChatMessage]) -> str:
        limit, length = self.settings.max_prompt_chars, max((len(message.content) for message in messages), default=0)
        if length > limit:
            raise BadPromptError(f"the prompt has {length} characters, at most {limit} are judged")
        try:
            prompt = compose(messages)
        except ValueError:
            raise BadPromptError("the prompt is empty; say what to draw") from None
        if any(
            unicodedata.category(c) == "Cs" or (unicodedata.category(c) == "Cc" and c not in "\t\r\n") for c in prompt
        ):
            raise BadPromptError("the prompt has control characters or lone surrogates; send plain Unicode text")
        return prompt

    async def _read(self, prompt: str, policy: Policy, detector: Detector) -> _Reading:
        """Raw and normalised text are both read, and what either breaks counts."""
        readings = [await self._read_one(text, policy, detector) for text in variants(prompt)]
        worst = max(readings, key=lambda reading: reading.score)
        status = next((r.status for r in readings if r.status is not Status.OK), Status.OK)
        return worst._replace(status=status, judged=all(r.judged for r in readings))

    async def _read_one(self, text: str, policy: Policy, detector: Detector) -> _Reading:
        found = await asyncio.to_thread(self._indexes[policy.locale].search, text)
        risks = {rule_id: _probability(windows[0].margin) for rule_id, windows in found.items()}
        score = max(risks.values(), default=0.0)
        clear = score <= CLEARLY_SAFE or score >= CLEARLY_UNSAFE
        sexual = any(policy.rules_by_id[r].category in BLOCKED_UNJUDGED for r, p in risks.items() if p >= FLAGGED)
        if detector is Detector.NEAREST or (detector is Detector.CASCADE and clear and not sexual):
            return _Reading(_violations(risks, found, policy, FLAGGED), score, found, Status.OK, False)
        try:
            opinion = await judge(self._model, policy, text)
        except LLMUnavailableError as error:
            log.warning("degraded: %s", error)
            return _Reading(_violations(risks, found, policy, STRICT), score, found, Status.DEGRADED, False)
        fused = _fused(opinion.probability, score)
        named = _named(opinion, risks, fused)
        return _Reading(_violations(named, found, policy, FLAGGED), fused, found, Status.OK, True)

    async def _rewrite(self, prompt: str, policy: Policy, detector: Detector, reading: _Reading) -> str | None:
        """The first candidate that passes the same judgement, or None where none does."""
        tried = candidates(prompt, reading.found, [violation.rule_id for violation in reading.violations])
        for candidate in tried:
            if not (await self._read(candidate, policy, detector)).violations:
                return candidate
        return None

    def _message(self, policy: Policy, decision: Decision, violations: list[Violation]) -> str | None:
        if decision.action is Action.ALLOW:
            return None
        general = policy.message.block if decision.action is Action.BLOCK else policy.message.rewrite
        worst = max(violations, key=lambda violation: violation.severity.rank)
        return f"{policy.say(general)} {policy.say(policy.rules_by_id[worst.rule_id].message)}"


def _probability(margin: float) -> float:
    return float(1 / (1 + np.exp(-(margin - MARGIN_AT_EVEN) / MARGIN_SCALE)))


def _fused(judged: float, neighbours: float) -> float:
    """The judge's probability moved by the neighbours', as a weighted sum of log-odds."""
    p, q = np.clip([judged, neighbours], 1e-4, 1 - 1e-4)
    return float(1 / (1 + ((1 - p) / p) * ((1 - q) / q) ** NEIGHBOUR_WEIGHT))


def _named(opinion: Opinion, risks: dict[str, float], probability: float) -> dict[str, float]:
    """The probability for each rule that the judge names; where it names none, for the nearest one."""
    return dict.fromkeys(opinion.rule_ids or sorted(risks, key=lambda rule_id: -risks[rule_id])[:1], probability)


def _violations(
    risks: dict[str, float], found: dict[str, list[Window]], policy: Policy, threshold: float
) -> list[Violation]:
    violations = []
    for rule_id, risk in sorted(risks.items(), key=lambda item: -item[1]):
        if risk < threshold:
            continue
        rule, windows = policy.rules_by_id[rule_id], found.get(rule_id, [])
        violations.append(
            Violation(
                rule_id=rule_id,
                category=rule.category,
                severity=rule.severity,
                confidence=risk,
                rationale=f"near “{windows[0].concept.text}”" if windows else rule.definition,
                spans=[window.span for window in windows[:SPANS_KEPT]],
            )
        )
    return violations


def _ms_since(started: float) -> float:
    return round((time.perf_counter() - started) * 1000, 2)
