"""Settings: `PROPRIETY_*` variables, then secret files, then `propriety.toml` in the working directory, then defaults.

Container engines mount secret files, such as `/run/secrets/propriety_database_url`.
"""

from __future__ import annotations

import datetime as dt
import tomllib
from base64 import urlsafe_b64decode
from enum import StrEnum
from importlib.resources import files
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from propriety.telemetry import LogFormat
from propriety.text_files import read_utf8
from propriety.verdict import Detector


class Storage(StrEnum):
    """How the decision log stores prompts, rewritten prompts and offending words."""

    CLEAR = "clear"
    HASHED = "hashed"
    ENCRYPTED = "encrypted"


def is_loopback(address: str) -> bool:
    """Whether this is an IP address of the loopback interface; False for a name."""
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False


EMBEDDED_LLM = "qwen2.5-coder-1.5b-propriety-w8a8"
DEMO_GENERATOR = "demo"
SECRETS_DIR = Path("/run/secrets")


class Backend(StrEnum):
    """`propriety`: the drawing worker. The others draw the safe prompt alone, over their own HTTP interfaces."""

    PROPRIETY = "propriety"
    A1111 = "a1111"
    COMFYUI = "comfyui"
    OPENAI = "openai"


def _decoded_length(key: bytes) -> int:
    try:
        return len(urlsafe_b64decode(key))
    except ValueError:
        return 0


class _TomlFile(TomlConfigSettingsSource):
    """The file as any editor saves it: TOML itself allows neither a byte order mark nor a lone CR."""

    def _read_file(self, file_path: Path) -> dict[str, Any]:  # type: ignore[override]  # it is `toml_file`, a path
        return tomllib.loads(read_utf8(file_path))


