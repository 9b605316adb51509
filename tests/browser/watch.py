"""What a browser complains about while nobody looks at its console."""

from urllib.parse import urlsplit

from playwright.sync_api import BrowserContext, ConsoleMessage, Response, WebError


class Watch:
    """Notes errors and warnings on the console (a broken policy is one), failed scripts and missing files."""

    def __init__(self) -> None:
        self._heard: list[tuple[str, str]] = []
        self._pages: set[str] = set()  # addresses without fragment

    def follow(self, context: BrowserContext) -> None:
        """Listen to every page of a context."""
        context.on("console", self._hear)
        context.on("weberror", self._fail)
        context.on("response", self._answer)

    @property
    def complaints(self) -> list[str]:
        """What was heard. That a page's own status is 403, 404 or 422 is no complaint: tests ask for such pages."""
        return [
            f"{where}: {text}"
            for where, text in self._heard
            if not (text.startswith("Failed to load resource") and where.partition("#")[0] in self._pages)
        ]

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning", "assert"):
            self._heard.append((message.location["url"], message.text))

    def _fail(self, error: WebError) -> None:
        self._heard.append((error.page.url if error.page else "", str(error.error)))

    def _answer(self, response: Response) -> None:
        if response.request.is_navigation_request():
            self._pages.add(response.url.partition("#")[0])
        elif response.status >= 400:
            self._heard.append((response.url, f"answered {response.status}"))
        # The sign-in page says with a 503 that a directory cannot be reached. So do the ways to a web source of theirs,
        # and with a 502 that what it answers is not what it should be.
        where = urlsplit(response.url).path
        said = {502, 503} if where.startswith("/sso/") else {503} if where == "/auth/login" else set()
        if response.status >= 500 and response.status not in said:
            self._heard.append((response.url, f"answered {response.status}"))
