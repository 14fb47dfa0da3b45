"""What a file is by its first bytes, and what decoding it will cost: read before any decoder sees it.

A name or an announced MIME type may be wrong; the first bytes say which decoder would start. Only raster formats that
are decoded in this process are ever opened: PostScript, which would start an interpreter, is named and refused.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass


class NotAnImage(ValueError):
    """Bytes that are no single photograph that can be decoded."""

    def __init__(self, message: str, kind: str = "corrupt", *, retryable: bool = False) -> None:
        super().__init__(message)
        self.kind = kind
        """Short and stable, for the failure row: corrupt (the bytes do not decode as what they were announced to be),
        animated, too_large, or unsupported (this software cannot; the file may be sound)."""
        self.retryable = retryable
        """Another machine may manage."""


def decoder_errors() -> tuple[type[Exception], ...]:
    """All that decoders were seen to raise for a file that they do not understand; each format has its own."""
    from PIL import Image

    return (
        *(OSError, SyntaxError, ValueError, EOFError, LookupError, ArithmeticError, TypeError),
        *(AttributeError, AssertionError, RuntimeError, MemoryError, BufferError),
        *(struct.error, zlib.error, Image.DecompressionBombError, Image.DecompressionBombWarning),
    )


MOST_PIXELS = 178_956_970
"""Pillow's own bound, and so that of most readers of a dataset."""
MIME_FORMATS: dict[str, tuple[str, ...]] = {
    "image/jpeg": ("JPEG",),
    "image/jpg": ("JPEG",),
    "image/png": ("PNG",),
    "image/webp": ("WEBP",),
    "image/tiff": ("TIFF",),
    "image/gif": ("GIF",),
    "image/bmp": ("BMP",),
    "image/x-bmp": ("BMP",),
    "image/x-ms-bmp": ("BMP",),
    "image/avif": ("AVIF",),
    "image/jp2": ("JPEG2000",),
}
"""MIME type -> the formats, as Pillow names them, that a file so announced may have."""
DECODED = ("JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP", "AVIF", "JPEG2000")
"""All formats that are ever decoded."""
NAMES = {"JPEG2000": "JPEG 2000", "WEBP": "WebP", "POSTSCRIPT": "PostScript"}
"""How a person calls a format, where that differs."""

NO_PICTURES = ("HTML", "SVG or XML", "PDF", "ZIP", "gzip", "video")
"""What has a name here and is no picture of pixels."""

_SIGNATURES: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\xff\xd8\xff", "JPEG"),
    (0, b"\x89PNG\r\n\x1a\n", "PNG"),
    (0, b"GIF87a", "GIF"),
    (0, b"GIF89a", "GIF"),
    (8, b"WEBP", "WEBP"),
    (0, b"II*\0", "TIFF"),
    (0, b"MM\0*", "TIFF"),
    (0, b"II+\0", "TIFF"),
    (0, b"MM\0+", "TIFF"),
    (0, b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG2000"),
    (0, b"\xff\x4f\xff\x51", "JPEG2000"),
    (0, b"\0\0\0\x0cJXL ", "JPEG XL"),
    (0, b"\xff\x0a", "JPEG XL"),
    (4, b"ftypavi", "AVIF"),
    (4, b"ftyphe", "HEIC"),
    (4, b"ftypmif1", "HEIC"),
    (4, b"ftypmsf1", "HEIC"),
    (4, b"ftypcrx", "raw camera"),
    (4, b"ftyp", "video"),
    (0, b"%!PS", "POSTSCRIPT"),
    (0, b"\xc5\xd0\xd3\xc6", "POSTSCRIPT"),
    (0, b"%PDF", "PDF"),
    (0, b"8BPS", "Photoshop"),
    (0, b"gimp xcf", "GIMP"),
    (0, b"AT&TFORM", "DjVu"),
    (0, b"DDS ", "DDS"),
    (0, b"\0\0\1\0", "icon"),
    (0, b"\0\0\2\0", "cursor"),
    (0, b"icns", "icon"),
    (0, b"qoif", "QOI"),
    (0, b"SIMPLE  =", "FITS"),
    (0, b"\x1aE\xdf\xa3", "video"),
    (0, b"OggS", "video"),
    (0, b"\xd7\xcd\xc6\x9a", "WMF"),
    (0, b"\x59\xa6\x6a\x95", "Sun raster"),
    (0, b"\x01\xda", "SGI"),
    (0, b"FUJIFILM", "raw camera"),
    (0, b"BM", "BMP"),
    (0, b"PK\3\4", "ZIP"),
    (0, b"\x1f\x8b", "gzip"),
)
_NETPBM = tuple(b"P%d" % digit for digit in range(1, 8))


