"""Decisions as statements of reasons: Regulation (EU) 2022/2065 (DSA), Article 17.

In the schema of the Commission's Transparency Database as of July 2025, whose API documentation names each field:
https://transparency.dsa.ec.europa.eu/page/api-documentation. It forbids personal data, so no prompt is in a statement.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import langcodes

from propriety.verdict import Action, Category, Status, Verdict, Violation

MAX_GROUND, MAX_EXPLANATION, MAX_FACTS = 500, 2000, 5000  # characters, by the schema

# Countries of the European Economic Area; the database accepts their decisions.
EEA = {
    "AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GR", "HR", "HU", "IE", "IS", "IT", "LI", "LT",
    "LU", "LV", "MT", "NL", "NO", "PL", "PT", "RO", "SE", "SI", "SK",
}  # fmt: skip

OTHER = "STATEMENT_CATEGORY_OTHER_VIOLATION_TC"
CATEGORIES = {
    Category.VIOLENT_CRIMES: "STATEMENT_CATEGORY_VIOLENCE",
    Category.SEX_RELATED_CRIMES: "STATEMENT_CATEGORY_CYBER_VIOLENCE",
    Category.CHILD_SEXUAL_EXPLOITATION: "STATEMENT_CATEGORY_PROTECTION_OF_MINORS",
    Category.INDISCRIMINATE_WEAPONS: "STATEMENT_CATEGORY_RISK_FOR_PUBLIC_SECURITY",
    Category.SUICIDE_SELF_HARM: "STATEMENT_CATEGORY_SELF_HARM",
    Category.HATE: "STATEMENT_CATEGORY_ILLEGAL_OR_HARMFUL_SPEECH",
    Category.PRIVACY: "STATEMENT_CATEGORY_DATA_PROTECTION_AND_PRIVACY_VIOLATIONS",
    Category.DEFAMATION: "STATEMENT_CATEGORY_ILLEGAL_OR_HARMFUL_SPEECH",
    Category.INTELLECTUAL_PROPERTY: "STATEMENT_CATEGORY_INTELLECTUAL_PROPERTY_INFRINGEMENTS",
    Category.GRAPHIC_VIOLENCE: "STATEMENT_CATEGORY_VIOLENCE",
    Category.HARASSMENT: "STATEMENT_CATEGORY_CYBER_VIOLENCE",
    Category.ELECTIONS: "STATEMENT_CATEGORY_NEGATIVE_EFFECTS_ON_CIVIC_DISCOURSE_OR_ELECTIONS",
    Category.EXTREMISM: "STATEMENT_CATEGORY_RISK_FOR_PUBLIC_SECURITY",
}  # the others are a provider's own terms: OTHER


def statement(verdict: Verdict, created_at: dt.datetime) -> dict[str, Any] | None:
    """The statement of reasons for one decision; None if nothing was restricted.

    That is so if the prompt was allowed, or blocked because no detector was available.
    """
    if verdict.action is Action.ALLOW or not verdict.violations or verdict.status is Status.ERROR:
        return None
    worst = max(verdict.violations, key=lambda violation: (violation.severity.rank, violation.confidence))
    blocked, date = verdict.action is Action.BLOCK, created_at.date().isoformat()
    category = CATEGORIES.get(worst.category, OTHER)
    others = sorted({CATEGORIES.get(violation.category, OTHER) for violation in verdict.violations} - {category})
    territory = langcodes.Language.get(verdict.locale).territory
    policy = f"policy {verdict.policy.locale} of {verdict.policy.version}"
    done = "was refused" if blocked else "was altered before it was generated"
    return {
        "decision_visibility": ["DECISION_VISIBILITY_OTHER"],
        "decision_visibility_other": f"The picture that was asked for {done}.",
        "decision_ground": "DECISION_GROUND_INCOMPATIBLE_CONTENT",
        "incompatible_content_ground": f"{policy}, rule {worst.rule_id}"[:MAX_GROUND],
        "incompatible_content_explanation": (verdict.message or policy)[:MAX_EXPLANATION],
        "content_type": ["CONTENT_TYPE_TEXT"],
        "category": category,
        **({"category_addition": others} if others else {}),
        **({"territorial_scope": [territory]} if territory in EEA else {}),
        "content_date": date,
        "application_date": date,
        "decision_facts": _facts(verdict, policy, done)[:MAX_FACTS],
        "source_type": "SOURCE_VOLUNTARY",
        "automated_detection": "Yes",
        "automated_decision": "AUTOMATED_DECISION_FULLY",
        "puid": verdict.id,
    }


def _facts(verdict: Verdict, policy: str, done: str) -> str:
    def named(violation: Violation) -> str:
        return f"{violation.rule_id} ({violation.severity.value}, confidence {violation.confidence:.2f})"

    broken = ", ".join(named(violation) for violation in verdict.violations)
    return (
        f"A text asked for a picture to be generated. Under {policy}, {verdict.model} found it to break {broken}. "
        f"It {done}."
    )
