from pathlib import Path

import pytest
from pydantic import ValidationError

from agent.settings import Settings


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_variables_override_the_file_and_the_file_overrides_the_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("propriety.toml").write_text("port = 9000\nllm_port = 9001\n")
    monkeypatch.setenv("PROPRIETY_PORT", "9100")
    settings = Settings()
    assert (settings.port, settings.llm_port, settings.generator_port) == (9100, 9001, 8002)


def test_a_secret_file_overrides_the_settings_file_and_a_variable_overrides_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("propriety.toml").write_text('database_url = "sqlite:///toml"\n')
    (tmp_path / "propriety_database_url").write_text("sqlite:///secret\n")
    assert Settings(_secrets_dir=tmp_path).database_url == "sqlite:///secret"
    monkeypatch.setenv("PROPRIETY_DATABASE_URL", "sqlite:///variable")
    assert Settings(_secrets_dir=tmp_path).database_url == "sqlite:///variable"


@pytest.mark.parametrize("text", ["\ufeffport = 9000\n", "host = 'a'\r\nport = 9000\r\n", "host = 'a'\rport = 9000\r"])
def test_the_file_may_have_a_byte_order_mark_and_any_line_ends(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.delenv("PROPRIETY_PORT", raising=False)
    Path("propriety.toml").write_bytes(text.encode())
    assert Settings().port == 9000


def test_an_unknown_key_in_the_file_is_refused_by_name() -> None:
    Path("propriety.toml").write_text("fail_opne = true\n")
    with pytest.raises(ValidationError, match="fail_opne"):
        Settings()


def test_a_port_out_of_range_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROPRIETY_PORT", "70000")
    with pytest.raises(ValidationError, match="port"):
        Settings()


def test_settings_are_immutable() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Settings().port = 1


def test_the_decision_log_is_in_the_data_folder_unless_configured() -> None:
    assert Settings(data_dir=Path("d")).decision_log_url == "sqlite:///d/propriety.db"
    assert Settings(database_url="sqlite://").decision_log_url == "sqlite://"


def test_fail_open_is_off_by_default() -> None:
    assert Settings().fail_open is False


def test_another_backend_without_its_url_is_refused() -> None:
    with pytest.raises(ValidationError, match="generator_url is missing"):
        Settings(generator_backend="a1111")


def test_a_signing_key_without_its_certificate_is_refused() -> None:
    with pytest.raises(ValidationError, match="must be set together"):
        Settings(signing_key="key.pem")


@pytest.mark.parametrize("key", [None, "", "short", "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5"])
def test_hashed_and_encrypted_storage_need_a_valid_key(key: str | None) -> None:
    for storage in ("hashed", "encrypted"):
        with pytest.raises(ValidationError, match="prompt_key"):
            Settings(prompt_storage=storage, prompt_key=key)
