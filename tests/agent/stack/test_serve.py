"""What `propriety serve` would start; nothing is started here."""

from pathlib import Path

import pytest

from agent.settings import Settings
from agent.stack import Part, StartError, serve
from agent.stack.serve import plan
from agent.store.database import open_database
from agent.store.tenants import Scope, Tenants, Terms


@pytest.fixture(autouse=True)
def _own_data_and_enough_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROPRIETY_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setattr(serve, "check_memory", lambda needed_gb: None)


def test_parts_that_a_setting_places_elsewhere_are_not_started(free_port: int) -> None:
    settings = Settings(llm_url="http://gpu:1/v1", generator_url="http://gpu:2", port=free_port)
    assert [child.name for child in plan(settings, set(Part))] == ["api"]


def test_given_settings_reach_the_children(free_port: int) -> None:
    settings = Settings(llm_url="http://gpu:1/v1", generator_url="http://gpu:2", port=free_port, default_locale="de-DE")
    (api,) = plan(settings, {Part.API})
    assert api.environment["PROPRIETY_DEFAULT_LOCALE"] == "de-DE"


def test_the_drawing_worker_gets_the_certificate_and_key_it_signs_with(free_port: int) -> None:
    settings = Settings(generator_port=free_port, signing_cert=Path("chain.pem"), signing_key=Path("key.pem"))
    (worker,) = plan(settings, {Part.GENERATOR})
    assert worker.command[-4:] == ["--signing-cert", "chain.pem", "--signing-key", "key.pem"]


@pytest.mark.parametrize(
    ("host", "reached_at"), [("0.0.0.0", "127.0.0.1"), ("::", "[::1]"), ("::1", "[::1]"), ("localhost", "localhost")]
)
def test_the_api_is_reached_at_an_address_of_this_machine(host: str, reached_at: str) -> None:
    assert Settings(host=host, port=8123).local_url == f"http://{reached_at}:8123"


def test_an_address_that_others_can_reach_is_served_only_once_a_key_exists(free_port: int, tmp_path: Path) -> None:
    settings = Settings(host="0.0.0.0", port=free_port, database_url=f"sqlite:///{tmp_path}/keys.db")
    with pytest.raises(StartError, match="propriety keys create"):
        plan(settings, {Part.API})
    for host in ("127.0.0.1", "localhost"):
        assert plan(settings.model_copy(update={"host": host}), {Part.API})
    database = open_database(settings.decision_log_url)
    Tenants(database).create("acme", Terms(scopes=[Scope.MODERATE]))
    database.dispose()
    assert plan(settings, {Part.API})
