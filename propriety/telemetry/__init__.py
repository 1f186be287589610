"""Logs and traces of both services."""

from enum import StrEnum


class LogFormat(StrEnum):
    """`json`: one object a line, for machines; `text`: for people."""

    JSON = "json"
    TEXT = "text"
