"""Mail: to an SMTP server, or in development to the console and a folder.

Mail to a server leaves from a thread of its own: whether an address is known must not show in the time an answer
takes, nor in an error when the server is down.
"""

import itertools
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import idna
import structlog
from flask import Flask, current_app
from flask_mailman import EmailMultiAlternatives, Mail
from flask_mailman.backends.base import BaseEmailBackend
from flask_security import MailUtil
from flask_security.mail_util import EmailValidateException
from flask_security.utils import get_message

from config.settings import SettingsError

LONGEST_ADDRESS = 320

log = structlog.get_logger()
_outbox = ThreadPoolExecutor(max_workers=2, thread_name_prefix="mail")
_numbers = itertools.count(1)


class TenantMailUtil(MailUtil):
    """Sends what Flask-Security has rendered, and tells what is an address."""

    def normalize(self, email: str) -> str:
        """The form in which an address is looked up. Raises EmailValidateException."""
        return str(super().normalize(_short(email)))

    def validate(self, email: str) -> str:
        """The same of an address that is to get mail. Raises EmailValidateException."""
        return str(super().validate(_short(email)))

    def send_mail(
        self,
        template: str,
        subject: str,
        recipient: Any,
        sender: Any,
        body: str | None,
        html: str | None,
        **_context: Any,
    ) -> None:
        """Send one message; gives back before it has left."""
        message = EmailMultiAlternatives(str(subject), body=body, from_email=str(sender), to=[recipient])
        if html:
            message.attach_alternative(html, "text/html")
        send(message)


def normal_domain(domain: str) -> str:
    """A domain in the one form in which domains compare: lower case, IDNA, without trailing dot."""
    domain = domain.strip().rstrip(".").lower()
    if len(domain) > 253:  # none: and to encode it takes quadratic time
        return domain
    try:
        return idna.encode(domain, uts46=True).decode("ascii").rstrip(".")
    except UnicodeError:
        return domain


def send(message: EmailMultiAlternatives) -> None:
    """Send a message, in the background if that involves a server. Failures are logged."""
    message.connection = current_app.extensions["mailman"].get_connection()
    if current_app.config["MAIL_BACKEND"] != "smtp":
        message.send()
        return
    _outbox.submit(message.send).add_done_callback(_report)


def init_app(app: Flask, url: str, sender: str) -> None:
    """Set up Flask-Mailman from SAAS_MAIL_URL. Raises SettingsError."""
    app.config["MAIL_DEFAULT_SENDER"] = sender
    app.config |= _configuration(url)
    Mail(app)


class ConsoleAndFolder(BaseEmailBackend):
    """Prints each message's text and leaves the whole of it in a folder, as .eml."""

    def send_messages(self, messages: list[EmailMultiAlternatives]) -> int:
        """Deliver the messages; gives back how many."""
        folder = Path(current_app.config["MAIL_FOLDER"])
        folder.mkdir(parents=True, exist_ok=True)
        for message in messages:
            content = message.message().as_bytes()
            path = _unused_path(folder)
            path.write_bytes(content)
            print(f"--- mail to {', '.join(message.to)}: {message.subject}  [{path}]\n{message.body}\n---", flush=True)
        return len(messages)


def _short(email: str) -> str:
    # Before it is normalised, which takes quadratic time.
    if len(email) > LONGEST_ADDRESS:
        raise EmailValidateException(get_message("INVALID_EMAIL_ADDRESS")[0])
    return email


def _unused_path(folder: Path) -> Path:
    return next(path for number in _numbers if not (path := folder / f"{number:06}.eml").exists())


def _report(sent: "Future[Any]") -> None:
    if error := sent.exception():
        log.error("mail was not delivered", error=str(error))


def _configuration(url: str) -> dict[str, Any]:
    parts = urlsplit(url)
    if parts.scheme == "console":
        return {"MAIL_BACKEND": ConsoleAndFolder, "MAIL_FOLDER": parts.path or "var/mail"}
    if parts.scheme == "memory":
        return {"MAIL_BACKEND": "locmem"}
    if parts.scheme not in ("smtp", "smtps") or not parts.hostname:
        raise SettingsError("SAAS_MAIL_URL: must be smtp://host, smtps://host or console:folder")
    local = parts.hostname in ("localhost", "127.0.0.1", "::1")
    return {
        "MAIL_BACKEND": "smtp",
        "MAIL_SERVER": parts.hostname,
        "MAIL_PORT": parts.port or (465 if parts.scheme == "smtps" else 587),
        "MAIL_USERNAME": unquote(parts.username or "") or None,
        "MAIL_PASSWORD": unquote(parts.password or "") or None,
        "MAIL_USE_SSL": parts.scheme == "smtps",
        "MAIL_USE_TLS": parts.scheme == "smtp" and not local,
        "MAIL_TIMEOUT": 10,
    }
