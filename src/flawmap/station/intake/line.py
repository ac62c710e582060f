"""Line of images that wait for one product's inspector; decoding runs ahead of the model."""

from __future__ import annotations

import itertools
import threading
import time
from collections import deque
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field

from flawmap.data.resize import Framing
from flawmap.inspection.inspector import Inspector
from flawmap.inspection.pipeline import Decoded, Failed, decode_bytes
from flawmap.station.intake.products import LiveProduct
from flawmap.station.intake.submission import Answer, Submission

_WHOLE = 2  # images decoded ahead if they are kept at their full size


@dataclass(eq=False)
class Waiting:
    """An accepted image, until its answer is in `answer`; `until`: its deadline, monotonic."""

    submission: Submission
    product: LiveProduct
    until: float
    answer: Future[Answer] = field(default_factory=Future)
    taken: float | None = None
    """time.perf_counter() when its inspection began."""
    file: Future[None] | None = None
    """The writing of the image to disk, if that began already."""
    _decoding: Future[tuple[Framing, Decoded | Failed]] | None = None

    def __post_init__(self) -> None:
        self.answer.set_running_or_notify_cancel()  # a sender who leaves does not cancel it

    def wait_for_file(self) -> None:
        """Return when the image is on disk; if that failed, whoever stores the part tries again."""
        if self.file is not None:
            self.file.exception()

    @property
    def is_decoding(self) -> bool:
        """Whether decoding has begun or is done."""
        return self._decoding is not None

    @property
    def is_decoded(self) -> bool:
        """Whether it can go through the model at once."""
        return self._decoding is not None and self._decoding.done()

    def decode_ahead(self, pool: Executor) -> None:
        """Begin to decode in another thread."""
        self._decoding = pool.submit(self._decode, self.product.inspector)

    def decoded(self, inspector: Inspector) -> Decoded | Failed:
        """Return the decoded image for this inspector, which may not be the one of before."""
        if self._decoding is not None:
            framing, decoded = self._decoding.result()
            if framing == inspector.framing:
                return decoded
        return self._decode(inspector)[1]

    def _decode(self, inspector: Inspector) -> tuple[Framing, Decoded | Failed]:
        data, path = self.submission.data, self.submission.path
        begun = time.perf_counter()
        if self.submission.problem is not None:
            return inspector.framing, Failed(self.submission.problem)
        return inspector.framing, decode_bytes(inspector, data, path, path, begun)


class Line:
    """Images of one product, in the order in which they came."""

    def __init__(self, product: LiveProduct, pool: Executor, most: int, workers: int = 1) -> None:
        self.product, self._pool, self._most = product, pool, most
        self._ahead = 2 * most * workers
        self._changed = threading.Condition()
        self._waiting: deque[Waiting] = deque()
        self._idle = 0  # workers that wait
        self._closed = False

    def put(self, item: Waiting) -> None:
        """Add an image at the end."""
        with self._changed:
            self._waiting.append(item)
            if self._idle >= len(self._waiting):
                self._changed.notify()  # who takes it decodes it: one thread less to wake
            else:
                self._decode_ahead()

    def take(self) -> list[Waiting]:
        """Wait for an image; return it with those behind it that are decoded; none at the end."""
        with self._changed:
            self._idle += 1
            self._changed.wait_for(lambda: self._waiting or self._closed)
            self._idle -= 1
            batch = [self._waiting.popleft() for _ in range(self._count())]
            self._decode_ahead()
        return batch

    def _count(self) -> int:
        """Return how many images to take: 1, 2, 4, ..., as runtimes prepare for each number."""
        if not self._waiting:
            return 0
        others = itertools.islice(self._waiting, 1, self._most)
        ready = 1 + sum(1 for _ in itertools.takewhile(lambda item: item.is_decoded, others))
        return 1 << (ready.bit_length() - 1)

    def expired(self) -> list[Waiting]:
        """Take out and return the images whose deadline has passed."""
        with self._changed:
            if not self._waiting:
                return []
            now = time.monotonic()
            late = [item for item in self._waiting if item.until <= now]
            if late:
                self._waiting = deque(item for item in self._waiting if item.until > now)
        return late

    def close(self) -> None:
        """Let :meth:`take` return an empty list once nothing waits."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _decode_ahead(self) -> None:
        """Begin to decode the next images; few if they stay at their full size in memory."""
        live = self.product.live
        whole = live is not None and live.now.framing.tiled
        ahead = _WHOLE if whole else self._ahead
        for item, _ in zip(self._waiting, range(ahead), strict=False):
            if not item.is_decoding and live is not None:
                item.decode_ahead(self._pool)
