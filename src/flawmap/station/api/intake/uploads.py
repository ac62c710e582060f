"""Reading of uploads: bounded before anything is decoded, and from memory reserved for them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from fastapi import HTTPException, Request

from flawmap.station.api.intake.multipart import FormError, boundary_of, form_parts
from flawmap.station.config import StationConfig
from flawmap.station.intake.capacity import Reservation
from flawmap.station.intake.submission import BusyError

_FORM = 2**20  # bytes of a form besides its images
_DRAINED = 4 * 2**20  # bytes read of a body that is refused, so that its sender hears why
TEXTS = 50  # fields of a form besides its images


@dataclass
class Upload:
    """What a request brought: its images, and the texts beside them."""

    images: list[bytes] = field(default_factory=list)
    texts: dict[str, str] = field(default_factory=dict)


async def read_upload(
    request: Request, config: StationConfig, reserved: Reservation, most: int = 1
) -> Upload:
    """Read a body: a form with at most `most` files, or the file of one image itself.

    Raises HTTPException 408, 413, 415 or 422, and BusyError.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    image = config.upload_megabytes * 2**20
    if kind == "multipart/form-data":
        body = await read_body(request, config, reserved, most * image + _FORM)
        return _read_form(request.headers["content-type"], body, image, most)
    if most == 1 and (kind.startswith("image/") or kind in ("", "application/octet-stream")):
        return Upload([await read_body(request, config, reserved, image)])
    raise HTTPException(
        415, "Send a form (multipart/form-data)" + (" or an image/* body." if most == 1 else ".")
    )


async def read_body(
    request: Request, config: StationConfig, reserved: Reservation, most: int
) -> bytes:
    """Read the body of a request, of at most `most` bytes, within the station's deadline.

    Raises HTTPException 408 or 413, and BusyError.
    """
    try:
        async with asyncio.timeout(config.deadline):
            declared = _declared(request)
            if declared > most:
                raise _too_large(most)
            try:
                reserved.grow_to(declared)
            except BusyError:
                await _drain(request, declared)
                raise
            pieces, size = [], 0
            async for piece in request.stream():
                size += len(piece)
                if size > most:
                    raise _too_large(most)
                reserved.grow_to(size)
                pieces.append(piece)
    except TimeoutError:
        raise HTTPException(
            408, f"The image did not arrive within {config.deadline:g} s."
        ) from None
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _declared(request: Request) -> int:
    text = request.headers.get("content-length", "0")
    return int(text) if text.isdecimal() else 0


def _too_large(most: int) -> HTTPException:
    return HTTPException(
        413, f"More than {most / 2**20:,.0f} MB: send a smaller image.", {"Connection": "close"}
    )


async def _drain(request: Request, declared: int) -> None:
    """Read a small body without keeping it: a sender still writing would miss the answer."""
    if declared <= _DRAINED:
        async for _ in request.stream():
            pass


def _read_form(content_type: str, body: bytes, image: int, most: int) -> Upload:
    upload = Upload()
    try:
        for part in form_parts(body, boundary_of(content_type)):
            if not part.is_file:
                upload.texts[part.name] = part.data.decode()
            elif len(part.data) > image:
                raise _too_large(image)
            else:
                upload.images.append(part.data)
            if len(upload.images) > most or len(upload.texts) > TEXTS:
                raise HTTPException(422, f"Send at most {most} images and {TEXTS} fields.")
    except (FormError, UnicodeDecodeError) as error:
        reason = "a text is not UTF-8" if isinstance(error, UnicodeDecodeError) else error
        raise HTTPException(422, f"The form cannot be read: {reason}.") from error
    if not upload.images:
        raise HTTPException(422, "The form holds no image: send it as the file 'image'.")
    return upload
