"""What `propriety serve` would start; nothing is started here."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from agent.settings import Settings
from agent.stack import Part, serve
from agent.stack.serve import make_first_key, plan
from agent.store.database import open_database
from agent.store.tenants import ADMIN, Tenants


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


def test_the_first_start_makes_an_admin_key_which_the_commands_send_to_this_machine_alone(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data")
    assert settings.key_to_send is None
    key = make_first_key(settings)
    assert key is not None
    assert settings.admin_key_path.stat().st_mode & 0o077 == 0
    database = open_database(settings.decision_log_url)
    assert Tenants(database).of(key) == ADMIN
    Tenants(database).revoke(ADMIN.name)
    database.dispose()
    assert make_first_key(settings) is None
    assert settings.key_to_send == key
    assert settings.model_copy(update={"url": "https://guard.example"}).key_to_send is None
    assert settings.model_copy(update={"api_key": SecretStr("given")}).key_to_send == "given"


def test_no_admin_key_is_made_where_there_is_a_key_or_another_process_was_faster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(data_dir=tmp_path)
    database = open_database(settings.decision_log_url)
    Tenants(database).create(*ADMIN)
    database.dispose()
    assert make_first_key(settings) is None
    monkeypatch.setattr(Tenants, "configured", lambda _: False)
    assert make_first_key(settings) is None
    assert not settings.admin_key_path.exists()
