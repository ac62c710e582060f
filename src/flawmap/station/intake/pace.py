"""Pace: alone, an image has all cores; images that are inspected at once have one core each.

One image on all cores is ready sooner; but cores that share an image wait for one another at each
layer, so that more images a second come out of one core for each. The results are the same bits.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flawmap.errors import FlawmapError
from flawmap.inspection.inspector import Inspector
from flawmap.runtime.base import Backend, RuntimeOptions
from flawmap.station.config import StationConfig
from flawmap.station.intake.products import LiveProduct
from flawmap.utils.hardware import available_cores
from flawmap.utils.memory import return_freed_memory

_TOGETHER = 0.1  # seconds after two images were inspected at once in which more are expected
_LOG = logging.getLogger("flawmap.station")


def workers_of(config: StationConfig) -> int:
    """Return how many images of a product are inspected at once."""
    if config.device.lower() != "cpu":
        return config.workers or 1  # it takes batches instead
    return config.workers or max(1, available_cores() // (config.threads or 1))


def batch_of(config: StationConfig) -> int:
    """Return how many images go through a model together, at most."""
    return config.batch or (1 if config.device.lower() == "cpu" else 8)


class Pace:
    """The inspectors of one product's workers: with all threads, and with one each."""

    def __init__(self, product: LiveProduct, *, narrows: bool) -> None:
        """`narrows`: whether there is another inspector for images that are inspected at once."""
        self.product, self._narrows = product, narrows
        self._lock, self._refreshing = threading.Lock(), threading.Lock()
        self._active = 0
        self._together = -1.0  # when two were active last
        self._wide: Backend | None = None
        self._narrow: Backend | None = None  # the same model as _wide, once it is loaded
        self._inspector: tuple[Inspector, Inspector] | None = None

    @contextmanager
    def turn(self) -> Iterator[Inspector]:
        """Yield the inspector for what a worker has now, with the settings of now."""
        self._refresh()
        with self._lock:
            self._active += 1
            if self._active > 1:
                self._together = time.monotonic()
            together = time.monotonic() - self._together < _TOGETHER
        try:
            inspector = self.product.inspector
            yield self._narrowed(inspector) if self._narrows and together else inspector
        finally:
            with self._lock:
                self._active -= 1

    def _refresh(self) -> None:
        """Take over changed settings, unless another worker is doing that."""
        live = self.product.live
        if live is not None and self._refreshing.acquire(blocking=False):
            try:
                live.refresh()
            except Exception:  # the previous settings stay in force
                _LOG.exception("The settings of %s could not be read", self.product.name)
            finally:
                self._refreshing.release()

    def _narrowed(self, inspector: Inspector) -> Inspector:
        """Return the inspector with one thread, or as it is until that is loaded."""
        with self._lock:
            if self._wide is not inspector.backend:
                self._wide, self._narrow, self._inspector = inspector.backend, None, None
                # No daemon, as the worker that starts it is one: the end of the process would abort
                # a runtime that loads a model.
                threading.Thread(target=self._load, args=(inspector,), daemon=False).start()
            narrow, made = self._narrow, self._inspector
            if narrow is None:
                return inspector
            if made is None or made[0] is not inspector:
                other = Inspector(inspector.manifest, narrow, inspector.region, inspector.source)
                made = self._inspector = inspector, other
            return made[1]

    def _load(self, inspector: Inspector) -> None:
        source = inspector.source
        if source is None:
            return
        options: RuntimeOptions = {**source.options, "threads": 1}
        try:
            loaded = Inspector.load(Path(source.folder), **options)
            loaded.backend.warm_up()
        except FlawmapError as error:  # such as a run that is being copied
            _LOG.warning("%s stays on all cores: %s", self.product.name, error)
            return
        with self._lock:
            if self._wide is inspector.backend and loaded.provenance == inspector.provenance:
                self._narrow = loaded.backend
        return_freed_memory()
