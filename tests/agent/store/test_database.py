"""Migrations of empty databases and of one older than Alembic, on SQLite and on a real PostgreSQL."""

import datetime as dt
import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Column, DateTime, MetaData, String, Table, create_engine, inspect, text
from sqlalchemy.exc import SQLAlchemyError

import agent.store.conversations
import agent.store.tenants  # noqa: F401
from agent.settings import Settings
from agent.store.database import MIGRATIONS, Base, newest_revision, open_database
from agent.store.decisions import DecisionRow
from agent.store.store import Store

LATER = ("tenant",)  # columns that migrations added to the decision log


def test_the_migrations_make_the_tables_that_the_code_declares(empty_url: str) -> None:
    engine = open_database(empty_url)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
    engine.dispose()


def test_the_newest_revision_is_alembic_s_head() -> None:
    assert newest_revision() == ScriptDirectory(str(MIGRATIONS)).get_current_head()


def test_a_database_from_before_alembic_is_upgraded_and_keeps_its_rows(empty_url: str, verdict) -> None:
    engine = open_database(empty_url)
    engine.dispose()
    engine = create_engine(empty_url)  # recreated as `create_all` made it before there were migrations
    old, kept = MetaData(), verdict("verdict-1")
    with engine.begin() as connection:
        for name in inspect(connection).get_table_names():
            connection.execute(text(f"DROP TABLE {name}" + (" CASCADE" if "postgres" in empty_url else "")))
        columns = [c for c in DecisionRow.__table__.columns if c.name not in LATER]
        table = Table("decisions", old, *(Column(c.name, c.type, primary_key=c.primary_key, index=c.index,
                                                 nullable=c.nullable) for c in columns))  # fmt: skip
        old.create_all(connection)
        row = {"id": kept.id, "created_at": dt.datetime.now(dt.UTC), "locale": "ar-SA", "policy_version": "1",
               "policy_hash": "0", "model": "m", "status": "ok", "action": "allow", "prompt": kept.prompt,
               "verdict": json.loads(kept.model_dump_json())}  # fmt: skip
        connection.execute(table.insert().values(**row))
    engine.dispose()
    log = Store(Settings(database_url=empty_url)).decisions
    assert log.read("verdict-1") == kept
    log.database.dispose()
    again = open_database(empty_url)
    with again.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
    again.dispose()


def test_several_processes_can_open_an_empty_database_at_once(empty_url: str) -> None:
    with ThreadPoolExecutor(4) as threads:
        for engine in list(threads.map(lambda _: open_database(empty_url), range(4))):
            assert "decisions" in inspect(engine).get_table_names()
            engine.dispose()


def test_a_migration_that_fails_leaves_nothing_behind(empty_url: str) -> None:
    engine = create_engine(empty_url.replace("new/", ""))
    clash = MetaData()
    Table("keys", clash, Column("made_by", String(9), primary_key=True), Column("when", DateTime))
    clash.create_all(engine)
    with pytest.raises(SQLAlchemyError, match="keys"):
        open_database(empty_url.replace("new/", ""))
    assert inspect(engine).get_table_names() == ["keys"]
    engine.dispose()


def test_a_database_of_a_later_version_is_refused(empty_url: str) -> None:
    engine = open_database(empty_url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(SQLAlchemyError, match="later version of Propriety"):
        open_database(empty_url)
    engine.dispose()
