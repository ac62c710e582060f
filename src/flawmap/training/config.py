"""Every option of a training, declared once: for Python, for the command line and for the docs."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from flawmap.data.known_layouts import LAYOUT_CHOICES
from flawmap.errors import UsageError
from flawmap.types import Fit, PrecisionChoice, RotationChoice, Size


class TrainConfig(BaseModel):
    """Options of one training.

    Each is a keyword of :func:`flawmap.train` and an option of ``flawmap train``, whose help is
    the text below. Where the default is None, the preset or the images decide.
    """

    # The docstrings are the fields' descriptions, which the command line shows.
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    method: str = "destseg"
    """Method: destseg, adps or stpm."""
    preset: str = "fast"
    """Preset of the method: fast; paper, which takes hours without a GPU; or, of destseg, best:
    larger than fast and meant for a GPU, its accuracy not measured yet."""
    teacher: str | Path = "pocket"
    """Frozen backbone: pocket, resnet18, wide_resnet50_2, timm:NAME, timm:NAME@FILE or a weights
    file."""
    textures: Path | None = None
    """Folder of images that synthetic anomalies are cut from. Default: drawn by flawmap."""
    defects: Path | None = None
    """Folder of known defects that the head learns from, too: a folder for each type, with masks
    in masks/TYPE; or any layout that evaluate reads."""
    use_defects: bool = False
    """Learn from the data folder's own defective images, which then no longer serve as a test."""
    rotate: RotationChoice = "auto"
    """How good images are rotated; auto decides from the images."""
    size: Size | None = None
    """Working height and width in pixels, such as 640x256. Default: follows the images' shape."""
    fit: Fit = "squash"
    """How images are brought to that size; tiles keeps native resolution."""
    overlap: int | None = Field(None, ge=0)
    """Overlap of neighbouring tiles in pixels. Default: a quarter of the tile."""
    white_level: int | None = None
    """Value of white in 16-bit images, such as 4095 for 12-bit cameras. Default: from the image
    tags or the highest value."""
    steps: int | None = Field(None, ge=2)
    """Training steps. Default: the preset's."""
    batch_size: int | None = Field(None, ge=2)
    """Images per step. Default: the preset's."""
    precision: PrecisionChoice | None = None
    """Precision of training. Default: the preset's, which is auto for fast and float32 for
    paper."""
    changes: dict[str, Any] = {}
    """Change any other field of the preset, such as l1_weight=0; may be repeated."""
    seed: int = Field(0, ge=0)
    """Seed of all random numbers: the same seed gives the same result."""
    folds: int = Field(0, ge=0)
    """For few images: calibrate on all of them by cross-validation with N fold models, 5 is usual;
    takes N + 1 times as long."""
    device: str = "auto"
    """Device to train on: auto, cpu or cuda."""
    cuda_graphs: bool = True
    """Replay training steps as CUDA graphs on a GPU; the results are the same without."""
    layout: str = Field("auto", description=f"Layout of the data folder: {LAYOUT_CHOICES}.")
    group: str | int | None = None
    """What in a path identifies the part, so that all its images stay on one side of the split: a
    regular expression, "folder", or how many folders up."""
    leave_out_outliers: bool = False
    """Set the thresholds without held-out images whose scores are outliers; they are listed."""

    @field_validator("folds")
    @classmethod
    def _not_one(cls, folds: int) -> int:
        if folds == 1:
            raise ValueError("one fold leaves no images to train on: give 2 or more, 5 is usual")
        return folds

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if self.defects is not None and self.use_defects:
            raise ValueError("give --defects or --use-defects, not both")
        return self

    @classmethod
    def of(cls, options: Mapping[str, Any], base: Self | None = None) -> Self:
        """Return ``base`` (default: the defaults) with ``options`` applied.

        Raises UsageError, in one line, if an option does not exist or its value is invalid.
        """
        for name in options:
            if name not in cls.model_fields:
                raise UsageError(_unknown(name, cls.model_fields))
        try:
            return cls.model_validate(dict(base or ()) | dict(options))
        except ValidationError as error:
            raise UsageError(refusal(error, cls.model_fields)) from error


def refusal(error: ValidationError, options: Collection[str]) -> str:
    """Return one line that names the invalid value and the reason.

    Fields not in ``options`` are those that ``--set`` changes.
    """
    first = error.errors()[0]
    why = first["msg"].removeprefix("Value error, ")
    why = why[:1].lower() + why[1:]
    if not first["loc"]:  # two fields contradict each other
        return f"These settings contradict each other: {why}."
    top, name = str(first["loc"][0]), ".".join(map(str, first["loc"]))
    option = f"--{top.replace('_', '-')}" if top in options else f"--set {name}"
    given = first["input"]
    shown = "x".join(map(str, given)) if isinstance(given, tuple) else given
    return f"{option} {shown}: {why}."


def _unknown(name: str, options: Collection[str]) -> str:
    close = difflib.get_close_matches(name, options, 1)
    hint = f"did you mean {close[0]!r}?" if close else f"choose from {', '.join(options)}."
    return f"train has no option {name!r}: {hint}"
