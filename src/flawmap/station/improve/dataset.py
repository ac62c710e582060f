"""Data sets of a product: what is learned from, as a folder that flawmap reads, and what is not."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from flawmap.data.image_io.images import write_png
from flawmap.station.context import Station
from flawmap.station.database.tables import DrawnDefect, LearningImage, Model, Part, Product
from flawmap.station.database.tables.base import now
from flawmap.station.improve.images import all_images, learning_files
from flawmap.station.improve.split import Reviewed, Split, split
from flawmap.station.review.drawing import drawn_defects, mask_of
from flawmap.utils.files import make_folder, write_json

MANIFEST, FORMAT = "dataset.json", 1
DATA, LIST = "data", "compared.txt"
GROUP = "([0-9a-f]{16})-"
"""What in a file's name says which part it shows, as `flawmap train --group` takes it."""
_GONE = "its image is no longer stored"
_COLUMNS = (
    *(Part.id, Part.image, Part.suffix, Part.number, Part.received_at, Part.decision),
    *(Part.height, Part.width),
)
_REJECTED = "given as good, but decided reject by a reviewer"


@dataclass
class Plan:
    """What a training would learn from: given images, and reviewed parts by their side."""

    first: list[LearningImage] = field(default_factory=list)
    refused: list[LearningImage] = field(default_factory=list)
    split: Split = field(default_factory=Split)

    @property
    def good(self) -> list[Reviewed]:
        """Confirmed good parts to learn from, besides the given images."""
        given = {one.image for one in self.first}
        return [p for p in self.split.learned if p.decision == "good" and p.image not in given]

    @property
    def defective(self) -> list[Reviewed]:
        """Confirmed defective parts of the data set."""
        return [part for part in self.split.learned if part.decision == "reject"]

    @property
    def good_count(self) -> int:
        """Images of good parts to learn from."""
        return len(self.first) + len(self.good)


def make_plan(session: Session, product: Product) -> Plan:
    """Decide what a training started now would learn from and be compared on."""
    parts = reviewed_parts(session, product.id)
    rejected = {one.image for one in parts if one.decision == "reject"}
    plan = Plan()
    for image in all_images(session, product.id):
        (plan.refused if image.image in rejected else plan.first).append(image)
    if product.model_id is None:  # nothing to compare with: learn from all
        plan.split = split(parts, share=0.0) if parts else Split()
        plan.split.learned += plan.split.compared
        plan.split.compared, plan.split.cut = [], None
        return plan
    images, numbers = learned_by(session, product.model_id)
    plan.split = split(parts, images | {one.image for one in plan.first}, numbers)
    return plan


def reviewed_parts(session: Session, product_id: int) -> list[Reviewed]:
    """Return the product's parts that reviewers decided on and whose image is stored."""
    query = select(*_COLUMNS).where(
        Part.product_id == product_id,
        Part.decision.in_(("good", "reject")),
        Part.has_image,
        Part.image.is_not(None),
        Part.height.is_not(None),
        Part.width.is_not(None),
    )
    return [
        Reviewed(
            part, image or "", suffix or "", number, at, decision or "", (high or 0, wide or 0)
        )
        for part, image, suffix, number, at, decision, high, wide in session.execute(query)
    ]


def learned_by(session: Session, model_id: int) -> tuple[set[str], set[str]]:
    """Return the image digests and part numbers that a model learned from, as far as known."""
    model = session.get(Model, model_id)
    stored = read_dataset(Path(model.folder).parent) if model is not None else None
    learned = [] if stored is None else stored["learned"]
    numbers = {one["number"] for one in learned if one.get("number")}
    return {one["image"] for one in learned}, numbers


def read_dataset(folder: Path) -> dict[str, Any] | None:
    """Return the manifest of a data set, or None where there is none."""
    with suppress(OSError, ValueError):
        found = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        if isinstance(found, dict) and found.get("format") == FORMAT:
            return found
    return None


class Writer:
    """Write a plan below a job's folder: linked images, masks, and the manifest last."""

    def __init__(self, station: Station, product: Product, plan: Plan, folder: Path) -> None:
        self._station, self._product, self._plan, self._folder = station, product, plan, folder
        self._learned: list[dict[str, Any]] = []
        self._left_out = [
            {"part": one.part, "image": one.image, "reason": why}
            for one, why in plan.split.left_out
        ]

    def write(self) -> dict[str, Any]:
        """Write the data set anew; return its manifest."""
        shutil.rmtree(self._folder / DATA, ignore_errors=True)
        make_folder(self._folder / DATA / "good")
        given = learning_files(self._station.config)
        for image in self._plan.refused:
            self._leave_out(None, image.image, _REJECTED)
        for image in self._plan.first:
            path = given.image_path(image.image, image.suffix)
            if self._link(path, "good", _name(image.image, None), None, image.image):
                self._learned.append({"image": image.image, "kind": "good", "origin": "given"})
        self._write_parts()
        manifest = self._manifest()
        write_json(self._folder / MANIFEST, manifest)
        return manifest

    def _write_parts(self) -> None:
        with self._station.database.read() as session:
            for part in [*self._plan.good, *self._plan.defective]:
                self._write_part(part, drawn_defects(session, part.part))

    def _write_part(self, part: Reviewed, drawn: Sequence[DrawnDefect]) -> None:
        kind = "good" if part.decision == "good" else "defective"
        name = _name(part.image, part.number)
        path = self._station.files.image_path(part.image, part.suffix)
        if not self._link(path, kind, name, part.part, part.image):
            return
        has_mask = kind == "defective" and bool(drawn)
        if has_mask:
            masks = make_folder(self._folder / DATA / "masks")
            write_png(masks / f"{name}.png", 255 * mask_of(drawn, part.size))
        entry = {"image": part.image, "kind": kind, "origin": "reviewed", "part": part.part}
        entry |= {"number": part.number, "received_at": part.received_at, "mask": has_mask}
        self._learned.append(entry)

    def _link(self, source: Path, kind: str, name: str, part: int | None, image: str) -> bool:
        """Put an image into the data set, without a copy where the file system can."""
        target = make_folder(self._folder / DATA / kind) / (name + source.suffix)
        try:
            try:
                os.link(source, target)
            except FileNotFoundError:
                raise
            except OSError:
                shutil.copyfile(source, target)
        except FileNotFoundError:
            self._leave_out(part, image, _GONE)
            return False
        return True

    def _leave_out(self, part: int | None, image: str, reason: str) -> None:
        self._left_out.append({"part": part, "image": image, "reason": reason})

    def _manifest(self) -> dict[str, Any]:
        files, compared, lines = self._station.files, [], []
        for one in self._plan.split.compared:
            path = files.image_path(one.image, one.suffix).absolute()
            if not path.is_file():
                self._leave_out(one.part, one.image, _GONE)
                continue
            lines.append(f"{path}\n")
            entry: dict[str, Any] = {"part": one.part, "image": one.image, "number": one.number}
            compared.append(entry | {"received_at": one.received_at, "decision": one.decision})
        (self._folder / LIST).write_text("".join(lines), encoding="utf-8")
        return {
            "format": FORMAT,
            "product": self._product.name,
            "created_at": now(),
            "cut": self._plan.split.cut,
            "learned": self._learned,
            "compared": compared,
            "left_out": self._left_out,
        }


def _name(image: str, number: str | None) -> str:
    """Return a file's name: images of one part number begin alike, any other by its digest."""
    group = image if number is None else hashlib.sha256(number.encode()).hexdigest()
    return f"{group[:16]}-{image}"
