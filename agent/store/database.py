"""The one database, for the decision log, the tenants and the reviews: brought up to date by Alembic when it is opened.

Alembic, because tables that platforms fill must change without losing a row; it is SQLAlchemy's own tool for that.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.resources import files
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, Engine, ExceptionContext, create_engine, event, inspect, make_url
from sqlalchemy.exc import InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import DeclarativeBase

BEFORE_ALEMBIC = "0001"  # what a database without a revision has, where it has a decision log at all
LOCK = 0x50524F50  # of PostgreSQL's advisory locks, the one under which the tables are changed
AWAY = (OperationalError, InterfaceError, PoolTimeoutError)  # the database is the trouble, not what is asked of it
# By driver: for how long SQLite waits for another writer (s), and libpq for a connection (s) and for a word on it (ms).
PATIENCE = {"pysqlite": {"timeout": 60}, "psycopg": {"connect_timeout": 5, "tcp_user_timeout": 10_000}}


class Base(DeclarativeBase):
    """All tables; whoever adds one adds a migration too."""


def open_database(url: str) -> Engine:
    """An engine on `url` whose tables are this version's; SQLite's folder is made.

    The tables are changed in one transaction and by one process at a time, so that several may open it at once, and
    one that is killed leaves the tables as they were.

    Raises:
        SQLAlchemyError: where the database cannot be reached or changed, or was written by a later version.
    """
    parsed = make_url(url)
    sqlite = parsed.get_backend_name() == "sqlite"
    if sqlite and parsed.database not in (None, "", ":memory:"):
        Path(str(parsed.database)).parent.mkdir(parents=True, exist_ok=True)
    patience = PATIENCE.get(parsed.get_driver_name(), {})
    engine = create_engine(
        parsed,
        pool_pre_ping=not sqlite,
        hide_parameters=True,  # prompts are among them, and errors are logged
        connect_args={name: value for name, value in patience.items() if name not in parsed.query},
    )
    if sqlite:
        event.listen(engine, "handle_error", _open_anew)
    try:
        _upgrade(engine)
        if sqlite:
            _write_ahead(engine)
    except BaseException:
        engine.dispose()
        raise
    return engine


def utc(moment: dt.datetime) -> dt.datetime:
    """A moment as it was written: SQLite forgets the time zone, PostgreSQL answers in its own."""
    return moment.astimezone(dt.UTC) if moment.tzinfo else moment.replace(tzinfo=dt.UTC)


def try_writing(engine: Engine) -> None:
    """Commit something that changes nothing.

    Raises:
        SQLAlchemyError: nothing can be written now.
    """
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = version_num")


def _open_anew(context: ExceptionContext) -> None:
    """A connection to a file that could not be written when it was opened would never write, though the file could."""
    context.is_disconnect = isinstance(context.sqlalchemy_exception, OperationalError)


def _upgrade(engine: Engine) -> None:
    config = Config()
    config.set_main_option("script_location", str(files("agent.store.migrations")).replace("%", "%%"))
    newest = ScriptDirectory.from_config(config).get_current_head()
    with engine.connect() as connection:
        if _revision(connection) == newest:
            return
    with _alone(engine) as connection:
        config.attributes["connection"] = connection
        try:
            if _revision(connection) is None and inspect(connection).has_table("decisions"):
                command.stamp(config, BEFORE_ALEMBIC)
            command.upgrade(config, "head")
        except CommandError as error:
            raise SQLAlchemyError(
                f"the database {engine.url.render_as_string()} was written by a later version of Propriety ({error}); "
                "install that version, or name another database with PROPRIETY_DATABASE_URL"
            ) from None


def _write_ahead(engine: Engine) -> None:
    """SQLite's write-ahead log, which stays on: one sync a commit in place of three or four, and as durable."""
    with engine.connect() as connection, suppress(OperationalError):  # another process writes, and has put it on
        connection.exec_driver_sql("PRAGMA journal_mode=WAL")


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


@contextmanager
def _alone(engine: Engine) -> Iterator[Connection]:
    """A transaction beside which no other process changes the tables."""
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            # Python's driver begins no transaction before a CREATE TABLE, unless it is told by hand.
            driver = connection.connection.dbapi_connection
            driver.isolation_level, before = None, driver.isolation_level  # type: ignore[union-attr]
            try:
                with connection.begin():
                    connection.exec_driver_sql("BEGIN IMMEDIATE")
                    yield connection
            finally:
                driver.isolation_level = before  # type: ignore[union-attr]
        else:
            with connection.begin():
                if engine.dialect.name == "postgresql":
                    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({LOCK})")
                yield connection