def format_of(head: bytes) -> str | None:
    """The format by its first bytes (64 are enough), as Pillow names it where Pillow has it; None: none of those that
    have a name here."""
    for offset, signature, name in _SIGNATURES:
        if head[offset : offset + len(signature)] == signature:
            return name
    if head[:2] in _NETPBM and head[2:3].isspace():
        return "Netpbm"
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<svg", b"<?xml")):
        return "SVG or XML"
    if text.startswith((b"<!doctype html", b"<html", b"<head", b"<body")):
        return "HTML"
    return None


def called(name: str) -> str:
    """A format as people call it."""
    return NAMES.get(name, name)


def webp_size(head: bytes) -> tuple[int, int] | None:
    """Width and height of a WebP file's canvas by its first 30 bytes: its decoder takes room for it when it is opened.

    https://developers.google.com/speed/webp/docs/riff_container
    """
    if len(head) < 30:
        return None
    kind = head[12:16]
    if kind == b"VP8X":
        width = int.from_bytes(head[24:27], "little") + 1
        return width, int.from_bytes(head[27:30], "little") + 1
    if kind == b"VP8L":
        bits = int.from_bytes(head[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 ":
        width, height = struct.unpack("<HH", head[26:30])
        return width & 0x3FFF, height & 0x3FFF
    return None


def jpeg_in_passes(data: bytes) -> bool:
    """Whether a JPEG comes in several scans (progressive, or a component at a time): its decoder then keeps all
    coefficients, two bytes each."""
    at, components = 2, 0
    while at + 4 <= len(data):
        if data[at] != 0xFF:
            return False
        marker = data[at + 1]
        if marker in (0xFF, 0x01) or 0xD0 <= marker <= 0xD8:
            at += 1 if marker == 0xFF else 2
            continue
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            if marker not in (0xC0, 0xC1):
                return True
            components = data[at + 9] if at + 9 < len(data) else 0
        if marker == 0xDA:
            return at + 4 < len(data) and data[at + 4] < components
        at += 2 + max(2, length)
    return False


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Bytes that one pixel takes at the peak of decoding, by format and mode."""

    image: int
    """Of Pillow's image."""
    decoder: int
    """Of the decoder's own buffers besides."""

    @property
    def total(self) -> int:
        """With the RGB that comes of it."""
        return self.image + self.decoder + 3


_ONE_BYTE = ("1", "L", "P")
# Measured on pictures of 10 to 60 megapixels (tests/filters/test_picture_fuzz.py holds them to it).
_DECODER = {"WEBP": 16, "AVIF": 20, "JPEG2000": 24, "TIFF": 12, "GIF": 9, "BMP": 4, "PNG": 1}


def cost_of(kind: str, mode: str, *, passes: bool = False) -> Cost:
    """What a pixel of a file of this format and Pillow mode costs; `passes` as `jpeg_in_passes` says."""
    image = 1 if mode in _ONE_BYTE else 2 if mode.startswith("I;16") else 4
    if kind == "JPEG":
        bands = 1 if mode == "L" else 4 if mode == "CMYK" else 3
        return Cost(image=image, decoder=2 * bands if passes else 0)
    return Cost(image=image, decoder=_DECODER.get(kind, 16))


_PNG_PIXELS = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND", b"gAMA", b"sRGB", b"acTL"}


def png_pixels_only(data: bytes) -> bytes:
    """A PNG without what is no part of its pixels (texts, profiles, EXIF): for one whose other chunks stop a reader."""
    kept = [data[:8]]
    at = 8
    while at + 12 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        end = at + 12 + length
        if data[at + 4 : at + 8] in _PNG_PIXELS:
            kept.append(data[at:end])
        at = end
    return b"".join(kept)


def refused(error: Exception, kind: str) -> NotAnImage:
    """What a person is told of a decoder's error; the same for the same bytes."""
    from PIL import Image, UnidentifiedImageError

    if isinstance(error, MemoryError):
        return NotAnImage(
            "It does not fit into this machine's memory; retry on a larger one.",
            "too_large",
            retryable=True,
        )
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return NotAnImage(
            f"It has more pixels than the {MOST_PIXELS:,} that Pillow, and with it most readers, opens.",
            "too_large",
        )
    # Its own text tells where in memory the bytes were.
    known = not isinstance(error, UnidentifiedImageError)
    why = (str(error) or type(error).__name__) if known else "its header is not understood"
    if isinstance(error, NotImplementedError) or "nsupported" in why or "too large" in why:
        return NotAnImage(f"This software cannot decode such {called(kind)}: {why}", "unsupported")
    return NotAnImage(f"The bytes do not decode as an image: {why}")
