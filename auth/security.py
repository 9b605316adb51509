"""Flask-Security and Flask-Principal, set up in one place: the only one that knows how.

Order matters. Flask-WTF's CSRF protection comes before Flask-Security; the hooks of tenancy have been registered
before both; what Flask-Security sets up for one tenant is replaced here by what works for many.
"""

from collections import deque
from datetime import timedelta
from typing import Any

from flask import Flask, g, session
from flask_babel import lazy_gettext as _
from flask_principal import identity_loaded
from flask_security import Security, Totp, UserMixin, WebauthnUtil
from flask_security.core import _on_identity_loaded
from flask_security.decorators import anonymous_user_required
from flask_security.utils import aware_utcnow, set_request_attr
from passlib.totp import TotpMatch
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from auth import factor_forms, forms, identity, keys, passwords, reactions, routing
from auth.datastore import TenantDatastore
from auth.mail import TenantMailUtil
from auth.models import User
from auth.permissions import Access, declare
from auth.reactions import unproxied
from auth.serializer import TenantSerializer
from config.settings import Settings
from tenants.request import writes_on_get

_PUBLIC, _SIGNED_IN, _SETTING_UP = Access(public=True), Access(), Access(sets_up=True)
_ACCESS = {
    "login": _PUBLIC,
    "logout": _PUBLIC,
    "verify": _SETTING_UP,
    "forgot_password": _PUBLIC,
    "reset_password": _PUBLIC,
    "change_password": _SIGNED_IN,
    "change_email": _SIGNED_IN,
    "change_email_confirm": _PUBLIC,
    "send_confirmation": _PUBLIC,
    "confirm_email": _PUBLIC,
    "two_factor_setup": _SETTING_UP,
    "two_factor_setup_validate": _SETTING_UP,
    "two_factor_token_validation": _PUBLIC,
    "tf_select": _PUBLIC,
    "mf_recovery": _PUBLIC,
    "mf_recovery_codes": _SETTING_UP,
    "wan_register": _SETTING_UP,
    "wan_register_response": _SETTING_UP,
    "wan_signin": _PUBLIC,
    "wan_signin_response": _PUBLIC,
    "wan_verify": _SETTING_UP,
    "wan_verify_response": _SETTING_UP,
    "wan_delete": _SIGNED_IN,
}
"""Access of Flask-Security's endpoints. What is not here (say two_factor_rescue, which mails strangers) is refused."""

_MESSAGES = {
    "SECURITY_MSG_GENERIC_AUTHN_FAILED": (_("The e-mail address or the password is wrong."), "error"),
    "SECURITY_MSG_TWO_FACTOR_DISABLED": (_("The second factor is off."), "success"),
    "SECURITY_MSG_TWO_FACTOR_CHANGE_METHOD_SUCCESSFUL": (_("The second factor is on."), "success"),
    "SECURITY_MSG_WEBAUTHN_NO_VERIFY": (_("The passkey could not be verified. Try again."), "error"),
    "SECURITY_MSG_INVALID_INPUT_LENGTH": (_("At most %(length)s characters are possible."), "error"),
}
"""Its own catalogues translate what Flask-Security says, but not the causes that it puts in, and one text is broken."""


class TenantTotp(Totp):
    """One-time codes that name the tenant in the app and count once."""

    def fetch_setup_values(self, totp: str, user: UserMixin) -> dict[str, str]:
        """What the set-up page shows, with the tenant's name as issuer."""
        values: dict[str, str] = super().fetch_setup_values(totp, user)
        return values | {"issuer": g.tenant.name}

    def get_totp_uri(self, username: str, totp_secret: str) -> str:
        """The otpauth: address in the QR code."""
        uri: str = self._totp.from_source(totp_secret).to_uri(username, issuer=g.tenant.name.replace(":", " "))
        return uri

    def get_last_counter(self, user: UserMixin) -> int | None:
        """The step last accepted. Locks the user until the end of the transaction: the next waits and sees it."""
        person = unproxied(user)
        g.db.refresh(person, with_for_update=True)
        return person.tf_last_counter

    def set_last_counter(self, user: UserMixin, tmatch: TotpMatch) -> None:
        """Remember the step just accepted."""
        unproxied(user).tf_last_counter = tmatch.counter


