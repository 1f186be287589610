"""Settings, policies and the moderator for commands. If one of them cannot be used, the command ends with the reason.

Only what a command loads is imported, since the database, the encoder and its index take most of a second.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from tomllib import TOMLDecodeError
from typing import TYPE_CHECKING

from pydantic import ValidationError

from agent.terminal.console import WRONG, fail
from propriety.text_files import EncodingError

if TYPE_CHECKING:
    from agent.moderator import Moderator
    from agent.policy.model import Policy
    from agent.settings import Settings


def read_settings(policies: Path | None = None) -> Settings:
    """The settings, with another folder of policies if one is named. Ends the command if a value is wrong."""
    from agent.settings import Settings

    try:
        return Settings().model_copy(update={"policies_dir": policies} if policies else {})
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        reason = first["msg"].removeprefix("Value error, ")
        if not first["loc"]:
            fail(reason)
        name = str(first["loc"][0])
        fail(f"{name}: {reason}; fix PROPRIETY_{name.upper()}, or {name} in propriety.toml")
    except EncodingError as error:
        fail(f"propriety.toml:{error.line}: {error}")
    except TOMLDecodeError as error:
        is_path = re.search("hex value|Unescaped", str(error))  # of Windows, such as "C:\\Users"
        fail(f"propriety.toml: {error}{'; write a path with backslashes in single quotes' if is_path else ''}")


def load_moderator(settings: Settings, policies: dict[str, Policy] | None = None) -> Moderator:
    """The moderator. Ends the command if the policies or the database cannot be used."""
    from sqlalchemy.exc import SQLAlchemyError

    from agent.open_moderator import open_moderator
    from agent.policy.source import PolicyError
    from agent.store.sealing import SealError

    try:
        return open_moderator(settings, policies)
    except PolicyError as error:
        fail(error)
    except (OSError, SQLAlchemyError, SealError) as error:
        fail(f"the moderator cannot start: {error}", WRONG)


def read_policies(directory: Path | None, instead: Path | None = None) -> dict[str, Policy]:
    """The policies of a folder, by default the settings'. Ends the command if a file is wrong."""
    from agent.policy.concept_bank import load_bank
    from agent.policy.files import load_policies
    from agent.policy.source import PolicyError

    directory = directory or read_settings().policies_dir
    try:
        return load_policies(directory, instead, load_bank(directory))
    except PolicyError as error:
        fail(error, WRONG)


def policy_of(policies: Mapping[str, Policy], locale: str) -> Policy:
    """The policy of a locale, or of a name that `policy list` prints. Ends the command if there is none."""
    from agent.policy.lookup import UnknownLocaleError, lookup

    if locale in policies:
        return policies[locale]
    try:
        return lookup(policies, locale)[1]
    except UnknownLocaleError as error:
        fail(error)
