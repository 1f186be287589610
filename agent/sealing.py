"""How prompts lie in the decision log: in clear, hashed, or encrypted."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

from cryptography.fernet import Fernet, InvalidToken

from agent.schema import Verdict
from agent.settings import Settings, Storage

HASHED = "hmac-sha256:"
SEALED = "sealed"


class SealError(ValueError):
    """A verdict was encrypted under another key than the one in the settings."""


class Seal:
    """Closes verdicts for the log and opens them again; what was written under another setting is read too.

    Hashes are keyed, as a plain hash of a short prompt is found by trying.
    """

    def __init__(self, settings: Settings) -> None:
        key = settings.prompt_key.get_secret_value().encode() if settings.prompt_key else b""
        self._storage, self._key, self._fernet = settings.prompt_storage, key, Fernet(key) if key else None

    def close(self, verdict: Verdict) -> tuple[str, dict[str, Any]]:
        """What lies in the log's columns `prompt` and `verdict`."""
        plain = verdict.model_dump(mode="json")
        if self._storage is Storage.ENCRYPTED and self._fernet:
            sealed = self._fernet.encrypt(json.dumps(plain, ensure_ascii=False).encode()).decode()
            return self._hash(verdict.prompt), {SEALED: sealed}
        if self._storage is Storage.HASHED:
            plain["prompt"] = self._hash(verdict.prompt)
            plain["safe_prompt"] = None if verdict.safe_prompt is None else self._hash(verdict.safe_prompt)
            for violation in plain["violations"]:
                for span in violation["spans"]:
                    span["text"] = self._hash(span["text"])
        return plain["prompt"], plain

    def open(self, stored: dict[str, Any]) -> Verdict:
        """The verdict in the log's column; of a hashed one the prompts are their hashes.

        Raises:
            SealError: where it was encrypted under another key.
        """
        if (sealed := stored.get(SEALED)) is None:
            return Verdict.model_validate(stored)
        try:
            if self._fernet is None:
                raise InvalidToken
            return Verdict.model_validate_json(self._fernet.decrypt(sealed))
        except InvalidToken:
            raise SealError(
                "a verdict is encrypted under another key than PROPRIETY_PROMPT_KEY; set that one"
            ) from None

    def _hash(self, text: str) -> str:
        return HASHED + hmac.new(self._key, text.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()
