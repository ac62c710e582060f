"""Rows for tests and benchmarks: people with a login, a product, and any number of parts."""

from __future__ import annotations

import numpy as np
from sqlalchemy import insert, select

from flawmap.station.database.engine import Database
from flawmap.station.database.tables import LoginSession, Part, Product, User
from flawmap.station.database.tables.base import now
from flawmap.station.security.roles import Role
from flawmap.station.security.secrets import new_token, token_digest

HOUR = 3_600_000_000  # microseconds
MODEL, SETTINGS = "ab" * 32, "cd" * 8


def add_user(database: Database, name: str, role: Role) -> int:
    """Return the id of the user of this name; without a password nobody logs in as them."""
    with database.write() as session:
        user = session.scalar(select(User).where(User.name == name))
        if user is None:
            user = User(name=name, password="", role=role, created_at=now())
            session.add(user)
            session.flush()
        return user.id


def add_login(database: Database, role: Role, name: str | None = None) -> tuple[str, str]:
    """Log a user in; return the cookie's value and the CSRF token."""
    user_id = add_user(database, name or role, role)
    cookie, csrf = new_token(), new_token()
    with database.write() as session:
        session.add(
            LoginSession(
                token=token_digest(cookie),
                user_id=user_id,
                csrf=csrf,
                created_at=now(),
                expires_at=now() + HOUR,
            )
        )
    return cookie, csrf


def add_product(database: Database, name: str = "board") -> int:
    """Return the id of the product of this name."""
    with database.write() as session:
        product = session.scalar(select(Product).where(Product.name == name))
        if product is None:
            product = Product(name=name, created_at=now())
            session.add(product)
            session.flush()
        return product.id


def fill(
    database: Database, count: int, *, product: str = "board", seed: int = 0, every: float = 1.0
) -> None:
    """Add parts without images until now, one ``every`` so many seconds.

    5 % are rejected, 5 % to review, 1 % errors.
    """
    product_id, rng = add_product(database, product), np.random.default_rng(seed)
    step = round(every * 1e6)
    start = now() - count * step
    scores = rng.beta(2, 12, count)
    reject, review = np.quantile(scores, [0.95, 0.90])
    for first in range(0, count, 10_000):
        rows = [
            _row(
                product_id, start + i * step, i, float(scores[i]), float(reject), float(review), rng
            )
            for i in range(first, min(count, first + 10_000))
        ]
        with database.write() as session:
            session.execute(insert(Part), rows)


def rows_of(product_id: int, scores: list[float], start: int) -> list[dict[str, object]]:
    """Return rows of parts that scored so, one a second from `start` on."""
    rng = np.random.default_rng(0)
    rows = [_row(product_id, start, i, one, np.inf, np.inf, rng) for i, one in enumerate(scores)]
    return [row | {"image": f"{i % 256:02x}{row['image'][2:]}"} for i, row in enumerate(rows)]


def _row(
    product_id: int,
    received_at: int,
    index: int,
    score: float,
    reject: float,
    review: float,
    rng: np.random.Generator,
) -> dict[str, object]:
    failed = index % 100 == 99
    verdict = "reject" if score > reject else "review" if score > review else "good"
    area = 0 if verdict == "good" else int(rng.integers(20, 4000))
    record = {
        "format": 1,
        "run": MODEL[:16],
        "model": MODEL,
        "settings": SETTINGS,
        "precision": "float32",
        "backend": "onnxruntime",
        "device": "cpu",
    }
    defect = {"box": [3, 4, 30, 40], "area": area, "peak": 0.9, "length": 50.0, "mean": 0.7}
    result = {
        "score": score,
        "p_value": max(0.001, 1.0 - score),
        "verdict": verdict,
        "defects": [defect] if area else [],
        "milliseconds": 12.0,
    }
    return {
        "key": None,
        "product_id": product_id,
        "received_at": received_at,
        "number": f"SN-{product_id}-{index:07}",
        "line": f"line {1 + index % 2}",
        "source": "http",
        "fields": {"shift": "early" if index % 3 else "late"},
        "verdict": None if failed else verdict,
        "score": None if failed else score,
        "p_value": None if failed else result["p_value"],
        "defects": None if failed else len(result["defects"]),  # type: ignore[arg-type]
        "largest_area": area if area and not failed else None,
        "error": "not an image" if failed else None,
        "record": record | ({"error": "not an image"} if failed else result),
        "model": MODEL,
        "settings": SETTINGS,
        "image": f"{index:064x}",
        "suffix": ".png",
        "bytes": 100_000,
        "width": 256,
        "height": 256,
        "has_image": False,
        "has_map": False,
        "note": None,
        "waited_ms": 1.0,
        "total_ms": 14.0,
        "decision": None,
        "decided_at": None,
        "decided_by": None,
        "reviewers": 0,
    }
