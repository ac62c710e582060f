"""Who inspects, as a table."""

from __future__ import annotations

from typing import Any

import pytest

from flawmap import UsageError
from flawmap.inspection.many import where
from flawmap.inspection.many.where import Place, check_on, choose, chunk_size


@pytest.mark.parametrize(
    ("on", "workers", "images", "options", "expected"),
    [
        ("threads", None, 10**6, {}, Place("threads", 1, 8)),
        ("auto", None, 199, {}, Place("threads", 1, 8)),
        ("auto", None, 200, {}, Place("local", 8, 1)),
        ("auto", None, 200, {"threads": 2}, Place("threads", 1, 8)),
        ("auto", None, 200, {"device": "cuda"}, Place("threads", 1, 8)),
        ("auto", 2, 10, {}, Place("local", 2, 4)),
        ("local", None, 10, {}, Place("local", 1, 8)),
        ("local", None, 50, {}, Place("local", 3, 2)),
        ("local", None, 500, {"threads": 3}, Place("local", 2, 3)),
        ("local", None, 500, {"device": "cuda"}, Place("local", 1, 8)),
        ("local", 9, 5, {}, Place("local", 9, 1)),
        ("ray", None, 5, {}, Place("ray", None, 1)),
        ("ray://head:10001", 4, 5, {"threads": 2}, Place("ray", 4, 2, "ray://head:10001")),
        ("[::1]:6379", None, 5, {}, Place("ray", None, 1, "[::1]:6379")),
    ],
)
def test_places(
    on: str,
    workers: int | None,
    images: int,
    options: Any,
    expected: Place,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(where, "available_cores", lambda: 8)
    check_on(on, workers)
    assert choose(on, workers, images, options) == expected


def test_one_core_is_best_used_by_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(where, "available_cores", lambda: 1)
    assert choose("auto", None, 10**6, {}).kind == "threads"


@pytest.mark.parametrize(
    ("on", "workers"), [("spark", None), ("ray://", None), ("", None), ("threads", 2), ("local", 0)]
)
def test_calls_that_make_no_sense(on: str, workers: int | None) -> None:
    with pytest.raises(UsageError):
        check_on(on, workers)


@pytest.mark.parametrize(
    ("images", "workers", "batch", "expected"),
    [(1, 2, 1, 1), (12, 2, 1, 2), (10**6, 2, 1, 16), (10**6, 2, 5, 20), (3, 2, 8, 8)],
)
def test_chunks_are_whole_batches(images: int, workers: int, batch: int, expected: int) -> None:
    assert chunk_size(images, workers, batch) == expected
