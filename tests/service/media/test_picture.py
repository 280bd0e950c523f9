"""Good files come out upright in sRGB; every bad one is refused with a reason, the limit and what was found."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageCms

from service.media.picture import (
    PictureAnimated,
    PictureEmpty,
    PictureError,
    PictureLimits,
    PictureTooLarge,
    PictureTooSmall,
    PictureUndecodable,
    PictureUnsupported,
    count_jpeg_scans,
    decode_picture,
    fit_crop,
    fit_pad_white,
)

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)
FORMATS = ("JPEG", "PNG", "WEBP")

STORED: dict[int, Callable[[NDArray[np.uint8]], NDArray[np.uint8]]] = {
    1: lambda rgb: rgb,
    2: lambda rgb: rgb[:, ::-1],
    3: lambda rgb: rgb[::-1, ::-1],
    4: lambda rgb: rgb[::-1],
    5: lambda rgb: rgb.swapaxes(0, 1),
    6: lambda rgb: np.rot90(rgb, 1),
    7: lambda rgb: rgb[::-1, ::-1].swapaxes(0, 1),
    8: lambda rgb: np.rot90(rgb, -1),
}
"""How a camera with each EXIF orientation stores an upright picture."""


def encode(image: Image.Image, file_format: str, **options: Any) -> bytes:
    file = BytesIO()
    image.save(file, file_format, **options)
    return file.getvalue()


def quadrants() -> Image.Image:
    """48 x 32, each quarter of its own colour, so that every orientation looks different."""
    image = Image.new("RGB", (48, 32), RED)
    image.paste(GREEN, (24, 0, 48, 16))
    image.paste(BLUE, (0, 16, 24, 32))
    image.paste(WHITE, (24, 16, 48, 32))
    return image


def png_chunk(kind: bytes, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload)) + kind + payload + struct.pack(">I", zlib.crc32(kind + payload))


def png(width: int, height: int, depth: int, colour: int, rows: bytes, *, transparent: bytes = b"") -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + png_chunk(b"IHDR", header)
        + (png_chunk(b"tRNS", transparent) if transparent else b"")
        + png_chunk(b"IDAT", zlib.compress(rows))
        + png_chunk(b"IEND", b"")
    )


def mean_difference(left: NDArray[Any], right: NDArray[Any]) -> float:
    return float(np.abs(left.astype(int) - right.astype(int)).mean())


# Good pictures.


@pytest.mark.parametrize(("file_format", "options"), [("PNG", {}), ("WEBP", {"lossless": True})])
def test_lossless_files_decode_to_the_pixels_that_went_in(file_format: str, options: dict[str, Any]) -> None:
    image = quadrants()
    np.testing.assert_array_equal(decode_picture(encode(image, file_format, **options)), np.asarray(image))


@pytest.mark.parametrize(
    ("file_format", "options"), [("JPEG", {}), ("JPEG", {"progressive": True}), ("WEBP", {"quality": 95})]
)
def test_lossy_files_decode_to_about_the_pixels_that_went_in(file_format: str, options: dict[str, Any]) -> None:
    image = Image.radial_gradient("L").convert("RGB")
    assert mean_difference(decode_picture(encode(image, file_format, **options)), np.asarray(image)) < 3


@pytest.mark.parametrize("file_format", FORMATS)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_is_undone(file_format: str, orientation: int) -> None:
    upright = np.asarray(quadrants())
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(np.ascontiguousarray(STORED[orientation](upright)))
    decoded = decode_picture(encode(stored, file_format, exif=exif, quality=95))
    assert decoded.shape == upright.shape
    assert mean_difference(decoded, upright) < 6


@pytest.mark.filterwarnings("ignore::UserWarning:PIL.TiffImagePlugin")
@pytest.mark.parametrize(
    "exif", [b"Exif\0\0garbage", b"Exif\0\0II*\0\xff\xff\xff\x7f", b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12"]
)
def test_a_damaged_exif_block_leaves_the_picture_as_stored(exif: bytes) -> None:
    assert decode_picture(encode(quadrants(), "JPEG", exif=exif)).shape == (32, 48, 3)


@pytest.mark.parametrize("mode", ["1", "L", "P"])
def test_bilevel_grey_and_palette_become_rgb(mode: str) -> None:
    image = Image.new("L", (16, 16), 0)
    image.paste(255, (8, 0, 16, 16))
    decoded = decode_picture(encode(image.convert(mode), "PNG"))
    np.testing.assert_array_equal(decoded, np.asarray(image.convert("RGB")))


def test_transparency_is_laid_on_white() -> None:
    rgba = Image.new("RGBA", (16, 16), (255, 0, 0, 0))
    rgba.paste((255, 0, 0, 128), (8, 0, 16, 16))
    for file in (encode(rgba, "PNG"), encode(rgba, "WEBP", lossless=True, exact=True)):
        decoded = decode_picture(file)
        assert tuple(decoded[0, 0]) == WHITE
        assert tuple(decoded[0, 15]) == (255, 127, 127)


def test_grey_with_alpha_and_palette_with_a_transparent_colour_are_laid_on_white() -> None:
    grey = decode_picture(encode(Image.new("LA", (16, 16), (0, 51)), "PNG"))
    assert tuple(grey[0, 0]) == (204, 204, 204)
    palette = Image.new("P", (16, 16), 0)
    palette.putpalette([0, 0, 0, 255, 0, 0])
    palette.paste(1, (8, 0, 16, 16))
    decoded = decode_picture(encode(palette, "PNG", transparency=0))
    assert (tuple(decoded[0, 0]), tuple(decoded[0, 15])) == (WHITE, RED)


@pytest.mark.parametrize(
    ("colour", "samples", "expected"),
    [
        (0, (0x8000,), (128, 128, 128)),
        (2, (0x1234, 0x8000, 0xFFFF), (18, 128, 255)),
        (4, (0x4000, 0xFFFF), (64, 64, 64)),
        (6, (0xFFFF, 0, 0, 0), WHITE),
    ],
)
def test_sixteen_bit_png_keeps_its_brightness(colour: int, samples: tuple[int, ...], expected: tuple[int, ...]) -> None:
    row = b"\0" + struct.pack(f">{len(samples)}H", *samples) * 16
    assert tuple(decode_picture(png(16, 16, 16, colour, row * 16))[0, 0]) == expected


def test_the_transparent_value_of_sixteen_bit_grey_becomes_white() -> None:
    row = b"\0" + struct.pack(">16H", *[0x1234, 0x1235] * 8)
    decoded = decode_picture(png(16, 16, 16, 0, row * 16, transparent=struct.pack(">H", 0x1234)))
    assert (tuple(decoded[0, 0]), tuple(decoded[0, 1])) == (WHITE, (18, 18, 18))


def test_cmyk_without_a_profile_becomes_rgb() -> None:
    decoded = decode_picture(encode(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG"))
    assert mean_difference(decoded, np.full((16, 16, 3), RED)) < 3


def swapped_primaries_profile() -> bytes:
    """sRGB with its red and green primaries exchanged."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return profile.replace(b"rXYZ", b"swap", 1).replace(b"gXYZ", b"rXYZ", 1).replace(b"swap", b"gXYZ", 1)


