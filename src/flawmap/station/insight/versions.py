"""Versions of a product's settings: each can be compared with others, and restored."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError
from sqlalchemy import select
from sqlalchemy.orm import Session

from flawmap.calibration.recalibrate import Rates, from_stored
from flawmap.errors import FlawmapError
from flawmap.inspection.bundle.manifest import GRAPH, Decoder, Export, Manifest, settings_id
from flawmap.inspection.conformal import Calibration
from flawmap.inspection.defects import Filters
from flawmap.inspection.roi.mask import region_file
from flawmap.station.database.tables import Model, Product, SettingsVersion
from flawmap.station.database.tables.base import now
from flawmap.station.security.callers import Caller

OUTSIDE = "Changed outside the station."


class Settings(BaseModel):
    """All settings of a run that decide on a map: what a version holds.

    ``exports``: thresholds of INT8 and bf16 exports by name, and ``models`` the files that they
    are for. ``region_png``: base64 of the region's file, as a run keeps only the region in force.
    ``ids``: what records call these settings, for the model under the empty name and for each
    export.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    calibration: Calibration
    exports: dict[str, Calibration]
    models: dict[str, list[str]]
    decoder: Decoder | None
    filters: Filters
    region: str | None
    region_png: str | None = None
    ids: dict[str, str]

    @classmethod
    def of(cls, manifest: Manifest, folder: Path | None = None) -> Settings:
        """Return the settings of a run; with its ``folder``, a region can be restored later."""
        exports = {n: e.calibration for n, e in manifest.exports.items() if e.calibration}
        return cls(
            calibration=manifest.calibration,
            exports=exports,
            models={name: _files(manifest.exports[name]) for name in exports},
            decoder=manifest.decoder,
            filters=manifest.filters,
            region=manifest.region,
            region_png=_region_png(manifest.region, folder),
            ids={"": settings_id(manifest)} | {n: _id(manifest, c) for n, c in exports.items()},
        )

    def put_into(self, manifest: Manifest) -> Manifest:
        """Return the manifest with these settings.

        An export that was made since gets thresholds at the same rates from its own scores. Raises
        FlawmapError if the region is another one, as those scores then belong to other maps.
        """
        rates = Rates(self.calibration.reject.asked, self.calibration.review.asked)
        own = from_stored(manifest, rates).exports
        for name, one in manifest.exports.items():
            if self._has(name, one):
                own[name] = one.model_copy(update={"calibration": self.exports[name]})
            elif one.calibration is not None and self.region != manifest.region:
                raise FlawmapError(
                    f"The export {name} was made after these settings, with another region: set "
                    "the region on the command line, with flawmap regions."
                )
        changed = {
            "calibration": self.calibration,
            "filters": self.filters,
            "exports": own,
            "decoder": self.decoder,
            "region": self.region,
            "metrics": manifest.metrics if self.region == manifest.region else None,
        }
        return manifest.model_copy(update=changed)

    def is_of(self, manifest: Manifest) -> bool:
        """Whether a manifest has these settings."""
        now = Settings.of(manifest)
        return now == self.model_copy(update={"region_png": None})

    def calibration_named(self, settings: str) -> Calibration | None:
        """Return the thresholds of the precision whose records name these settings, if any."""
        for name, one in {"": self.calibration, **self.exports}.items():
            if self.ids[name] == settings:
                return one
        return None

    def _has(self, name: str, export: Export) -> bool:
        return name in self.exports and self.models[name] == _files(export)

    @property
    def by_hand(self) -> bool:
        """Whether a threshold was set by hand, so that nothing is guaranteed."""
        return not all(one.computed for one in (self.calibration, *self.exports.values()))


def _files(export: Export) -> list[str]:
    return sorted(export.files.values())


def _region_png(region: str | None, folder: Path | None) -> str | None:
    if region is None or folder is None:
        return None
    try:
        return base64.b64encode((folder / region_file(region)).read_bytes()).decode()
    except OSError:  # a folder that is being copied: the next version has it
        return None


def _id(manifest: Manifest, calibration: Calibration) -> str:
    return settings_id(manifest.model_copy(update={"calibration": calibration}))


