"""How LDAP's names compare: distinguished names, user names, and the binary ids of Active Directory.

Case, repeated spaces and the form of an escape make no difference to a directory (RFC 4514, RFC 4518), so they must
make none here: two spellings of one group are one group.
"""

import re
import unicodedata
import uuid
from collections.abc import Iterator

_ALIASES = {
    "2.5.4.3": "cn", "commonname": "cn", "2.5.4.4": "sn", "surname": "sn", "2.5.4.6": "c", "countryname": "c",
    "2.5.4.7": "l", "localityname": "l", "2.5.4.8": "st", "stateorprovincename": "st", "2.5.4.9": "street",
    "streetaddress": "street", "2.5.4.10": "o", "organizationname": "o", "2.5.4.11": "ou",
    "organizationalunitname": "ou", "0.9.2342.19200300.100.1.1": "uid", "userid": "uid",
    "0.9.2342.19200300.100.1.25": "dc", "domaincomponent": "dc",
}  # fmt: skip
_TYPE = re.compile(r"[a-z][a-z0-9-]*|\d+(?:\.\d+)*")
_ESCAPE = re.compile(r"((?:\\[0-9a-fA-F]{2})+)|\\(.)", re.DOTALL)
_SPACES = re.compile(r"\s+")
_WHITE = "\t\n\v\f\r\x85"
_STRING_TAGS = frozenset({0x04, 0x0C, 0x13, 0x14, 0x16})  # BER: octet, UTF-8, printable, teletex, IA5 string

LONGEST_LOGIN = 320
LONGEST_DN = 4000


def dn_key(dn: str) -> str:
    """The one spelling of all spellings of a distinguished name. Raises ValueError for what is none (RFC 4514)."""
    if len(dn) > LONGEST_DN:  # to fold it takes quadratic time
        raise ValueError("a distinguished name of ours has at most 4,000 characters")
    return ",".join(_relative_key(part) for part in _split(dn, ",;"))


def first_value(dn: str) -> str:
    """The value of a name's first component, for people: `Engineering` of `cn=Engineering,ou=groups,...`."""
    _type, value = _component(next(_split(next(_split(dn, ",;")), "+")))
    return value


def is_dn(text: str) -> bool:
    """Whether the text is a distinguished name."""
    try:
        dn_key(text)
    except ValueError:
        return False
    return True


def is_within(dn: str, base: str) -> bool:
    """Whether `dn` is `base` or below it."""
    inner, outer = list(map(_relative_key, _split(dn, ",;"))), list(map(_relative_key, _split(base, ",;")))
    return inner[-len(outer) :] == outer


def fold(text: str) -> str:
    """The form in which two values are the same to a directory (RFC 4518, caseIgnoreMatch)."""
    visible = "".join(char for char in unicodedata.normalize("NFKC", text) if not _is_invisible(char))
    return _SPACES.sub(" ", unicodedata.normalize("NFKC", visible.casefold())).strip()


def is_login(login: str) -> bool:
    """Whether somebody can have that user name: some characters, none of them invisible."""
    return 0 < len(login) <= LONGEST_LOGIN and not any(
        unicodedata.category(char)[0] == "C" or unicodedata.category(char) in ("Zl", "Zp") for char in login
    )


def is_text(text: str) -> bool:
    """Whether a directory can be asked for that text: something, and no half of a character."""
    return bool(text) and not any(unicodedata.category(char) == "Cs" for char in text)


def subject_of(attribute: str, value: bytes) -> str:
    """The text of a value that identifies an entry for ever; empty when it has none."""
    if attribute.casefold() in ("objectguid", "msds-objectguid") and len(value) == 16:
        return str(uuid.UUID(bytes_le=value))  # as Active Directory itself writes it (MS-DTYP 2.3.4.2)
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError:
        return value.hex()
    if any(unicodedata.category(char) == "Cc" for char in text):  # binary that looks like text by chance
        return value.hex()
    return text.strip().lower()


