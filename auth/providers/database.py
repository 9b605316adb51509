"""The tenant's own accounts, with their password hashes in our database."""

from collections.abc import Callable

from flask import current_app

from auth.providers.base import ExternalIdentity, PasswordProvider, WrongCredentials


class DatabaseProvider(PasswordProvider):
    """Accounts of the users table."""

    kind = "database"
    id = "database"

    def authenticate(self, login: str, password: str, *, count: Callable[[str], None]) -> ExternalIdentity:
        """Compare the password of the account with that e-mail address; as slowly when there is none.

        An account has one address here, by which the attempt was counted.
        """
        security = current_app.extensions["security"]
        user = security.datastore.find_user(case_insensitive=True, email=login)
        password = security.password_util.normalize(password)
        if not security.pwd_context.verify(password, user.password if user else None):
            raise WrongCredentials
        return ExternalIdentity(
            provider=self.id,
            subject=str(user.id),
            email=user.email,
            email_vouched=user.confirmed_at is not None,
            name=user.name,
        )
