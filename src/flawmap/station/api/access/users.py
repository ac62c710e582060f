"""Users by the API: only administrators see and change them."""

from __future__ import annotations

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field
from sqlalchemy import select

from flawmap.station.api.ids import RowId
from flawmap.station.context import Station, StationOf
from flawmap.station.database.tables import User
from flawmap.station.security import users
from flawmap.station.security.audit import record
from flawmap.station.security.callers import Administrator
from flawmap.station.security.links import password_link
from flawmap.station.security.roles import Role

router = APIRouter(prefix="/api/v1/users", tags=["users"])


class UserAnswer(BaseModel):
    """A person who may use the station."""

    id: int
    name: str = Field(description="what they log in with")
    role: Role = Field(description="operator, engineer or administrator")
    created_at: int = Field(description="microseconds since 1970, UTC")
    disabled_at: int | None = Field(description="since when they are locked out")
    has_password: bool = Field(description="whether they have set a password yet")


class Invitation(BaseModel):
    """A user and the link with which they set their password."""

    user: UserAnswer
    link: str = Field(description="works once, for 24 hours; it is shown only now")


class NewUser(BaseModel):
    """A user to be created."""

    name: str = Field(min_length=1, max_length=60)
    role: Role


class RoleChange(BaseModel):
    """Another role for a user."""

    role: Role


@router.get("")
def list_users(station: StationOf, caller: Administrator) -> list[UserAnswer]:
    """List all users by name."""
    with station.database.read() as session:
        return [answer(user) for user in session.scalars(select(User).order_by(User.name))]


@router.post("", status_code=201)
def create_user(
    request: Request, new: NewUser, station: StationOf, caller: Administrator
) -> Invitation:
    """Create a user; they set their password with the link of the answer."""
    with station.database.write() as session:
        user = users.create_user(session, caller, new.name, new.role)
        link = password_link(session, user, address_of(request))
        return Invitation(user=answer(user), link=link)


@router.put("/{user_id}/role")
def change_role(
    user_id: RowId, change: RoleChange, station: StationOf, caller: Administrator
) -> UserAnswer:
    """Give a user another role. The last administrator stays one."""
    with station.database.write() as session:
        user = users.get_user(session, user_id)
        users.change_role(session, caller, user, change.role)
    return _changed(station, user)


@router.post("/{user_id}/disable")
def disable_user(user_id: RowId, station: StationOf, caller: Administrator) -> UserAnswer:
    """Lock a user out at once, with their sessions and API keys. The last administrator stays."""
    with station.database.write() as session:
        user = users.get_user(session, user_id)
        users.disable_user(session, caller, user)
    return _changed(station, user)


@router.post("/{user_id}/enable")
def enable_user(user_id: RowId, station: StationOf, caller: Administrator) -> UserAnswer:
    """Let a disabled user log in again; their API keys work again as well."""
    with station.database.write() as session:
        user = users.get_user(session, user_id)
        users.enable_user(session, caller, user)
    return _changed(station, user)


@router.post("/{user_id}/password-link")
def reset_password(
    request: Request, user_id: RowId, station: StationOf, caller: Administrator
) -> Invitation:
    """Make a link with which a user sets a new password; the present one works until then."""
    with station.database.write() as session:
        user = users.get_user(session, user_id)
        link = password_link(session, user, address_of(request))
        record(session, caller, "user.password-link", user.name)
        return Invitation(user=answer(user), link=link)


def address_of(request: Request) -> str:
    """Return the address under which a request reached the station; its host was checked."""
    return f"{request.url.scheme}://{request.headers['host']}"


def answer(user: User) -> UserAnswer:
    """Return what the API says of a user."""
    known = {name: getattr(user, name) for name in UserAnswer.model_fields if name[:3] != "has"}
    return UserAnswer(**known, has_password=bool(user.password))


def _changed(station: Station, user: User) -> UserAnswer:
    station.callers.clear()
    return answer(user)
