"""Tenants, their keys, and the terms on which each is served."""

from __future__ import annotations

import datetime as dt
import hashlib
import secrets
import time
from collections.abc import Callable
from enum import StrEnum
from threading import Lock
from typing import Annotated, Any, NamedTuple

from cachetools import TTLCache
from pydantic import Field
from sqlalchemy import JSON, DateTime, Engine, ForeignKey, String, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, Session, mapped_column

from agent.store.database import Base, utc
from propriety.verdict import Detector, Strict

PREFIX = "prp_"
HINT = 8  # characters of a key that are stored, so that people recognise it
REMEMBERED_S = 5  # each process may accept a revoked key for this long
MAX_REMEMBERED = 10_000
REVOKED = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)  # the end of a revoked key; a clock set back cannot revive it

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$", description="Lower case, at most 64 characters.")]


class Scope(StrEnum):
    """`moderate`: verdicts; `draw`: pictures; `metrics`: `/metrics`; `admin`: `/metrics` and the operator's routes, for
    all tenants."""

    MODERATE = "moderate"
    DRAW = "draw"
    METRICS = "metrics"
    ADMIN = "admin"


class Terms(Strict):
    """The terms on which a tenant is served; no request can loosen them."""

    scopes: list[Scope] = Field(min_length=1)
    locales: list[str] | None = Field(default=None, description="Language ranges (RFC 4647) served; null: all.")
    default_locale: str | None = Field(default=None, description="Of requests without one; null: the settings'.")
    audience: str | None = Field(default=None, description="Laid over every locale, such as `children`.")
    detector: Detector | None = Field(default=None, description="Instead of the policies' own.")
    per_minute: int | None = Field(default=600, ge=1, description="Prompts and pictures a minute; null: no limit.")
    concurrent: int | None = Field(default=16, ge=1, description="Requests at once; null: no limit.")


class Tenant(NamedTuple):
    """`name` is empty for a caller without a key."""

    name: str
    terms: Terms


ANYONE = Tenant("", Terms(scopes=[Scope.MODERATE, Scope.DRAW], per_minute=None, concurrent=None))
"""A caller without a key. The setting `keyless` decides whether one is served."""

ADMIN = Tenant("admin", Terms(scopes=list(Scope), per_minute=None, concurrent=None))
"""The tenant of the key that the first start makes."""


class TenantRow(Base):
    __tablename__ = "tenants"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    created_at: Mapped[dt.datetime] = mapped_column(DateTime(timezone=True))
    terms: Mapped[dict[str, Any]] = mapped_column(JSON)


class KeyRow(Base):
    """Only the SHA-256 of a key is stored; 256 random bits need no slower hash."""

    __tablename__ = "keys"

    hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    hint: Mapped[str] = mapped_column(String(16))
    tenant: Mapped[str] = mapped_column(ForeignKey("tenants.name"), index=True)
    created_at: Mapped[dt.datetime] = mapped_column(DateTime(timezone=True))
    expires_at: Mapped[dt.datetime | None] = mapped_column(DateTime(timezone=True))


class Key(NamedTuple):
    """What may be shown of a key. Times are UTC; an expired key was rotated, or revoked (`REVOKED`)."""

    hint: str
    tenant: Tenant
    created_at: dt.datetime
    expires_at: dt.datetime | None


class TenantError(LookupError):
    """The tenant does not exist, or already exists."""


