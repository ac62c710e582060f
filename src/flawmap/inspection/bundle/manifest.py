"""Manifest: one JSON file with everything about an inspector except its weights."""

from __future__ import annotations

import errno
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from flawmap.data.resize import Framing
from flawmap.errors import FlawmapError, UsageError
from flawmap.inspection.conformal import Calibration
from flawmap.inspection.defects import Filters
from flawmap.types import ExportPrecision, Fit, Rotation
from flawmap.utils.files import check_writable, encode_json, read_regular, write_bytes
from flawmap.utils.locks import only_writer

MANIFEST = "manifest.json"
SETTINGS = "settings.json"
CHECKPOINTS = "checkpoints"
GRAPH = "model.onnx"
WEIGHTS = "weights.safetensors"
EXPORTS = "exports"
FORMAT = 1
MOST_BYTES = 64 * 2**20
"""Size limit of the file: some 800,000 images trained on; up to 1.6 GB parsed."""
_AGAIN = "copy the run folder again, or train again."


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _inside(name: str) -> str:
    """Validate that a file lies within the run's folder: a manifest must not refer outside it."""
    path = PurePosixPath(name)
    if (
        not path.name
        or len(name) > 255
        or path.is_absolute()
        or {".."} & set(path.parts)
        or set("\\:\0") & set(name)
    ):
        raise ValueError("not a file of the run folder")
    return name


FileName = Annotated[str, AfterValidator(_inside)]


class Preprocessing(_Model):
    """Preprocessing of an image before it enters the model."""

    size: tuple[int, int] = Field(description="working height and width in pixels")
    colour: Literal["RGB"] = "RGB"
    resize: Literal["bilinear, antialiased"] = "bilinear, antialiased"
    fit: Fit = Field(
        "squash", description="to the working size; or its shape kept; or in tiles of that size"
    )
    overlap: int = Field(0, description="pixels by which neighbouring tiles overlap at least")
    white_level: int | None = Field(
        None, description="16-bit value that becomes 255; of images of 8 bits there is none"
    )

    @model_validator(mode="after")
    def _goes_together(self) -> Preprocessing:
        try:
            _ = self.framing
        except UsageError as error:
            raise ValueError(str(error)) from error
        return self

    @classmethod
    def of(cls, framing: Framing) -> Preprocessing:
        """Return the storable form of ``framing``."""
        size, fit, overlap = framing.size, framing.fit, framing.overlap
        return cls(size=size, fit=fit, overlap=overlap, white_level=framing.white_level)

    @property
    def framing(self) -> Framing:
        """How images are fitted into tiles of the working size."""
        return Framing(self.size, self.fit, self.overlap, self.white_level)


class Teacher(_Model):
    """Frozen teacher network that the method was trained with."""

    name: str
    file: str = Field(description="its weights file; empty if there was none")
    sha256: str = Field(description="of that file, or of the weights")
    backbone: str | None = Field(
        None, description="registered name; none for a ResNet from a weights file"
    )
    licence: str = Field("not known", description="of the weights")


class LearnedDefects(_Model):
    """Real defects that a run learned from."""

    folders: tuple[str, ...] = Field(description="where they lay")
    types: dict[str, int] = Field(description="images of each defect type")
    without_mask: int = Field(description="images of which only the label was known")
    files: tuple[str, ...] = Field(description="SHA-256 of each image")


class Refinement(_Model):
    """One step of a run's history: which run was refined, and with what."""

    parent: str = Field(description="its run id")
    good: str | None = Field(None, description="folder of good parts that were added")
    added: tuple[str, ...] = Field((), description="SHA-256 of each of them")
    defects: str | None = Field(None, description="folder of known defects that were added")


