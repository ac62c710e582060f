"""The audit log."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from flawmap.station.context import Station
from flawmap.station.database.tables import AuditEntry
from flawmap.station.security.audit import record
from flawmap.station.security.callers import Caller
from station.filling import add_user


def test_an_entry_says_who_did_what(station: Station) -> None:
    ann = Caller("ann", "engineer", add_user(station.database, "ann", "engineer"))
    with station.database.write() as session:
        record(session, ann, "threshold.apply", "board", before=0.5, after=0.4)
        record(session, None, "login.fail", "x" * 500)
    with station.database.read() as session:
        first, second = session.scalars(select(AuditEntry).order_by(AuditEntry.id)).all()
    assert (first.user_id, first.key_id, first.subject) == (ann.user_id, None, "board")
    assert first.details == {"before": 0.5, "after": 0.4}
    assert second.user_id is None
    assert len(second.subject) == 200


def test_an_entry_is_kept_only_with_its_change(station: Station) -> None:
    def fails_afterwards() -> None:
        with station.database.write() as session:
            record(session, None, "user.create", "ann")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails_afterwards()
    with station.database.read() as session:
        assert session.scalars(select(AuditEntry)).all() == []
