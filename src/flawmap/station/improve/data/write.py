"""Data sets of a product: what is learned from, as folders that flawmap reads, and what is not.

For a training anew, ``data/good`` has all good images. For a refinement it has only those that are
new to the run in force; ``calibrate`` beside it has good parts of the random sample. Both have
defective parts in ``data/defective/TYPE`` and what was drawn on them in ``data/masks/TYPE``; parts
without a drawing, and thus without a type, lie in ``data/defective`` itself.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from flawmap.data.image_io.images import write_png
from flawmap.data.layouts.shared.kinds import is_bad, is_good, is_masks, is_unsorted
from flawmap.data.listing.images import Folder
from flawmap.station.context import Station
from flawmap.station.database.tables import DrawnDefect, LearningImage, Product
from flawmap.station.database.tables.base import now
from flawmap.station.improve.data.known import FORMAT, MANIFEST
from flawmap.station.improve.data.plan import Plan
from flawmap.station.improve.data.split import SAME_PART, Reviewed
from flawmap.station.improve.data.way import Way
from flawmap.station.improve.images import learning_files
from flawmap.station.improve.training import CALIBRATE, DATA, DEFECTIVE, GOOD, LIST
from flawmap.station.insight.sampling import is_sampled
from flawmap.station.review.drawing import drawn_defects, mask_of
from flawmap.utils.files import make_folder, write_json

_GONE = "its image is no longer stored"
_REJECTED = "given as good, but decided reject by a reviewer"
_PASSED = "the model in force passed it: a refinement learns only from flagged ones"
_SAMPLED = "of the random sample, but an earlier part of it is not decided on, or is trained on"
_TYPE = 60  # characters of a folder's name


class Writer:
    """Write a plan below a job's folder: linked images, masks, and the manifest last."""

    def __init__(
        self,
        station: Station,
        product: Product,
        plan: Plan,
        way: Way,
        method: str,
        folder: Path,
    ) -> None:
        self._station, self._product, self._plan, self._folder = station, product, plan, folder
        self._way, self._method = way, method
        self._learned: list[dict[str, Any]] = []
        self._left_out = [
            {"part": one.part, "image": one.image, "reason": why}
            for one, why in plan.split.left_out
        ]

    def write(self) -> dict[str, Any]:
        """Write the data set anew; return its manifest."""
        for place in (DATA, CALIBRATE):
            shutil.rmtree(self._folder / place, ignore_errors=True)
        make_folder(self._folder / DATA / GOOD)
        for image in self._plan.refused:
            self._leave_out(None, image.image, _REJECTED)
        refining = self._way.kind == "refine"
        self._write_given(self._plan.new_given if refining else self._plan.first)
        good = self._plan.flagged_good if refining else self._plan.good
        calibrating = self._plan.calibrating if refining else []
        with self._station.database.read() as session:
            for part in good:
                self._write_part(part, f"{DATA}/{GOOD}", GOOD)
            for part in calibrating:
                self._write_part(part, CALIBRATE, CALIBRATE)
            for part in self._plan.defective:
                self._write_defective(part, drawn_defects(session, part.part))
        used = {one.part for one in (*good, *calibrating)}
        for part in self._plan.good:
            if part.part not in used and part.image not in self._plan.known.images:
                self._leave_out(part.part, part.image, self._why_unused(part))
        manifest = self._manifest()
        write_json(self._folder / MANIFEST, manifest)
        return manifest

    def _why_unused(self, part: Reviewed) -> str:
        if part.number in self._plan.known.numbers:
            return SAME_PART
        return _SAMPLED if is_sampled(part.image) else _PASSED

    def _write_given(self, images: Sequence[LearningImage]) -> None:
        given = learning_files(self._station.config)
        for image in images:
            path = given.image_path(image.image, image.suffix)
            if self._link(path, f"{DATA}/{GOOD}", _name(image.image, None), None, image.image):
                self._learned.append({"image": image.image, "kind": "good", "origin": "given"})

    def _write_defective(self, part: Reviewed, drawn: Sequence[DrawnDefect]) -> None:
        kind = type_folder(drawn)
        place = f"{DATA}/{DEFECTIVE}/{kind}"
        if self._write_part(part, place, DEFECTIVE, mask=bool(drawn)) and drawn:
            masks = make_folder(self._folder / DATA / "masks" / kind)
            write_png(
                masks / f"{_name(part.image, part.number)}.png", 255 * mask_of(drawn, part.size)
            )

    def _write_part(self, part: Reviewed, place: str, kind: str, *, mask: bool = False) -> bool:
        path = self._station.files.image_path(part.image, part.suffix)
        name = _name(part.image, part.number)
        if not self._link(path, place, name, part.part, part.image):
            return False
        entry = {"image": part.image, "kind": kind, "origin": "reviewed", "part": part.part}
        entry |= {"number": part.number, "received_at": part.received_at, "mask": mask}
        self._learned.append(entry)
        return True

    def _link(self, source: Path, place: str, name: str, part: int | None, image: str) -> bool:
        """Put an image into the data set, without a copy where the file system can."""
        target = make_folder(self._folder / place) / (name + source.suffix)
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
            "way": self._way.to_dict(),
            "method": self._method,
            "refines": str(self._plan.run) if self._way.kind == "refine" else None,
            "learned": self._learned,
            "compared": compared,
            "left_out": self._left_out,
        }


def _name(image: str, number: str | None) -> str:
    """Return a file's name: images of one part number begin alike, any other by its digest."""
    group = image if number is None else hashlib.sha256(number.encode()).hexdigest()
    return f"{group[:16]}-{image}"


def type_folder(drawn: Sequence[DrawnDefect]) -> str:
    """Return the name of a folder for a part by the type of most of what was drawn on it.

    It is empty without a drawing, or if the type would be read as a label, such as `good`.
    """
    areas: Counter[str] = Counter()
    for one in drawn:
        areas[re.sub(r"[^\w-]+", "_", one.type.casefold()).strip("_-")[:_TYPE]] += one.area
    if not areas:
        return ""
    name = areas.most_common(1)[0][0]
    folder = Folder(Path(name))
    is_label = any(says(folder) for says in (is_good, is_bad, is_masks, is_unsorted))
    return name if any(char.isalpha() for char in name) and not is_label else ""