def cmyk_profile() -> bytes:
    """A printer whose cyan ink is really green: an 8-bit table of two points an ink, to Lab."""
    white, green, black = (255, 128, 128), (224, 48, 208), (0, 128, 128)
    table = b"".join(
        bytes(black if key else green if cyan else white)
        for cyan in (0, 1)
        for _magenta in (0, 1)
        for _yellow in (0, 1)
        for key in (0, 1)
    )
    identity = struct.pack(">9i", *[65536, 0, 0, 0, 65536, 0, 0, 0, 65536])
    ramp = bytes(range(256))
    lut = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + identity + ramp * 4 + table + ramp * 3
    lut += bytes(-len(lut) % 4)
    tags = struct.pack(">I4sII", 1, b"A2B0", 144, len(lut))
    d50 = struct.pack(">3I", 0xF6D6, 0x10000, 0xD32D)
    header = struct.pack(
        ">I4sI4s4s4s12s4s", 144 + len(lut), bytes(4), 0x02400000, b"prtr", b"CMYK", b"Lab ", bytes(12), b"acsp"
    )
    header += bytes(28) + d50
    return header + bytes(128 - len(header)) + tags + lut


@pytest.mark.parametrize(
    ("file_format", "options"), [("JPEG", {"quality": 95}), ("PNG", {}), ("WEBP", {"lossless": True})]
)
def test_colours_are_converted_from_the_embedded_profile(file_format: str, options: dict[str, Any]) -> None:
    file = encode(Image.new("RGB", (16, 16), RED), file_format, icc_profile=swapped_primaries_profile(), **options)
    assert mean_difference(decode_picture(file), np.full((16, 16, 3), GREEN)) < 6


