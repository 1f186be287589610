"""`propriety keys`: who may ask the API, and on which terms."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from pydantic import TypeAdapter, ValidationError
from rich.table import Column, Table
from sqlalchemy.exc import SQLAlchemyError

from agent.cli.terminal import WRONG, console, errors, fail, read_policies, read_settings
from agent.database import open_database
from agent.policy_files import UnknownLocaleError, lookup
from agent.schema import Detector
from agent.tenants import Name, Scope, TenantError, Tenants, Terms

app = typer.Typer(no_args_is_help=True, help="Make, list, rotate and revoke the keys of the API.")

TenantName = Annotated[str, typer.Argument(metavar="TENANT", help="Lower case, such as acme.")]


@app.command()
def create(
    tenant: TenantName,
    scope: Annotated[list[Scope] | None, typer.Option(help="May be repeated; else moderate and draw.")] = None,
    locale: Annotated[
        list[str] | None, typer.Option(help="A language range that is served, such as de or ar-SA; else all are.")
    ] = None,
    default_locale: Annotated[str | None, typer.Option(help="Where a request names none.")] = None,
    audience: Annotated[str | None, typer.Option(help="Laid over every locale, such as children.")] = None,
    detector: Annotated[Detector | None, typer.Option(help="Instead of the policies' own.")] = None,
    per_minute: Annotated[int, typer.Option(min=0, help="Prompts and pictures a minute; 0: no limit.")] = 600,
    concurrent: Annotated[int, typer.Option(min=0, help="Requests at once; 0: no limit.")] = 16,
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
    policies = read_policies(None)
    try:
        ranges = [lookup(policies, place)[0] for place in locale or ()]
        default = lookup(policies, default_locale)[0] if default_locale else None
        if audience:
            lookup(policies, f"en-x-{audience}")
    except UnknownLocaleError as error:
        fail(error)
    terms = Terms(
        scopes=scope or [Scope.MODERATE, Scope.DRAW],
        locales=ranges or None,
        default_locale=default,
        audience=audience,
        detector=detector,
        per_minute=per_minute or None,
        concurrent=concurrent or None,
    )
    with _tenants() as tenants:
        _show(tenants.create(tenant, terms), tenant)


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
