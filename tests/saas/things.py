"""One of everything that the API has an address for, in a workspace of a test's own."""

import uuid

from flask import Flask
from sqlalchemy import select
from sqlalchemy.orm import Session

from auth import (
    api_tokens,
    clients,
    groups,
    invitations,
    local_groups,
    roles,
    service_accounts,
    sessions,
)
from auth.audit_models import AuditEvent
from auth.client_models import Consent, OAuthClient
from auth.models import Group, LoginSession, Role
from auth.providers.models import MailDomain, ProviderConfig, ProvisioningToken
from auth.scim.models import ScimResource
from saas.projects.models import Project, ProjectUpdate
from saas.projects.permissions import EDITOR, OBJECT_TYPE
from tenants.db import now
from tests.auth import sources
from tests.auth.helpers import inside, row_of
from tests.factories import Person, Workspace

SETTINGS = {"issuer": "https://id.example", "client_id": "acme"}


def things(app: Flask, workspace: Workspace) -> dict[str, str]:
    """Ids of things that there are, by the names that they have in addresses; what is somebody's own is the owner's.

    The member is who is in them: in the group, an editor of the project, with a token.
    """
    domain = sources.own(app, workspace, f"sso.{workspace.slug}.example")
    config_id = sources.add(app, workspace, "work", "oidc", SETTINGS, secret="x", domains=[domain])
    made: dict[str, uuid.UUID] = {"config_id": config_id, "user_id": workspace.people["member"].id}
    with inside(app, workspace) as session:
        config = session.get_one(ProviderConfig, (workspace.tenant.id, config_id))
        config.admin_seen_at = now()
        made |= _of_access(workspace.people["member"])
        made |= _of_projects(session, workspace.people["member"])
        made |= _of_programs(session.get_one(Role, (workspace.tenant.id, made["role_id"])))
        made |= _of_provider(session, config, workspace.people["viewer"])
        made["domain_id"] = session.scalars(select(MailDomain.id)).one()
        made["event_id"] = session.scalars(select(AuditEvent.id).limit(1)).one()
    made |= belongings(app, workspace, workspace.people["owner"], made["client_id"])
    named = {"role": "member", "permission": "project:read"}
    addresses = {"email": workspace.people["member"].email, "owner_email": workspace.people["owner"].email}
    return {name: str(id) for name, id in made.items()} | named | addresses


def belongings(app: Flask, workspace: Workspace, person: Person, client_id: uuid.UUID) -> dict[str, uuid.UUID]:
    """What nobody but that person sees: a token, a login session, and what they have allowed the app."""
    with inside(app, workspace) as session:
        consent = Consent(user_id=person.id, client_id=client_id, permissions=["project:read"])
        _secret, values = sessions.issue(person.id, "Firefox")
        login = LoginSession(**values)
        session.add_all([consent, login])
        session.flush()
        return {"consent_id": consent.id, "session_id": login.id, "token_id": _token_of(person)}


def _of_access(member: Person) -> dict[str, uuid.UUID]:
    role = roles.create_role("Reader", ["project:read"], actor=None)
    group = local_groups.create_group("Staff", actor=None)
    local_groups.add_member(group, row_of(member), actor=None)
    local_groups.give_role(group, role, actor=None)
    grant = roles.grant_role(row_of(member), "viewer", actor=None)
    (invited,) = invitations.invite(["new@x.example"], "member", actor=None)
    return {
        "role_id": role.id,
        "group_id": group.id,
        "grant_id": grant.id,
        "invitation_id": invited.id,
        "member_token_id": _token_of(member),
    }


def _of_projects(session: Session, member: Person) -> dict[str, uuid.UUID]:
    project = Project(name="Apollo", owner_id=member.id)
    session.add(project)
    session.flush()
    update = ProjectUpdate(project_id=project.id, author_id=member.id, body="Begun")
    session.add(update)
    roles.grant_role(row_of(member), EDITOR.name, actor=None, on=(OBJECT_TYPE, project.id))
    session.flush()
    return {"project_id": project.id, "update_id": update.id}


def _of_programs(role: Role) -> dict[str, uuid.UUID]:
    client: OAuthClient
    account = service_accounts.create_account("Robot", actor=None)
    service_accounts.give_role(account, role.name, actor=None)
    credential, _secret = clients.add_credential(account, "Key", actor=None)
    client, _secret = clients.add_app("App", redirects=["https://app.example/"], permissions=[], actor=None)
    return {"account_id": account.id, "credential_id": credential.id, "client_id": client.id}


def _of_provider(session: Session, config: ProviderConfig, provisioned: Person) -> dict[str, uuid.UUID]:
    groups.map_group(config, "staff", "staff", "viewer", actor=None)
    group = Group(name="Theirs", origin=config.origin, external_key="theirs")
    token = ProvisioningToken(provider_id=config.id, token_hash=uuid.uuid4().hex)
    session.add_all([group, token])
    session.flush()
    user = ScimResource(provider_id=config.id, kind="User", name_key="viewer", user_id=provisioned.id)
    team = ScimResource(provider_id=config.id, kind="Group", name_key="theirs", group_id=group.id)
    session.add_all([user, team])
    session.flush()
    return {"provisioning_token_id": token.id, "provisioned_user_id": user.id, "provisioned_group_id": team.id}


def _token_of(person: Person) -> uuid.UUID:
    row, _secret = api_tokens.issue(
        person.id, kind=api_tokens.PERSONAL, permissions=["project:read"], expires_at=None, name="Token"
    )
    return row.id
