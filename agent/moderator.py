"""The agent: from a chat and a locale to a verdict, step by step."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock

from agent.answer import Outcome, answer, undetected
from agent.api.readiness import Probe
from agent.decide import decide
from agent.judge.detect import CLEARLY_UNSAFE, Reading, detect
from agent.judge.exemplars import Exemplars, follow
from agent.judge.question import judge
from agent.metrics import BROKEN, READ_AT, STEP_SECONDS, count_decision
from agent.policy.lookup import lookup
from agent.policy.model import BASE, Policy, Rule
from agent.policy.source import PolicyError
from agent.prompt.compose import BadPromptError as BadPromptError
from agent.prompt.compose import composed
from agent.prompt.normalise import hides, variants
from agent.retrieval.encoder import load_encoder
from agent.retrieval.index import ConceptIndex
from agent.retrieval.rulebook import Rulebook, stamp
from agent.rewrite import rewrite
from agent.settings import Settings
from agent.store.cache import cache_key, open_cache
from agent.store.database import try_writing
from agent.store.decisions import DecisionLog
from agent.store.group_commit import GroupCommit
from agent.store.reviews import Review, Reviewed, Reviews
from propriety.telemetry.logs import log_decision
from propriety.telemetry.tracing import step
from propriety.verdict import Action, Category, ChatMessage, Detector, Status, Verdict

log = logging.getLogger("propriety")

# Only a judge tells these from what is never drawn, so without one they are blocked, not rewritten.
BLOCKED_UNJUDGED = {Category.SEXUAL_CONTENT, Category.SEX_RELATED_CRIMES, Category.CHILD_SEXUAL_EXPLOITATION}


@dataclass(frozen=True)
class _Case:
    """What a prompt is read by; the tenant is None where no person's word is followed."""

    policy: Policy
    index: ConceptIndex
    detector: Detector
    tenant: str | None


