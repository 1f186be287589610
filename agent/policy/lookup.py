"""Find the policy of a locale."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import langcodes
from langcodes.data_dicts import MACROLANGUAGES

from agent.policy.audience import audience_of, split_audience, with_audience
from agent.policy.model import BASE, Policy

MAX_LOCALE = 64  # RFC 5646 section 4.4.1 allows limits from 35 up; this is the width of the decision log's column


class UnknownLocaleError(ValueError):
    """The locale is not a well-formed, registered BCP-47 tag, or has an unknown audience."""


def lookup(policies: Mapping[str, Policy], locale: str) -> tuple[str, Policy]:
    """The canonical tag of `locale` and its policy, by RFC 4647 section 3.4: `de-AT` → `de` → `base`.

    The audience of a tag (`de-AT-x-children`) is kept while the locale is shortened. An unknown audience is refused,
    never dropped.

    Raises:
        UnknownLocaleError: the tag is malformed (RFC 5646), names an unregistered language or region or an unknown
            audience, or has more than `MAX_LOCALE` characters.
    """
    if len(locale) > MAX_LOCALE:
        raise UnknownLocaleError(f"{locale[:16]!r}… is longer than {MAX_LOCALE} characters; write it like de-DE")
    try:
        known = langcodes.tag_is_valid(locale)
        tag = langcodes.standardize_tag(locale) if known else ""
    except langcodes.tag_parser.LanguageTagError as error:
        raise UnknownLocaleError(f"{locale!r} is not a BCP-47 language tag ({error}); write it like de-DE") from None
    if not known:
        raise UnknownLocaleError(f"{locale!r} names a language or region that is not registered; write it like de-DE")
    by_lower = {name.lower(): policy for name, policy in policies.items()}
    place, audience = split_audience(tag.lower())
    if audience and with_audience(BASE, audience) not in by_lower:
        audiences = sorted({audience_of(name) for name in by_lower} - {""})
        raise UnknownLocaleError(f"{locale!r}: no audience {audience!r}, only {', '.join(audiences) or 'none'}")
    for name in _ranges(place):
        if policy := by_lower.get(with_audience(name, audience)):
            return tag, policy
    return tag, by_lower[with_audience(BASE, audience)]


def filed_as(locale: str) -> str:
    """The tag by which requests for a locale look for its policy: `he-IL` for `iw-IL`, `zh-TW` for `cmn-TW`."""
    tag = langcodes.standardize_tag(locale, macro=True)
    for dialect in langcodes.Language.get(locale).extlangs or ():  # ar-arz-EG
        tag = tag.replace(f"-{dialect}", "", 1)
    return tag


def _ranges(tag: str) -> Iterator[str]:
    """The tags to look for, each followed by itself without its script: `zh-Hant-TW`, `zh-TW`, `zh-Hant`, `zh`.

    How a language is written changes no law. Only where a script alone changes the likely territory (UTS 35, likely
    subtags), it stands for that: `zh-Hant` for `zh-Hant-TW`, but `ja-Latn` for no place. After a member of a
    macrolanguage come the tags of that (RFC 5646, section 3.1.11): after `arz-EG` and `arz` come `ar-EG` and `ar`.
    """
    own, *others = filed_as(tag).lower().split("-")
    language = langcodes.Language.get(tag)
    script, likely = language.script, language.maximize().territory
    if script and not language.territory and likely:
        usual = langcodes.Language.get(own).maximize().territory
        if likely != usual:
            others.insert(1, likely.lower())
    for spoken in dict.fromkeys((own, MACROLANGUAGES.get(own, own))):
        subtags = [spoken, *others]
        while subtags:
            yield "-".join(subtags)
            if script and script.lower() in subtags[1:]:
                yield "-".join(subtag for subtag in subtags if subtag != script.lower())
            subtags.pop()
            if subtags and len(subtags[-1]) == 1:
                subtags.pop()
