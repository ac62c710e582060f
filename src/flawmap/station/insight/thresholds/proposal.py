"""Proposal of other settings: thresholds by their rates or by hand, and filters of regions."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from flawmap.calibration.recalibrate import Rates, from_stored
from flawmap.errors import UsageError
from flawmap.inspection.bundle.manifest import Manifest
from flawmap.inspection.conformal import Calibration
from flawmap.inspection.defects import Filters


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ProposedRates(_Model):
    """Shares of good parts that may be rejected, and rejected or sent to review."""

    false_reject: float = Field(gt=0.0, lt=1.0)
    review: float = Field(gt=0.0, lt=1.0)

    @model_validator(mode="after")
    def _check_order(self) -> ProposedRates:
        if self.review < self.false_reject:
            raise ValueError("the review rate includes the rejected parts: give at least that rate")
        return self


class ProposedValues(_Model):
    """Score thresholds set by hand; nothing is guaranteed about them."""

    reject: float
    review: float

    @model_validator(mode="after")
    def _check_order(self) -> ProposedValues:
        if self.review > self.reject:
            raise ValueError("the review threshold is above the reject threshold")
        return self


class ProposedFilters(_Model):
    """Which regions count as defects; areas and distances in image pixels."""

    min_area: float = Field(0.0, ge=0.0)
    min_peak: float = Field(0.0, ge=0.0)
    merge_distance: float = Field(0.0, ge=0.0)


class Proposal(_Model):
    """Settings to try or to apply; what is not given stays as it is."""

    rates: ProposedRates | None = None
    values: ProposedValues | None = None
    filters: ProposedFilters | None = None

    @model_validator(mode="after")
    def _check_one_kind(self) -> Proposal:
        if self.rates is not None and self.values is not None:
            raise ValueError("give rates or values, not both")
        return self

    def apply(self, manifest: Manifest) -> Manifest:
        """Return the manifest with the proposed settings.

        Values set by hand go into the thresholds of every precision; the manifest then states that
        nothing is guaranteed, because they do not follow from the scores any more. The pixel
        threshold stays. Raises UsageError if thresholds and rates do not go together.
        """
        if self.rates is not None:
            rates = Rates(self.rates.false_reject, self.rates.review)
            if not _has(manifest, rates):
                manifest = from_stored(manifest, rates)
        if self.values is not None:
            manifest = _by_hand(manifest, self.values)
        if self.filters is not None:
            kept = {"pixel_pitch": manifest.filters.pixel_pitch}
            filters = Filters(**self.filters.model_dump(), **kept)
            manifest = manifest.model_copy(update={"filters": filters})
        return manifest


def calibrations_of(manifest: Manifest) -> dict[str, Calibration]:
    """Return the thresholds of the model under the empty name, and those of each export."""
    exports = {n: e.calibration for n, e in manifest.exports.items() if e.calibration is not None}
    return {"": manifest.calibration} | exports


def _has(manifest: Manifest, rates: Rates) -> bool:
    """Whether all thresholds were computed for these rates: then they are not touched."""
    return all(
        one.computed and (one.reject.asked, one.review.asked) == (rates.false_reject, rates.review)
        for one in calibrations_of(manifest).values()
    )


def _by_hand(manifest: Manifest, values: ProposedValues) -> Manifest:
    changed = {name: _moved(one, values) for name, one in calibrations_of(manifest).items()}
    exports = {
        name: one.model_copy(update={"calibration": changed.get(name)})
        for name, one in manifest.exports.items()
    }
    return manifest.model_copy(update={"calibration": changed[""], "exports": exports})


def _moved(stored: Calibration, values: ProposedValues) -> Calibration:
    limits = {
        "reject": stored.reject.model_copy(update={"value": values.reject}),
        "review": stored.review.model_copy(update={"value": values.review}),
    }
    try:
        return Calibration.model_validate(stored.model_copy(update=limits).model_dump())
    except ValidationError as error:
        raise UsageError(
            f"These thresholds are not possible: {error.errors()[0]['msg']}."
        ) from error
