"""Mail to the owners of a workspace about its domains of e-mail addresses."""

from collections.abc import Sequence

from flask import current_app, g
from flask_babel import force_locale
from flask_babel import gettext as _
from flask_security.utils import send_mail
from sqlalchemy import select

from auth import roles
from auth.domain_records import LAPSED, record_of
from auth.models import User
from auth.providers.models import MailDomain


def tell_owners(rows: Sequence[MailDomain]) -> None:
    """Mail every active owner of the bound tenant, in their language, what these domains come to, and what to do."""
    languages = current_app.extensions["tenants"].settings.languages
    told = [(row.domain, row.state == LAPSED, record_of(row)) for row in rows]
    for owner in g.db.scalars(select(User).where(User.id.in_(roles.owners()), User.active)):
        language = owner.locale if owner.locale in languages else languages[0]
        with force_locale(language):
            send_mail(
                _("Your domains of e-mail addresses need attention"),
                owner.email,
                "security/email/domain_notice",
                user=owner,
                locale=language,
                domains=told,
            )