class Training(_Model):
    """Training settings and data."""

    data: str
    folder: str = Field(description="where the data lay when it was trained")
    layout: str
    images: int = Field(description="good images trained on")
    held_out: int = Field(description="good images kept for calibration")
    skipped: int = Field(description="good images that could not be read")
    useless: int = Field(0, description="good images of a few pixels or of one colour, left out")
    copies: int = Field(0, description="good images that are copies of another, left out")
    group: str | None = Field(None, description="rule that says which images are of one part")
    groups: int | None = Field(None, description="how many groups it made of the good images")
    set_aside: tuple[str, ...] = Field(
        (), description="SHA-256 of each image that shows a part of which another calibrates"
    )
    fingerprint: str = Field(description="digest of all good images used")
    trained_on: tuple[str, ...] = Field(description="SHA-256 of each image trained on")
    rotation: Rotation
    rotation_reason: str
    textures: str
    texture_images: int | None = Field(
        None, description="images that textures were cut from; of textures drawn there are none"
    )
    seed: int
    steps: int
    device: str
    precision: str
    seconds: dict[str, float]
    defects: LearnedDefects | None = Field(None, description="none: learned from good parts alone")
    history: tuple[Refinement, ...] = Field((), description="refinements, the oldest first")


class Parity(_Model):
    """Largest differences between model and torch module, on the CPU, on real images."""

    runtime: str = Field("onnxruntime", description="that the model ran on")
    device: str = Field("cpu", description="that the model ran on")
    images: int
    map: float
    score: float
    limit: float


class Decoder(_Model):
    """Decoder of JPEG files, whose pixels depend on it; see :mod:`.decoder`."""

    jpeg: str = Field(description="its name and version")
    jpeg_sha256: str = Field(description="digest of a test image's pixels as it decodes them")


class Export(_Model):
    """Exported form of the model and its deviation from the original."""

    precision: ExportPrecision
    files: dict[FileName, str] = Field(
        description="SHA-256 of each file of it, the model first; none for bf16, in which the "
        "float32 model is computed"
    )
    quantised: str | None = Field(None, description="what part of the model is in 8-bit integers")
    calibration: Calibration | None = Field(
        None, description="its own thresholds, where it is not in float32"
    )
    images: int = Field(description="images that both were run on")
    map_max: float = Field(description="largest difference of the maps")
    map_mean: float
    score_max: float
    score_mean: float
    flips: int = Field(description="images whose verdict differs, each by its own thresholds")
    p_value_mean: float = Field(
        description="mean |difference| of the good images' p-values among each other"
    )
    pixel_ap: tuple[float, float] | None = Field(
        None, description="on synthetic anomalies, of the first model and of this one"
    )
    image_auroc: tuple[float, float] | None = Field(None, description="likewise")
    within_limits: bool
    forced: bool = Field(False, description="kept although it is not within them")


class Manifest(_Model):
    """The whole manifest."""

    format: Literal[1] = 1
    method: str
    preset: str
    configuration: dict[str, Any]
    preprocessing: Preprocessing
    teacher: Teacher
    calibration: Calibration
    region: str | None = Field(
        None, pattern="^[0-9a-f]{64}$", description="SHA-256 of its region's mask"
    )
    filters: Filters = Filters()
    training: Training
    parity: Parity
    files: dict[FileName, str] = Field(description="SHA-256 of each file of the artefact")
    versions: dict[str, str]
    decoder: Decoder | None = Field(None, description="that decoded the images of calibration")
    devices: dict[str, Parity] = Field(
        {}, description="parity on other devices than the CPU, by runtime and device"
    )
    exports: dict[str, Export] = Field({}, description="by runtime and precision")
    metrics: dict[str, Any] | None = Field(None, description="the last evaluation")

    @property
    def spent(self) -> frozenset[str]:
        """SHA-256 of images that are no evidence on unseen good parts: those trained on, and other
        shots of calibration parts. Images that set the thresholds are not included."""
        return frozenset((*self.training.trained_on, *self.training.set_aside))


