"""Which kind of picture some bytes are, and how large it is drawn: read from its header, without drawing it.

A picture of few bytes can be one of very many pixels, and every browser that shows it has to find the memory.
"""

from typing import NamedTuple

# Start-of-frame markers of JPEG (ITU T.81, table B.1); C4, C8 and CC among them are others.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


class Picture(NamedTuple):
    """What a header says of a picture."""

    content_type: str
    width: int
    height: int


def read(data: bytes) -> Picture | None:
    """The picture that these bytes begin with, or None for none that browsers show without running anything.

    No SVG: it can hold scripts.
    """
    for content_type, find in (("image/png", _png), ("image/jpeg", _jpeg), ("image/webp", _webp)):
        size = find(data)
        if size is not None and min(size) > 0:
            return Picture(content_type, *size)
    return None


def _png(data: bytes) -> tuple[int, int] | None:
    # https://www.w3.org/TR/png-3/#11IHDR: the first chunk, of 13 bytes
    if not data.startswith(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR") or len(data) < 33:
        return None
    return int.from_bytes(data[16:20]), int.from_bytes(data[20:24])


def _jpeg(data: bytes) -> tuple[int, int] | None:
    # ITU T.81, annex B: segments of a marker and a length, up to the frame's header
    place = 2 if data.startswith(b"\xff\xd8\xff") else len(data)
    while place + 9 <= len(data) and data[place] == 0xFF:
        marker, length = data[place + 1], int.from_bytes(data[place + 2 : place + 4])
        if marker in _FRAMES:
            return int.from_bytes(data[place + 7 : place + 9]), int.from_bytes(data[place + 5 : place + 7])
        place += 1 if marker == 0xFF else 2 + length  # any marker may be preceded by fill bytes
    return None


def _webp(data: bytes) -> tuple[int, int] | None:
    # RFC 9649, sections 2.5 to 2.7
    if data[:4] != b"RIFF" or data[8:12] != b"WEBP" or len(data) < 30:
        return None
    kind = data[12:16]
    if kind == b"VP8X":
        return int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
    if kind == b"VP8L" and data[20] == 0x2F:
        bits = int.from_bytes(data[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 " and data[23:26] == b"\x9d\x01\x2a":
        return int.from_bytes(data[26:28], "little") & 0x3FFF, int.from_bytes(data[28:30], "little") & 0x3FFF
    return None
