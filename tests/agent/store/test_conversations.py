import pytest
from sqlalchemy import Engine, text

from agent.settings import Settings
from agent.store.conversations import Conversations
from agent.store.sealing import SealError
from propriety.verdict import ChatMessage

KEY = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="


def said(*contents: str) -> list[ChatMessage]:
    return [ChatMessage(role="user", content=content) for content in contents]


def contents(sessions: Conversations, tenant: str = "acme", conversation: str = "c") -> list[str]:
    return [turn.content for turn in sessions.turns(tenant, conversation)]


def test_turns_are_returned_in_order_with_their_roles(database: Engine) -> None:
    sessions, turns = (
        Conversations(database, Settings()),
        [*said("قلعة"), ChatMessage(role="assistant", content="a castle")],
    )
    sessions.add("acme", "c", turns)
    sessions.add("acme", "c", said("at night"))
    assert sessions.turns("acme", "c") == [*turns, *said("at night")]


def test_tenants_never_share_a_conversation_of_the_same_name(database: Engine) -> None:
    sessions = Conversations(database, Settings())
    sessions.add("acme", "c", said("a"))
    sessions.add("apex", "c", said("b"))
    assert (contents(sessions), contents(sessions, "apex"), contents(sessions, "")) == (["a"], ["b"], [])
    assert sessions.forget("apex", "c") == 1
    assert (contents(sessions), contents(sessions, "apex")) == (["a"], [])


def test_only_the_last_turns_of_a_conversation_and_of_a_tenant_are_kept(database: Engine) -> None:
    sessions = Conversations(database, Settings(session_turns=3, session_most=5))
    sessions.add("acme", "c", said(*"abcde"))
    assert contents(sessions) == ["c", "d", "e"]
    sessions.add("apex", "c", said("z"))
    sessions.add("acme", "d", said("f", "g", "h"))
    assert contents(sessions) == ["d", "e"]
    assert contents(sessions, "apex") == ["z"]
    with database.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM turns")) == 6


def test_expired_turns_are_deleted(database: Engine) -> None:
    Conversations(database, Settings()).add("acme", "c", said("a"))
    short = Conversations(database, Settings(session_ttl_s=1e-6))
    assert contents(short) == []
    assert contents(Conversations(database, Settings())) == ["a"]
    short.add("apex", "d", [])
    assert contents(Conversations(database, Settings())) == []


@pytest.mark.parametrize("storage", ["hashed", "encrypted"])
def test_turns_are_encrypted_unless_prompts_are_stored_in_clear(database: Engine, storage: str) -> None:
    sessions = Conversations(database, Settings(prompt_storage=storage, prompt_key=KEY))
    sessions.add("acme", "c", said("a castle"))
    assert contents(sessions) == ["a castle"]
    with database.connect() as connection:
        assert "castle" not in str(connection.execute(text("SELECT * FROM turns")).all())
    with pytest.raises(SealError):
        contents(Conversations(database, Settings()))
