"""Picture intake: from untrusted bytes to RGB of the size the model wants.

Nothing a caller says about a file is believed: the format is sniffed, the size is read from the header and judged
before a pixel is decoded, and whatever a decoder raises is the picture's fault. Orientation (EXIF) is applied, colours
become sRGB, transparency is laid on white, all other metadata is dropped.

    PictureError
    ├── PictureEmpty         no bytes
    ├── PictureTooLarge      too many bytes or pixels
    ├── PictureTooSmall      a side too short
    ├── PictureUnsupported   not JPEG, PNG or WebP
    ├── PictureAnimated      more than one frame
    └── PictureUndecodable   damaged
"""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from io import BytesIO
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, UnidentifiedImageError

Rgb = NDArray[np.uint8]
"""[H, W, 3], sRGB."""

# Process-wide, as filters are not safe to change on a thread. Pillow's limit is the second lock: those below are far
# stricter. Damaged EXIF is no news.
warnings.simplefilter("error", Image.DecompressionBombWarning)
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.TiffImagePlugin")

_WHITE = 255
_SRGB = ImageCms.createProfile("sRGB")
_PROFILE_SPACE = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK"}

_EXIF_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

_JPEG_SCAN, _JPEG_END = 0xDA, 0xD9
_JPEG_MARKER = re.compile(rb"\xff+[^\x00\xff]")
_JPEG_MARKER_IN_SCAN = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")  # neither a stuffed byte, a restart nor filling

# Resampling shrinks by whole factors first, down to this many times the final size.
_REDUCING_GAP = 3.0


class PictureError(ValueError):
    """A picture that is refused; the message names the limit and what was found. `reason` is for machines."""

    reason: ClassVar[str]


class PictureEmpty(PictureError):
    reason = "IMAGE_EMPTY"


class PictureTooLarge(PictureError):
    reason = "IMAGE_TOO_LARGE"


class PictureTooSmall(PictureError):
    reason = "IMAGE_TOO_SMALL"


class PictureUnsupported(PictureError):
    reason = "IMAGE_UNSUPPORTED_FORMAT"


class PictureAnimated(PictureError):
    reason = "IMAGE_ANIMATED"


class PictureUndecodable(PictureError):
    reason = "IMAGE_UNDECODABLE"


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureLimits:
    """What is accepted. A phone's "12 megapixels" are 4032 x 3024 = 12,192,768 pixels, so a megapixel is 2^20 here."""

    max_bytes: int = 10 << 20
    max_pixels: int = 12 << 20
    min_side: int = 16
    max_jpeg_scans: int = 64
    """A progressive JPEG may repeat a 26-byte scan without end, each costing a pass over all pixels; encoders write
    about ten."""


DEFAULT_LIMITS = PictureLimits()


def decode_picture(data: bytes, *, limits: PictureLimits = DEFAULT_LIMITS, needed_side: int | None = None) -> Rgb:
    """Decode a JPEG, PNG or WebP file to upright sRGB.

    Args:
        needed_side: the longer side in pixels of what will be made of the picture. A JPEG more than four times larger
            is decoded at a half, a quarter or an eighth, never below twice this side.

    Raises:
        PictureError: the picture is refused.
    """
    if not data:
        raise PictureEmpty("the picture is empty")
    if len(data) > limits.max_bytes:
        raise PictureTooLarge(f"the picture has {len(data):,} bytes; at most {limits.max_bytes:,} are accepted")
    file_format = _sniff(data)
    if file_format == "JPEG" and (scans := count_jpeg_scans(data)) > limits.max_jpeg_scans:
        raise PictureUndecodable(f"the JPEG has {scans:,} scans; at most {limits.max_jpeg_scans} are accepted")
    try:
        with Image.open(BytesIO(data), formats=(file_format,)) as image:
            _judge_header(image, file_format, limits)
            if needed_side is not None:
                image.draft(None, (2 * needed_side, 2 * needed_side))
            image.load()
            return np.asarray(_on_white(_upright(image)))
    except (PictureError, MemoryError):
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        found = str(error).partition(" exceeds")[0]  # "Image size (400000000 pixels)"
        raise PictureTooLarge(f"{found} is too much; at most {limits.max_pixels:,} pixels are accepted") from error
    except UnidentifiedImageError as error:
        raise PictureUndecodable(f"the {file_format} file is damaged: its header cannot be read") from error
    except Exception as error:  # hostile bytes make decoders raise nearly anything
        raise PictureUndecodable(f"the {file_format} file is damaged: {error}") from error