def subject_value(attribute: str, subject: str) -> str | bytes:
    """The value that an entry has of what `subject_of` made a text of."""
    if attribute.casefold() in ("objectguid", "msds-objectguid"):
        try:
            return uuid.UUID(subject).bytes_le
        except ValueError:  # the value was none, and is looked for as the text that it was taken for
            return subject
    return subject


def sid_of(value: bytes) -> str:
    """A security identifier as text, S-1-5-21-... (MS-DTYP 2.4.2). Raises ValueError."""
    if len(value) < 8 or len(value) != 8 + 4 * value[1]:
        raise ValueError("no security identifier")
    authority = int.from_bytes(value[2:8], "big")
    parts = (int.from_bytes(value[start : start + 4], "little") for start in range(8, len(value), 4))
    return "-".join(map(str, ("S", value[0], authority, *parts)))


def _is_invisible(char: str) -> bool:
    """Whether the character is mapped to nothing (RFC 4518, 2.2)."""
    category = unicodedata.category(char)
    return category == "Cf" or (category == "Cc" and char not in _WHITE)


def _fold_name(value: str) -> str:
    """The form in which two values in names are the same: narrower than `fold`.

    OpenLDAP lets "Straße" stand beside "Strasse", and a name with an invisible character beside the one without.
    Whoever may make groups must not make one that is taken for another. Raises ValueError for a control character.
    """
    if any(unicodedata.category(char) == "Cc" and char not in _WHITE for char in value):
        raise ValueError("a name of ours holds no control character")
    lower = unicodedata.normalize("NFKC", value).lower()
    return _SPACES.sub(" ", unicodedata.normalize("NFKC", lower)).strip()


def _relative_key(part: str) -> str:
    components = sorted((kind, _fold_name(value)) for kind, value in map(_component, _split(part, "+")))
    return "+".join(f"{kind}={_protect(value)}" for kind, value in components)


def _component(text: str) -> tuple[str, str]:
    kind, equals, value = text.partition("=")
    kind = kind.strip().lower().removeprefix("oid.")
    if not equals or not _TYPE.fullmatch(kind):
        raise ValueError("a distinguished name consists of type=value, separated by commas")
    return _ALIASES.get(kind, kind), _value(_strip(value))


def _value(text: str) -> str:
    if text.startswith("#"):
        return _encoded(text[1:])
    if text.startswith('"'):
        raise ValueError("values in quotation marks are not supported: escape with a backslash")
    if re.search(r"(?<!\\)(?:\\\\)*\\\Z", text):
        raise ValueError("a backslash escapes nothing")

    def unescape(found: re.Match[str]) -> str:
        if found[1] is None:
            return found[2]
        return bytes.fromhex(found[1].replace("\\", "")).decode("utf-8")

    return _ESCAPE.sub(unescape, text)


def _encoded(digits: str) -> str:
    """The text of a BER encoding in hexadecimal digits (RFC 4514, 2.4)."""
    encoded = bytes.fromhex(digits)
    if len(encoded) >= 2 and encoded[0] in _STRING_TAGS and encoded[1] < 0x80 and len(encoded) == 2 + encoded[1]:
        return encoded[2:].decode("utf-8")
    raise ValueError("a value in hexadecimal digits must be text")


def _strip(text: str) -> str:
    """Without the spaces around a value, of which an escaped one is a part."""
    text = text.lstrip(" \n\r")
    bare = text.rstrip(" \n\r")
    if bare.endswith("\\") and len(text) > len(bare) and (len(bare) - len(bare.rstrip("\\"))) % 2:
        return bare + text[len(bare)]
    return bare


def _protect(value: str) -> str:
    return re.sub(r'([\\,;+="<>]|^#)', r"\\\1", value)


def _split(text: str, separators: str) -> Iterator[str]:
    """The parts between separators that are not escaped."""
    start, place = 0, 0
    while place < len(text):
        if text[place] == "\\":
            place += 2
            continue
        if text[place] in separators:
            yield text[start:place]
            start = place + 1
        place += 1
    yield text[start:]
