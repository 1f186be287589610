"""Rewriting: replace the words that offend by a concept that can stand for them, and keep all else.

Edits come first because small models rewrite badly when simply asked; every candidate is judged again by the caller.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agent.concepts import Window

TELLING_WINDOWS = 2
MAX_EDITS = 6


def candidates(prompt: str, found: Mapping[str, Sequence[Window]], rule_ids: Sequence[str]) -> list[str]:
    """Prompts to try, the least changed first; the safe concepts alone come last.

    Args:
        prompt: what was asked.
        found: the nearest windows by rule, as `ConceptIndex.search` returns them.
        rule_ids: the rules that are broken.
    """
    edited, alone = [prompt], []
    for rule_id in rule_ids:
        windows = sorted(found.get(rule_id, ()), key=lambda window: -window.similarity)
        telling = [window for window in windows if window.margin > 0 and window.span.text != prompt][:TELLING_WINDOWS]
        swaps = [(window.span.text, safe) for window in telling for safe in window.concept.safe]
        edited = [text.replace(old, new) for text in edited for old, new in swaps if old in text] or edited
        alone += [safe for window in windows[:1] for safe in window.concept.safe]
    return list(dict.fromkeys([text for text in edited if text != prompt][:MAX_EDITS] + alone))