def fit_crop(rgb: Rgb, height: int, width: int) -> Rgb:
    """Scale and crop the centre so that the picture fills `[height, width, 3]`; for the reference picture."""
    image = Image.fromarray(rgb)
    kept_width = min(image.width, image.height * width / height)
    kept_height = min(image.height, image.width * height / width)
    left, top = (image.width - kept_width) / 2, (image.height - kept_height) / 2
    box = (left, top, left + kept_width, top + kept_height)
    return np.array(image.resize((width, height), Image.Resampling.LANCZOS, box, _REDUCING_GAP))


def fit_pad_white(rgb: Rgb, height: int, width: int) -> Rgb:
    """Scale so that the whole picture fits into `[height, width, 3]`, centred on white; for the garment picture."""
    image = Image.fromarray(rgb)
    scale = min(height / image.height, width / image.width)
    inner = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    padded = np.full((height, width, 3), _WHITE, np.uint8)
    left, top = (width - inner[0]) // 2, (height - inner[1]) // 2
    padded[top : top + inner[1], left : left + inner[0]] = image.resize(
        inner, Image.Resampling.LANCZOS, reducing_gap=_REDUCING_GAP
    )
    return padded


def count_jpeg_scans(data: bytes) -> int:
    """Scans of a JPEG file's first picture. Walks its segments, so that thumbnails and trailers do not count."""
    scans, marker = 0, _JPEG_MARKER.match(data, 2)
    while marker and (kind := data[marker.end() - 1]) != _JPEG_END:
        segment_end = marker.end() + int.from_bytes(data[marker.end() : marker.end() + 2])
        if kind == _JPEG_SCAN:
            scans += 1
            marker = _JPEG_MARKER_IN_SCAN.search(data, segment_end)
        else:
            marker = _JPEG_MARKER.match(data, segment_end)
    return scans


def _sniff(data: bytes) -> str:
    if data.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "WEBP"
    raise PictureUnsupported(f"the picture is not JPEG, PNG or WebP; it begins with the bytes {data[:12].hex(' ')}")


def _judge_header(image: Image.Image, file_format: str, limits: PictureLimits) -> None:
    # A JPEG with more than one frame is a still with a depth map or preview behind it, as phones write.
    frames = getattr(image, "n_frames", 1)
    if file_format != "JPEG" and frames > 1:
        raise PictureAnimated(f"the picture is animated, {frames} frames; only still pictures are accepted")
    size = f"{image.width} x {image.height}"
    if image.width * image.height > limits.max_pixels:
        raise PictureTooLarge(
            f"the picture has {size} = {image.width * image.height:,} pixels; "
            f"at most {limits.max_pixels:,} are accepted"
        )
    if min(image.size) < limits.min_side:
        raise PictureTooSmall(f"the picture has {size} pixels; each side must have at least {limits.min_side}")


def _upright(image: Image.Image) -> Image.Image:
    try:
        orientation = image.getexif().get(_EXIF_ORIENTATION)
    except Exception:
        return image
    method = _UPRIGHT.get(orientation or 1)
    if method is None:
        return image
    turned = image.transpose(method)
    turned.info = image.info  # colour profile and transparency are still needed
    return turned


def _on_white(image: Image.Image) -> Image.Image:
    """sRGB over white. Colours are converted before alpha is applied, as the profile speaks of the colours alone."""
    profile = image.info.get("icc_profile")
    if image.mode == "I;16":
        image = _to_8_bit(image)
    if not image.has_transparency_data:
        opaque = image if image.mode in _PROFILE_SPACE else image.convert("L" if image.mode == "1" else "RGB")
        return _to_srgb(opaque, profile)
    grey = image.mode in ("1", "L", "LA")
    layered = image.convert("LA" if grey else "RGBA")
    canvas = Image.new("RGB", image.size, "white")
    canvas.paste(_to_srgb(layered.convert("L" if grey else "RGB"), profile), mask=layered.getchannel("A"))
    return canvas


def _to_8_bit(image: Image.Image) -> Image.Image:
    grey = np.asarray(image)
    narrow = Image.fromarray(((grey.astype(np.uint32) + 128) // 257).astype(np.uint8))
    transparent = image.info.get("transparency")
    if transparent is not None:
        narrow.putalpha(Image.fromarray(np.where(grey == transparent, 0, 255).astype(np.uint8)))
    return narrow


def _to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Convert grey, RGB or CMYK; a profile that is damaged or made for other colours counts as none."""
    if profile:
        try:
            source = ImageCms.getOpenProfile(BytesIO(profile))
            if source.profile.xcolor_space.strip() == _PROFILE_SPACE[image.mode]:
                converted = ImageCms.profileToProfile(image, source, _SRGB, outputMode="RGB")
                assert converted is not None, "not converted in place"
                return converted
        except ImageCms.PyCMSError:
            pass
    return image.convert("RGB")
