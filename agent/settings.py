"""The one settings class: `PROPRIETY_*` variables over secret files over `propriety.toml` in the working directory over
the defaults. A secret file is `/run/secrets/propriety_database_url` and the like, where container engines put them."""

from __future__ import annotations

import datetime as dt
from base64 import urlsafe_b64decode
from enum import StrEnum
from importlib.resources import files
from ipaddress import ip_address
from pathlib import Path
from typing import Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from propriety.telemetry import LogFormat
from propriety.verdict import Detector


class Storage(StrEnum):
    """How the decision log keeps prompts, rewritten ones and offending words too."""

    CLEAR = "clear"
    HASHED = "hashed"
    ENCRYPTED = "encrypted"


def is_loopback(address: str) -> bool:
    """Whether an IP address is this machine's own; a name is not."""
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False


EMBEDDED_LLM = "qwen2.5-coder-1.5b-propriety-w8a8"
DEMO_GENERATOR = "demo"
SECRETS_DIR = Path("/run/secrets")


class Backend(StrEnum):
    """`propriety`: the drawing worker; the others draw the safe prompt alone, by their own HTTP interfaces."""

    PROPRIETY = "propriety"
    A1111 = "a1111"
    COMFYUI = "comfyui"
    OPENAI = "openai"


class Settings(BaseSettings):
    """How Propriety runs. An unknown key in `propriety.toml` is refused, so that a typo never goes unnoticed."""

    model_config = SettingsConfigDict(
        env_prefix="PROPRIETY_",
        secrets_dir=SECRETS_DIR if SECRETS_DIR.is_dir() else None,  # pydantic warns of a folder that is not there
        toml_file="propriety.toml",
        extra="forbid",
        frozen=True,
        validate_default=True,
    )

    host: str = Field(default="127.0.0.1", description="Address on which the agent's API listens.")
    port: int = Field(default=8000, ge=1, le=65535, description="Port of the agent's API.")
    api_key: SecretStr | None = Field(
        default=None, description="Key that `propriety serve --demo` sends, where keys are configured."
    )

    llm_url: str | None = Field(
        default=None,
        description="Base URL of a running OpenAI-compatible server, such as http://gpu:8001/v1; "
        "null starts one at `llm_port`.",
    )
    llm_port: int = Field(default=8001, ge=1, le=65535, description="Port of the LLM server that is started.")
    llm_model: str = Field(
        default=EMBEDDED_LLM,
        min_length=1,
        description="The embedded model; or the name that `llm_url` serves; or any hub id or folder that vLLM loads.",
    )
    llm_api_key: SecretStr | None = Field(default=None, description="Bearer token for `llm_url`, if it asks for one.")
    llm_timeout_s: float = Field(default=60, gt=0, description="Seconds to wait for one answer of the LLM.")
    llm_max_model_tokens: int = Field(default=4096, ge=512, description="Longest context of the server started.")
    llm_max_num_seqs: int = Field(default=16, ge=1, description="Requests that the server started batches at most.")
    llm_kv_cache_gib: int = Field(default=1, ge=1, description="Memory for the key-value cache on a CPU, GiB.")

    generator_backend: Backend = Field(
        default=Backend.PROPRIETY,
        description="What draws: Propriety's worker, or at `generator_url` one that takes the safe prompt alone.",
    )
    generator_url: str | None = Field(
        default=None,
        description="Base URL of a running generator, such as http://gpu:7860, for `openai` with its `/v1`; "
        "null starts Propriety's own at `generator_port`.",
    )
    generator_api_key: SecretStr | None = Field(
        default=None, description="Bearer token for `generator_url`, if it asks for one."
    )
    generator_port: int = Field(default=8002, ge=1, le=65535, description="Port of the generator that is started.")
    generator_model: str = Field(
        default=DEMO_GENERATOR,
        min_length=1,
        description="`demo`, or any diffusers id or folder; for another backend the name that it knows its model by.",
    )
    generator_timeout_s: float = Field(default=300, gt=0, description="Seconds to wait for one request's pictures.")

    signing_cert: Path | None = Field(
        default=None,
        description="PEM chain that signs the pictures' content credentials (C2PA), the signer's own first; "
        "null signs with a self-made test certificate.",
    )
    signing_key: Path | None = Field(default=None, description="PEM key of that chain's first certificate.")

    encoder: str = Field(
        default="multilingual-e5-small",
        min_length=1,
        description="`multilingual-e5-small`, or a sentence-transformers id.",
    )
    detector: Detector | None = Field(
        default=None, description="Overrides every policy's detector; null: the policy's."
    )
    default_locale: str = Field(default="en-US", min_length=2, description="BCP-47 locale where a caller names none.")
    rewrite_attempts: int = Field(
        default=3, ge=1, le=10, description="Rewrites tried, twice over, before a safe concept stands in alone."
    )
    fail_open: bool = Field(
        default=False, description="Let prompts pass when every detector has failed; each such pass is logged."
    )
    max_prompt_chars: int = Field(default=8000, ge=1, description="Longest prompt that is judged, in characters.")

    session_ttl_s: float = Field(default=3600, gt=0, description="Seconds for which a turn of a conversation is kept.")
    session_turns: int = Field(default=40, ge=2, description="Turns kept of a conversation, the last ones.")
    session_most: int = Field(default=20_000, ge=2, description="Turns kept of a tenant, the last ones.")
    cache_size: int = Field(
        default=10_000, ge=0, description="Verdicts kept in memory, to answer the same with; 0: none."
    )
    cache_ttl_s: float = Field(default=3600, gt=0, description="Seconds after which a prompt is judged anew.")
    redis_url: SecretStr | None = Field(
        default=None, description="Redis that keeps verdicts in place of this process's memory (extra `redis`)."
    )

    batch_concurrency: int = Field(
        default=1, ge=1, description="Prompts of batches that a process judges at once, while it judges no live one."
    )
    batch_prompts: int = Field(default=50_000, ge=1, description="Prompts in a batch's input file at most.")
    batch_waiting_lines: int = Field(default=200_000, ge=1, description="Lines of a tenant's batches that may wait.")
    file_mib: int = Field(default=100, ge=1, description="Largest file that may be sent in, MiB.")
    files_mib: int = Field(default=2000, ge=1, description="Room for a tenant's files, MiB; beyond it none is taken.")

    policies_dir: Path = Field(default=Path(str(files("policies"))), description="Folder of the policy files.")
    policies_watch_s: float = Field(
        default=2, gt=0, description="Seconds between two looks whether a policy file has changed."
    )
    models_dir: Path = Field(default=Path("models"), description="Folder of the embedded LLM's weights.")
    data_dir: Path = Field(default=Path("data"), description="Folder of the decision log, the indexes and the logs.")
    output_dir: Path = Field(default=Path("out"), description="Folder in which pictures are saved.")
    database_url: str | None = Field(
        default=None, description="SQLAlchemy URL of the decision log; null is SQLite in `data_dir`."
    )
    prompt_storage: Storage = Field(
        default=Storage.CLEAR, description="How the decision log keeps prompts; the last two need `prompt_key`."
    )
    prompt_key: SecretStr | None = Field(
        default=None, description="Key of the stored prompts: 32 random bytes in URL-safe base64."
    )
    retention_days: float | None = Field(
        default=None, gt=0, description="Age at which decisions are deleted, when the API starts; null: never."
    )
    log_format: LogFormat = Field(default=LogFormat.JSON, description="Of the API's log, on standard error.")
    log_prompts: bool = Field(
        default=False, description="Write prompts, and what exceptions quote of them, into the API's log."
    )
    otlp_endpoint: str | None = Field(
        default=None, description="OTLP collector for traces, such as http://collector:4318 (extra `tracing`)."
    )
    startup_timeout_s: float = Field(default=900, gt=0, description="Seconds to wait for a part to become healthy.")

    @model_validator(mode="after")
    def _a_foreign_generator_has_an_address(self) -> Self:
        if self.generator_backend is not Backend.PROPRIETY and self.generator_url is None:
            raise ValueError(f"generator_url is missing: say where generator_backend {self.generator_backend} answers")
        return self

    @model_validator(mode="after")
    def _a_signer_has_both(self) -> Self:
        if (self.signing_cert is None) != (self.signing_key is None):
            raise ValueError("signing_cert and signing_key are set together or not at all")
        return self

    @model_validator(mode="after")
    def _what_is_not_clear_has_a_key(self) -> Self:
        if self.prompt_storage is not Storage.CLEAR and self.prompt_key is None:
            raise ValueError(f"prompt_key is missing: prompt_storage {self.prompt_storage} needs one")
        try:
            key = urlsafe_b64decode(self.prompt_key.get_secret_value()) if self.prompt_key is not None else bytes(32)
        except ValueError:
            key = b""
        if len(key) != 32:
            raise ValueError("prompt_key is to be 32 bytes in URL-safe base64, as `propriety audit key` makes them")
        return self

    @property
    def loopback(self) -> bool:
        """Whether the API can be reached from this machine alone."""
        return self.host == "localhost" or is_loopback(self.host)

    @property
    def local_url(self) -> str:
        """URL of the API for callers on this machine, also when it listens on every address."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    @property
    def oldest_kept(self) -> dt.datetime | None:
        """What is older than that is deleted, by `retention_days`; None where nothing is."""
        return None if self.retention_days is None else dt.datetime.now(dt.UTC) - dt.timedelta(days=self.retention_days)

    @property
    def decision_log_url(self) -> str:
        """`database_url`, or SQLite's in `data_dir`."""
        return self.database_url or f"sqlite:///{self.data_dir / 'propriety.db'}"

    @property
    def llm_base_url(self) -> str:
        """Where the LLM answers, with `/v1`: the server named, else the one started here."""
        return (self.llm_url or f"http://127.0.0.1:{self.llm_port}/v1").rstrip("/")

    @property
    def generator_base_url(self) -> str:
        """Where the generator answers: the one named, else the one started here."""
        return (self.generator_url or f"http://127.0.0.1:{self.generator_port}").rstrip("/")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, file_secret_settings, TomlConfigSettingsSource(settings_cls)
