"""Many prompts from a file: each line judged, bad ones reported and passed over, an interrupted run resumed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, StrictInt, StrictStr, ValidationError

from agent.concurrency import work_through
from agent.moderator import BadPromptError, Moderator
from agent.policy.lookup import UnknownLocaleError
from agent.terminal.console import errors, progress_bar
from agent.terminal.journal import append, written
from propriety.verdict import Action, ChatMessage, Detector, Probability, Severity, Status, Strict, Verdict, Violation

Id = StrictStr | StrictInt


class Prompt(BaseModel):
    """A line of the input. Rows of data sets carry labels and sources too, so other keys are passed over."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    id: Id
    text: StrictStr
    locale: StrictStr | None = None


class Judged(Strict):
    """A line of the output; `score` is in [0, 1] and rises with the risk."""

    id: Id
    action: Action
    severity: Severity | None
    flagged: bool
    score: Probability
    violations: list[Violation]
    safe_prompt: str | None
    status: Status


@dataclass
class Tally:
    """What became of the lines of one run."""

    judged: int = 0
    skipped: int = 0
    bad: int = 0
    degraded: int = 0

    def __str__(self) -> str:
        told = [f"{self.judged} judged", f"{self.skipped} there already", f"{self.bad} bad"]
        return ", ".join([*told, f"{self.degraded} of them without the LLM"] if self.degraded else told)


async def judge_file(moderator: Moderator, source: Path, target: Path, locale: str, detector: Detector | None) -> Tally:
    """Judge every line of `source` that is not in `target` yet, and append the answers there as they come.

    Raises:
        JournalError: `target` holds something else.
        OSError: a file cannot be read or written.
    """
    tally, done = Tally(), {line.id for line in written(target, Judged)}
    with source.open("rb") as lines, target.open("ab") as file, progress_bar("Judging") as progress:
        task = progress.add_task("", total=sum(1 for line in lines if line.strip()))
        lines.seek(0)

        async def judge(numbered: tuple[int, Prompt]) -> None:
            number, prompt = numbered
            message = ChatMessage(role="user", content=prompt.text)
            try:
                verdict = await moderator.moderate([message], prompt.locale or locale, detector)
            except (BadPromptError, UnknownLocaleError) as error:
                refuse(number, str(error))
                return
            if verdict.status is Status.ERROR:
                refuse(number, "no detector could answer, so nothing is written; the same command tries it again")
                return
            append(file, _judged(prompt.id, verdict))
            tally.judged += 1
            tally.degraded += verdict.status is Status.DEGRADED
            progress.advance(task)

        def refuse(number: int, reason: str) -> None:
            tally.bad += 1
            progress.advance(task)
            errors.print(f"{source}:{number}: {reason}", markup=False, highlight=False, soft_wrap=True)

        def prompts() -> Iterator[tuple[int, Prompt]]:
            seen: set[str | int] = set()
            for number, line in enumerate(lines, 1):
                text = line.removeprefix(b"\xef\xbb\xbf").strip()
                if not text:
                    continue
                try:
                    prompt = Prompt.model_validate_json(text)
                except ValidationError as error:
                    refuse(number, _first(error))
                    continue
                if prompt.id in seen:
                    refuse(number, f"id: {prompt.id!r} is there already; each line needs its own")
                elif prompt.id in done:
                    tally.skipped += 1
                    progress.advance(task)
                else:
                    yield number, prompt
                seen.add(prompt.id)

        await work_through(prompts(), judge)
    return tally


def _judged(prompt_id: str | int, verdict: Verdict) -> Judged:
    return Judged(
        id=prompt_id,
        action=verdict.action,
        severity=verdict.severity,
        flagged=verdict.flagged,
        score=verdict.score,
        violations=verdict.violations,
        safe_prompt=verdict.safe_prompt,
        status=verdict.status,
    )


def _first(error: ValidationError) -> str:
    """What is wrong first. Never the line itself: it may hold what must not be shown."""
    problems = error.errors(include_url=False, include_input=False)
    place = problems[0]["loc"][:1]
    reason = " or ".join(problem["msg"] for problem in problems if problem["loc"][:1] == place)
    return f"{place[0]}: {reason}" if place else reason.replace(" at line 1 column", " at column")
