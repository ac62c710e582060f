"""InspectionRecord: the one form in which the result of an image is written and read.

``predict``, ``watch``, ``judge``, ``drift`` and ``evaluate`` share it. A line of JSON holds one
record; fields without a value are left out. A change of a field's meaning raises ``FORMAT``, and a
record of a higher format is refused. New optional fields keep the format: an older flawmap ignores
fields that it does not know, and does not write them again.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError, model_validator

from flawmap.errors import FlawmapError
from flawmap.types import Verdict

FORMAT = 1
_RESULT = ("score", "p_value", "verdict", "defects")
_ADVICE = "Give the file that predict --json or --watch wrote."
_Text = str | bytes  # within the record's class, `bytes` is a field


class NotJsonError(FlawmapError):
    """The text is not JSON, such as a line that was cut short."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, allow_inf_nan=False)


class Defect(_Frozen):
    """One 8-connected region of the thresholded map, or several close together.

    Box, area and length are in image pixels, and in mm where a pixel pitch is set; peak and mean
    are map values.
    """

    box: tuple[int, int, int, int] = Field(description="x, y, width, height")
    area: int
    peak: float
    length: float = Field(description="largest extent in any direction")
    mean: float
    area_mm2: float | None = None
    length_mm: float | None = None


class StoredMap(_Frozen):
    """Reference to the model's map of an image: all that ``judge`` needs to decide again."""

    file: str = Field(description="path relative to the folder of the lines, or absolute")
    size: tuple[PositiveInt, PositiveInt] = Field(description="height and width of the image")
    score: float = Field(description="score by the model, before a region is applied")
    sha256: str | None = Field(None, description="of the file, if another map may replace it")


@dataclass(frozen=True)
class Provenance:
    """Which model computed a map and how; these are fields of a record."""

    run: str
    model: str
    precision: str
    backend: str
    device: str


class InspectionRecord(_Frozen):
    """Result of inspecting one image: a verdict with its evidence, or an error.

    With an ``error`` there are no score, p-value, verdict, defects and map.
    """

    format: Literal[1] = 1
    path: str | None = Field(None, description="image file; absent for a frame without one")
    error: str | None = Field(None, description="why there is no verdict, in one line")
    score: float | None = None
    p_value: float | None = Field(
        None, gt=0.0, le=1.0, description="share of good parts that score as high or higher"
    )
    verdict: Verdict | None = None
    defects: tuple[Defect, ...] | None = Field(None, description="worst first")
    milliseconds: float | None = Field(
        None, ge=0.0, description="from reading to verdict; absent if judged from a stored map"
    )
    run: str = Field(description="first 16 hex digits of the digest of the run's model.onnx")
    precision: str = Field(description="float32, bf16 or int8")
    backend: str = Field(description="name of the runtime")
    region: str | None = Field(
        None, description="first 16 hex digits of the digest of the region of interest, if any"
    )
    map: StoredMap | None = Field(None, description="where the map is stored, if it is")
    device: str = Field(description="cpu, cuda, GPU, ...")
    model: str = Field(description="digest of the model that ran: model.onnx or an export of it")
    settings: str = Field(
        description="first 16 hex digits of the digest of thresholds, filters and region"
    )
    image: str | None = Field(
        None, description="SHA-256 of the file's bytes; absent for a frame that is an array"
    )
    bytes: int | None = Field(None, description="size of a watched file")
    modified_ns: int | None = Field(None, description="modification time of a watched file")

    @model_validator(mode="after")
    def _check_result_or_error(self) -> InspectionRecord:
        absent = [getattr(self, name) is None for name in _RESULT]
        if self.error is None and any(absent):
            raise ValueError(f"without an error, all of {', '.join(_RESULT)} are needed")
        if self.error is not None and not (all(absent) and self.map is None):
            raise ValueError(f"with an error, none of {', '.join(_RESULT)} and map are possible")
        return self

    @property
    def failed(self) -> bool:
        """Whether the image has an error and no verdict."""
        return self.error is not None

    @property
    def provenance(self) -> Provenance:
        """Which model computed the map, and how."""
        return Provenance(self.run, self.model, self.precision, self.backend, self.device)

    def with_error(self, error: str) -> InspectionRecord:
        """Return the record of the same image with an error in place of its result."""
        gone = dict.fromkeys((*_RESULT, "milliseconds", "map"))
        return self.model_copy(update=gone | {"error": error})

    def to_dict(self) -> dict[str, Any]:
        """Return the fields that have a value, as JSON types."""
        return self.model_dump(mode="json", exclude_none=True)

    def to_json(self) -> str:
        """Return the record as one line of ASCII JSON, without the newline."""
        return json.dumps(self.to_dict())

    @classmethod
    def from_json(cls, line: _Text) -> InspectionRecord:
        """Parse a line of JSON.

        Raises NotJsonError if it is not JSON, FlawmapError if it is not a record of this format.
        """
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise NotJsonError(f"It is not JSON ({error}). {_ADVICE}") from error
        if not isinstance(value, dict) or not ({"path", "format"} & value.keys()):
            raise FlawmapError(f"It is not an inspection record. {_ADVICE}")
        version = value.get("format")
        if version is None:
            raise FlawmapError("It has no format: an older flawmap wrote it. Predict again.")
        if isinstance(version, int) and version > FORMAT:
            raise FlawmapError(f"A newer flawmap wrote it (format {version}): update flawmap.")
        try:
            return cls.model_validate(value)
        except ValidationError as error:
            raise FlawmapError(f"It is damaged: {_first_error(error)}. Predict again.") from error


class WithRecord:
    """Base of what holds the ``record`` of one image: score, p-value and verdict of it.

    They are not defined where the record has an error.
    """

    record: InspectionRecord

    @property
    def score(self) -> float:
        """Image score."""
        return cast(float, self.record.score)

    @property
    def p_value(self) -> float:
        """Share of good parts that score as high or higher."""
        return cast(float, self.record.p_value)

    @property
    def verdict(self) -> Verdict:
        """What the inspector decided."""
        return cast(Verdict, self.record.verdict)


def _first_error(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_context=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    return f"{where or 'record'}: {first['msg'].lower()}"
