"""Pictures on their way to models and back."""

from __future__ import annotations

from io import BytesIO

import numpy as np
from PIL import Image

from curation.frames import Rgb


def png(picture: Rgb) -> bytes:
    file = BytesIO()
    Image.fromarray(picture).save(file, format="PNG")
    return file.getvalue()


def decoded(data: bytes) -> Rgb:
    """
    Raises:
        OSError: the bytes are no picture.
    """
    with Image.open(BytesIO(data)) as picture:
        return np.asarray(picture.convert("RGB"))


def fitted(picture: Rgb, height: int, width: int) -> Rgb:
    """Scaled to a size: editing models round sizes to multiples of their patches, which must not shift the person."""
    if picture.shape[:2] == (height, width):
        return picture
    return np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.LANCZOS))
