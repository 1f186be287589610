"""`propriety keys` creates, lists, changes, rotates and revokes keys."""

import pytest
from typer.testing import CliRunner, Result

from agent.settings import Settings
from agent.store.database import open_database
from agent.store.tenants import Scope, Tenant, Tenants, Terms
from cli import app

pytestmark = pytest.mark.usefixtures("workplace")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["keys", *arguments])


def tenant_of(key: str) -> Tenant | None:
    database = open_database(Settings().decision_log_url)
    try:
        return Tenants(database).of(key)
    finally:
        database.dispose()


def test_a_key_is_printed_once_and_carries_the_terms():
    created = run("create", "acme", "--locale", "AR-sa", "--default-locale", "ar-SA", "--per-minute", "0")
    assert created.exit_code == 0
    key = created.stdout.strip()
    tenant = tenant_of(key)
    assert tenant is not None
    assert (tenant.terms.locales, tenant.terms.per_minute, tenant.terms.concurrent) == (["ar-SA"], None, 16)
    assert {scope.value for scope in tenant.terms.scopes} == {"moderate", "draw"}
    listed = run("list").output
    assert key not in listed
    assert key[:8] in listed
    assert "moderate draw; in ar-SA; else ar-SA; 16 at once" in listed


def test_a_key_for_prometheus_has_only_that_scope():
    prometheus = tenant_of(run("create", "prometheus", "--scope", "metrics").stdout.strip())
    assert prometheus is not None
    assert prometheus.terms.scopes == [Scope.METRICS]
    assert "│ metrics; in all places" in run("list").output


def test_rotate_and_revoke_end_keys():
    first = run("create", "acme").stdout.strip()
    second = run("rotate", "acme", "--grace-hours", "0").stdout.strip()
    assert tenant_of(first) is None
    assert tenant_of(second) is not None
    assert "1 keys of acme are revoked" in run("revoke", "acme").output
    assert tenant_of(second) is None


def test_change_sets_the_named_terms_and_keeps_the_other_terms_and_the_key():
    key = run("create", "acme", "--locale", "de", "--default-locale", "ar-SA", "--detector", "llm").stdout.strip()
    changed = run("change", "acme", "--locale", "FR-fr", "--locale", "de", "--per-minute", "0", "--scope", "moderate")
    assert changed.exit_code == 0
    assert "acme: moderate; in fr-FR, de; else ar-SA; by llm; 16 at once" in changed.output
    dropped = run(
        "change", "acme", "--drop", "locale", "--drop", "default-locale", "--drop", "detector", "--concurrent", "3"
    )
    assert "acme: moderate; in all places; 3 at once" in dropped.output
    tenant = tenant_of(key)
    assert tenant is not None
    assert tenant.terms == Terms(scopes=[Scope.MODERATE], per_minute=None, concurrent=3)


@pytest.mark.parametrize(
    "arguments",
    [
        (), ("--locale", "zz-ZZ"), ("--audience", "nobody"), ("--detector", "best"), ("--per-minute", "-1"),
        ("--drop", "scope"), ("--drop", "locale", "--locale", "de"),
    ],
)  # fmt: skip
def test_an_invalid_change_exits_with_2_and_changes_nothing(arguments):
    key = run("create", "acme", "--locale", "de").stdout.strip()
    before = tenant_of(key)
    assert run("change", "acme", *arguments).exit_code == 2
    assert tenant_of(key) == before


@pytest.mark.parametrize(
    "arguments",
    [
        ("create", "Acme"), ("create", "a/b"), ("create", ""), ("create", "acme", "--locale", "zz-ZZ"),
        ("create", "acme", "--audience", "nobody"), ("create", "acme", "--detector", "best"),
        ("create", "acme", "--scope", "all"), ("rotate", "acme"), ("revoke", "acme"),
        ("change", "acme", "--locale", "de"),
    ],
)  # fmt: skip
def test_an_invalid_argument_exits_with_2_and_creates_nothing(arguments):
    assert run(*arguments).exit_code == 2
    assert "acme" not in run("list").output


def test_a_tenant_is_created_once():
    assert run("create", "acme").exit_code == 0
    again = run("create", "acme")
    assert again.exit_code == 2
    assert "rotate" in again.stderr


def test_an_unusable_database_exits_with_1(monkeypatch):
    monkeypatch.setenv("PROPRIETY_DATABASE_URL", "sqlite:////proc/nothing.db")
    assert run("list").exit_code == 1
