"""Files of members: CSV as spreadsheets write it, read into lines, each with what is wrong with it."""

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from flask_babel import gettext as _

from auth import users
from auth.errors import InvalidImport

COLUMNS = ("email", "name", "role")
LARGEST = 256 * 1024
"""Bytes of a file."""
MOST_ROWS = 1000

_DELIMITERS = ",;\t"
_NO_TEXT = re.compile("[\0\ud800-\udfff]")
_FORMULA = re.compile(r"[=+\-@\t\r]")
"""What makes a spreadsheet compute a cell, when somebody exports it again."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the file: the address in its normal form, if it is one; `fault` is empty when nothing is wrong."""

    number: int
    email: str
    name: str = ""
    role: str = ""
    fault: str = ""


def decode(content: bytes) -> str:
    """The text of a file. Raises InvalidImport for one that is too large, or no text in UTF-8."""
    if len(content) > LARGEST:
        raise InvalidImport(_("The file is too large: %(most)s KiB at most.", most=LARGEST // 1024))
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidImport(_("The file is not in UTF-8. Save it as “CSV UTF-8”.")) from None


def read(text: str) -> list[Line]:
    """The lines of a file that has a heading. Raises InvalidImport when the file as a whole cannot be used."""
    if len(text.encode(errors="replace")) > LARGEST:
        raise InvalidImport(_("The file is too large: %(most)s KiB at most.", most=LARGEST // 1024))
    if _NO_TEXT.search(text):
        raise InvalidImport(_("This is no text file."))
    first = text.lstrip("\ufeff\r\n").partition("\n")[0]
    delimiter = max(_DELIMITERS, key=first.count)
    text = text.removeprefix("\ufeff")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True, skipinitialspace=True)
    numbered = ((reader.line_num, cells) for cells in reader if any(cell.strip() for cell in cells))
    try:
        _number, names = next(numbered, (1, []))
        return _without_repeats(_lines(numbered, _heading(names)))
    except csv.Error:
        message = _("Line %(line)s cannot be read: is a quotation mark missing?", line=reader.line_num)
        raise InvalidImport(message) from None


def _heading(cells: Sequence[str]) -> list[str]:
    heading = [cell.strip().casefold() for cell in cells]
    if "email" not in heading or len(set(heading)) != len(heading) or not set(heading) <= set(COLUMNS):
        raise InvalidImport(_("The first line names the columns: email, and perhaps name and role, and no other."))
    return heading


def _lines(numbered: Iterator[tuple[int, list[str]]], heading: Sequence[str]) -> list[Line]:
    found: list[Line] = []
    for number, cells in numbered:
        if len(found) == MOST_ROWS:
            raise InvalidImport(_("These are too many lines: %(most)s at most.", most=MOST_ROWS))
        found.append(_line(number, cells, heading))
    if not found:
        raise InvalidImport(_("There is nobody in the file."))
    return found


def _line(number: int, cells: Sequence[str], heading: Sequence[str]) -> Line:
    values = dict.fromkeys(COLUMNS, "") | dict(zip(heading, (" ".join(cell.split()) for cell in cells), strict=False))
    email, name, role = (values[column] for column in COLUMNS)
    if len(cells) != len(heading):
        return Line(number, email, name, role, _("has not as many cells as the first line"))
    if any(_FORMULA.match(cell) for cell in values.values()):
        return Line(number, email, name, role, _("begins like a formula of a spreadsheet"))
    if not name.isprintable() or len(name) > users.LONGEST_NAME:
        return Line(number, email, name, role, _("the name is too long, or has signs that cannot be shown"))
    try:
        return Line(number, users.normal_address(email), name, role)
    except ValueError:
        return Line(number, email, name, role, _("is no e-mail address"))


def _without_repeats(lines: Sequence[Line]) -> list[Line]:
    seen: dict[str, int] = {}
    checked: list[Line] = []
    for line in lines:
        first = seen.setdefault(line.email.casefold(), line.number)
        if first != line.number and not line.fault:
            fault = _("is in line %(line)s already", line=first)
            line = Line(line.number, line.email, line.name, line.role, fault)
        checked.append(line)
    return checked
