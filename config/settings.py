"""The settings table.

One field is one setting: `SAAS_<FIELD>` in the environment (or `SAAS_<FIELD>_FILE`, a file that holds the
value, as container secrets are mounted), its type, its default and one line of documentation.
"""

import ipaddress
import json
import os
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails

from config.plans import DEFAULT_PLAN, Plan

PREFIX = "SAAS_"
DEVELOPMENT_KEY = "development only: anybody can forge what this signs"


class SettingsError(RuntimeError):
    """The environment does not describe a usable configuration."""


class Settings(BaseModel):
    """Everything that can be configured; frozen, so that nothing can change under a running process."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    env: Literal["production", "development", "testing"] = Field(
        "production", description="Kind of process. Production refuses every default that is only convenient."
    )
    secret_key: SecretStr = Field(
        SecretStr(""), description="Signs cookies and e-mailed links. Required in production, 32 characters or more."
    )
    secret_key_fallbacks: tuple[SecretStr, ...] = Field(
        (), description="Former secret keys, comma separated: still accepted, never used to sign."
    )
    encryption_keys: tuple[SecretStr, ...] = Field(
        (), description="Encrypt secrets at rest, newest first, comma separated. Required in production."
    )
    database_url: str = Field(
        "sqlite:///var/tenantry.db",
        description="Database of the application: sqlite:/// or postgresql:// URL.",
        repr=False,  # a URL may hold a password
    )
    migration_database_url: str = Field(
        "", description="The same database as its owner, for migrations. Default: SAAS_DATABASE_URL.", repr=False
    )
    database_pool_size: int = Field(10, ge=1, le=200, description="Connections that one process keeps at most.")
    database_transaction_pooler: bool = Field(
        False, description="A transaction pooler (PgBouncer) is in between: do not prepare statements."
    )
    base_domain: str = Field("localhost", description="Parent of the tenants' subdomains, a host name without port.")
    scheme: Literal["https", "http"] = Field(
        "https", description="Scheme that browsers use: https, or http on one machine."
    )
    public_port: int | None = Field(
        None, ge=1, le=65535, description="Port in links made outside a request, when it is not the scheme's own."
    )
    trusted_proxies: int = Field(
        0, ge=0, le=10, description="Number of reverse proxies whose X-Forwarded-* headers are believed."
    )
    outgoing_networks: tuple[str, ...] = Field(
        (),
        description="Networks that are not public and that tenants' directories and identity providers may be in,"
        " comma separated.",
    )
    platform_providers: dict[str, dict[str, Any]] = Field(
        {},
        description="Identity providers that this installation offers to its tenants: JSON, by name the settings of a"
        " source (kind, preset, issuer, client_id, ...) with label and client_secret.",
        repr=False,  # it holds secrets
    )
    name_servers: tuple[str, ...] = Field(
        (),
        description="Name servers that are asked whose a domain is: addresses, also with :port, comma separated."
        " Default: the machine's own.",
    )
    redis_url: str = Field(
        "",
        description="Where all processes count requests together: redis:// or rediss:// URL. Default: each for itself.",
        repr=False,  # a URL may hold a password
    )
    plans: dict[str, Plan] = Field(
        {DEFAULT_PLAN: Plan()},
        description="Requests a minute that a tenant's plan allows: JSON, by name address, caller, tenant and sign_in.",
    )
    mail_url: str = Field(
        "",
        description="smtp://user:password@host:port, smtps://..., or console: with folder, console:var/mail.",
        repr=False,
    )
    mail_sender: str = Field("Tenantry <no-reply@localhost>", description="From address of the mail that is sent.")
    session_idle_minutes: int = Field(
        60 * 8, ge=1, description="A login session ends after this time without a request, in minutes."
    )
    session_hours: int = Field(24, ge=1, description="A login session ends at this age, in hours, whatever happens.")
    session_remembered_days: int = Field(
        30, ge=1, le=400, description="Age and idle limit of a login session with 'remember me', in days."
    )
    argon2_memory_kib: int = Field(
        47104, ge=64, description="Memory of one password hash (Argon2id), in KiB; with fewer, more rounds."
    )
    argon2_rounds: int = Field(1, ge=1, le=100, description="Passes over that memory; the default takes about 50 ms.")
    hashes_at_once: int = Field(
        1, ge=1, le=64, description="Password hashes computed at the same time by one process; the others wait."
    )
    hash_wait_seconds: float = Field(
        20.0, gt=0, le=120, description="Longest wait for a password hash before the answer is 503, in seconds."
    )
    languages: tuple[str, ...] = Field(("en", "es"), description="Languages that are offered, the default first.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="Least severe log line written."
    )
    metrics_token: SecretStr = Field(
        SecretStr(""),
        description="Bearer token with which /metrics may be read; without it there is no such page.",
    )

    @field_validator(
        "secret_key_fallbacks", "encryption_keys", "outgoing_networks", "name_servers", "languages", mode="before"
    )
    @classmethod
    def _split(cls, value: Any) -> Any:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("platform_providers", "plans", mode="before")
    @classmethod
    def _read_json(cls, value: Any) -> Any:
        try:
            return json.loads(value) if isinstance(value, str) else value
        except ValueError:
            raise ValueError("must be JSON, as in deploy/production.env.example") from None

    @field_validator("plans")
    @classmethod
    def _has_default(cls, value: dict[str, Plan]) -> dict[str, Plan]:
        if DEFAULT_PLAN not in value:
            raise ValueError(f'must have a plan "{DEFAULT_PLAN}", which is that of tenants without another')
        return value

    @field_validator("redis_url")
    @classmethod
    def _is_redis(cls, value: str) -> str:
        if value and not value.startswith(("redis://", "rediss://")):
            raise ValueError("must start with redis:// or rediss://")
        return value

    @field_validator("database_url", "migration_database_url")
    @classmethod
    def _name_the_driver(cls, value: str) -> str:
        # Hosts hand out "postgres://"; the driver is ours to choose.
        for given in ("postgres://", "postgresql://"):
            if value.startswith(given):
                return "postgresql+psycopg://" + value.removeprefix(given)
        if value and not value.startswith(("sqlite://", "postgresql+psycopg://")):
            raise ValueError("must start with sqlite:// or postgresql://")
        return value

    @field_validator("base_domain")
    @classmethod
    def _plain_host(cls, value: str) -> str:
        host = value.lower().rstrip(".")
        if not host or not all(label and label.replace("-", "a").isalnum() for label in host.split(".")):
            raise ValueError("must be a host name without scheme and port")
        return host

    @field_validator("outgoing_networks")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        try:
            for network in value:
                ipaddress.ip_network(network)
        except ValueError:
            raise ValueError("must be networks such as 10.0.0.0/8 or fd00::/8, comma separated") from None
        return value

    @field_validator("name_servers")
    @classmethod
    def _servers(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        try:
            for server in value:
                socket_address(server)
        except ValueError:
            raise ValueError("must be addresses such as 192.0.2.53, 192.0.2.53:5353 or [2001:db8::53]:5353") from None
        return value

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.env == "production":
            key = self.secret_key.get_secret_value()
            missing = [
                f"{PREFIX}{name.upper()}"
                for name, given in (
                    ("secret_key", len(key) >= 32 and key != DEVELOPMENT_KEY),
                    ("encryption_keys", self.encryption_keys not in ((), (SecretStr(DEVELOPMENT_KEY),))),
                    ("mail_url", bool(self.mail_url)),
                    ("base_domain", "base_domain" in self.model_fields_set),
                    ("database_url", "database_url" in self.model_fields_set),
                )
                if not given
            ]
            if missing:
                raise ValueError(
                    "production needs " + ", ".join(missing) + " (SAAS_SECRET_KEY has 32 characters or more)"
                )
            # The least of OWASP's equal choices: 46 MiB once, 19 MiB twice, ... 7 MiB five times.
            if self.argon2_memory_kib < 7168 or self.argon2_memory_kib * self.argon2_rounds < 35840:
                raise ValueError("production hashes passwords with 47104 KiB once or 19456 KiB twice, or more")
            if self.scheme != "https":
                raise ValueError("production is served over https: SAAS_SCHEME=http is for one machine only")
        return self

    @property
    def production(self) -> bool:
        """Whether real people's data is at stake."""
        return self.env == "production"

    @cached_property
    def allowed_networks(self) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
        """`outgoing_networks`, parsed."""
        return tuple(map(ipaddress.ip_network, self.outgoing_networks))

    def external_url(self, host: str) -> str:
        """The address, without trailing slash, under which browsers reach `host` of this installation."""
        return f"{self.scheme}://{host}" + (f":{self.public_port}" if self.public_port else "")


