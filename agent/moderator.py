"""The agent: from a chat and a locale to a verdict, step by step."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from agent.answer import Outcome, answer, undetected
from agent.basis import Basis
from agent.concurrency import in_encoder_thread
from agent.decide import decide
from agent.judge.detect import NEEDS_JUDGE, Reading
from agent.judge.errors import LLMBusyError
from agent.judge.patience import Patience, working
from agent.judge.readings import read_prompt
from agent.policy.model import Policy
from agent.prompt.compose import BadPromptError as BadPromptError
from agent.prompt.compose import composed
from agent.record import Recorder
from agent.retrieval.encoder import similarity
from agent.rewrite import Rewritten, rewrite
from agent.store.cache import cache_key, open_cache
from agent.store.tenants import ANYONE, Tenant
from propriety.telemetry.tracing import step
from propriety.verdict import Action, ChatMessage, Detector, Status, Verdict

if TYPE_CHECKING:
    from agent.judge.client import ChatModel
    from agent.judge.exemplars import Exemplars
    from agent.policies_in_force import PoliciesInForce
    from agent.retrieval.encoder import Encoder
    from agent.settings import Settings
    from agent.store.store import Store

log = logging.getLogger("propriety")


class Moderator:
    """Judges prompts; `agent.open_moderator` makes one from the settings. Many requests at once, in one event loop:
    the models of a process share an HTTP client, which stays in the loop that it was first used in."""

    def __init__(
        self,
        settings: Settings,
        policies: PoliciesInForce,
        store: Store,
        exemplars: Exemplars,
        encoder: Encoder,
        model: ChatModel,
    ) -> None:
        """
        Args:
            settings: how to judge.
            policies: what to judge by.
            store: where decisions are kept.
            exemplars: the prompts whose decisions a reviewer overturned.
            encoder: compares rewritten prompts with the original.
            model: the LLM, which may be unavailable.
        """
        self.settings, self.policies, self.store, self.exemplars = settings, policies, store, exemplars
        self.encoder, self.model = encoder, model
        self._cache, self._recorder = open_cache(settings), Recorder(store.decisions, settings.log_prompts)

    async def moderate(
        self,
        messages: Sequence[ChatMessage],
        locale: str | None = None,
        detector: Detector | None = None,
        tenant: Tenant = ANYONE,
    ) -> Verdict:
        """Judge a chat for a tenant, and rewrite what offends. The decision log has the verdict before the caller does.

        Args:
            messages: the turns so far, the user's last turn included.
            locale: BCP-47 tag of where the picture will be seen; None for the tenant's or the settings' default.
            detector: instead of the policy's own.
            tenant: whose terms hold.

        Raises:
            UnknownLocaleError: the locale is malformed or unregistered.
            NotAllowedError: the tenant's terms exclude the locale or the detector.
            BadPromptError: the prompt is empty, or longer than `max_prompt_chars`.
            LLMBusyError: the LLM has more questions than it answers in time; nothing was decided.
        """
        started = time.perf_counter()
        basis = await self.policies.resolve(locale, detector, tenant)
        prompt = composed(messages, self.settings.max_prompt_chars, basis.policy.say(basis.policy.message.block))
        key = cache_key(
            basis.edition, self.exemplars.edition(tenant.name, basis.policy), basis.locale, basis.detector,
            self.encoder.name, self.settings.llm_model, prompt,
        )  # fmt: skip
        cached = await self._cache.get(key)
        decided = cached or await self._judge(prompt, basis)
        timings = {**({"cache": _ms_since(started)} if cached else decided.timings_ms), "total": _ms_since(started)}
        verdict = decided.model_copy(update={"id": f"verdict-{uuid.uuid4().hex}", "timings_ms": timings})
        await self._recorder.record(verdict, tenant.name)
        if cached is None and verdict.status is Status.OK:
            await self._cache.put(key, verdict)
        return verdict

    async def read(self, prompt: str, policy: Policy, detector: Detector | None = None) -> Reading:
        """Judge one prompt under any policy, in force or not. Nothing is rewritten or logged. For measuring.

        Raises:
            BadPromptError: as `moderate`.
        """
        basis = await self.policies.basis_under(policy, detector)
        prompt = composed([ChatMessage(role="user", content=prompt)], self.settings.max_prompt_chars)
        return await self._read(prompt, basis)

    async def _judge(self, prompt: str, basis: Basis) -> Verdict:
        timings = dict[str, float]()
        try:
            outcome = await self._decide(prompt, basis, timings)
        except LLMBusyError:
            raise
        except Exception:
            log.exception("no detector is available; fail_open is %s", self.settings.fail_open)
            outcome = undetected(prompt, self.settings.fail_open)
        model = f"{self.encoder.name}+{self.settings.llm_model}" if outcome.by_llm else self.encoder.name
        return answer(outcome, prompt, basis.locale, basis.policy, model, timings)

    async def _decide(self, prompt: str, basis: Basis, timings: dict[str, float]) -> Outcome:
        with step("detect", timings):
            reading = await self._read(prompt, basis)
        decision = decide(reading.violations, basis.policy)
        unjudged = basis.detector is Detector.NEAREST or reading.status is not Status.OK
        if unjudged and any(violation.category in NEEDS_JUDGE for violation in reading.violations):
            decision = decision.blocked()
        if decision.action is Action.BLOCK:
            return Outcome(reading, decision, None, None, bool(reading.answers))
        safe_prompt, by_llm = prompt, bool(reading.answers)
        if decision.action is Action.REWRITE:
            with step("rewrite", timings), working(Patience.STARTED):
                rewritten, candidates = await self._rewrite(prompt, reading, basis)
            by_llm = by_llm or rewritten.worded or any(candidate.answers for candidate in candidates)
            if rewritten.degraded or any(candidate.status is Status.DEGRADED for candidate in candidates):
                reading = reading._replace(status=Status.DEGRADED)
            if rewritten.safe_prompt is None:
                return Outcome(reading, decision.blocked(), None, None, by_llm)
            safe_prompt = rewritten.safe_prompt
        fidelity = await in_encoder_thread(similarity, self.encoder, prompt, safe_prompt)
        return Outcome(reading, decision, safe_prompt, fidelity, by_llm)

    async def _rewrite(self, prompt: str, reading: Reading, basis: Basis) -> tuple[Rewritten, list[Reading]]:
        """The rewrite, and the readings of its candidates."""
        candidates: list[Reading] = []

        async def read_candidate(text: str) -> Reading:
            candidates.append(await self._read(text, basis))
            return candidates[-1]

        with_llm = basis.detector is not Detector.NEAREST and reading.status is Status.OK
        rewritten = await rewrite(
            prompt,
            reading,
            read_candidate,
            lambda text: self._read(text, replace(basis, detector=Detector.NEAREST)),
            lambda one, other: similarity(self.encoder, one, other),
            self.model if with_llm else None,
            self.settings.rewrite_attempts,
        )
        return rewritten, candidates

    async def _read(self, prompt: str, basis: Basis) -> Reading:
        return await read_prompt(prompt, basis, self.model, self.exemplars)


def _ms_since(started: float) -> float:
    return round((time.perf_counter() - started) * 1000, 2)
