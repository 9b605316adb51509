"""Where to go after a form: a path of this host, whatever the form says."""

import re

# A path, and nothing that a browser takes for the beginning of an address: "//host", "/\\host", control characters.
_PATH = re.compile(r"/(?![/\\])[^\\\x00-\x20\x7f]*")


def back_to(wanted: str | None, otherwise: str) -> str:
    """`wanted` if it is a path of this host, else `otherwise`."""
    return wanted if wanted and _PATH.fullmatch(wanted) else otherwise
