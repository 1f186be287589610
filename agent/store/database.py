"""The one database. Alembic, SQLAlchemy's own tool for it, brings the tables up to date without losing a row.

Alembic is imported only to do that, because it makes every start slower.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.resources import files
from pathlib import Path

from sqlalchemy import Connection, Engine, ExceptionContext, create_engine, event, inspect, make_url, text
from sqlalchemy.exc import InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import DeclarativeBase

MIGRATIONS = files("agent.store.migrations")
BEFORE_ALEMBIC = "0001"  # the revision of a database that has a decision log and no revision
LOCK = 0x50524F50  # PostgreSQL's advisory lock for changing the tables
AWAY = (OperationalError, InterfaceError, PoolTimeoutError)  # the database is unavailable; the request is fine
# By driver: how long SQLite waits for another writer (s), and libpq for a connection (s) and for a response on it (ms).
TIMEOUTS = {"pysqlite": {"timeout": 60}, "psycopg": {"connect_timeout": 5, "tcp_user_timeout": 10_000}}


class Base(DeclarativeBase):
    """Base of all tables. A new table needs a migration."""


def open_database(url: str) -> Engine:
    """An engine on `url` with this version's tables; creates SQLite's folder.

    One process at a time changes the tables, in one transaction. So several may open the database at once, and a
    killed one leaves it unchanged.

    Raises:
        SQLAlchemyError: the database cannot be reached or changed, or was written by a later version.
    """
    parsed = make_url(url)
    sqlite = parsed.get_backend_name() == "sqlite"
    if sqlite and parsed.database not in (None, "", ":memory:"):
        Path(str(parsed.database)).parent.mkdir(parents=True, exist_ok=True)
    timeouts = TIMEOUTS.get(parsed.get_driver_name(), {})
    engine = create_engine(
        parsed,
        pool_pre_ping=not sqlite,
        hide_parameters=True,  # errors are logged, and parameters contain prompts
        connect_args={name: value for name, value in timeouts.items() if name not in parsed.query},
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
    """A stored time in UTC: SQLite drops the time zone, PostgreSQL returns its own."""
    return moment.astimezone(dt.UTC) if moment.tzinfo else moment.replace(tzinfo=dt.UTC)


def try_writing(engine: Engine) -> None:
    """Commit a statement that changes nothing.

    Raises:
        SQLAlchemyError: the database cannot be written to.
    """
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = version_num")


def _open_anew(context: ExceptionContext) -> None:
    """Drop connections that were opened when the file was unwritable: they would stay so."""
    context.is_disconnect = isinstance(context.sqlalchemy_exception, OperationalError)


def newest_revision() -> str:
    """This version's revision of the tables: the number at the start of the last migration's file name."""
    return max(path.name for path in (MIGRATIONS / "versions").iterdir() if path.name.endswith(".py")).partition("_")[0]


def _upgrade(engine: Engine) -> None:
    with engine.connect() as connection:
        if _revision(connection) == newest_revision():
            return
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
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
    """Turn on SQLite's write-ahead log for good: one sync for each commit instead of three or four, just as durable."""
    with engine.connect() as connection, suppress(OperationalError):  # another process is writing, and has turned it on
        connection.exec_driver_sql("PRAGMA journal_mode=WAL")


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    revision: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return revision


@contextmanager
def _alone(engine: Engine) -> Iterator[Connection]:
    """A transaction during which no other process changes the tables."""
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            # Python's driver does not begin a transaction for CREATE TABLE, so it is begun here.
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
