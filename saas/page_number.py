"""Which page of a list of the HTML pages is asked for; the API goes on by cursors (saas/api.py)."""

from dataclasses import dataclass

from flask import abort, request

SIZE = 50
_LAST = 100_000


@dataclass(frozen=True, slots=True)
class PageNumber:
    """A page of a list: its number, from 1, and how many rows it has at most."""

    number: int
    size: int = SIZE

    @property
    def offset(self) -> int:
        """How many rows stand on the pages before."""
        return (self.number - 1) * self.size


def asked() -> PageNumber:
    """The page that the request asks for, the first by default. Answers 404 for one that cannot be."""
    number = request.args.get("page", 1, type=int)
    if not 1 <= number <= _LAST:
        abort(404)
    return PageNumber(number)