def test_the_profile_holds_for_colours_under_transparency() -> None:
    image = Image.new("RGBA", (16, 16), (255, 0, 0, 255))
    image.paste((255, 0, 0, 0), (8, 0, 16, 16))
    decoded = decode_picture(encode(image, "PNG", icc_profile=swapped_primaries_profile()))
    assert mean_difference(decoded[:, :8], np.full((16, 8, 3), GREEN)) < 6
    assert (decoded[:, 8:] == 255).all()


def test_the_profile_holds_for_a_turned_picture() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    file = encode(Image.new("RGB", (32, 16), RED), "PNG", icc_profile=swapped_primaries_profile(), exif=exif)
    decoded = decode_picture(file)
    assert decoded.shape == (32, 16, 3)
    assert mean_difference(decoded, np.full((32, 16, 3), GREEN)) < 6


def test_cmyk_is_converted_by_its_profile() -> None:
    inks = Image.new("CMYK", (16, 16), (255, 0, 0, 0))
    naive, converted = (
        decode_picture(encode(inks, "JPEG", quality=95, **options))[8, 8].astype(int)
        for options in ({}, {"icc_profile": cmyk_profile()})
    )
    assert naive[2] > 240  # cyan: as much blue as green
    assert converted[1] - converted[2] > 100  # the profile's green


@pytest.mark.parametrize("profile", [b"no profile at all", cmyk_profile()])
def test_a_damaged_or_misplaced_profile_counts_as_none(profile: bytes) -> None:
    decoded = decode_picture(encode(Image.new("RGB", (16, 16), RED), "PNG", icc_profile=profile))
    assert (decoded == RED).all()


def test_a_still_with_a_preview_behind_it_as_phones_write_is_no_animation() -> None:
    preview = Image.new("RGB", (16, 16), BLUE)
    file = encode(quadrants(), "MPO", save_all=True, append_images=[preview])
    assert decode_picture(file).shape == (32, 48, 3)


def test_bytes_behind_the_picture_as_motion_photos_have_are_ignored() -> None:
    assert decode_picture(encode(quadrants(), "JPEG") + b"\xff\xda\0\2" * 1000).shape == (32, 48, 3)


def test_a_phones_twelve_megapixels_are_within_the_limit() -> None:
    assert decode_picture(encode(Image.new("RGB", (4032, 3024)), "JPEG"), needed_side=192).shape == (
        378 * 2,
        504 * 2,
        3,
    )


def test_a_large_jpeg_is_reduced_while_decoding_but_never_below_twice_the_need() -> None:
    file = encode(Image.radial_gradient("L").resize((1600, 1200)).convert("RGB"), "JPEG", quality=95)
    reduced = decode_picture(file, needed_side=250)
    assert reduced.shape == (600, 800, 3)
    assert decode_picture(file, needed_side=400).shape == (1200, 1600, 3)
    assert mean_difference(fit_crop(reduced, 192, 128), fit_crop(decode_picture(file), 192, 128)) < 1


# Bad pictures.


def test_no_bytes_are_refused() -> None:
    with pytest.raises(PictureEmpty, match="empty") as caught:
        decode_picture(b"")
    assert caught.value.reason == "IMAGE_EMPTY"


