"""API keys by the API: only administrators make and revoke them."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel, Field

from flawmap.station.api.ids import RowId
from flawmap.station.context import StationOf
from flawmap.station.database.tables import ApiKey
from flawmap.station.security import keys
from flawmap.station.security.callers import Administrator
from flawmap.station.security.roles import SCOPES, Scope

router = APIRouter(prefix="/api/v1/keys", tags=["keys"])


class KeyAnswer(BaseModel):
    """An API key, without its secret."""

    id: int
    name: str = Field(description="the program or machine that it is for")
    prefix: str = Field(description="how the key begins")
    scopes: list[Scope] = Field(description="what it may do")
    created_at: int = Field(description="microseconds since 1970, UTC")
    expires_at: int | None = Field(description="when it ends by itself")
    revoked_at: int | None = Field(description="when it was ended")
    used_at: int | None = Field(description="when it was last used, to the minute")


class NewKey(BaseModel):
    """A key to be made."""

    name: str = Field(min_length=1, max_length=60)
    scopes: list[Scope] = Field(min_length=1, max_length=len(SCOPES))
    days: int | None = Field(365, ge=1, le=3650, description="until it ends; null for never")


class MadeKey(BaseModel):
    """A key just made."""

    key: KeyAnswer
    secret: str = Field(description="the key itself; it is shown only now")


@router.get("")
def list_keys(station: StationOf, caller: Administrator) -> list[KeyAnswer]:
    """List all keys; revoked ones come last."""
    with station.database.read() as session:
        return [_answer(key) for key in keys.all_keys(session)]


@router.post("", status_code=201)
def create_key(new: NewKey, station: StationOf, caller: Administrator) -> MadeKey:
    """Make a key. It never does more than the person who made it may do."""
    with station.database.write() as session:
        key, secret = keys.create_key(session, caller, new.name, new.scopes, new.days)
        return MadeKey(key=_answer(key), secret=secret)


@router.post("/{key_id}/revoke")
def revoke_key(key_id: RowId, station: StationOf, caller: Administrator) -> KeyAnswer:
    """End a key at once."""
    with station.database.write() as session:
        key = keys.revoke_key(session, caller, key_id)
    station.callers.clear()
    return _answer(key)


def _answer(key: ApiKey) -> KeyAnswer:
    known = {name: getattr(key, name) for name in KeyAnswer.model_fields}
    return KeyAnswer(**known | {"scopes": key.scopes.split()})
