"""Locate and load a ResNet's weights, and convert either layout to the folded one."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import logging
import os
import textwrap
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import torch
from safetensors.torch import load as load_safetensors
from torch import Tensor

from flawmap.backbones.base import UNKNOWN_LICENCE
from flawmap.backbones.provider import Provider, TeacherSource
from flawmap.backbones.resnet import Architecture, ResNetTeacher
from flawmap.errors import FlawmapError, UsageError

_BN_EPSILON = 1e-5
_log = logging.getLogger("flawmap")
_SUFFIXES = (".safetensors", ".pth", ".pt")
_TORCHVISION = "BSD-3-Clause (torchvision)"


@dataclass(frozen=True)
class KnownTeacher:
    """A named teacher and its download location.

    ``sha256`` may be the first digits only, as in torchvision's file names.
    ``converted``: SHA-256 of safetensors files that hold the same weights.
    """

    name: str
    url: str | None = None
    sha256: str | None = None
    converted: tuple[str, ...] = ()
    shipped: bool = False
    licence: str = UNKNOWN_LICENCE


TEACHERS = {
    "resnet18": KnownTeacher(
        "resnet18",
        licence=_TORCHVISION,
        url="https://download.pytorch.org/models/resnet18-f37072fd.pth",
        sha256="f37072fd47e89c5e827621c5baffa7500819f7896bbacec160b1a16c560e07ec",
        converted=(  # norms folded
            "078f8843fee0dda7c13d2ba471c131e452a270c4e988fb30e655f5db888a7f14",
        ),
    ),
    "wide_resnet50_2": KnownTeacher(
        "wide_resnet50_2",
        licence=_TORCHVISION,
        url="https://download.pytorch.org/models/wide_resnet50_2-95faca4d.pth",
        sha256="95faca4d",  # torchvision publishes only these digits
    ),
    "pocket": KnownTeacher("pocket", shipped=True, licence="Apache-2.0"),
}


def load_teacher(spec: str | os.PathLike[str]) -> tuple[ResNetTeacher, TeacherSource]:
    """Load a frozen ResNet by name (``TEACHERS``) or from a weights file.

    A name is looked up in the folder ``FLAWMAP_WEIGHTS``, then in the user's cache, then downloaded
    and checked; ``pocket`` is shipped in the package. Raises FlawmapError if none is available.
    """
    known = TEACHERS.get(str(spec))
    if known is None:
        path = Path(spec)
        name, label, data, licence = path.stem, path.name, _read(path), UNKNOWN_LICENCE
    else:
        name, (label, data), licence = known.name, _find(known), known.licence
    teacher = build_teacher(_read_state(label, data), label)
    teacher.weights_licence = licence
    return teacher, TeacherSource(name, label, hashlib.sha256(data).hexdigest())


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"Cannot read weights file {str(path)!r}: {error.strerror}.") from error


def _find(known: KnownTeacher) -> tuple[str, bytes]:
    """Return file name and bytes of a named teacher's weights."""
    if known.shipped:
        file = resources.files("flawmap.backbones") / f"{known.name}.safetensors"
        return file.name, file.read_bytes()
    for folder in _folders():
        if folder:
            for path in sorted(Path(folder).glob(f"{known.name}*")):
                if path.suffix in _SUFFIXES:
                    data = path.read_bytes()
                    _check(known, path, data)
                    return path.name, data
    return _download(known)


def _folders() -> Iterator[str | None]:
    """Yield where weights may be; the cache only if they are nowhere before it."""
    yield os.environ.get("FLAWMAP_WEIGHTS")
    yield str(cache_folder())


def _check(known: KnownTeacher, path: Path, data: bytes) -> None:
    """Warn if a file named after a teacher does not have a known SHA-256."""
    digest = hashlib.sha256(data).hexdigest()
    if not digest.startswith(str(known.sha256)) and digest not in known.converted:
        _log.warning(
            "%s is loaded as %s because of its name, but its SHA-256 (%s…) is unknown. "
            "If it is another network, give it as --teacher FILE.",
            path, known.name, digest[:12],
        )  # fmt: skip


def cache_folder() -> Path:
    """Folder for downloaded weights: ``$XDG_CACHE_HOME/flawmap`` or ``~/.cache/flawmap``.

    Raises FlawmapError for a user without a home folder, as containers may have.
    """
    root = os.environ.get("XDG_CACHE_HOME")
    try:
        return (Path(root) if root else Path.home() / ".cache") / "flawmap"
    except RuntimeError as error:
        raise FlawmapError(
            "This user has no home folder: set HOME, or XDG_CACHE_HOME, to a folder that keeps "
            "downloaded weights, or FLAWMAP_WEIGHTS to one that holds them."
        ) from error


