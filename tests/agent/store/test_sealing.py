"""Keys of stored prompts are rotated: the first encrypts, the others still decrypt."""

import pytest
from cryptography.fernet import Fernet
from pydantic import ValidationError

from agent.settings import Settings, Storage
from agent.store.sealing import Seal, SealError

OLD, NEW, OTHER = (Fernet.generate_key().decode() for _ in range(3))


def seal(*keys: str, storage: Storage = Storage.ENCRYPTED) -> Seal:
    return Seal(Settings(prompt_storage=storage, prompt_key=",".join(keys)))


def test_what_an_old_key_encrypted_is_read_and_new_text_needs_the_new_key(blocked):
    before = seal(OLD)
    _, stored = before.close(blocked)
    locked = before.lock("a castle")
    rotated = seal(NEW, OLD)
    assert rotated.open(stored) == blocked
    assert rotated.unlock(locked) == "a castle"
    fresh = rotated.lock("a hill")
    assert seal(NEW).unlock(fresh) == "a hill"
    for lost, text in ((seal(NEW), locked), (before, fresh), (seal(OTHER, NEW), locked)):
        with pytest.raises(SealError, match="after a comma"):
            lost.unlock(text)


def test_hashes_follow_the_first_key(blocked):
    hashed = {seal(*keys, storage=Storage.HASHED).close(blocked)[0] for keys in ((NEW,), (NEW, OLD), (OLD, NEW))}
    assert len(hashed) == 2


@pytest.mark.parametrize(
    "keys", ["short", f"{NEW},", f"{NEW},short", ","], ids=["short", "half", "half short", "comma"]
)
def test_an_invalid_key_is_refused(keys):
    with pytest.raises(ValidationError, match="prompt_key must be 32 bytes"):
        Settings(prompt_storage=Storage.ENCRYPTED, prompt_key=keys)