class TenantWebauthn(WebauthnUtil):
    """Passkey ceremonies: any authenticator will do, and the challenge is bound to the browser."""

    def generate_challenge(self, nbytes: int | None = None) -> str:
        """A new challenge, of which the browser's session keeps a copy until it is answered."""
        challenge: str = super().generate_challenge(nbytes)
        session["passkey_challenge"] = challenge
        return challenge

    def authenticator_selection(self, user: UserMixin, usage: str) -> AuthenticatorSelectionCriteria:
        """A passkey that is to replace the password knows its account and checks who holds it."""
        if usage == "first":
            return AuthenticatorSelectionCriteria(
                resident_key=ResidentKeyRequirement.REQUIRED, user_verification=UserVerificationRequirement.REQUIRED
            )
        return AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.DISCOURAGED, user_verification=UserVerificationRequirement.DISCOURAGED
        )

    def authentication_options(
        self, user: UserMixin | None, usage: list[str], existing: dict[str, Any]
    ) -> dict[str, Any]:
        """Ask for the holder's check where the passkey is all that is asked for."""
        first = "first" in usage
        check = UserVerificationRequirement.REQUIRED if first else UserVerificationRequirement.DISCOURAGED
        return existing | {"user_verification": check}


def init_app(app: Flask, settings: Settings) -> None:
    """Set up Flask-Security on `app`."""
    app.config |= _configuration(settings) | _MESSAGES
    security = Security(
        mail_util_cls=TenantMailUtil,
        totp_cls=TenantTotp,
        webauthn_util_cls=TenantWebauthn,
        password_util_cls=passwords.TenantPasswordUtil,
    )
    security.init_app(
        app,
        TenantDatastore(),
        login_form=forms.LoginForm,
        change_email_form=forms.ChangeEmailForm,
        verify_form=forms.VerifyForm,
        change_password_form=forms.ChangePasswordForm,
        forgot_password_form=forms.ForgotPasswordForm,
        reset_password_form=forms.ResetPasswordForm,
        send_confirmation_form=forms.SendConfirmationForm,
        two_factor_verify_code_form=factor_forms.TwoFactorVerifyCodeForm,
        mf_recovery_form=factor_forms.RecoveryCodeForm,
        wan_register_response_form=factor_forms.PasskeyRegistrationForm,
        wan_signin_response_form=factor_forms.PasskeyResponseForm,
    )
    security.login_context_processor(routing.describe_sign_in)
    security.verify_context_processor(routing.describe_step_up)
    passwords.init_app(app, at_once=settings.hashes_at_once, wait_seconds=settings.hash_wait_seconds)
    for name in ("remember_token", "login", "reset", "change_email", "confirm", "us_setup", "tf_setup", "tf_validity",
                 "wan", "refresh_token"):  # fmt: skip
        setattr(security, f"{name}_serializer", TenantSerializer(app, name))
    # Who is signed in sets the second factor up by a state that belongs to the login session; this would take any.
    second_step = "security.two_factor_token_validation"
    app.view_functions[second_step] = anonymous_user_required(app.view_functions[second_step])
    for endpoint, access in _ACCESS.items():
        _declare(app, f"security.{endpoint}", access)
    for endpoint in ("confirm_email", "change_email_confirm"):
        writes_on_get(app.view_functions[f"security.{endpoint}"])
    _identify_by_login_session(app, security)
    reactions.init_app(app)


def _identify_by_login_session(app: Flask, security: Security) -> None:
    """Let the login session alone decide who calls; Flask-Security and Flask-Login ask us."""
    security.principal.identity_loaders = deque([identity.load_identity])
    identity_loaded.disconnect(_on_identity_loaded, app)  # it would load the user and their roles on every request
    identity_loaded.connect(identity.settle_identity, app)
    # None turns it off; Flask-Login, without types, seems to want the text that is its default.
    security.login_manager.session_protection = None  # type: ignore[assignment]
    security.login_manager.user_loader(_load_user)
    security.login_manager.request_loader(lambda _request: None)  # no token in a header or query is a way in


def _load_user(handle: str) -> User | None:
    caller = g.get("identity")
    if caller is None or not caller.is_authenticated or caller.handle != handle:
        return None
    if caller.means != identity.SESSION:  # a token says who calls, whatever cookie comes with it
        return None
    user: User | None = g.db.find(User, caller.user_id)
    if user is not None:
        set_request_attr("fs_authn_via", "session")
        set_request_attr("fs_paa", session.get("fs_paa", 0))
    return user


