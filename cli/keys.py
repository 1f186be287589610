"""`propriety keys`: who may ask the API, and on which terms."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Annotated, Any

import typer
from pydantic import TypeAdapter, ValidationError
from rich.table import Column, Table
from sqlalchemy.exc import SQLAlchemyError

from agent.policy.lookup import UnknownLocaleError, lookup
from agent.store.database import open_database
from agent.store.tenants import AT_ONCE, Name, Scope, TenantError, Tenants, Terms
from agent.terminal.console import WRONG, console, errors, fail, read_policies, read_settings
from propriety.verdict import Detector

app = typer.Typer(no_args_is_help=True, help="Make, list, change, rotate and revoke the keys of the API.")

TenantName = Annotated[str, typer.Argument(metavar="TENANT", help="Lower case, such as acme.")]
Scopes = Annotated[
    list[Scope] | None,
    typer.Option("--scope", help="May be repeated; at first moderate and draw. metrics is for Prometheus."),
]
Locales = Annotated[
    list[str] | None,
    typer.Option("--locale", help="A language range that is served, such as de or ar-SA; at first all are."),
]
DefaultLocale = Annotated[str | None, typer.Option(help="Where a request names none.")]
Audience = Annotated[str | None, typer.Option(help="Laid over every locale, such as children.")]
ChosenDetector = Annotated[Detector | None, typer.Option(help="Instead of the policies' own.")]
PerMinute = Annotated[int | None, typer.Option(min=0, help="Prompts and pictures; 0: no limit; at first 600.")]
Concurrent = Annotated[int | None, typer.Option(min=0, help="Requests at once; 0: no limit; at first 16.")]


class Droppable(StrEnum):
    """A term that may be left open."""

    LOCALE = "locale"
    DEFAULT_LOCALE = "default-locale"
    AUDIENCE = "audience"
    DETECTOR = "detector"

    @property
    def field(self) -> str:
        return "locales" if self is Droppable.LOCALE else self.value.replace("-", "_")


@app.command()
def create(
    tenant: TenantName,
    scope: Scopes = None,
    locale: Locales = None,
    default_locale: DefaultLocale = None,
    audience: Audience = None,
    detector: ChosenDetector = None,
    per_minute: PerMinute = None,
    concurrent: Concurrent = None,
) -> None:
    """Make a tenant and its key, which is printed this once and kept as a hash only.

    From the first key on nobody is served without one, and the API may listen on other addresses than this machine's.

    Example: propriety keys create acme --locale de --default-locale de-DE --audience children --per-minute 120

    Exit status: 0 made; 1 the database or a policy cannot be used; 2 an argument is wrong, or there is such a tenant.
    """
    try:
        TypeAdapter(Name).validate_python(tenant)
    except ValidationError:
        raise typer.BadParameter("lower-case letters, digits, . _ and -, at most 64", param_hint="TENANT") from None
    named = _named(scope, locale, default_locale, audience, detector, per_minute, concurrent)
    terms = Terms(**{"scopes": [Scope.MODERATE, Scope.DRAW], **named})
    with _tenants() as tenants:
        _show(tenants.create(tenant, terms), tenant)


@app.command()
def change(
    tenant: TenantName,
    scope: Scopes = None,
    locale: Locales = None,
    default_locale: DefaultLocale = None,
    audience: Audience = None,
    detector: ChosenDetector = None,
    per_minute: PerMinute = None,
    concurrent: Concurrent = None,
    drop: Annotated[list[Droppable] | None, typer.Option(help="A term to leave open; may be repeated.")] = None,
) -> None:
    """Change the terms that are named, for every key of a tenant; a running API hears of it within five seconds.

    What is named takes the place of what was: name each scope and locale that is to hold.

    Example: propriety keys change acme --locale de --locale fr-FR --per-minute 300 --drop audience

    Exit status: 0 changed; 1 the database or a policy cannot be used; 2 an argument is wrong, or there is no such
    tenant.
    """
    named = _named(scope, locale, default_locale, audience, detector, per_minute, concurrent)
    dropped = {term.field: None for term in drop or ()}
    if not (named or dropped):
        raise typer.BadParameter("name a term to change; --help lists them")
    if both := named.keys() & dropped.keys():
        raise typer.BadParameter(f"{both.pop()} is named, and dropped too", param_hint="--drop")
    with _tenants() as tenants:
        console.print(f"{tenant}: {_told(tenants.change(tenant, named | dropped))}", markup=False)


def _named(
    scope: list[Scope] | None,
    locale: list[str] | None,
    default_locale: str | None,
    audience: str | None,
    detector: Detector | None,
    per_minute: int | None,
    concurrent: int | None,
) -> dict[str, Any]:
    """The terms that options name, by field of `Terms`."""
    policies = read_policies(None)
    try:
        ranges = [lookup(policies, place)[0] for place in locale or ()]
        default = lookup(policies, default_locale)[0] if default_locale else None
        if audience:
            lookup(policies, f"en-x-{audience}")
    except UnknownLocaleError as error:
        fail(error)
    chosen = {"scopes": scope, "locales": ranges, "default_locale": default, "audience": audience, "detector": detector}
    limits = {"per_minute": per_minute, "concurrent": concurrent}
    return {field: value for field, value in chosen.items() if value} | {
        field: value or None for field, value in limits.items() if value is not None
    }


@app.command("list")
def list_keys() -> None:
    """One line for each key: its first letters, its tenant, the terms, when it was made and when it ends (UTC).

    Example: propriety keys list

    Exit status: 0 listed; 1 the database cannot be used.
    """
    table = Table("key", "tenant", Column("terms", overflow="fold"), "made", "ends")
    with _tenants() as tenants:
        for key in tenants.all_keys():
            ends = f"{key.expires_at:%Y-%m-%d %H:%M}" if key.expires_at else ""
            ends = "revoked" if key.expires_at == AT_ONCE else ends
            made = f"{key.created_at:%Y-%m-%d %H:%M}"
            table.add_row(f"{key.hint}…", key.tenant.name, _told(key.tenant.terms), made, ends)
    console.print(table)


@app.command()
def rotate(
    tenant: TenantName,
    grace_hours: Annotated[float, typer.Option(min=0, help="For which the tenant's other keys still hold.")] = 24,
) -> None:
    """Give a tenant another key, printed this once; its others end after a grace.

    Example: propriety keys rotate acme --grace-hours 2

    Exit status: 0 made; 1 the database cannot be used; 2 there is no such tenant.
    """
    with _tenants() as tenants:
        _show(tenants.rotate(tenant, dt.timedelta(hours=grace_hours)), tenant)


@app.command()
def revoke(tenant: TenantName) -> None:
    """End every key of a tenant; a running API hears of it within five seconds.

    Example: propriety keys revoke acme

    Exit status: 0 ended; 1 the database cannot be used; 2 there is no such tenant.
    """
    with _tenants() as tenants:
        console.print(f"{tenants.revoke(tenant)} keys of {tenant} have ended")


def _told(terms: Terms) -> str:
    parts = [
        " ".join(terms.scopes),
        f"in {', '.join(terms.locales)}" if terms.locales else "in all places",
        terms.default_locale and f"else {terms.default_locale}",
        terms.audience and f"for {terms.audience}",
        terms.detector and f"by {terms.detector}",
        terms.per_minute and f"{terms.per_minute} a minute",
        terms.concurrent and f"{terms.concurrent} at once",
    ]
    return "; ".join(part for part in parts if part)


@contextmanager
def _tenants() -> Iterator[Tenants]:
    try:
        database = open_database(read_settings().decision_log_url)
        try:
            yield Tenants(database)
        finally:
            database.dispose()
    except TenantError as error:
        fail(error)
    except (OSError, SQLAlchemyError) as error:
        fail(f"the database cannot be used: {error}", WRONG)


def _show(key: str, tenant: str) -> None:
    typer.echo(key)
    errors.print(f"The key of {tenant}; it is shown this once. Send it as Authorization: Bearer KEY.", markup=False)
