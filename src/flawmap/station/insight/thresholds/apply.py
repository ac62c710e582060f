"""Applying of settings to the run folder that inspects a product, as a new version."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.orm import Session

from flawmap.errors import FlawmapError, UsageError
from flawmap.inspection.bundle.manifest import GRAPH, Manifest, changing
from flawmap.inspection.bundle.saving import save_manifest
from flawmap.inspection.roi.mask import region_file
from flawmap.station.context import Station
from flawmap.station.database.tables import Model, Product, SettingsVersion
from flawmap.station.events import Event
from flawmap.station.insight.thresholds.proposal import Proposal
from flawmap.station.insight.versions import Settings, differences, note, settings_of
from flawmap.station.security import audit
from flawmap.station.security.callers import Caller
from flawmap.utils.files import write_bytes


class ChangedMeanwhileError(FlawmapError):
    """Somebody else changed the settings after the person looked at them."""


@dataclass(frozen=True)
class Change:
    """Who changes the settings of which product, why, and from which version that they saw."""

    product_id: int
    seen: int
    caller: Caller
    comment: str


def folder_of(session: Session, product: Product) -> Path:
    """Return the run folder that inspects a product. Raises FlawmapError if it has none."""
    model = session.get(Model, product.model_id) if product.model_id is not None else None
    if model is None:
        raise FlawmapError(f"The product {product.name} has no inspector yet: train one.")
    return Path(model.folder)


def apply(station: Station, change: Change, proposal: Proposal) -> SettingsVersion:
    """Apply other thresholds and filters; running inspectors take them over by themselves.

    Raises ChangedMeanwhileError, UsageError if nothing would change or the values do not go
    together, and FlawmapError if the run cannot be changed; nothing is then changed.
    """

    def changed(manifest: Manifest, _folder: Path, _session: Session) -> Manifest:
        return proposal.apply(manifest)

    return _change(station, change, "settings.apply", changed)


def roll_back(station: Station, change: Change, number: int) -> SettingsVersion:
    """Apply the settings of version ``number`` again, as a new version. Raises as :func:`apply`."""

    def changed(manifest: Manifest, folder: Path, session: Session) -> Manifest:
        chosen = {"product_id": change.product_id, "number": number}
        version = session.query(SettingsVersion).filter_by(**chosen).one_or_none()
        if version is None:
            raise UsageError(f"There is no version {number} of these settings.")
        if version.model != manifest.files.get(GRAPH):
            raise UsageError(
                f"Version {number} belongs to another model: its thresholds mean nothing for the "
                "scores of this one."
            )
        settings = settings_of(version)
        _write_region(folder, settings)
        return settings.put_into(manifest)

    return _change(station, change, "settings.roll_back", changed, back_to=number)


def _change(
    station: Station,
    change: Change,
    action: str,
    changed: Callable[[Manifest, Path, Session], Manifest],
    **details: int,
) -> SettingsVersion:
    with station.database.read() as session:
        folder = folder_of(session, _product(session, change.product_id))
    with changing(folder) as manifest, station.database.write() as session:
        product = _product(session, change.product_id)
        before = note(session, product, manifest)
        if before.number != change.seen:
            raise ChangedMeanwhileError(
                f"The settings were changed meanwhile (version {before.number}): load the page "
                "again and look at them."
            )
        after = changed(manifest, folder, session)
        rows = differences(Settings.of(manifest), Settings.of(after))
        if not rows:
            raise UsageError("These are the settings in force already: nothing was changed.")
        version = note(session, product, after, change.caller, change.comment)
        what = {"version": version.number, "before": before.number, "changes": rows, **details}
        audit.record(session, change.caller, action, product.name, **what)
        save_manifest(folder, after)  # last: if it fails, the version is not stored either
    values = {"product_id": product.id, "product": product.name, "version": version.number}
    station.events.publish(Event("settings", values))
    return version


def _product(session: Session, product_id: int) -> Product:
    product = session.get(Product, product_id)
    if product is None:
        raise UsageError(f"There is no product {product_id}.")
    return product


def _write_region(folder: Path, settings: Settings) -> None:
    """Write a region's file again: the run kept only the one in force."""
    if settings.region is None or (folder / region_file(settings.region)).exists():
        return
    data = base64.b64decode(settings.region_png or "")
    if hashlib.sha256(data).hexdigest() != settings.region:
        raise FlawmapError("The drawing of that version's region was not kept: draw it again.")
    write_bytes(folder / region_file(settings.region), data)
