"""People with passwords, for tests of logins."""

from __future__ import annotations

from functools import cache

from fastapi.testclient import TestClient

from flawmap.station.context import Station
from flawmap.station.database.tables import ApiKey, User
from flawmap.station.database.tables.base import now
from flawmap.station.security.passwords import hash_password
from flawmap.station.security.roles import Role, Scope
from flawmap.station.security.secrets import new_token, token_digest
from station.filling import add_user

PASSWORD = "seven wet bricks"


@cache
def _hashed() -> str:
    return hash_password(PASSWORD)


def add_person(station: Station, name: str, role: Role) -> int:
    """Return the id of a user who logs in with `PASSWORD`."""
    user_id = add_user(station.database, name, role)
    with station.database.write() as session:
        user = session.get(User, user_id)
        assert user is not None
        user.password = _hashed()
    return user_id


def log_in(client: TestClient, name: str, password: str = PASSWORD) -> int:
    """Log in with the form; return the status of the answer."""
    form = {"name": name, "password": password}
    return client.post("/login", data=form, follow_redirects=False).status_code


def csrf_of(client: TestClient, path: str = "/account") -> str:
    """Return the token in a page of this client."""
    text = client.get(path).text
    return text.split('name="csrf" content="')[1].split('"')[0]


def add_key(station: Station, *scopes: Scope, role: Role = "administrator") -> str:
    """Return a key with these scopes, made by a user with this role."""
    text = new_token()
    user_id = add_user(station.database, role, role)
    with station.database.write() as session:
        session.add(
            ApiKey(
                name="program",
                digest=token_digest(text),
                prefix=text[:10],
                scopes=" ".join(scopes),
                user_id=user_id,
                created_at=now(),
            )
        )
    return text
