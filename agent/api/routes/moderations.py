"""`POST /v1/moderations`: OpenAI's request and response, with the verdict added as `results[].decision`."""

from __future__ import annotations

from uuid import uuid4

from fastapi import APIRouter
from pydantic import ConfigDict, Field

from agent.api.access import Asker
from agent.api.fields import (
    MODEL,
    OPENAI_MODERATION,
    Asking,
    Input,
    LocaleHeader,
    OtherPart,
    RefusalPart,
    TextPart,
    detector_of,
    text_of,
)
from agent.concurrency import map_in_order
from propriety.verdict import Action, Category, ChatMessage, Strict, Verdict

router = APIRouter()

NAMES = (
    "harassment", "harassment/threatening", "hate", "hate/threatening", "illicit", "illicit/violent", "self-harm",
    "self-harm/intent", "self-harm/instructions", "sexual", "sexual/minors", "violence", "violence/graphic",
)  # fmt: skip

# OpenAI has no name for the others (privacy, religion, royalty, …): they show in `flagged` and `decision` alone.
OPENAI_NAMES: dict[Category, tuple[str, ...]] = {
    Category.VIOLENT_CRIMES: ("illicit", "illicit/violent", "violence"),
    Category.NONVIOLENT_CRIMES: ("illicit",),
    Category.SEX_RELATED_CRIMES: ("illicit", "sexual"),
    Category.CHILD_SEXUAL_EXPLOITATION: ("sexual", "sexual/minors"),
    Category.INDISCRIMINATE_WEAPONS: ("illicit", "illicit/violent"),
    Category.SUICIDE_SELF_HARM: ("self-harm",),
    Category.HATE: ("hate",),
    Category.DEFAMATION: ("harassment",),
    Category.SEXUAL_CONTENT: ("sexual",),
    Category.GRAPHIC_VIOLENCE: ("violence", "violence/graphic"),
    Category.HARASSMENT: ("harassment",),
    Category.REGULATED_SUBSTANCES: ("illicit",),
    Category.GAMBLING: ("illicit",),
    Category.MODESTY: ("sexual",),
    Category.EXTREMISM: ("hate",),
}


class ModerationRequest(Asking):
    model_config = ConfigDict(json_schema_extra={"examples": [{"input": "a tree on a hill", "locale": "fr-FR"}]})

    input: Input


class ModerationResult(Strict):
    """OpenAI's thirteen categories, each with the highest confidence of any violation of that name in [0, 1]."""

    flagged: bool = Field(description="Whether a rule is violated, or no detector was available.")
    categories: dict[str, bool]
    category_scores: dict[str, float]
    category_applied_input_types: dict[str, list[str]]
    decision: Verdict


class ModerationResponse(Strict):
    id: str
    model: str
    results: list[ModerationResult]


@router.post("/v1/moderations")
async def moderations(caller: Asker, body: ModerationRequest, header: LocaleHeader = None) -> ModerationResponse:
    """One result for a string or a list of parts; for a list of strings, one for each.

    `flagged` is true if a rule is violated. It is also true, without any category, if no detector was available
    (`decision.status` is `error`), so that a client that reads nothing else is safe.
    """
    texts = _texts(body.input)
    detector = detector_of(body.model, OPENAI_MODERATION)
    locale = header if body.locale is None else body.locale
    prompts = [([ChatMessage(role="user", content=text)], param) for param, text in texts]
    await caller.charge(sum(caller.check(messages, param) for messages, param in prompts) - 1)
    verdicts = await map_in_order(prompts, lambda prompt: caller.judge(prompt[0], locale, detector, prompt[1]))
    return ModerationResponse(
        id=f"modr-{uuid4().hex}", model=body.model or MODEL, results=[_result(verdict) for verdict in verdicts]
    )


def _texts(content: str | list[str] | list[TextPart | RefusalPart | OtherPart]) -> list[tuple[str, str]]:
    if isinstance(content, list):
        strings = [item for item in content if isinstance(item, str)]
        if strings:
            return [(f"input[{index}]", text) for index, text in enumerate(strings)]
        return [("input", text_of([item for item in content if not isinstance(item, str)], "input"))]
    return [("input", content)]


def _result(verdict: Verdict) -> ModerationResult:
    scores = dict.fromkeys(NAMES, 0.0)
    named: set[str] = set()
    for violation in verdict.violations:
        for name in OPENAI_NAMES.get(violation.category, ()):
            named.add(name)
            scores[name] = max(scores[name], violation.confidence)
    return ModerationResult(
        flagged=verdict.flagged or verdict.action is Action.BLOCK,
        categories={name: name in named for name in NAMES},
        category_scores=scores,
        category_applied_input_types={name: ["text"] for name in NAMES},
        decision=verdict,
    )