class Moderator:
    """Policies, index and models, loaded once; `moderate` may be called concurrently.

    In one event loop: LangChain's models share HTTP clients in a process, and a client keeps the loop it was first in.
    """

    def __init__(self, settings: Settings, policies: dict[str, Policy] | None = None) -> None:
        """`policies` are those of the settings, or others that are tried.

        `seen` is the `stamp` of the files when they were last read, `trouble` what was wrong with them then.
        """
        from agent.judge.chat_model import chat_model  # LangChain takes a second, and most commands do without

        self.settings, self._encoder = settings, load_encoder(settings.encoder)
        self.seen = stamp(settings.policies_dir)
        self._book = Rulebook(settings.policies_dir, settings.data_dir, self._encoder, policies)
        self.trouble: str | None = None
        READ_AT.set_to_current_time()
        self._reloading = Lock()
        self._model = chat_model(settings)
        self._log, self._cache = DecisionLog(settings), open_cache(settings)
        self._commits = GroupCommit(self._log.write_all)
        self.reviews, self._exemplars = Reviews(self._log.database, settings), Exemplars(self._encoder)
        self._llm_ready, self._database_ready = Probe(self._ask_llm, "degraded"), Probe(self._ask_database, "failed")
        self._reviewed: tuple[object, ...] | None = None
        self.follow_reviews()

    @property
    def policies(self) -> dict[str, Policy]:
        """The policies in force."""
        return self._book.policies

    def reload(self) -> None:
        """Read the policies anew, and serve them from the next request on; those before go on being served meanwhile.

        Raises:
            PolicyError: a file is wrong; those before go on being served, and `trouble` says why.
        """
        with self._reloading:
            self.seen = stamp(self.settings.policies_dir)
            try:
                self._book = Rulebook(self.settings.policies_dir, self.settings.data_dir, self._encoder)
            except PolicyError as error:
                self.trouble = str(error)
                BROKEN.set(1)
                log.error("the policies of before go on being served, because one is broken: %s", error)
                raise
            self.trouble = None
            BROKEN.set(0)
            READ_AT.set_to_current_time()
        log.info("the policies were read anew: %d of them", len(self.policies))

    def review(self, verdict_id: str, review: Review) -> Reviewed | None:
        """Keep a person's word on a decision; prompts that are nearly the same follow it from now on.

        Returns None where there is no such decision.

        Raises:
            ReviewError: it cannot be overturned like that.
        """
        if (found := self.reviews.find(verdict_id)) is None:
            return None
        self.reviews.write(found.entry, review, self.policies)
        self.follow_reviews()
        return found._replace(review=review)

    def follow_reviews(self) -> None:
        """Follow the prompts that were overturned, also by other processes."""
        if (mark := self.reviews.mark()) != self._reviewed:
            self._exemplars.load(self.reviews.exemplars())
            self._reviewed = mark

    async def moderate(
        self, messages: Sequence[ChatMessage], locale: str, detector: Detector | None = None, tenant: str = ""
    ) -> Verdict:
        """Judge a chat for a tenant, and rewrite what offends. The decision log has the verdict before the caller has.

        Raises:
            UnknownLocaleError: the locale is malformed or unregistered.
            BadPromptError: there is nothing to judge, or more than `max_prompt_chars`.
        """
        started = time.perf_counter()
        prompt, book = composed(messages, self.settings.max_prompt_chars), self._book
        tag, policy = lookup(book.policies, locale)
        chosen = detector or self.settings.detector or policy.detector
        indexed = await book.under(policy)
        case = _Case(policy, indexed.index, chosen, tenant)
        exemplars = self._exemplars.edition(tenant, policy)
        key = cache_key(indexed.edition, exemplars, tag, chosen, self._encoder.name, self.settings.llm_model, prompt)
        known = await self._cache.get(key)
        judged = known or await self._judge(prompt, tag, case)
        timings = {**({"cache": _ms_since(started)} if known else judged.timings_ms), "total": _ms_since(started)}
        verdict = judged.model_copy(update={"id": f"verdict-{uuid.uuid4().hex}", "timings_ms": timings})
        with STEP_SECONDS.labels("commit").time():
            await self._commits.add((verdict, tenant))
        count_decision(verdict, tenant)
        log_decision(verdict, tenant, self.settings.log_prompts)
        if known is None and verdict.status is Status.OK:
            await self._cache.put(key, verdict)
        return verdict

    def purge(self) -> int:
        """Delete the decisions that are older than `retention_days`; says how many there were."""
        before = self.settings.oldest_kept
        return 0 if before is None else self._log.purge(before)

    def logged(self, verdict_id: str, tenant: str = "") -> Verdict | None:
        """A verdict given before, or None where that tenant was given none of that id."""
        return self._log.read(verdict_id, tenant)

    async def read(self, prompt: str, policy: Policy, detector: Detector | None = None) -> Reading:
        """Judge one prompt and leave it there: nothing is rewritten or logged. For measuring, under any policy.

        Raises:
            BadPromptError: as `moderate`.
        """
        chosen = detector or self.settings.detector or policy.detector
        prompt = composed([ChatMessage(role="user", content=prompt)], self.settings.max_prompt_chars)
        return await self._read(prompt, _Case(policy, (await self._book.under(policy)).index, chosen, None))

    async def ask(self, policy: Policy, rule: Rule, prompt: str) -> float:
        """What the LLM alone says of a prompt under one rule, as `judge` returns it. For checking a rule.

        Raises:
            agent.judge.errors.LLMUnavailableError: as `judge`.
        """
        return (await judge(self._model, policy, [rule], prompt))[rule.id]

    def similarity(self, text: str, other: str) -> float:
        """Cosine similarity of two texts, clipped to [0, 1]."""
        left, right = self._encoder.encode([text, other])
        return min(max(float(left @ right), 0.0), 1.0)

    async def ready(self) -> dict[str, str]:
        """Which parts can answer: `ok`, or what is wrong, with no path or address, since whoever asks may be told."""
        policies = "ok" if self.trouble is None else "degraded: those of before are served; the log says why"
        llm, database = await asyncio.gather(self._llm_ready.state(), self._database_ready.state())
        return {"policies": policies, "index": "ok", "llm": llm, "database": database}

    async def _ask_llm(self) -> None:
        base = self.policies[BASE]
        await judge(self._model, base, base.rules[:1], "a red apple on a table")

    async def _ask_database(self) -> None:
        await asyncio.to_thread(try_writing, self._log.database)

    async def _judge(self, prompt: str, tag: str, case: _Case) -> Verdict:
        timings = dict[str, float]()
        try:
            outcome = await self._decide(prompt, case, timings)
        except Exception:
            log.exception("no detector could answer; fail_open is %s", self.settings.fail_open)
            outcome = undetected(prompt, self.settings.fail_open)
        asked = bool(outcome.reading.answers)
        model = f"{self._encoder.name}+{self.settings.llm_model}" if asked else self._encoder.name
        return answer(outcome, prompt, tag, case.policy, model, timings)

    async def _decide(self, prompt: str, case: _Case, timings: dict[str, float]) -> Outcome:
        with step("detect", timings):
            reading = await self._read(prompt, case)
        decision = decide(reading.violations, case.policy)
        unjudged = case.detector is Detector.NEAREST or reading.status is not Status.OK
        if unjudged and any(violation.category in BLOCKED_UNJUDGED for violation in reading.violations):
            decision = decision._replace(action=Action.BLOCK, wxi=None, tau_gc=None)
        safe_prompt: str | None = prompt if decision.action is Action.ALLOW else None
        if decision.action is Action.REWRITE:
            statuses = [reading.status]

            async def read(text: str) -> Reading:
                again = await self._read(text, case)
                statuses.append(again.status)
                return again

            with step("rewrite", timings):
                safe_prompt = await rewrite(
                    prompt,
                    reading,
                    read,
                    self.similarity,
                    self._model if case.detector is not Detector.NEAREST and reading.status is Status.OK else None,
                    self.settings.rewrite_attempts,
                )
            if Status.DEGRADED in statuses:  # the LLM went while candidates were judged
                reading = reading._replace(status=Status.DEGRADED)
        if safe_prompt is None:
            return Outcome(reading, decision._replace(action=Action.BLOCK, wxi=None, tau_gc=None), None, None)
        fidelity = await asyncio.to_thread(self.similarity, prompt, safe_prompt)
        return Outcome(reading, decision, safe_prompt, fidelity)

    async def _read(self, prompt: str, case: _Case) -> Reading:
        """Raw and normalised text are both read, and what either breaks counts; a person's word goes before.

        Where the raw text hides what it says, it is noise to the detectors, and counts only where it is clear to the
        neighbours, as words are that a wrong decoding has garbled.
        """
        policy, index, tenant = case.policy, case.index, case.tenant
        *raw, plain = await asyncio.to_thread(variants, prompt)
        hidden = [text for text in raw if hides(text, plain)]
        detectors = {text: Detector.NEAREST if text in hidden else case.detector for text in (*raw, plain)}
        reading = (detect(text, policy, detector, index, self._model) for text, detector in detectors.items())
        found = dict(zip(detectors, await asyncio.gather(*reading), strict=True))
        counted = (reading for text, reading in found.items() if text not in hidden or reading.score >= CLEARLY_UNSAFE)
        readings = sorted(counted, key=lambda reading: reading.score)
        violations = {violation.rule_id: violation for reading in readings for violation in reading.violations}
        status = next((r.status for r in readings if r.status is not Status.OK), Status.OK)
        answers = {rule_id: answer for reading in readings for rule_id, answer in reading.answers.items()}
        read = readings[-1]._replace(violations=list(violations.values()), status=status, answers=answers)
        if tenant is None or not self._exemplars.edition(tenant, policy):
            return read
        exemplar = await asyncio.to_thread(self._exemplars.nearest, prompt, tenant, policy)
        return read if exemplar is None else await asyncio.to_thread(follow, read, prompt, exemplar, policy, index)


def _ms_since(started: float) -> float:
    return round((time.perf_counter() - started) * 1000, 2)
