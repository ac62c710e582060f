"""API keys: what programs show instead of a login; the database holds only their digests."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import select
from sqlalchemy.orm import Session

from flawmap.station.database.tables import ApiKey
from flawmap.station.database.tables.base import now
from flawmap.station.refusals import RefusedError
from flawmap.station.security.audit import record
from flawmap.station.security.callers import Caller
from flawmap.station.security.roles import SCOPES, Scope
from flawmap.station.security.secrets import new_token, token_digest
from flawmap.station.security.users import clean_name

_SHOWN = 10
_DAY = 24 * 3600 * 1_000_000


def create_key(
    session: Session, caller: Caller, name: str, scopes: Collection[Scope], days: int | None
) -> tuple[ApiKey, str]:
    """Add a key that ends after `days` (None: never); return it with its text, shown only once."""
    if not scopes:
        raise RefusedError("Choose at least one scope: what the key may do.")
    text = f"fm_{new_token()}"
    key = ApiKey(
        name=clean_name(name),
        digest=token_digest(text),
        prefix=text[:_SHOWN],
        scopes=" ".join(scope for scope in SCOPES if scope in scopes),
        user_id=caller.user_id,
        created_at=now(),
        expires_at=now() + days * _DAY if days else None,
    )
    session.add(key)
    session.flush()
    record(session, caller, "key.create", key.name, prefix=key.prefix, scopes=key.scopes, days=days)
    return key, text


def revoke_key(session: Session, caller: Caller, key_id: int) -> ApiKey:
    """End a key at once. Raises RefusedError (404) if there is none."""
    key = session.get(ApiKey, key_id)
    if key is None:
        raise RefusedError("There is no such key.", 404)
    if key.revoked_at is None:
        key.revoked_at = now()
        record(session, caller, "key.revoke", key.name, prefix=key.prefix)
    return key


def all_keys(session: Session) -> list[ApiKey]:
    """Return all keys: those that work first, each group with the newest first."""
    ordered = select(ApiKey).order_by(ApiKey.revoked_at.is_not(None), ApiKey.id.desc())
    return list(session.scalars(ordered))
