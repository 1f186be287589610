"""`propriety keys`: who may use the API, and on which terms."""

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

from agent.policy.audience import with_audience
from agent.policy.lookup import UnknownLocaleError, lookup
from agent.store.database import open_database
from agent.store.tenants import REVOKED, Name, Scope, TenantError, Tenants, Terms
from agent.terminal.console import WRONG, console, errors, fail
from agent.terminal.loading import read_policies, read_settings
from propriety.verdict import Detector

app = typer.Typer(no_args_is_help=True, help="Create, list, change, rotate and revoke API keys.")

TenantName = Annotated[str, typer.Argument(metavar="TENANT", help="Lower case, such as acme.")]
Scopes = Annotated[
    list[Scope] | None,
    typer.Option("--scope", help="Repeatable; a new tenant has moderate and draw. metrics is for Prometheus."),
]
Locales = Annotated[
    list[str] | None,
    typer.Option("--locale", help="Repeatable; a language range to allow, such as de or ar-SA; a new tenant has all."),
]
DefaultLocale = Annotated[str | None, typer.Option(help="For requests that name no locale.")]
Audience = Annotated[str | None, typer.Option(help="An audience for every locale, such as children.")]
ChosenDetector = Annotated[Detector | None, typer.Option(help="Instead of the policies' own.")]
PerMinute = Annotated[int | None, typer.Option(min=0, help="Prompts and pictures; 0: no limit; a new tenant has 600.")]
Concurrent = Annotated[int | None, typer.Option(min=0, help="Requests at once; 0: no limit; a new tenant has 16.")]


class Droppable(StrEnum):
    """A term that can be removed."""

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
    """Create a tenant and its key. The key is printed once; only a hash of it is stored.

    Example: propriety keys create acme --locale de --default-locale de-DE --audience children --per-minute 120

    Exit status: 0 created; 1 the database or a policy cannot be used; 2 an argument is wrong, or the tenant exists.
    """
    try:
        TypeAdapter(Name).validate_python(tenant)
    except ValidationError:
        raise typer.BadParameter(
            "expected at most 64 lower-case letters, digits, `.`, `_` and `-`", param_hint="TENANT"
        ) from None
    given = _terms(scope, locale, default_locale, audience, detector, per_minute, concurrent)
    terms = Terms(**{"scopes": [Scope.MODERATE, Scope.DRAW], **given})
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
    drop: Annotated[list[Droppable] | None, typer.Option(help="A term to remove; repeatable.")] = None,
) -> None:
    """Change terms of a tenant, for all of its keys. A running API follows within five seconds.

    A new value replaces the previous one, so name every scope and locale that the tenant should have. Terms that are
    not named stay.

    Example: propriety keys change acme --locale de --locale fr-FR --per-minute 300 --drop audience

    Exit status: 0 changed; 1 the database or a policy cannot be used; 2 an argument is wrong, or the tenant does not
    exist.
    """
    given = _terms(scope, locale, default_locale, audience, detector, per_minute, concurrent)
    dropped = {term.field: None for term in drop or ()}
    if not (given or dropped):
        raise typer.BadParameter("name a term to change; --help lists them")
    if both := given.keys() & dropped.keys():
        raise typer.BadParameter(f"{both.pop()} is both set and dropped; do one of them", param_hint="--drop")
    with _tenants() as tenants:
        console.print(f"{tenant}: {_in_words(tenants.change(tenant, given | dropped))}", markup=False)


def _terms(
    scope: list[Scope] | None,
    locale: list[str] | None,
    default_locale: str | None,
    audience: str | None,
    detector: Detector | None,
    per_minute: int | None,
    concurrent: int | None,
) -> dict[str, Any]:
    """The terms that the options give, by field of `Terms`."""
    policies = read_policies(None)
    try:
        ranges = [lookup(policies, place)[0] for place in locale or ()]
        default = lookup(policies, default_locale)[0] if default_locale else None
        if audience:
            lookup(policies, with_audience("en", audience))
    except UnknownLocaleError as error:
        fail(error)
    chosen = {"scopes": scope, "locales": ranges, "default_locale": default, "audience": audience, "detector": detector}
    limits = {"per_minute": per_minute, "concurrent": concurrent}
    return {field: value for field, value in chosen.items() if value} | {
        field: value or None for field, value in limits.items() if value is not None
    }


@app.command("list")
def list_keys() -> None:
    """List every key: its first characters, its tenant and terms, when it was created and when it expires (UTC).

    Example: propriety keys list

    Exit status: 0 listed; 1 the database cannot be used.
    """
    table = Table("key", "tenant", Column("terms", overflow="fold"), "created", "expires")
    with _tenants() as tenants:
        for key in tenants.all_keys():
            expires = f"{key.expires_at:%Y-%m-%d %H:%M}" if key.expires_at else ""
            expires = "revoked" if key.expires_at == REVOKED else expires
            created = f"{key.created_at:%Y-%m-%d %H:%M}"
            table.add_row(f"{key.hint}…", key.tenant.name, _in_words(key.tenant.terms), created, expires)
    console.print(table)


@app.command()
def rotate(
    tenant: TenantName,
    grace_hours: Annotated[float, typer.Option(min=0, help="How long the tenant's previous keys stay valid.")] = 24,
) -> None:
    """Give a tenant a new key, which is printed once. Its previous keys expire after a grace period.

    Example: propriety keys rotate acme --grace-hours 2

    Exit status: 0 created; 1 the database cannot be used; 2 the tenant does not exist.
    """
    with _tenants() as tenants:
        _show(tenants.rotate(tenant, dt.timedelta(hours=grace_hours)), tenant)


@app.command()
def revoke(tenant: TenantName) -> None:
    """Revoke every key of a tenant. A running API follows within five seconds.

    Example: propriety keys revoke acme

    Exit status: 0 revoked; 1 the database cannot be used; 2 the tenant does not exist.
    """
    with _tenants() as tenants:
        console.print(f"{tenants.revoke(tenant)} keys of {tenant} are revoked")


def _in_words(terms: Terms) -> str:
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
    errors.print(f"The key of {tenant}, shown only this once. Send it as Authorization: Bearer KEY.", markup=False)
