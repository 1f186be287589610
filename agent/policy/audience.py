"""Audiences in locale tags: `de-DE-x-children` is the audience `children` laid over `de-DE`.

RFC 5646 section 2.2.7 reserves what follows `-x-` for private use.
"""

SUBTAG = "-x-"


def with_audience(locale: str, audience: str) -> str:
    """The tag of a locale with an audience laid over it."""
    return f"{locale}{SUBTAG}{audience}"


def audience_of(tag: str) -> str:
    """The audience of a tag; empty if it has none."""
    return tag.partition(SUBTAG)[2]
