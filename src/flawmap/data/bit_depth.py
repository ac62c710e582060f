"""White level of the training images: how many bits a camera's 16-bit files actually hold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from flawmap.data.image_io.decoding import is_deep
from flawmap.data.image_io.images import ImageError, highest_value
from flawmap.data.image_io.white_level import FULL_16, bits_of, check_white_level, lowest_white
from flawmap.data.store import decoders


def settle_white_level(
    paths: Sequence[Path], asked: int | None, say: Callable[[str], None]
) -> int | None:
    """Return the white level of the 16-bit images in `paths`; `asked`, or None, if there are none.

    Take it from the files' tags if all files have one and no value is higher; otherwise use the
    smallest of 255, 1023, 4095, 16383 and 65535 that no value exceeds. `say` gets a one-line
    report. Raises UsageError if 16-bit values cannot have the white level asked for.
    """
    if asked is not None:
        check_white_level(asked)
    deep = _deep_images(paths)
    if not deep:
        if asked is not None:
            say(f"No image has 16 bits, so the white level {asked} changes nothing in training.")
        return asked
    highest = max(value for value, _ in deep)
    which = "16-bit images"
    if len(deep) < len(paths):
        which = f"{len(deep)} of {len(paths)} images have 16 bits and"
    if asked is not None:
        if highest > asked:
            say(f"{which} hold values up to {highest:,}: those above {asked} count as white.")
        return asked
    white, why = _white([tag for _, tag in deep], highest)
    if not why and (alone := _alone([value for value, _ in deep])) is not None:
        why = f", on account of one image alone: the others end at {alone:,}"
    otherwise = f"--white-level {FULL_16} if they are 16-bit"
    say(
        f"{which} hold values up to {highest:,}: read as {bits_of(white)} bits (black = 0, white = "
        f"{white}){why}; give {otherwise if white < FULL_16 else '--white-level to change that'}."
    )
    return white


def _white(tags: Sequence[int | None], highest: int) -> tuple[int, str]:
    stated = [tag for tag in tags if tag is not None]
    if len(stated) == len(tags) and highest <= max(stated):
        return max(stated), " as their tags say"
    return lowest_white(highest), ""


def _alone(values: Sequence[int]) -> int | None:
    """Return the second-highest value if a single image alone determines the white level."""
    if len(values) < 3:
        return None
    others, highest = sorted(values)[-2:]
    return others if lowest_white(others) < lowest_white(highest) else None


def _deep_images(paths: Sequence[Path]) -> list[tuple[int, int | None]]:
    """Highest value and tagged white of each 16-bit image; loading reports unreadable files."""
    with ThreadPoolExecutor(decoders(None), "flawmap-depth") as pool:
        depths = pool.map(_depth, paths)
        return [one for one in depths if one is not None]


def _depth(path: Path) -> tuple[int, int | None] | None:
    try:
        return highest_value(path) if is_deep(path) else None
    except ImageError:
        return None
