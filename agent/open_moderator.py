"""The moderator that the settings describe."""

from __future__ import annotations

from agent.judge.client import ChatModel
from agent.judge.exemplars import Exemplars
from agent.moderator import Moderator
from agent.policies_in_force import PoliciesInForce
from agent.policy.model import Policy
from agent.retrieval.encoder import load_encoder
from agent.settings import Settings
from agent.store.store import Store


def open_moderator(settings: Settings, policies: dict[str, Policy] | None = None) -> Moderator:
    """A moderator with its parts; close its `store` at the end. `policies` are used instead of the folder's, to try
    them.

    Raises:
        PolicyError: a policy file is wrong.
        SQLAlchemyError, OSError: the database cannot be used.
        SealError: stored prompts are encrypted with another key.
    """
    encoder = load_encoder(settings.encoder)
    in_force = PoliciesInForce(settings, encoder, policies)
    store = Store(settings)
    exemplars = Exemplars(encoder, store.reviews)
    try:
        exemplars.refresh()
    except BaseException:
        store.close()
        raise
    return Moderator(settings, in_force, store, exemplars, encoder, ChatModel(settings))
