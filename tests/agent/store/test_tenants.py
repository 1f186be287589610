import datetime as dt

import pytest
from pydantic import ValidationError
from sqlalchemy import Engine, event, text

from agent.store import tenants as module
from agent.store.tenants import ANYONE, Scope, Tenant, TenantError, Tenants, Terms

TERMS = Terms(scopes=[Scope.MODERATE], locales=["de-DE"], audience="children", per_minute=None)


@pytest.fixture
def tenants(database: Engine, monkeypatch: pytest.MonkeyPatch) -> Tenants:
    monkeypatch.setattr(module, "REMEMBERED_S", 0)
    return Tenants(database)


def test_a_key_identifies_its_tenant_and_only_its_hash_is_stored(tenants: Tenants, database: Engine) -> None:
    key = tenants.create("acme", TERMS)
    found = tenants.of(key)
    assert found is not None
    assert (found.name, found.terms) == ("acme", TERMS)
    with database.connect() as connection:
        assert key not in str(connection.execute(text("SELECT * FROM keys")).all())


@pytest.mark.parametrize("wrong", ["", "prp_", "none", "' or 1=1 --", "\ud800", "x" * 10_000])
def test_an_unknown_key_identifies_nobody(tenants: Tenants, wrong: str) -> None:
    tenants.create("acme", TERMS)
    assert tenants.of(wrong) is None


def test_rotation_creates_a_new_key_and_the_old_one_ends_after_the_grace_period(tenants: Tenants) -> None:
    first = tenants.create("acme", TERMS)
    second = tenants.rotate("acme", dt.timedelta(hours=1))
    assert tenants.of(first) == tenants.of(second) is not None
    third = tenants.rotate("acme", dt.timedelta())
    assert tenants.of(first) is tenants.of(second) is None
    assert tenants.of(third) is not None


def test_revoking_ends_every_key_and_does_not_open_the_service(tenants: Tenants) -> None:
    assert not tenants.configured()
    keys = [tenants.create("acme", TERMS), tenants.rotate("acme", dt.timedelta(hours=1))]
    other = tenants.create("apex", TERMS)
    assert tenants.revoke("acme") == 2
    assert [tenants.of(key) for key in keys] == [None, None]
    assert tenants.of(other) is not None
    assert tenants.revoke("apex") == 1
    assert tenants.configured()


def test_a_tenant_is_found_by_name_while_it_has_a_valid_key(tenants: Tenants) -> None:
    tenants.create("acme", TERMS)
    tenants.create("apex", TERMS)
    assert tenants.named("acme") == Tenant("acme", TERMS)
    tenants.rotate("acme", dt.timedelta())
    tenants.revoke("apex")
    assert tenants.named("acme") == Tenant("acme", TERMS)
    assert tenants.named("apex") is tenants.named("none") is None
    assert tenants.named("") is ANYONE


def test_a_revoked_key_is_accepted_no_longer_than_it_is_remembered(database: Engine) -> None:
    now = 0.0
    serving, operator = Tenants(database, clock=lambda: now), Tenants(database)
    key = operator.create("acme", TERMS)
    assert serving.of(key) is not None
    operator.revoke("acme")
    now = module.REMEMBERED_S + 0.1
    assert serving.of(key) is None


def test_a_key_that_was_looked_up_needs_no_database_while_it_is_remembered(database: Engine) -> None:
    now = 0.0
    serving, operator = Tenants(database, clock=lambda: now), Tenants(database)
    key = operator.create("acme", TERMS)
    assert serving.remembered(key) is None
    assert serving.of(key) == serving.remembered(key) == operator.of(key) is not None
    assert serving.remembered("wrong") is serving.of("wrong") is None
    ended = operator.rotate("acme", dt.timedelta(seconds=-1))
    assert serving.remembered(key) is not None
    now += module.REMEMBERED_S + 0.1
    assert serving.remembered(key) is serving.remembered(ended) is serving.of(key) is None


def test_changed_terms_apply_to_every_key_once_the_old_terms_are_forgotten(database: Engine) -> None:
    now = 0.0
    serving, operator = Tenants(database, clock=lambda: now), Tenants(database)
    keys = [operator.create("acme", TERMS), operator.rotate("acme", dt.timedelta(hours=1))]
    assert [serving.of(key) for key in keys] == [Tenant("acme", TERMS)] * 2
    changed = operator.change("acme", {"locales": ["fr-FR"], "per_minute": 9})
    assert changed == TERMS.model_copy(update={"locales": ["fr-FR"], "per_minute": 9})
    now = module.REMEMBERED_S + 0.1
    assert [serving.of(key) for key in keys] == [Tenant("acme", changed)] * 2


@pytest.mark.parametrize("wrong", [{"colour": "red"}, {"scopes": []}, {"per_minute": 0}, {"detector": "best"}])
def test_invalid_terms_change_nothing(tenants: Tenants, wrong: dict[str, object]) -> None:
    key = tenants.create("acme", TERMS)
    with pytest.raises(ValidationError):
        tenants.change("acme", wrong)
    assert tenants.of(key) == Tenant("acme", TERMS)


def test_a_name_can_be_taken_once_and_an_unknown_name_is_reported(tenants: Tenants) -> None:
    tenants.create("acme", TERMS)
    with pytest.raises(TenantError, match="rotate"):
        tenants.create("acme", TERMS)
    for call in (
        tenants.revoke,
        lambda name: tenants.rotate(name, dt.timedelta()),
        lambda name: tenants.change(name, {}),
    ):
        with pytest.raises(TenantError, match="apex"):
            call("apex")


@pytest.mark.parametrize("key", ["", "wrong", "Bearer x", "prp-almost", "sk-" + "a" * 48])
def test_a_key_that_is_not_one_of_ours_costs_no_query(database, key):
    tenants, queries = Tenants(database), []
    tenants.create("acme", Terms(scopes=[Scope.MODERATE]))
    event.listen(database, "before_cursor_execute", lambda *arguments: queries.append(arguments))
    assert tenants.of(key) is None
    assert queries == []
