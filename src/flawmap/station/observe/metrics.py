"""Numbers of a running station for Prometheus."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, cast

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy.exc import SQLAlchemyError

from flawmap.station.delivery import outbox, sinks
from flawmap.station.intake.service import intake_of
from flawmap.station.intake.sources import sources_of
from flawmap.station.intake.submission import Answer

if TYPE_CHECKING:
    from flawmap.station.context import Station

NAME = "metrics"
_LATENCIES = (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)


class Metrics:
    """Counts since the start, and what is waiting now; names begin with `flawmap_`."""

    def __init__(self, station: Station) -> None:
        self.registry = CollectorRegistry()
        self._intake = intake_of(station)
        self._parts = Counter(
            "flawmap_parts",
            "Parts by verdict; error: an image that could not be inspected",
            ["product", "verdict"],
            registry=self.registry,
        )
        self._seconds = Histogram(
            "flawmap_latency_seconds",
            "From receipt of an image to its verdict",
            ["product"],
            buckets=_LATENCIES,
            registry=self.registry,
        )
        self.registry.register(_Present(station))
        self._intake.on_judged.append(self._count)

    def start(self) -> None:
        """Do nothing: it counts when others call."""

    def stop(self) -> None:
        """Do nothing."""

    def text(self) -> bytes:
        """Return all numbers in Prometheus' text format."""
        return generate_latest(self.registry)

    def _count(self, answers: Sequence[Answer]) -> None:
        names = {product.id: product.name for product in self._intake.products}
        for answer in answers:
            part = answer.part
            product = names.get(part.product_id, str(part.product_id))
            self._parts.labels(product, part.verdict or "error").inc()
            if part.total_ms is not None:
                self._seconds.labels(product).observe(part.total_ms / 1000.0)


class _Present(Collector):
    """Numbers that are looked up when somebody asks."""

    def __init__(self, station: Station) -> None:
        self._station = station

    def describe(self) -> Iterable[Metric]:
        """Name nothing yet, so that registering it asks the database nothing."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """Return the numbers of this moment."""
        yield GaugeMetricFamily(
            "flawmap_queue_images",
            "Images accepted and not answered yet",
            intake_of(self._station).waiting,
        )
        yield self._inspectors()
        yield self._dropped()
        with suppress(SQLAlchemyError):  # the other numbers are worth having without
            yield from self._outbox()

    def _inspectors(self) -> Metric:
        family = GaugeMetricFamily(
            "flawmap_inspector_ready", "1 if the product's inspector is loaded", labels=["product"]
        )
        for product in intake_of(self._station).products:
            family.add_metric([product.name], 0 if product.problem else 1)
        return family

    def _dropped(self) -> Metric:
        family = GaugeMetricFamily(
            "flawmap_source_dropped_frames",
            "Frames of a camera that the full queue did not take, since it was switched on",
            labels=["source"],
        )
        for name, dropped in sources_of(self._station).dropped().items():
            family.add_metric([name], dropped)
        return family

    def _outbox(self) -> Iterable[Metric]:
        waiting = GaugeMetricFamily(
            "flawmap_outbox_messages", "Messages that wait for delivery", labels=["link"]
        )
        lost = GaugeMetricFamily(
            "flawmap_outbox_given_up_messages",
            "Messages given up after 7 days, of the last 30 days",
            labels=["link"],
        )
        with self._station.database.read() as session:
            for sink in sinks.all_sinks(session):
                state = outbox.sink_state(session, sink.id)
                waiting.add_metric([sink.name], state.backlog)
                lost.add_metric([sink.name], state.given_up)
        return waiting, lost


def create_service(station: Station) -> Metrics:
    """Create the numbers of a station."""
    return Metrics(station)


def metrics_of(station: Station) -> Metrics:
    """Return the station's numbers."""
    return cast(Metrics, station.services[NAME])
