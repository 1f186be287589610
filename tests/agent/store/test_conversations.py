import pytest
from sqlalchemy import Engine, text

from agent.settings import Settings
from agent.store.conversations import Conversations
from agent.store.sealing import SealError
from propriety.verdict import ChatMessage

KEY = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="


def user_turns(*contents: str) -> list[ChatMessage]:
    return [ChatMessage(role="user", content=content) for content in contents]


def contents(conversations: Conversations, tenant: str = "acme", conversation: str = "c") -> list[str]:
    return [turn.content for turn in conversations.turns(tenant, conversation)]


def test_turns_are_returned_in_order_with_their_roles(database: Engine) -> None:
    conversations = Conversations(database, Settings())
    turns = [*user_turns("قلعة"), ChatMessage(role="assistant", content="a castle")]
    conversations.add("acme", "c", turns)
    conversations.add("acme", "c", user_turns("at night"))
    assert conversations.turns("acme", "c") == [*turns, *user_turns("at night")]


def test_tenants_never_share_a_conversation_of_the_same_name(database: Engine) -> None:
    conversations = Conversations(database, Settings())
    conversations.add("acme", "c", user_turns("a"))
    conversations.add("apex", "c", user_turns("b"))
    assert (contents(conversations), contents(conversations, "apex"), contents(conversations, "")) == (["a"], ["b"], [])
    assert conversations.forget("apex", "c") == 1
    assert (contents(conversations), contents(conversations, "apex")) == (["a"], [])


def test_only_the_last_turns_of_a_conversation_and_of_a_tenant_are_kept(database: Engine) -> None:
    conversations = Conversations(database, Settings(session_turns=3, session_most=5))
    conversations.add("acme", "c", user_turns(*"abcde"))
    assert contents(conversations) == ["c", "d", "e"]
    conversations.add("apex", "c", user_turns("z"))
    conversations.add("acme", "d", user_turns("f", "g", "h"))
    assert contents(conversations) == ["d", "e"]
    assert contents(conversations, "apex") == ["z"]
    with database.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM turns")) == 6


def test_expired_turns_are_deleted(database: Engine) -> None:
    Conversations(database, Settings()).add("acme", "c", user_turns("a"))
    short = Conversations(database, Settings(session_ttl_s=1e-6))
    assert contents(short) == []
    assert contents(Conversations(database, Settings())) == ["a"]
    short.add("apex", "d", [])
    assert contents(Conversations(database, Settings())) == []


def test_a_purge_deletes_turns_that_are_too_old_although_nobody_adds_any(database: Engine) -> None:
    Conversations(database, Settings()).add("acme", "c", user_turns("a", "b"))
    assert Conversations(database, Settings()).purge() == 0
    assert Conversations(database, Settings(session_ttl_s=1e-6)).purge() == 2
    with database.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM turns")) == 0


@pytest.mark.parametrize("storage", ["hashed", "encrypted"])
def test_turns_are_encrypted_unless_prompts_are_stored_in_clear(database: Engine, storage: str) -> None:
    conversations = Conversations(database, Settings(prompt_storage=storage, prompt_key=KEY))
    conversations.add("acme", "c", user_turns("a castle"))
    assert contents(conversations) == ["a castle"]
    with database.connect() as connection:
        assert "castle" not in str(connection.execute(text("SELECT * FROM turns")).all())
    with pytest.raises(SealError):
        contents(Conversations(database, Settings()))