def _declare(app: Flask, endpoint: str, access: Access) -> None:
    view = app.view_functions[endpoint]

    def stamped(**arguments: Any) -> Any:
        return view(**arguments)

    stamped.__name__ = view.__name__
    app.view_functions[endpoint] = declare(stamped, access)


def _configuration(settings: Settings) -> dict[str, Any]:
    secure = settings.scheme == "https"
    return {
        "SECURITY_BLUEPRINT_NAME": "security",
        "SECURITY_URL_PREFIX": "/auth",
        "SECURITY_CLI_USERS_NAME": None,  # ours know the tenant
        "SECURITY_CLI_ROLES_NAME": None,
        "SECURITY_API_ENABLED_METHODS": ["session"],
        "SECURITY_RETURN_GENERIC_RESPONSES": True,
        "SECURITY_DATETIME_FACTORY": aware_utcnow,
        "SECURITY_EMAIL_VALIDATOR_ARGS": {"check_deliverability": False, "globally_deliverable": False},
        "SECURITY_EMAIL_SENDER": settings.mail_sender,
        "SECURITY_JOIN_USER_ROLES": False,
        "SECURITY_POST_LOGIN_VIEW": "/",
        "SECURITY_POST_LOGOUT_VIEW": "/auth/login",
        "SECURITY_LOGOUT_METHODS": ["POST"],
        # passwords
        "SECURITY_PASSWORD_HASH": "argon2",
        "SECURITY_PASSWORD_SCHEMES": ["argon2"],
        "SECURITY_PASSWORD_SINGLE_HASH": {"argon2"},
        "SECURITY_PASSWORD_HASH_PASSLIB_OPTIONS": {
            "argon2__type": "ID",
            "argon2__memory_cost": settings.argon2_memory_kib,
            "argon2__rounds": settings.argon2_rounds,
            "argon2__parallelism": 1,
        },
        # For what is compared inside signed links. The default takes as long as a password, for known addresses only.
        "SECURITY_HASHING_SCHEMES": ["hex_sha256"],
        "SECURITY_PASSWORD_LENGTH_MIN": passwords.SHORTEST,
        "SECURITY_PASSWORD_NORMALIZE_FORM": "NFC",  # the only form that never lengthens a password past passlib's limit
        "SECURITY_CHANGEABLE": True,
        "SECURITY_RECOVERABLE": True,
        "SECURITY_CONFIRMABLE": True,
        "SECURITY_CHANGE_EMAIL": True,
        "SECURITY_POST_CHANGE_VIEW": "/account/",
        # step-up and second factor
        "SECURITY_FRESHNESS": timedelta(minutes=15),
        "SECURITY_FRESHNESS_GRACE_PERIOD": timedelta(minutes=0),
        "SECURITY_TWO_FACTOR": True,
        "SECURITY_TWO_FACTOR_ENABLED_METHODS": ["authenticator"],
        "SECURITY_TWO_FACTOR_AUTHENTICATOR_VALIDITY": 30,  # seconds of clock skew, either way
        "SECURITY_TWO_FACTOR_ALWAYS_VALIDATE": True,
        "SECURITY_TWO_FACTOR_RESCUE_EMAIL": False,
        "SECURITY_TOTP_SECRETS": keys.totp_secrets(settings.encryption_keys),
        "SECURITY_TOTP_ISSUER": "Tenantry",
        "SECURITY_MULTI_FACTOR_RECOVERY_CODES": True,
        "SECURITY_MULTI_FACTOR_RECOVERY_CODES_N": 10,
        "SECURITY_MULTI_FACTOR_RECOVERY_CODES_KEYS": keys.fernet_keys(settings.encryption_keys, "recovery codes"),
        # passkeys
        "SECURITY_WEBAUTHN": True,
        "SECURITY_WAN_RP_NAME": "Tenantry",
        # What people call their things: “Zoë's laptop (old)”. The default has neither quotes nor brackets.
        "SECURITY_WAN_NAME_ALLOWED_CHARS": ["L", "M", "N", "P", "S", "Zs"],
        "SECURITY_INPUT_NORMALIZE_FORM": "NFC",
        "SECURITY_WAN_ALLOW_USER_HINTS": False,  # hints tell whether an account exists and has passkeys
        # cookies
        "SECURITY_CSRF_COOKIE_NAME": None,
        "SECURITY_TWO_FACTOR_VALIDITY_COOKIE": {"httponly": True, "secure": secure, "samesite": "Strict"},
    }
