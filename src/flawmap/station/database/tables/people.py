"""Tables of people and programs that may use the station, and what they did."""

from __future__ import annotations

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from flawmap.station.database.tables.base import Base, Id, JsonObject, Moment


class User(Base):
    """A person with a role: operator, engineer or administrator."""

    __tablename__ = "users"

    id: Mapped[Id]
    name: Mapped[str] = mapped_column(String(60), unique=True)
    password: Mapped[str] = mapped_column(String(200))  # argon2 hash
    role: Mapped[str] = mapped_column(String(13))
    created_at: Mapped[Moment]
    disabled_at: Mapped[Moment | None]


class LoginSession(Base):
    """A person logged in with one browser; `token` is the SHA-256 of the cookie's value."""

    __tablename__ = "login_sessions"

    token: Mapped[str] = mapped_column(String(64), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    csrf: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[Moment]
    expires_at: Mapped[Moment] = mapped_column(index=True)
    address: Mapped[str | None] = mapped_column(String(45))  # that logged in
    agent: Mapped[str | None] = mapped_column(String(200))  # its browser, as it calls itself


class OneTimeLink(Base):
    """A link that works once: to set a user's password, or, without one, to create a first
    administrator. `token` is the SHA-256 of the link's last part; a used link is deleted."""

    __tablename__ = "one_time_links"

    token: Mapped[str] = mapped_column(String(64), primary_key=True)
    user_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[Moment]
    expires_at: Mapped[Moment]


class ApiKey(Base):
    """Key of a program; `digest` is its SHA-256, `scopes` what it may do."""

    __tablename__ = "api_keys"

    id: Mapped[Id]
    name: Mapped[str] = mapped_column(String(60))
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    prefix: Mapped[str] = mapped_column(String(12))  # shown in lists
    scopes: Mapped[str] = mapped_column(String(200))  # words with blanks: inspect read ...
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))  # who made it
    created_at: Mapped[Moment]
    expires_at: Mapped[Moment | None]
    revoked_at: Mapped[Moment | None]
    used_at: Mapped[Moment | None]  # the last time, to the minute


class AuditEntry(Base):
    """Who changed what and when; rows are added and never changed."""

    __tablename__ = "audit"
    __table_args__ = (Index(None, "created_at", "id"),)

    id: Mapped[Id]
    created_at: Mapped[Moment]
    user_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    key_id: Mapped[int | None] = mapped_column(ForeignKey("api_keys.id"))
    action: Mapped[str] = mapped_column(String(60))  # such as user.create
    subject: Mapped[str] = mapped_column(String(200))  # what was changed
    details: Mapped[JsonObject]