def _download(known: KnownTeacher) -> tuple[str, bytes]:
    assert known.url is not None
    label = known.url.rsplit("/", 1)[-1]
    try:
        with urllib.request.urlopen(known.url, timeout=30) as answer:
            data: bytes = answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise FlawmapError(_not_available(known, error)) from error
    digest = hashlib.sha256(data).hexdigest()
    if not digest.startswith(str(known.sha256)):
        raise FlawmapError(
            f"The download {known.url} has SHA-256 {digest[:12]}…, not {str(known.sha256)[:12]}…: "
            "refused. Try again, or give --teacher FILE."
        )
    if len(str(known.sha256)) < len(digest):
        _log.warning("%s: only %s… of its SHA-256 is published, and matches.", label, known.sha256)
    with contextlib.suppress(OSError):  # an unwritable cache is skipped
        _keep(cache_folder() / label, data)
    return label, data


def _keep(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_bytes(data)
    partial.replace(path)


def _not_available(known: KnownTeacher, error: Exception) -> str:
    folder = os.environ.get("FLAWMAP_WEIGHTS") or "not set"
    return (
        f"No weights for teacher {known.name!r}. Give --teacher FILE, or put "
        f"{known.name}*.safetensors into the folder named by FLAWMAP_WEIGHTS ({folder}) or into "
        f"{cache_folder()}; the download failed too: {known.url} ({error}).\n"
        "Or use --teacher pocket, which is shipped with flawmap."
    )


def _read_state(label: str, data: bytes) -> dict[str, Tensor]:
    try:
        if label.endswith(".safetensors"):
            return dict(load_safetensors(data))
        return _read_legacy(label, data)
    except FlawmapError:
        raise
    except Exception as error:
        raise FlawmapError(f"{label}: not a readable weights file ({error}).") from error


def _read_legacy(label: str, data: bytes) -> dict[str, Tensor]:
    """Read a torch archive as data only, and only if it is a known download."""
    import io

    digest = hashlib.sha256(data).hexdigest()
    if not any(t.sha256 and digest.startswith(t.sha256) for t in TEACHERS.values()):
        raise FlawmapError(
            f"{label}: refused, as its SHA-256 {digest[:12]}… is not that of a known teacher. "
            "Convert it to .safetensors and give that file."
        )
    state: dict[str, Tensor] = torch.load(io.BytesIO(data), weights_only=True, map_location="cpu")
    return state


def fold_batch_norm(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Fold each norm of torchvision's layout into its convolution; keep a folded layout as it is.

    ``w' = w·γ/√(σ²+ε)``, ``b' = β - μ·γ/√(σ²+ε)``, in float64. Stage 4 and the classifier are
    dropped.
    """
    state = {k: v for k, v in state.items() if not k.startswith(("layer4.", "fc."))}
    folded = {}
    for key, weight in state.items():
        if weight.ndim != 4:
            continue
        conv = key.removesuffix(".weight")
        norm = _norm_of(conv)
        if f"{norm}.running_var" in state:
            gamma, beta, mean, var = (
                state[f"{norm}.{part}"].double()
                for part in ("weight", "bias", "running_mean", "running_var")
            )
            scale = gamma / (var + _BN_EPSILON).sqrt()
            folded[key] = (weight.double() * scale[:, None, None, None]).float()
            folded[f"{conv}.bias"] = (beta - mean * scale).float()
        else:
            folded[key] = weight.float()
            folded[f"{conv}.bias"] = state.get(f"{conv}.bias", torch.zeros(len(weight))).float()
    return folded


def _norm_of(conv: str) -> str:
    if conv.endswith("downsample.0"):
        return conv[:-1] + "1"
    head, _, number = conv.rpartition("conv")
    return f"{head}bn{number}"


def build_teacher(state: dict[str, Tensor], label: str) -> ResNetTeacher:
    """Build a frozen teacher from either layout; FlawmapError naming ``label`` if neither fits."""
    try:
        folded = fold_batch_norm(state)
        teacher = ResNetTeacher(_architecture(folded))
        teacher.load_state_dict(folded)
    except (KeyError, RuntimeError) as error:
        what = f"no {error}" if isinstance(error, KeyError) else str(error).splitlines()[-1]
        raise FlawmapError(
            f"{label}: not a ResNet-18, -34 or -50 in torchvision's layout (stem and stages 1-3): "
            + textwrap.shorten(what, 120, placeholder=" …")
        ) from error
    return teacher


def _architecture(state: dict[str, Tensor]) -> Architecture:
    """Infer the ResNet (18, 34 or 50, any width) from folded weights; KeyError if none fits."""
    bottleneck = "layer1.0.conv3.weight" in state
    last = "conv3" if bottleneck else "conv1"
    w1, w2, w3 = (len(state[f"layer{k}.0.{last}.weight"]) for k in (1, 2, 3))
    i1, i2, i3 = (len(state[f"layer{k}.0.conv2.weight"]) for k in (1, 2, 3))
    deeper = "layer1.2.conv1.weight" in state  # absent in a ResNet-18
    blocks = (3, 4, 6) if bottleneck or deeper else (2, 2, 2)
    inner = (i1, i2, i3) if bottleneck else None
    return Architecture((w1, w2, w3), inner, blocks, len(state["conv1.weight"]))


RESNET = Provider(load_teacher, lambda state: build_teacher(state, "its teacher"))