def read_manifest(run: Path) -> Manifest:
    """Read the manifest in folder ``run``; raise FlawmapError if it is missing or invalid."""
    path = run / MANIFEST
    try:
        text = read_regular(path, MOST_BYTES).decode()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise FlawmapError(_absent(run)) from error
    except OSError as error:
        if error.errno == errno.EFBIG:
            raise FlawmapError(f"{path} is too large ({error.strerror}): {_AGAIN}") from error
        raise FlawmapError(
            f"Cannot read {path}: {error.strerror}. Check its permissions."
        ) from error
    except UnicodeDecodeError as error:
        raise FlawmapError(f"{path} is not text: {_AGAIN}") from error
    try:
        value = json.loads(text)
        version = value.get("format") if isinstance(value, dict) else None
        if isinstance(version, int) and version > FORMAT:
            raise FlawmapError(f"{path} was written by a newer flawmap: update flawmap to read it.")
        return Manifest.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        where = _printable(".".join(str(part) for part in first["loc"]))
        raise FlawmapError(
            f"{path} is damaged at {where or 'its start'} ({first['msg'].lower()}): {_AGAIN}"
        ) from error
    except (ValueError, RecursionError) as error:
        raise FlawmapError(f"{path} is not a JSON document ({error}): {_AGAIN}") from error


@contextmanager
def changing(run: Path) -> Iterator[Manifest]:
    """Hold an exclusive lock on a run and yield its manifest.

    Raises as :func:`read_manifest`, and FlawmapError if another process writes to the run or the
    folder is not writable, before any work is done.
    """
    read_manifest(run)
    with only_writer(run):
        check_writable(run)
        yield read_manifest(run)


def _printable(text: str) -> str:
    """Return a key of the file such that it fits a one-line message, whatever it contains."""
    return "".join(one if one.isprintable() else "?" for one in text[:80])


def _absent(run: Path) -> str:
    if not run.exists():
        return f"No such run: {run}. Train one with: flawmap train DATA --out {run}"
    if not run.is_dir():
        return f"{run} is a file: give the folder that train wrote."
    if (run / SETTINGS).is_file() or (run / CHECKPOINTS).is_dir():
        return f"The training of {run} is not complete: run the same command with --resume."
    return f"{run} holds no inspector ({MANIFEST} is missing): give the folder that train wrote."


def run_id(manifest: Manifest) -> str:
    """First 16 hex digits of the SHA-256 of the run's model; they identify it in lines."""
    return manifest.files.get(GRAPH, "")[:16]


def region_id(manifest: Manifest) -> str | None:
    """First 16 hex digits of the SHA-256 of the region in which scores are computed, if any."""
    return None if manifest.region is None else manifest.region[:16]


def settings_id(manifest: Manifest) -> str:
    """First 16 hex digits of the SHA-256 of all settings that decide on a map.

    These are the thresholds, the calibration scores (they give the p-value), filters and region.
    """
    calibration = manifest.calibration
    limits = (calibration.reject, calibration.review, calibration.pixel)
    settings = {
        "thresholds": [limit.value for limit in limits],
        "scores": sorted(calibration.scores),
        "filters": manifest.filters.model_dump(),
        "region": manifest.region,
    }
    return hashlib.sha256(json.dumps(settings).encode()).hexdigest()[:16]


def write_manifest(run: Path, manifest: Manifest) -> None:
    """Write only the manifest, atomically; commands use :func:`saving.save_manifest`."""
    write_bytes(run / MANIFEST, encode_manifest(manifest))


def encode_manifest(manifest: Manifest) -> bytes:
    """Return the content of the manifest's file; FlawmapError if it is too large to be read."""
    data = encode_json(manifest.model_dump(mode="json"))
    if len(data) > MOST_BYTES:
        raise FlawmapError(
            f"{MANIFEST} would take {len(data) / 2**20:,.1f} MiB and may take "
            f"{MOST_BYTES >> 20} MiB: train and calibrate with fewer images."
        )
    return data