# What a developer need not type. None of these holds in production: there they have to be given.
DEVELOPMENT: Mapping[str, Any] = {
    "secret_key": DEVELOPMENT_KEY,
    "encryption_keys": DEVELOPMENT_KEY,
    "scheme": "http",
    "public_port": "8000",
    "outgoing_networks": "0.0.0.0/0,::/0",
    "mail_url": "console:var/mail",
    # One machine asks for everybody: there are headers as elsewhere, and nobody is held up.
    "plans": {DEFAULT_PLAN: dict.fromkeys(Plan.model_fields, 1_000_000)},
}


def load_settings(environ: Mapping[str, str] | None = None, **overrides: Any) -> Settings:
    """Read the settings from `environ` (default: the process environment); `overrides` win.

    Raises SettingsError that names every faulty setting, without its value.
    """
    environ = os.environ if environ is None else environ
    given: dict[str, Any] = {}
    for name in Settings.model_fields:
        variable = PREFIX + name.upper()
        if path := environ.get(f"{variable}_FILE"):
            given[name] = _read(variable, path)
        elif environ.get(variable):
            given[name] = environ[variable]
    given |= overrides
    if given.get("env", "production") != "production":
        given = {**DEVELOPMENT, **given}
    try:
        return Settings(**given)
    except ValidationError as error:
        raise SettingsError("; ".join(_describe(fault) for fault in error.errors(include_input=False))) from None


def socket_address(server: str, port: int = 53) -> tuple[str, int]:
    """The address and port of a server that is written as one of `name_servers`. Raises ValueError."""
    if server.count(":") == 1 or server.startswith("["):
        parts = urlsplit(f"//{server}")
        server, port = parts.hostname or "", parts.port or port
    return str(ipaddress.ip_address(server)), port


def _read(variable: str, path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        raise SettingsError(f"{variable}_FILE cannot be read: {type(error).__name__}") from None


def _describe(fault: ErrorDetails) -> str:
    place = PREFIX + str(fault["loc"][0]).upper() + ": " if fault["loc"] else ""
    return place + fault["msg"].removeprefix("Value error, ")
