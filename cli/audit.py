"""`propriety audit`: export the decision log, and delete old decisions."""

from __future__ import annotations

import datetime as dt
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from agent.terminal.console import WRONG, duration, errors, fail
from agent.terminal.encoding import is_utf8
from agent.terminal.loading import read_settings

if TYPE_CHECKING:
    from agent.settings import Settings
    from agent.store.decisions import Entry
    from agent.store.store import Store

app = typer.Typer(no_args_is_help=True, help="Export the decision log, and delete old decisions.")


class Format(StrEnum):
    """`jsonl`: every decision in full; `dsa`: a statement of reasons for each decision that restricted something."""

    JSONL = "jsonl"
    DSA = "dsa"


def _in_full(entry: Entry) -> dict[str, Any]:
    verdict = entry.verdict.model_dump(mode="json")
    return {"created_at": entry.created_at.isoformat(), "tenant": entry.tenant, "verdict": verdict}


def _statement(entry: Entry) -> dict[str, Any] | None:
    from agent.store.dsa import statement

    return statement(entry.verdict, entry.created_at)


LINES: dict[Format, Callable[[Entry], dict[str, Any] | None]] = {
    Format.JSONL: _in_full,
    Format.DSA: _statement,
}


@app.command()
def export(
    form: Annotated[
        Format, typer.Option("--format", help="Decisions in full, or statements of reasons under the EU's DSA.")
    ] = Format.JSONL,
    since: Annotated[str, typer.Option(help="How far back: a number and m, h, d or w.")] = "30d",
    tenant: Annotated[str | None, typer.Option(help="Only this tenant's decisions.")] = None,
    output: Annotated[
        Path | None, typer.Option(dir_okay=False, help="Write to this file; default: standard output.")
    ] = None,
) -> None:
    """Write decisions as JSON Lines, oldest first.

    A line of `jsonl` is {"created_at", "tenant", "verdict"}, with the verdict as the API returned it. Encrypted prompts
    are decrypted; hashed prompts stay hashes. A line of `dsa` is one statement of reasons in the schema of the EU's
    Transparency Database, without the prompt. docs/service.md lists what a platform adds before it sends them.

    Example: propriety audit export --format dsa --since 7d --tenant acme --output statements.jsonl

    Exit status: 0 written; 1 the decision log or the file cannot be used; 2 an argument is wrong.
    """
    start, count = dt.datetime.now(dt.UTC) - duration(since, "--since"), 0
    with _store(read_settings()) as store, _opened(output) as file:
        for entry in store.decisions.entries(start, tenant):
            if (line := LINES[form](entry)) is not None:
                file.write(json.dumps(line, ensure_ascii=not is_utf8(file)) + "\n")
                count += 1
    errors.print(f"{count} lines written")


@app.command()
def purge(
    older_than: Annotated[
        str | None, typer.Option(help="A number and m, h, d or w; default: the setting `retention_days`.")
    ] = None,
) -> None:
    """Delete decisions, and batches with their files, that are older than this.

    Turns of conversations have an age of their own, `session_ttl_s`, and are deleted too. A running service deletes
    what is past its time by itself.

    Example: propriety audit purge --older-than 90d

    Exit status: 0 deleted; 1 the decision log cannot be used; 2 the age is missing or wrong.
    """
    settings = read_settings()
    if older_than is not None:
        age = duration(older_than, "--older-than")
    elif settings.retention_days is not None:
        age = dt.timedelta(days=settings.retention_days)
    else:
        raise typer.BadParameter("give an age, or set PROPRIETY_RETENTION_DAYS", param_hint="--older-than")
    with _store(settings) as store:
        before = dt.datetime.now(dt.UTC) - age
        purged = store.purge(before)
        errors.print(f"{purged.decisions} decisions, {purged.files} files and {purged.turns} turns deleted")


@app.command()
def key() -> None:
    """Print a new key for the setting `prompt_key`, with which stored prompts are hashed or encrypted.

    Example: propriety audit key

    Exit status: 0.
    """
    from cryptography.fernet import Fernet

    typer.echo(Fernet.generate_key().decode())


@contextmanager
def _store(settings: Settings) -> Iterator[Store]:
    from sqlalchemy.exc import SQLAlchemyError

    from agent.store.sealing import SealError
    from agent.store.store import Store

    try:
        with Store(settings) as store:
            yield store
    except (OSError, SQLAlchemyError, SealError) as error:
        fail(f"the decision log cannot be used: {error}", WRONG)


@contextmanager
def _opened(output: Path | None) -> Iterator[TextIO]:
    if output is None:
        yield sys.stdout
    else:
        try:
            file = output.open("w", encoding="utf-8")
        except OSError as error:
            fail(f"{output}: {error.strerror}; name another file", WRONG)
        with file:
            yield file
