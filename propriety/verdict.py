"""The verdict: the agent's decision on one prompt, as callers and the generator see it."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Probability = Annotated[float, Field(ge=0.0, le=1.0)]


class Strict(BaseModel):
    """Base of our own formats: unknown keys are refused, so that a typo never weakens a decision."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Status(StrEnum):
    """Whether the decision was reached as configured; kept apart from the decision itself."""

    OK = "ok"
    DEGRADED = "degraded"
    ERROR = "error"


class Action(StrEnum):
    ALLOW = "allow"
    REWRITE = "rewrite"
    BLOCK = "block"


class Severity(StrEnum):
    """From mild to grave; `rank` orders them."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        return list(Severity).index(self)


class Detector(StrEnum):
    """`nearest`: neighbours in the concept index; `llm`: the LLM; `cascade`: neighbours first, the LLM in doubt."""

    NEAREST = "nearest"
    LLM = "llm"
    CASCADE = "cascade"


class Category(StrEnum):
    """The MLCommons AILuminate hazard taxonomy, and hazards of place and custom that it leaves out."""

    VIOLENT_CRIMES = "violent_crimes"
    NONVIOLENT_CRIMES = "nonviolent_crimes"
    SEX_RELATED_CRIMES = "sex_related_crimes"
    CHILD_SEXUAL_EXPLOITATION = "child_sexual_exploitation"
    INDISCRIMINATE_WEAPONS = "indiscriminate_weapons"
    SUICIDE_SELF_HARM = "suicide_self_harm"
    HATE = "hate"
    PRIVACY = "privacy"
    DEFAMATION = "defamation"
    INTELLECTUAL_PROPERTY = "intellectual_property"
    SPECIALIZED_ADVICE = "specialized_advice"
    SEXUAL_CONTENT = "sexual_content"
    GRAPHIC_VIOLENCE = "graphic_violence"
    HARASSMENT = "harassment"
    ELECTIONS = "elections"
    REGULATED_SUBSTANCES = "regulated_substances"
    GAMBLING = "gambling"
    MODESTY = "modesty"
    RELIGION = "religion"
    ROYALTY = "royalty"
    NATIONAL_SYMBOLS = "national_symbols"
    EXTREMISM = "extremism"
    SUPERSTITION = "superstition"


class ChatMessage(Strict):
    """One turn of a conversation, as in OpenAI's chat API."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str


class Span(Strict):
    """Offending words of the prompt: `prompt[start:end] == text`, in characters."""

    start: int = Field(ge=0, description="Index of the first character in the prompt, from 0.")
    end: int = Field(ge=0, description="Index after the last character.")
    text: str = Field(description="The words themselves.")


class Violation(Strict):
    """One rule that the prompt breaks."""

    rule_id: str = Field(description="The rule's id in the policy.")
    category: Category = Field(description="The rule's hazard category.")
    severity: Severity = Field(description="The rule's severity, from which the policy derives the action.")
    confidence: Probability = Field(description="Calibrated probability that the rule is broken.")
    rationale: str = Field(description="Why: the rule's definition, or the neighbour that gave it away.")
    spans: list[Span] = Field(default=[], description="Where in the prompt; empty if no words can be named.")


class PolicyRef(Strict):
    """The policy that decided: file, version, and the SHA-256 of its resolved rules."""

    locale: str = Field(description="The policy that RFC 4647 lookup found, such as `de-DE`, or `base`.")
    version: str = Field(description="The policy file's date, YYYY-MM-DD.")
    hash: str = Field(description="SHA-256 of the resolved rules, in hexadecimal.")


class Knobs(Strict):
    """How strongly the generator's safe branch acts."""

    wxi: Probability = Field(description="w_ξ, weight of the safe branch.")
    tau_gc: Probability = Field(description="τ_gc, fraction of the steps in which both branches are summed.")


class Verdict(Strict):
    """The answer to one prompt under one policy."""

    id: str = Field(description="Key of this verdict in the decision log.")
    status: Status = Field(
        description="`degraded`: the LLM was unavailable, so the neighbours decided strictly. "
        "`error`: no detector was available; `action` is then `block`, unless `fail_open` is set."
    )
    action: Action = Field(description="Draw as asked, draw `safe_prompt` instead, or draw nothing.")
    severity: Severity | None = Field(description="Of the worst violation; null if there is none.")
    flagged: bool = Field(description="Whether any rule is violated.")
    score: Probability = Field(description="Risk: the highest calibrated probability of any violation.")
    violations: list[Violation] = Field(default=[], description="The rules that the prompt breaks, gravest risk first.")
    prompt: str = Field(description="The prompt that was judged; for a chat, the turns composed into one.")
    safe_prompt: str | None = Field(description="What to draw instead; null if `action` is `block`.")
    fidelity: Probability | None = Field(description="Encoder similarity of safe prompt and prompt; null on a block.")
    wxi: Probability | None = Field(description="w_ξ, weight of the safe branch; 0 draws as asked, null on a block.")
    tau_gc: Probability | None = Field(description="τ_gc, fraction of the steps in which both branches are summed.")
    stronger: list[Knobs] = Field(
        default=[],
        description="Knobs of the graver severities that rewrite, for drawing an unsafe picture again.",
    )
    locale: str = Field(description="The locale that the caller named, in canonical BCP-47 form.")
    policy: PolicyRef = Field(description="The policy that decided.")
    model: str = Field(description="The models that decided: the encoder, and the LLM if it was asked.")
    message: str | None = Field(description="Explanation in the locale's language; null if the action is `allow`.")
    timings_ms: dict[str, float] = Field(description="Milliseconds by step of the pipeline, and `total`.")

    def for_the_generator(self) -> dict[str, Any]:
        """The fields that the generator gets; it never reads a policy."""
        fields = self.model_dump(include={"prompt", "safe_prompt", "wxi", "tau_gc", "stronger"})
        version = f"{self.policy.locale} {self.policy.version} {self.policy.hash}"
        return {**fields, "verdict_id": self.id, "policy_version": version}
