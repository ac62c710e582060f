"""Sinks: created, changed, switched on and off, each change with its audit entry."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from flawmap.station.database.tables import Sink
from flawmap.station.database.tables.base import now
from flawmap.station.delivery import outbox
from flawmap.station.delivery.message import trial_payload
from flawmap.station.delivery.settings import (
    SECRETS,
    MqttSettings,
    WebhookSettings,
    read_settings,
)
from flawmap.station.refusals import RefusedError
from flawmap.station.security.audit import record
from flawmap.station.security.callers import Caller
from flawmap.station.security.secrets import new_token
from flawmap.station.security.users import clean_name

_MOST = 20  # each slows the writing of every part


def all_sinks(session: Session) -> list[Sink]:
    """Return all sinks by name."""
    return list(session.scalars(select(Sink).order_by(Sink.name)))


def get_sink(session: Session, sink_id: int, *, lock: bool = False) -> Sink:
    """Return a sink, `lock`: for this transaction alone. Raises RefusedError (404) if none."""
    sink = session.get(Sink, sink_id, with_for_update=lock)
    if sink is None:
        raise RefusedError("There is no such link: see /api/v1/links.", 404)
    return sink


def create_sink(
    session: Session, caller: Caller, name: str, settings: WebhookSettings | MqttSettings
) -> tuple[Sink, str]:
    """Add a sink; return it with the secret that was made for it, or ""."""
    settings, made = _with_secret(settings)
    sink = Sink(name=_free_name(session, name), kind=settings.kind, created_at=now())
    sink.settings = settings.model_dump(mode="json")
    if len(all_sinks(session)) >= _MOST:
        raise RefusedError(f"There are {_MOST} links, the most there can be: delete one first.")
    session.add(sink)
    session.flush()
    record(session, caller, "link.create", sink.name, **shown_settings(settings))
    return sink, made


def change_sink(
    session: Session,
    caller: Caller,
    sink_id: int,
    name: str,
    settings: WebhookSettings | MqttSettings,
) -> Sink:
    """Change a sink; a secret that is left empty stays, unless the messages go elsewhere."""
    sink = get_sink(session, sink_id)
    before = read_settings(sink.settings)
    if before.kind != settings.kind:
        raise RefusedError(f"This link is of the kind {before.kind}: create another one.")
    if name != sink.name:
        sink.name = _free_name(session, name)
    kept = _kept_secrets(before, settings)
    changed = settings.model_copy(update=kept)
    sink.settings = changed.model_dump(mode="json")
    outbox.retry_at_once(session, sink.id)
    record(
        session,
        caller,
        "link.change",
        sink.name,
        before=shown_settings(before),
        after=shown_settings(changed),
        new_secret=bool({key for key in SECRETS if getattr(settings, key, "")}),
    )
    return sink


def switch_sink(session: Session, caller: Caller, sink_id: int, *, on: bool) -> Sink:
    """Switch a sink on or off; while it is off, no messages are added for it."""
    sink = get_sink(session, sink_id)
    sink.disabled_at = None if on else sink.disabled_at or now()
    record(session, caller, f"link.{'enable' if on else 'disable'}", sink.name)
    return sink


def delete_sink(session: Session, caller: Caller, sink_id: int) -> None:
    """Delete a sink with all its messages; parts that are stored meanwhile wait for the commit."""
    sink = get_sink(session, sink_id, lock=True)
    lost = outbox.backlog(session, sink_id)
    outbox.delete_all(session, sink_id)
    session.delete(sink)
    record(session, caller, "link.delete", sink.name, undelivered=lost)


def add_test(session: Session, caller: Caller, sink_id: int, address: str) -> Sink:
    """Add a message about no part."""
    sink = get_sink(session, sink_id)
    if sink.disabled_at is not None:
        raise RefusedError("The link is switched off: switch it on first.", 409)
    outbox.add(session, sink_id, trial_payload(address), None)
    record(session, caller, "link.test", sink.name)
    return sink


def skip_message(session: Session, caller: Caller, sink_id: int, message: int) -> Sink:
    """Give up the message that holds up those behind it. Raises RefusedError (409) otherwise."""
    sink = get_sink(session, sink_id)
    if not outbox.skip(session, sink_id, message):
        raise RefusedError("This message does not hold up the link any more: load again.", 409)
    record(session, caller, "link.skip", sink.name, message=message)
    return sink


def shown_settings(settings: WebhookSettings | MqttSettings) -> dict[str, object]:
    """Return settings as people may see them: without secrets."""
    return settings.model_dump(mode="json", exclude={*SECRETS})


def _with_secret(
    settings: WebhookSettings | MqttSettings,
) -> tuple[WebhookSettings | MqttSettings, str]:
    if not isinstance(settings, WebhookSettings) or settings.secret:
        return settings, ""
    made = new_token()
    return settings.model_copy(update={"secret": made}), made


def _kept_secrets(
    before: WebhookSettings | MqttSettings, after: WebhookSettings | MqttSettings
) -> dict[str, str]:
    """Return the secrets that were left empty. Raises RefusedError if they would go elsewhere.

    Whoever may enter a broker's address would otherwise learn the password of the present one.
    """
    if isinstance(before, MqttSettings) and isinstance(after, MqttSettings):
        had = (before.host, before.port, before.use_tls, before.ca)
        if not before.password or after.password or not after.user:
            return {}
        if had != (after.host, after.port, after.use_tls, after.ca):
            raise RefusedError("Enter the password again: the messages go to another broker.")
        return {"password": before.password}
    if isinstance(after, WebhookSettings) and not after.secret:
        return {"secret": getattr(before, "secret", "")}
    return {}


def _free_name(session: Session, name: str) -> str:
    name = clean_name(name)
    if session.scalar(select(Sink.id).where(Sink.name == name)) is not None:
        raise RefusedError(f"There is a link {name} already.", 409)
    return name
