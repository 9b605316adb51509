"""What the header of a picture says."""

from base64 import b64decode

import pytest

from saas.pictures import Picture, read

PNG = b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==")
JPEG = (
    b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"
    b"\xff\xdb\x00\x04\x00\x01\xff\xff\xc2\x00\x0b\x08\x01\x02\x03\x04\x01\x01\x11\x00"
)
LOSSY = b"RIFF\x24\0\0\0WEBPVP8 \x18\0\0\0\x30\x01\0\x9d\x01\x2a\x40\x01\xf0\x40" + bytes(8)
LOSSLESS = b"RIFF\x24\0\0\0WEBPVP8L\x18\0\0\0\x2f" + (319 | 239 << 14).to_bytes(4, "little") + bytes(8)
EXTENDED = b"RIFF\x24\0\0\0WEBPVP8X\x0a\0\0\0\x10\0\0\0" + (319).to_bytes(3, "little") + (239).to_bytes(3, "little")


@pytest.mark.parametrize(
    ("data", "picture"),
    [
        (PNG, Picture("image/png", 1, 1)),
        (JPEG, Picture("image/jpeg", 0x304, 0x102)),
        (LOSSY, Picture("image/webp", 320, 240)),
        (LOSSLESS, Picture("image/webp", 320, 240)),
        (EXTENDED, Picture("image/webp", 320, 240)),
    ],
    ids=["png", "jpeg", "lossy", "lossless", "extended"],
)
def test_kind_and_size_are_read(data: bytes, picture: Picture) -> None:
    assert read(data) == picture


@pytest.mark.parametrize("data", [PNG, JPEG, LOSSY, LOSSLESS, EXTENDED], ids=range(5))
def test_what_is_cut_short_is_none_and_no_error(data: bytes) -> None:
    for length in range(20):
        assert read(data[:length]) is None


@pytest.mark.parametrize(
    "data",
    [b"", b"GIF89a", b"<svg/>", b"\xff\xd8\xff\xff\xff\xff\xff\xff\xff\xff", b"\xff\xd8\xff\xe0\x00\x00" * 100],
    ids=range(5),
)
def test_what_is_none_is_none(data: bytes) -> None:
    assert read(data) is None
