"""Logging in and out, and one-time links."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select, update

from flawmap.station.context import Station
from flawmap.station.database.tables import AuditEntry, LoginSession, OneTimeLink, User
from flawmap.station.memory.throttle import PER_NAME
from flawmap.station.security.links import first_start_link, reset_link
from flawmap.station.security.passwords import is_password
from flawmap.station.security.secrets import token_digest
from flawmap.station.security.sessions import IDLE, LONGEST
from station.people import PASSWORD, add_person, csrf_of, log_in

BROWSER = {"accept": "text/html"}
ADDRESS = "http://testserver"


def test_a_person_logs_in_and_out(app_client: TestClient, station: Station) -> None:
    add_person(station, "Ann", "operator")
    assert log_in(app_client, "ann") == 303
    assert app_client.get("/").status_code == 200
    form = {"csrf": csrf_of(app_client)}
    app_client.post("/logout", data=form, follow_redirects=False)
    assert app_client.get("/").status_code == 401
    with station.database.read() as session:
        assert session.scalars(select(LoginSession)).all() == []


def test_a_browser_is_led_to_the_login_and_back(app_client: TestClient, station: Station) -> None:
    add_person(station, "ann", "administrator")
    led = app_client.get("/?a=1&b=%2F", headers=BROWSER, follow_redirects=False)
    assert led.status_code == 303
    page = app_client.get(led.headers["location"]).text
    form = {"name": "ann", "password": PASSWORD, "next": "/?a=1&b=%2F"}
    assert 'name="next" value="/?a=1&amp;b=%2F"' in page
    back = app_client.post("/login", data=form, follow_redirects=False)
    assert back.headers["location"] == "/?a=1&b=%2F"


@pytest.mark.parametrize(
    "target",
    [
        "//evil.example",
        "https://evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "/\t/evil.example",
        "javascript:alert(1)",
        "/ok\r\nSet-Cookie: a=b",
        "",
        "/a\\b",
    ],
)
def test_nobody_is_led_to_another_site(
    app_client: TestClient, station: Station, target: str
) -> None:
    add_person(station, "ann", "operator")
    form = {"name": "ann", "password": PASSWORD, "next": target}
    answer = app_client.post("/login", data=form, follow_redirects=False)
    assert answer.headers["location"] == "/"
    again = app_client.get("/login", params={"next": target}, follow_redirects=False)
    assert again.headers["location"] == "/"


@pytest.mark.parametrize(
    ("name", "password"), [("ann", "wrong"), ("nobody", PASSWORD), ("", ""), ("gone", PASSWORD)]
)
def test_all_failures_look_the_same(
    app_client: TestClient, station: Station, name: str, password: str
) -> None:
    add_person(station, "ann", "operator")
    gone = add_person(station, "gone", "operator")
    with station.database.write() as session:
        session.execute(update(User).where(User.id == gone).values(disabled_at=1))
    answer = app_client.post("/login", data={"name": name, "password": password})
    assert answer.status_code == 401
    assert "Name or password is wrong." in answer.text
    assert "set-cookie" not in answer.headers


def test_a_user_without_a_password_cannot_log_in(station: Station) -> None:
    assert not is_password("", "")
    assert not is_password(None, "the password of nobody")
    assert not is_password("not a hash", "not a hash")


def test_too_many_failures_wait(app_client: TestClient, station: Station) -> None:
    add_person(station, "ann", "operator")
    for _ in range(PER_NAME.free):
        assert log_in(app_client, "ann", "wrong password") == 401
    answer = app_client.post("/login", data={"name": "ann", "password": PASSWORD})
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) >= 1


def test_the_cookie_is_safe(app_client: TestClient, station: Station) -> None:
    add_person(station, "ann", "operator")
    form = {"name": "ann", "password": PASSWORD}
    cookie = app_client.post("/login", data=form, follow_redirects=False).headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert "Secure" not in cookie  # plain http on the loopback
    safe = TestClient(app_client.app, base_url="https://testserver")
    cookie = safe.post("/login", data=form, follow_redirects=False).headers["set-cookie"]
    assert "Secure" in cookie


def test_a_planted_session_is_not_used(app_client: TestClient, station: Station) -> None:
    """Session fixation: the login begins a session of its own, and ends the one it came with."""
    add_person(station, "ann", "operator")
    add_person(station, "eve", "operator")
    log_in(app_client, "eve")
    planted = app_client.cookies["flawmap_session"]
    log_in(app_client, "ann")
    assert app_client.cookies["flawmap_session"] != planted
    with station.database.read() as session:
        assert session.get(LoginSession, token_digest(planted)) is None
    app_client.cookies.clear()
    app_client.cookies.set("flawmap_session", "chosen-by-eve")
    log_in(app_client, "ann")
    stranger = TestClient(app_client.app, cookies={"flawmap_session": "chosen-by-eve"})
    assert stranger.get("/").status_code == 401


def test_a_session_ends_at_last(app_client: TestClient, station: Station) -> None:
    add_person(station, "ann", "operator")
    log_in(app_client, "ann")

    def shift(microseconds: int) -> int:
        """Let time pass for the session; return the status of a page."""
        with station.database.write() as session:
            login = session.scalars(select(LoginSession)).one()
            login.created_at -= microseconds
            login.expires_at -= microseconds
        station.callers.clear()
        return app_client.get("/").status_code

    step = IDLE - 60_000_000
    for _ in range(LONGEST // step):  # in use: it goes on
        assert shift(step) == 200
    assert shift(step) == 401


def test_an_unused_session_ends(app_client: TestClient, station: Station) -> None:
    add_person(station, "ann", "operator")
    log_in(app_client, "ann")
    with station.database.write() as session:
        session.execute(update(LoginSession).values(expires_at=LoginSession.created_at - 1))
    station.callers.clear()
    assert app_client.get("/").status_code == 401


def test_the_first_start(app_client: TestClient, station: Station) -> None:
    page = app_client.get("/login").text
    assert "no administrator yet" in page
    assert "<form" not in page
    old = first_start_link(station, ADDRESS)
    link = first_start_link(station, f"{ADDRESS}/")  # a restart
    assert old is not None
    assert link is not None
    assert app_client.get(old).status_code == 404
    assert "first administrator" in app_client.get(link).text
    form = {"name": " Ann  B. ", "password": PASSWORD, "again": PASSWORD}
    assert app_client.post(link, data=form, follow_redirects=False).status_code == 303
    assert app_client.get("/people").status_code == 200
    assert app_client.get(link).status_code == 404
    assert app_client.post(link, data=form).status_code == 404
    assert first_start_link(station, ADDRESS) is None
    with station.database.read() as session:
        user = session.scalars(select(User)).one()
        assert (user.name, user.role) == ("Ann B.", "administrator")
        assert session.scalars(select(OneTimeLink)).all() == []
        assert "user.administrator" in session.scalars(select(AuditEntry.action)).all()


@pytest.mark.parametrize(
    ("name", "password", "again", "why"),
    [
        ("ann", "short", "short", "10 to 200 characters"),
        ("ann", PASSWORD, "another one", "differ"),
        ("", PASSWORD, PASSWORD, "1 to 60"),
        ("a\x00b", PASSWORD, PASSWORD, "printable"),
        ("0123456789a", "0123456789A", "0123456789A", "easy to guess"),
        ("ann", "aaaaaaaaaaaa", "aaaaaaaaaaaa", "easy to guess"),
    ],
)
def test_the_setup_says_what_is_wrong(
    app_client: TestClient, station: Station, name: str, password: str, again: str, why: str
) -> None:
    link = first_start_link(station, ADDRESS) or ""
    answer = app_client.post(link, data={"name": name, "password": password, "again": again})
    assert answer.status_code == 422
    assert why in answer.text
    assert app_client.get(link).status_code == 200  # it can be tried again


def test_a_forgotten_administrator_comes_back(app_client: TestClient, station: Station) -> None:
    ann = add_person(station, "ann", "administrator")
    with station.database.write() as session:
        session.execute(update(User).where(User.id == ann).values(disabled_at=1))
    link = reset_link(station, ADDRESS)
    form = {"name": "Ann", "password": "a new pass phrase", "again": "a new pass phrase"}
    app_client.post(link, data=form)
    assert app_client.get("/people").status_code == 200
    with station.database.read() as session:
        assert session.scalars(select(User)).one().disabled_at is None


def test_links_do_not_serve_one_another(app_client: TestClient, station: Station) -> None:
    link = first_start_link(station, ADDRESS) or ""
    token = link.rsplit("/", 1)[1]
    assert app_client.get(f"/password/{token}").status_code == 404
    assert app_client.get("/setup/wrong").status_code == 404
    with station.database.write() as session:
        session.execute(update(OneTimeLink).values(expires_at=1))
    assert app_client.get(link).status_code == 404