def note(
    session: Session,
    product: Product,
    manifest: Manifest,
    caller: Caller | None = None,
    comment: str | None = None,
    folder: Path | None = None,
) -> SettingsVersion:
    """Return the version of a product's settings in force, after adding it if it is a new one.

    ``manifest``: of the run ``folder`` that inspects the product, by default its model's. Call it
    when a run is loaded or has changed: settings that are the latest version's already add none.
    """
    session.get(Product, product.id, with_for_update=True)  # PostgreSQL: one numbering at a time
    place = folder or _folder(session, product)
    settings, model = Settings.of(manifest, place), manifest.files.get(GRAPH, "")
    latest = latest_version(session, product.id)
    if latest is not None and latest.model == model and settings_of(latest).is_of(manifest):
        return latest
    added = SettingsVersion(
        product_id=product.id,
        number=1 if latest is None else latest.number + 1,
        settings=settings.ids[""],
        model=model,
        values=settings.model_dump(mode="json") | _summary(settings.calibration),
        comment=comment or (OUTSIDE if latest is not None and latest.model == model else None),
        user_id=caller.user_id if caller else None,
        created_at=now(),
    )
    session.add(added)
    session.flush()
    return added


def _summary(limits: Calibration) -> dict[str, Any]:
    """Return what is shown beside a part, without all the scores behind it."""
    values = {name: getattr(limits, name).value for name in ("reject", "review", "pixel")}
    return values | {"statement": limits.statement()}


def _folder(session: Session, product: Product) -> Path | None:
    model = session.get(Model, product.model_id) if product.model_id else None
    return None if model is None else Path(model.folder)


def latest_version(session: Session, product_id: int) -> SettingsVersion | None:
    """Return the version with the highest number, or None."""
    own = select(SettingsVersion).where(SettingsVersion.product_id == product_id)
    return session.scalar(own.order_by(SettingsVersion.number.desc()).limit(1))


def versions_of(session: Session, product_id: int, most: int = 100) -> list[SettingsVersion]:
    """Return the newest versions of a product, the newest first."""
    own = select(SettingsVersion).where(SettingsVersion.product_id == product_id)
    return list(session.scalars(own.order_by(SettingsVersion.number.desc()).limit(most)))


def is_noted(session: Session, product_id: int, settings: str) -> bool:
    """Whether a version of a product holds the settings that records call so, in any precision."""
    own = select(SettingsVersion.values).where(SettingsVersion.product_id == product_id)
    return any(settings in values["ids"].values() for values in session.scalars(own))


def settings_of(version: SettingsVersion) -> Settings:
    """Return the settings that a version holds. Raises FlawmapError if it is damaged."""
    try:
        return Settings.model_validate(version.values)
    except ValidationError as error:
        raise FlawmapError(f"Version {version.number} of the settings is damaged.") from error


def differences(before: Settings, after: Settings) -> list[dict[str, Any]]:
    """Return what differs as rows with ``name``, ``before`` and ``after``, ready to be shown."""
    old, new = _shown(before), _shown(after)
    return [
        {"name": name, "before": old.get(name, "–"), "after": new.get(name, "–")}
        for name in dict.fromkeys([*old, *new])
        if old.get(name) != new.get(name)
    ]


def _shown(settings: Settings) -> dict[str, str]:
    """Return each setting under the name by which people know it."""
    rows: dict[str, str] = {}
    for prefix, one in {"": settings.calibration, **settings.exports}.items():
        start = f"{prefix}: " if prefix else ""
        for name in ("reject", "review", "pixel"):
            limit = getattr(one, name)
            rows[f"{start}{name} threshold"] = f"{limit.value:.6g}"
            rows[f"{start}{name} rate asked for"] = f"{100 * limit.asked:g} %"
        rows[f"{start}calibration images"] = str(len(one.scores))
        rows[f"{start}thresholds"] = "computed from good images" if one.computed else "set by hand"
    for name, unit in {"min_area": " px", "min_peak": "", "merge_distance": " px"}.items():
        rows[name.replace("_", " ").replace("min", "smallest")] = (
            f"{getattr(settings.filters, name):g}{unit}"
        )
    pitch = settings.filters.pixel_pitch
    rows["pixel pitch"] = "not set" if pitch is None else f"{pitch:g} mm"
    rows["region"] = "whole image" if settings.region is None else settings.region[:12]
    return rows
