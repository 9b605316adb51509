"""How names are compared: as RFC 7643 and the library compare them, which is not how databases do."""

from unicodedata import normalize


def comparable(text: str) -> str:
    """A name in the form in which names are compared: whatever its case, and composed as far as it goes."""
    return normalize("NFC", normalize("NFC", text).lower())
