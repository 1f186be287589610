"""A decision is committed before it is counted or logged."""

import asyncio
import logging

import pytest
from prometheus_client import REGISTRY
from sqlalchemy.exc import OperationalError

from agent.record import Recorder
from agent.settings import Settings
from agent.store.store import Store


def counted() -> float:
    labels = {"tenant": "acme", "locale": "ar-SA", "rule": "", "action": "allow", "status": "ok"}
    return REGISTRY.get_sample_value("propriety_decisions_total", labels) or 0.0


def test_a_recorded_decision_is_committed_counted_and_logged_without_its_prompt(tmp_path, verdict, caplog):
    before = counted()
    with Store(Settings(data_dir=tmp_path, database_url=None)) as store, caplog.at_level(logging.INFO, "propriety"):
        asyncio.run(Recorder(store.decisions, log_prompts=False).record(verdict("v-1"), "acme"))
        assert store.decisions.read("v-1", "acme") == verdict("v-1")
        assert store.decisions.read("v-1", "apex") is None
    assert counted() == before + 1
    (line,) = [record for record in caplog.records if record.message == "decided"]
    assert line.verdict_id == "v-1"
    assert not hasattr(line, "prompt")


def test_a_decision_that_cannot_be_committed_is_neither_counted_nor_logged(tmp_path, verdict, caplog):
    before = counted()
    with Store(Settings(data_dir=tmp_path, database_url=None)) as store, caplog.at_level(logging.INFO, "propriety"):
        with store.database.begin() as connection:
            connection.exec_driver_sql("DROP TABLE decisions")
        with pytest.raises(OperationalError):
            asyncio.run(Recorder(store.decisions, log_prompts=False).record(verdict("v-2"), "acme"))
    assert counted() == before
    assert not [record for record in caplog.records if record.message == "decided"]
