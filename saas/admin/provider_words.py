"""Sources in words for people: kinds, presets, settings and choices."""

from flask_babel import lazy_gettext as _

KINDS = {
    "ldap": _("Directory (LDAP)"),
    "oidc": _("OpenID Connect"),
    "oauth2": _("OAuth 2"),
    "platform": _("Offered by this installation"),
}
PRESETS = {
    "ldap": {
        "active-directory": _("Active Directory"),
        "openldap": _("OpenLDAP, or another server"),
        "freeipa": _("FreeIPA"),
        "389ds": _("389 Directory Server"),
    },
    "oidc": {
        "entra": _("Microsoft Entra ID"),
        "google": _("Google Workspace"),
        "okta": _("Okta"),
        "keycloak": _("Keycloak"),
        "auth0": _("Auth0"),
        "generic": _("Another OpenID Connect provider"),
    },
    "oauth2": {"github": _("GitHub"), "generic": _("Another OAuth 2 provider")},
}
"""By kind, in the order in which they are offered."""
CREATES_USERS = {
    "sign-in": _("At their first sign-in"),
    "sync": _("At their first sign-in, and by synchronisation"),
    "never": _("Never: only people who have an account, or are invited"),
}
SETTINGS = {
    "acr_values": _("Levels of authentication"),
    "authorization_endpoint": _("Address for signing in"),
    "base_dn": _("Base DN of people"),
    "bind_dn": _("Service account (bind DN)"),
    "broker": _("Come back by the shared address"),
    "ca_bundle": _("Certificates of the authorities"),
    "client_auth": _("Proof of this client"),
    "client_id": _("Client ID"),
    "connect_timeout": _("Seconds until a server is given up"),
    "directory_ids": _("Directory IDs"),
    "email_attributes": _("Attributes of the e-mail address"),
    "email_claim": _("Claim of the e-mail address"),
    "emails_endpoint": _("Address that lists e-mail addresses"),
    "group_base": _("Base DN of groups"),
    "group_filter": _("Filter of groups"),
    "group_member_attribute": _("Attribute of a group's members"),
    "group_strategy": _("Finding groups"),
    "groups_claim": _("Claim of the groups"),
    "hosted_domains": _("Workspace domains"),
    "insecure": _("Without encryption"),
    "issuer": _("Issuer"),
    "key_id": _("Key ID"),
    "locale_attributes": _("Attributes of the language"),
    "locale_claim": _("Claim of the language"),
    "login_attributes": _("Attributes of the user name that people type"),
    "login_claim": _("Claim of the user name"),
    "max_age": _("Seconds since the sign-in there, at most"),
    "name_attributes": _("Attributes of the name"),
    "name_claim": _("Claim of the name"),
    "nested_groups": _("Groups within groups count"),
    "page_size": _("Entries at once"),
    "platform": _("Provider"),
    "preset": _("Preset"),
    "prompt": _("Ask people there"),
    "scopes": _("Scopes"),
    "servers": _("Servers"),
    "sign_out": _("Sign out there, too"),
    "subject_attribute": _("Attribute that never changes"),
    "subject_claims": _("Claims that never change"),
    "sync_timeout": _("Seconds for a page of a synchronisation"),
    "timeout": _("Seconds for a sign-in"),
    "token_endpoint": _("Address for tokens"),
    "trust_email": _("Trust its e-mail addresses"),
    "user_dn_template": _("DN of a person, without a search"),
    "user_filter": _("Filter of people"),
    "userinfo_endpoint": _("Address of the profile"),
    "username_attribute": _("Attribute of the user name"),
}
"""What the settings are called; their descriptions are those of the models."""
CHOICES = {
    "none": _("None"),
    "member-of": _("memberOf of the person"),
    "search": _("Search for groups that name the person"),
    "ad-nested": _("Active Directory: nested groups in one search"),
    "token-groups": _("Active Directory: tokenGroups"),
    "client_secret_basic": _("Secret, in the header (basic)"),
    "client_secret_post": _("Secret, in the form (post)"),
    "private_key_jwt": _("Private key (JWT)"),
    "": _("Nothing in particular"),
    "login": _("For their password each time"),
    "consent": _("For their consent"),
    "select_account": _("Which account"),
}
STEPS = {
    "configuration": _("Settings"),
    "connect": _("Connection"),
    "tls": _("Encryption"),
    "bind": _("Service account"),
    "base": _("Base"),
    "user": _("Person"),
    "sign-in": _("Password"),
    "attributes": _("Attributes"),
    "groups": _("Groups"),
}
"""Steps of a directory's rehearsal."""
HAPPENS = {
    "known": _("Would sign in as %(user)s."),
    "created": _("Would be made a new member, %(user)s."),
    "link-needed": _("There is an account with the address %(user)s: would be asked to sign in to it as well, once."),
    "refused": _("Would not get in: disabled there, deactivated here, or nobody for whom an account is made."),
}
"""What a sign-in would do."""