@pytest.mark.parametrize("file_format", ["GIF", "BMP", "TIFF", "ICO", "PPM"])
def test_other_formats_are_refused_whatever_they_are_called(file_format: str) -> None:
    with pytest.raises(PictureUnsupported, match="not JPEG, PNG or WebP") as caught:
        decode_picture(encode(quadrants(), file_format))
    assert caught.value.reason == "IMAGE_UNSUPPORTED_FORMAT"


@pytest.mark.parametrize("data", [b"%PDF-1.7 ...", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"\0", b"hello"])
def test_what_is_no_picture_is_refused(data: bytes) -> None:
    with pytest.raises(PictureUnsupported, match=data[:1].hex()):
        decode_picture(data)


@pytest.mark.parametrize("file_format", FORMATS)
def test_too_many_bytes_are_refused_before_anything_is_read(file_format: str) -> None:
    file = encode(quadrants(), file_format)
    with pytest.raises(PictureTooLarge, match=f"{len(file):,} bytes; at most 64 "):
        decode_picture(file, limits=PictureLimits(max_bytes=64))


@pytest.mark.parametrize("file_format", FORMATS)
def test_too_many_pixels_are_refused_from_the_header_alone(file_format: str) -> None:
    options: dict[str, Any] = {"lossless": True, "method": 0} if file_format == "WEBP" else {}
    file = encode(Image.new("L", (4200, 3100)), file_format, **options)
    with pytest.raises(PictureTooLarge, match="4200 x 3100 = 13,020,000 pixels; at most 12,582,912") as caught:
        decode_picture(file[: len(file) // 2] if file_format != "WEBP" else file)
    assert caught.value.reason == "IMAGE_TOO_LARGE"


@pytest.mark.parametrize("side", [9_500, 20_000, 2**31 - 1])
def test_a_decompression_bomb_is_refused_without_decoding(side: int) -> None:
    with pytest.raises(PictureTooLarge, match=f"({side**2}|{side**2:,}) pixels.*at most 12,582,912"):
        decode_picture(png(side, side, 8, 2, b""))


@pytest.mark.parametrize("file_format", FORMATS)
@pytest.mark.parametrize("size", [(1, 1), (15, 400), (400, 15)])
def test_a_side_that_is_too_short_is_refused(file_format: str, size: tuple[int, int]) -> None:
    with pytest.raises(
        PictureTooSmall, match=f"{size[0]} x {size[1]} pixels; each side must have at least 16"
    ) as caught:
        decode_picture(encode(Image.new("RGB", size), file_format))
    assert caught.value.reason == "IMAGE_TOO_SMALL"


@pytest.mark.parametrize("file_format", ["PNG", "WEBP"])
def test_animation_is_refused(file_format: str) -> None:
    file = encode(
        quadrants(), file_format, save_all=True, append_images=[Image.new("RGB", (48, 32), c) for c in (RED, BLUE)]
    )
    with pytest.raises(PictureAnimated, match="3 frames") as caught:
        decode_picture(file)
    assert caught.value.reason == "IMAGE_ANIMATED"


@pytest.mark.parametrize("file_format", FORMATS)
@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9])
def test_a_truncated_file_is_refused(file_format: str, kept: float) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    file = encode(Image.fromarray(noise), file_format)
    with pytest.raises(PictureUndecodable, match=f"{file_format} file is damaged") as caught:
        decode_picture(file[: int(len(file) * kept)])
    assert caught.value.reason == "IMAGE_UNDECODABLE"


def test_a_jpeg_that_repeats_its_scans_without_end_is_refused() -> None:
    file = encode(quadrants(), "JPEG", progressive=True)
    scan, end = file.rindex(b"\xff\xda"), file.rindex(b"\xff\xd9")
    honest = count_jpeg_scans(file)
    bomb = file[:end] + file[scan:end] * 100 + file[end:]
    assert 1 < honest <= 12
    assert count_jpeg_scans(bomb) == honest + 100
    with pytest.raises(PictureUndecodable, match=f"{honest + 100} scans; at most 64"):
        decode_picture(bomb)


def test_scans_of_an_embedded_thumbnail_do_not_count() -> None:
    exif = b"Exif\0\0" + encode(quadrants(), "JPEG", progressive=True)
    assert count_jpeg_scans(encode(quadrants(), "JPEG", exif=exif)) == 1


