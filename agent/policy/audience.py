"""Audiences in locale tags: `de-DE-x-children` is the audience `children`, laid over `de-DE`.

RFC 5646, section 2.2.7, reserves what follows `-x-` for private use.
"""

_PRIVATE_USE = "-x-"


def with_audience(locale: str, audience: str) -> str:
    """The tag of a locale with an audience laid over it, or the locale alone if the audience is empty."""
    return f"{locale}{_PRIVATE_USE}{audience}" if audience else locale


def split_audience(tag: str) -> tuple[str, str]:
    """The locale and the audience of a tag; the audience is empty if the tag has none."""
    locale, _, audience = tag.partition(_PRIVATE_USE)
    return locale, audience


def audience_of(tag: str) -> str:
    """The audience of a tag; empty if it has none."""
    return split_audience(tag)[1]
