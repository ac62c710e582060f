"""DeliveryService: the outbox of new parts, and one courier for each sink that is switched on."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, cast

from sqlalchemy import select
from sqlalchemy.orm import Session

from flawmap.station.database.tables import Part, Sink
from flawmap.station.delivery import outbox
from flawmap.station.delivery.courier import Courier
from flawmap.station.delivery.senders.registry import create_sender
from flawmap.station.delivery.settings import MqttSettings, WebhookSettings, read_settings
from flawmap.station.intake.service import intake_of

if TYPE_CHECKING:
    from flawmap.station.context import Station

NAME = "delivery"


class DeliveryService:
    """Writes messages with the parts they are about, and delivers them afterwards."""

    def __init__(self, station: Station) -> None:
        self._station, self._database = station, station.database
        self._sinks: dict[int, WebhookSettings | MqttSettings] = {}
        self._couriers: dict[int, tuple[object, Courier]] = {}
        self._lock = threading.Lock()
        station.writer.listeners.append(self._add)
        intake_of(station).on_judged.append(lambda _answers: self.wake())

    def start(self) -> None:
        """Start all couriers."""
        self.reload()

    def stop(self) -> None:
        """Stop delivering; what is not delivered waits for the next start."""
        with self._lock:
            self._end(list(self._couriers))

    def reload(self) -> None:
        """Take over sinks as their rows are now."""
        with self._lock:
            with self._database.read() as session:
                rows = session.scalars(select(Sink).where(Sink.disabled_at.is_(None))).all()
            self._sinks = {row.id: read_settings(row.settings) for row in rows}
            wanted = {row.id: (row.name, row.settings) for row in rows}
            self._end([k for k, (had, _) in self._couriers.items() if wanted.get(k) != had])
            for key in wanted.keys() - self._couriers.keys():
                create = partial(create_sender, self._sinks[key])
                courier = Courier(self._database, key, wanted[key][0], create)
                courier.start()
                self._couriers[key] = wanted[key], courier

    def wake(self) -> None:
        """Let all couriers look at once."""
        for _, courier in list(self._couriers.values()):
            courier.wake()

    def _end(self, keys: Sequence[int]) -> None:
        ended = [self._couriers.pop(key)[1] for key in keys]
        for courier in ended:
            courier.stop()
        for courier in ended:
            courier.join()

    def _add(self, session: Session, rows: Sequence[Part]) -> None:
        if self._sinks:
            outbox.add_for_parts(session, rows, self._sinks, self._station.address)


def create_service(station: Station) -> DeliveryService:
    """Create the service; it begins before anything brings parts."""
    return DeliveryService(station)


def delivery_of(station: Station) -> DeliveryService:
    """Return the station's delivery service."""
    return cast(DeliveryService, station.services[NAME])