class Settings(BaseSettings):
    """How Propriety runs. An unknown key in `propriety.toml` is refused, so that no typo goes unnoticed."""

    model_config = SettingsConfigDict(
        env_prefix="PROPRIETY_",
        secrets_dir=SECRETS_DIR if SECRETS_DIR.is_dir() else None,  # pydantic warns if the folder does not exist
        toml_file="propriety.toml",
        extra="forbid",
        frozen=True,
        validate_default=True,
    )

    host: str = Field(default="127.0.0.1", description="Address on which the agent's API listens.")
    port: int = Field(default=8000, ge=1, le=65535, description="Port of the agent's API.")
    url: str | None = Field(
        default=None,
        description="Base URL of a running service that commands use, such as https://guard.example.org; "
        "null is this machine's, at `host` and `port`.",
    )
    api_key: SecretStr | None = Field(
        default=None, description="Key that commands send to a service; null is the one that this machine's keeps."
    )
    keyless: bool = Field(
        default=False,
        description="Serve callers on this machine without a key: verdicts and pictures, no operator's routes.",
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
        description="The embedded model, a name that `llm_url` serves, or a hub id or folder that vLLM loads.",
    )
    llm_api_key: SecretStr | None = Field(default=None, description="Bearer token for `llm_url`, if it needs one.")
    llm_timeout_s: float = Field(
        default=60,
        gt=0,
        description="Seconds to wait for one answer of the LLM; files and batches wait ten times as long.",
    )
    llm_max_model_tokens: int = Field(default=4096, ge=512, description="Longest context of the started LLM server.")
    llm_max_num_seqs: int = Field(default=16, ge=1, description="Largest batch of the started LLM server.")
    llm_kv_cache_gib: int = Field(default=1, ge=1, description="Memory for the key-value cache on a CPU, GiB.")

    generator_backend: Backend = Field(
        default=Backend.PROPRIETY,
        description="What draws: Propriety's worker, or a server at `generator_url` that takes the safe prompt alone.",
    )
    generator_url: str | None = Field(
        default=None,
        description="Base URL of a running generator, such as http://gpu:7860; for `openai` with `/v1`; "
        "null starts Propriety's worker at `generator_port`.",
    )
    generator_api_key: SecretStr | None = Field(
        default=None, description="Bearer token for `generator_url`, if it needs one."
    )
    generator_port: int = Field(default=8002, ge=1, le=65535, description="Port of the generator that is started.")
    generator_model: str = Field(
        default=DEMO_GENERATOR,
        min_length=1,
        description="`demo`, or a diffusers id or folder; for another backend, its name for the model.",
    )
    generator_timeout_s: float = Field(default=300, gt=0, description="Seconds to wait for one request's pictures.")

    signing_cert: Path | None = Field(
        default=None,
        description="PEM certificate chain that signs content credentials (C2PA), the signer's own first; "
        "null signs with a self-made test certificate.",
    )
    signing_key: Path | None = Field(default=None, description="PEM key of that chain's first certificate.")

    encoder: str = Field(
        default="multilingual-e5-small",
        min_length=1,
        description="`multilingual-e5-small`, or a sentence-transformers id.",
    )
    detector: Detector | None = Field(
        default=None, description="Overrides every policy's detector; null: the policy's own."
    )
    default_locale: str = Field(default="en-US", min_length=2, description="BCP-47 locale of requests that name none.")
    rewrite_attempts: int = Field(
        default=3,
        ge=1,
        le=10,
        description="Rewrites tried in each of two rounds before a safe concept.",
    )
    fail_open: bool = Field(
        default=False, description="Let prompts pass if every detector has failed; each such pass is logged."
    )
    max_prompt_chars: int = Field(default=8000, ge=1, description="Longest prompt, in characters.")

    session_ttl_s: float = Field(default=3600, gt=0, description="Seconds for which a turn of a conversation is kept.")
    session_turns: int = Field(default=40, ge=2, description="Last turns of a conversation that are kept.")
    session_most: int = Field(default=20_000, ge=2, description="Last turns of a tenant that are kept.")
    cache_size: int = Field(default=10_000, ge=0, description="Verdicts kept in memory for repeated prompts; 0: none.")
    cache_ttl_s: float = Field(default=3600, gt=0, description="Seconds after which a prompt is judged again.")
    redis_url: SecretStr | None = Field(
        default=None,
        description="Redis for verdicts and rate limits instead of memory (extra `redis`).",
    )

    batch_concurrency: int = Field(
        default=1, ge=1, description="Prompts of batches that a process judges at once, while no live one is judged."
    )
    batch_prompts: int = Field(default=50_000, ge=1, description="Most prompts in a batch's input file.")
    batch_waiting_lines: int = Field(default=200_000, ge=1, description="Most lines waiting in a tenant's batches.")
    file_mib: int = Field(default=100, ge=1, description="Largest upload, MiB.")
    files_mib: int = Field(default=2000, ge=1, description="Space for a tenant's files, MiB; more is refused.")

    policies_dir: Path = Field(default=Path(str(files("policies"))), description="Folder of the policy files.")
    policies_watch_s: float = Field(default=2, gt=0, description="Seconds between two checks for changed policy files.")
    models_dir: Path = Field(default=Path("models"), description="Folder of the embedded LLM's weights.")
    data_dir: Path = Field(default=Path("data"), description="Folder of the decision log, the indexes and the logs.")
    output_dir: Path = Field(default=Path("out"), description="Folder in which pictures are saved.")
    database_url: str | None = Field(
        default=None, description="SQLAlchemy URL of the database; null: SQLite in `data_dir`."
    )
    prompt_storage: Storage = Field(
        default=Storage.CLEAR,
        description="How prompts are stored; `hashed` and `encrypted` need `prompt_key`.",
    )
    prompt_key: SecretStr | None = Field(
        default=None, description="Key of stored prompts, 32 random bytes in URL-safe base64; to rotate it, `NEW,OLD`."
    )
    retention_days: float | None = Field(
        default=None, gt=0, description="Age in days at which decisions and files are deleted; null: never."
    )
    log_format: LogFormat = Field(default=LogFormat.JSON, description="Format of the log on standard error.")
    log_prompts: bool = Field(
        default=False, description="Write prompts, and exceptions that may quote them, to the log."
    )
    otlp_endpoint: str | None = Field(
        default=None, description="OTLP collector for traces, such as http://collector:4318 (extra `tracing`)."
    )
    startup_timeout_s: float = Field(default=900, gt=0, description="Seconds to wait for a part to become healthy.")

    @model_validator(mode="after")
    def _a_foreign_generator_has_an_address(self) -> Self:
        if self.generator_backend is not Backend.PROPRIETY and self.generator_url is None:
            raise ValueError(f"generator_url is missing: generator_backend {self.generator_backend} needs its address")
        return self

    @model_validator(mode="after")
    def _a_signer_has_both(self) -> Self:
        if (self.signing_cert is None) != (self.signing_key is None):
            raise ValueError("signing_cert and signing_key must be set together")
        return self

    @model_validator(mode="after")
    def _what_is_not_clear_has_a_key(self) -> Self:
        if self.prompt_storage is not Storage.CLEAR and self.prompt_key is None:
            raise ValueError(f"prompt_key is missing: prompt_storage {self.prompt_storage} needs one")
        if any(_decoded_length(key) != 32 for key in self.prompt_keys):
            raise ValueError("prompt_key must be 32 bytes in URL-safe base64; `propriety audit key` makes one")
        return self

    @property
    def prompt_keys(self) -> list[bytes]:
        """The keys of stored prompts: the first encrypts and hashes, each decrypts."""
        if self.prompt_key is None:
            return []
        return [key.strip().encode() for key in self.prompt_key.get_secret_value().split(",")]

    @property
    def local_url(self) -> str:
        """URL of the API for callers on this machine, also when it listens on every address."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    @property
    def admin_key_path(self) -> Path:
        """Where the first start keeps the admin key, for the commands on this machine."""
        return self.data_dir / "admin-key"

    @property
    def key_to_send(self) -> str | None:
        """`api_key`, or for this machine's own service the admin key; None if there is neither."""
        if self.api_key:
            return self.api_key.get_secret_value()
        if self.url or not self.admin_key_path.is_file():
            return None
        return self.admin_key_path.read_text(encoding="ascii").strip()

    @property
    def oldest_kept(self) -> dt.datetime | None:
        """Older decisions are deleted, by `retention_days`; None if none are."""
        return None if self.retention_days is None else dt.datetime.now(dt.UTC) - dt.timedelta(days=self.retention_days)

    @property
    def decision_log_url(self) -> str:
        """`database_url`, or SQLite's in `data_dir`."""
        return self.database_url or f"sqlite:///{self.data_dir / 'propriety.db'}"

    @property
    def llm_base_url(self) -> str:
        """Base URL of the LLM, with `/v1`: `llm_url`, or the server started here."""
        return (self.llm_url or f"http://127.0.0.1:{self.llm_port}/v1").rstrip("/")

    @property
    def generator_base_url(self) -> str:
        """Base URL of the generator: `generator_url`, or the one started here."""
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
        return init_settings, env_settings, file_secret_settings, _TomlFile(settings_cls)
