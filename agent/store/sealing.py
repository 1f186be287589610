"""How prompts are stored: in clear, hashed, or encrypted."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from agent.settings import Settings, Storage
from propriety.verdict import Verdict

HASHED = "hmac-sha256:"
SEALED = "sealed"
LOCKED = "\x1ffernet:"  # no prompt has control characters


class SealError(ValueError):
    """Stored text was encrypted with a key that the settings do not have."""


class Seal:
    """Closes verdicts for the log and opens them again, also those written under another setting.

    Hashes are keyed, since a plain hash of a short prompt can be found by trying.
    """

    def __init__(self, settings: Settings) -> None:
        keys = settings.prompt_keys
        self._storage, self._key = settings.prompt_storage, keys[0] if keys else b""
        self._fernet = MultiFernet([Fernet(key) for key in keys]) if keys else None

    def close(self, verdict: Verdict) -> tuple[str, dict[str, Any]]:
        """The values of the log's columns `prompt` and `verdict`."""
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
        """The verdict in the log's column; in a hashed one, prompts are hashes.

        Raises:
            SealError: it was encrypted with another key.
        """
        if (sealed := stored.get(SEALED)) is None:
            return Verdict.model_validate(stored)
        return Verdict.model_validate_json(self._decrypted(sealed))

    def lock(self, text: str) -> str:
        """The stored form of a text that must be read again: encrypted unless prompts are stored in clear."""
        if self._storage is Storage.CLEAR or self._fernet is None:
            return text
        return LOCKED + self._fernet.encrypt(text.encode("utf-8", "surrogatepass")).decode()

    def unlock(self, text: str) -> str:
        """The text that `lock` was given.

        Raises:
            SealError: it was encrypted with another key.
        """
        if not text.startswith(LOCKED):
            return text
        return self._decrypted(text.removeprefix(LOCKED)).decode("utf-8", "surrogatepass")

    def _decrypted(self, token: str) -> bytes:
        try:
            if self._fernet is None:
                raise InvalidToken
            return self._fernet.decrypt(token)
        except InvalidToken:
            raise SealError(
                "stored prompts are encrypted with another key; add that key to PROPRIETY_PROMPT_KEY, after a comma"
            ) from None

    def _hash(self, text: str) -> str:
        return HASHED + hmac.new(self._key, text.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()