class Tenants:
    """The tenants in a database; may be used from several threads."""

    def __init__(self, database: Engine, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` gives the seconds by which keys are remembered."""
        self._database = database
        self._known: TTLCache[str, tuple[Tenant, dt.datetime | None]] = TTLCache(MAX_REMEMBERED, REMEMBERED_S, clock)
        self._lock = Lock()

    def create(self, name: str, terms: Terms) -> str:
        """A new tenant's first key, which is shown only now.

        Raises:
            TenantError: the tenant already exists.
        """
        with Session(self._database) as session, session.begin():
            if session.get(TenantRow, name):
                raise TenantError(f"the tenant {name!r} already exists; `propriety keys rotate` makes another key")
            session.add(TenantRow(name=name, created_at=_now(), terms=terms.model_dump(mode="json")))
            session.flush()
            return _new_key(session, name)

    def create_first(self) -> str | None:
        """The key of the tenant `ADMIN`, which is created if no key was ever made; None if one was."""
        try:
            return None if self.configured() else self.create(*ADMIN)
        except (TenantError, IntegrityError):  # another process was faster
            return None

    def change(self, name: str, terms: dict[str, Any]) -> Terms:
        """Replace these terms, by field; each process follows within `REMEMBERED_S`.

        Raises:
            TenantError: the tenant does not exist.
            ValidationError: a term is invalid.
        """
        with Session(self._database) as session, session.begin():
            row = session.get(TenantRow, name, with_for_update=True)
            if row is None:
                raise _no_tenant(name)
            changed = Terms.model_validate({**row.terms, **terms})
            row.terms = changed.model_dump(mode="json")
            return changed

    def rotate(self, name: str, grace: dt.timedelta) -> str:
        """Another key of a tenant, shown only now; the others end after `grace`.

        Raises:
            TenantError: the tenant does not exist.
        """
        with Session(self._database) as session, session.begin():
            self._end(session, name, _now() + grace if grace else REVOKED)
            return _new_key(session, name)

    def revoke(self, name: str) -> int:
        """End every key of a tenant at once; returns how many were still valid.

        Raises:
            TenantError: the tenant does not exist.
        """
        with Session(self._database) as session, session.begin():
            return self._end(session, name, REVOKED)

    def all_keys(self) -> list[Key]:
        """Every key that ever existed, by tenant, oldest first."""
        query = select(KeyRow, TenantRow).join(TenantRow, TenantRow.name == KeyRow.tenant)
        with Session(self._database) as session:
            rows = session.execute(query.order_by(KeyRow.tenant, KeyRow.created_at)).all()
            return [
                Key(key.hint, _tenant(tenant), utc(key.created_at), key.expires_at and utc(key.expires_at))
                for key, tenant in rows
            ]

    def of(self, key: str) -> Tenant | None:
        """The tenant with this key; None if it is unknown or has ended."""
        if not key.startswith(PREFIX):  # not one of ours, so the database need not be asked
            return None
        hashed = _hash(key)
        with self._lock:
            found = self._known.get(hashed)
        if found is None:
            query = select(KeyRow, TenantRow).join(TenantRow, TenantRow.name == KeyRow.tenant)
            with Session(self._database) as session:
                row = session.execute(query.where(KeyRow.hash == hashed)).one_or_none()
                if row is None:
                    return None
                found = _tenant(row[1]), row[0].expires_at and utc(row[0].expires_at)
            with self._lock:
                self._known[hashed] = found
        return _unless_expired(found)

    def named(self, name: str) -> Tenant | None:
        """The tenant with that name and its present terms; None if all its keys have ended."""
        if name == ANYONE.name:
            return ANYONE
        alive = (KeyRow.expires_at.is_(None)) | (KeyRow.expires_at > _now())
        query = select(TenantRow).where(TenantRow.name == name)
        with Session(self._database) as session:
            row = session.scalar(query.where(select(KeyRow).where(KeyRow.tenant == name, alive).exists()))
            return None if row is None else _tenant(row)

    def configured(self) -> bool:
        """Whether a key was ever made, even if it has ended."""
        with Session(self._database) as session:
            return session.scalar(select(KeyRow.hash).limit(1)) is not None

    def remembered(self, key: str) -> Tenant | None:
        """As `of`, from memory only, so that an event loop can call it; None if it was not looked up recently."""
        with self._lock:
            found = self._known.get(_hash(key))
        return found and _unless_expired(found)

    def _end(self, session: Session, name: str, when: dt.datetime) -> int:
        if session.get(TenantRow, name) is None:
            raise _no_tenant(name)
        alive = (KeyRow.expires_at.is_(None)) | (KeyRow.expires_at > when)
        ended = session.scalars(select(KeyRow.hash).where(KeyRow.tenant == name, alive)).all()
        session.execute(update(KeyRow).where(KeyRow.hash.in_(ended)).values(expires_at=when))
        return len(ended)


def _unless_expired(found: tuple[Tenant, dt.datetime | None]) -> Tenant | None:
    tenant, expires_at = found
    return None if expires_at and expires_at <= _now() else tenant


def _no_tenant(name: str) -> TenantError:
    return TenantError(f"the tenant {name!r} does not exist; `propriety keys list` shows all")


def _new_key(session: Session, tenant: str) -> str:
    key = PREFIX + secrets.token_urlsafe(32)
    session.add(KeyRow(hash=_hash(key), hint=key[:HINT], tenant=tenant, created_at=_now(), expires_at=None))
    return key


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def _tenant(row: TenantRow) -> Tenant:
    return Tenant(row.name, Terms.model_validate(row.terms))


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