SEEDS = {
    "jpeg": encode(quadrants(), "JPEG", progressive=True, icc_profile=swapped_primaries_profile()),
    "exif": encode(quadrants(), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0"),
    "cmyk": encode(quadrants().convert("CMYK"), "JPEG", icc_profile=cmyk_profile()),
    "png": encode(quadrants().convert("RGBA"), "PNG", icc_profile=swapped_primaries_profile()),
    "palette": encode(quadrants().convert("P"), "PNG", transparency=0),
    "webp": encode(quadrants(), "WEBP", icc_profile=swapped_primaries_profile()),
    "lossless": encode(quadrants().convert("RGBA"), "WEBP", lossless=True),
}


@given(
    seed=st.sampled_from(sorted(SEEDS)),
    edits=st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 255)), max_size=8),
    cut=st.none() | st.integers(1, 4000),
    needed_side=st.none() | st.just(16),
)
def test_a_damaged_file_decodes_or_is_refused_and_nothing_else(
    seed: str, edits: list[tuple[int, int]], cut: int | None, needed_side: int | None
) -> None:
    data = bytearray(SEEDS[seed])
    for at, value in edits:
        data[at % len(data)] = value
    try:
        rgb = decode_picture(bytes(data[:cut]), needed_side=needed_side)
    except PictureError:
        return
    assert rgb.dtype == np.uint8
    assert rgb.shape[2:] == (3,)


@given(
    head=st.sampled_from([b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF\0\0\0\0WEBPVP8 "]),
    tail=st.binary(max_size=200),
)
def test_arbitrary_bytes_are_refused(head: bytes, tail: bytes) -> None:
    with pytest.raises(PictureError):
        decode_picture(head + tail)


# Fitting.

SIDES = st.integers(16, 300)


@given(source=st.tuples(SIDES, SIDES), target=st.tuples(SIDES, SIDES))
def test_cropping_fills_the_frame_with_the_pictures_centre(source: tuple[int, int], target: tuple[int, int]) -> None:
    height, width = source
    ramp = np.zeros((height, width, 3), np.uint8)
    ramp[..., 0] = np.linspace(0, 255, width)
    ramp[..., 1] = np.linspace(0, 255, height)[:, None]
    cropped = fit_crop(ramp, *target)
    assert cropped.shape == (*target, 3)
    assert (cropped[..., 2] == 0).all()
    assert abs(cropped[..., 0].mean() - 127.5) < 4
    assert abs(cropped[..., 1].mean() - 127.5) < 4


@given(source=st.tuples(SIDES, SIDES), target=st.tuples(SIDES, SIDES))
def test_padding_shows_the_whole_picture_centred_on_white(source: tuple[int, int], target: tuple[int, int]) -> None:
    padded = fit_pad_white(np.zeros((*source, 3), np.uint8), *target)
    assert padded.shape == (*target, 3)
    scale = min(target[0] / source[0], target[1] / source[1])
    black = (padded == 0).all(axis=2)
    assert (black | (padded == 255).all(axis=2)).all()
    for axis in (0, 1):
        filled = np.flatnonzero(black.any(axis=1 - axis))
        assert len(filled) == max(1, round(source[axis] * scale))
        assert abs(filled[0] - (target[axis] - 1 - filled[-1])) <= 1


@given(shape=st.tuples(SIDES, SIDES))
def test_a_picture_of_the_frames_size_is_left_as_it_is(shape: tuple[int, int]) -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    np.testing.assert_array_equal(fit_crop(rgb, *shape), rgb)
    np.testing.assert_array_equal(fit_pad_white(rgb, *shape), rgb)


def test_an_extremely_long_picture_still_fits() -> None:
    strip = np.zeros((16, 40_000, 3), np.uint8)
    assert fit_crop(strip, 192, 128).shape == (192, 128, 3)
    padded = fit_pad_white(strip, 192, 128)
    assert np.flatnonzero((padded == 0).all(axis=(1, 2))).tolist() == [95]
