"""Judge a file of prompts: bad lines are reported and skipped, and an interrupted run can be continued."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, StrictInt, StrictStr, ValidationError

from agent.concurrency import work_through
from agent.moderator import BadPromptError, Moderator
from agent.policy.lookup import UnknownLocaleError
from agent.terminal.console import errors
from agent.terminal.journal import append, written
from agent.terminal.progress import progress_bar
from propriety.text_files import SAVE_AS_UTF8, wrong_encoding
from propriety.verdict import Action, ChatMessage, Detector, Probability, Severity, Status, Strict, Verdict, Violation

Id = StrictStr | StrictInt


class Prompt(BaseModel):
    """A line of the input. Other keys are ignored, because rows of data sets also have labels and sources."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    id: Id
    text: StrictStr
    locale: StrictStr | None = None


class Judged(Strict):
    """A line of the output. `score` is in [0, 1] and rises with the risk."""

    id: Id
    action: Action
    severity: Severity | None
    flagged: bool
    score: Probability
    violations: list[Violation]
    safe_prompt: str | None
    status: Status


class SourceError(ValueError):
    """The file of prompts cannot be used at all."""


@dataclass
class Tally:
    """How many lines of a run were judged, skipped, bad, or have only a verdict without the LLM."""

    judged: int = 0
    skipped: int = 0
    bad: int = 0
    degraded: int = 0

    def __str__(self) -> str:
        return f"{self.judged} judged, {self.skipped} judged before, {self.bad} bad"


async def judge_file(
    moderator: Moderator, source: Path, target: Path, locale: str, detector: Detector | None, allow_degraded: bool
) -> Tally:
    """Judge every line of `source` whose id is not in `target`, and append the results there as they are done.

    Degraded results are written only with `allow_degraded`, since what is written is not judged again.

    Raises:
        JournalError: `target` holds something that this command did not write.
        SourceError: `source` is not in UTF-8.
        OSError: a file cannot be read or written.
    """
    with source.open("rb") as start:
        if problem := wrong_encoding(start.read(4)):
            raise SourceError(f"{source}: {problem}")
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
                refuse(number, "no detector was available, so nothing is written; run the same command again")
                return
            degraded = verdict.status is Status.DEGRADED
            tally.degraded += degraded
            if allow_degraded or not degraded:
                append(file, _judged(prompt.id, verdict))
                tally.judged += 1
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
                    text.decode("utf-8")
                except UnicodeDecodeError:
                    refuse(number, f"the line is not UTF-8, as in the older encodings of Windows; {SAVE_AS_UTF8}")
                    continue
                try:
                    prompt = Prompt.model_validate_json(text)
                except ValidationError as error:
                    refuse(number, _first_problem(error))
                    continue
                if prompt.id in seen:
                    refuse(number, f"id: {prompt.id!r} occurs twice; give each line its own")
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


def _first_problem(error: ValidationError) -> str:
    """The first problem, without the line itself, which may hold what must not be shown."""
    problems = error.errors(include_url=False, include_input=False)
    place = problems[0]["loc"][:1]
    reason = " or ".join(problem["msg"] for problem in problems if problem["loc"][:1] == place)
    return f"{place[0]}: {reason}" if place else reason.replace(" at line 1 column", " at column")
