"""An OpenLDAP server of the test run's own."""

import atexit
import base64
import ipaddress
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import ldap3
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from ldap3.core.exceptions import LDAPExceptionError
from ldap3.utils.conv import escape_filter_chars
from ldap3.utils.dn import escape_rdn, parse_dn

from tests.servers import ServerMissingError, free_port, unprivileged

PASSWORD = "correct horse battery staple"
READY_WITHIN = 30.0
MODULES, SCHEMAS = Path("/usr/lib/ldap"), Path("/etc/ldap/schema")

# Lets the administrator write what the server itself keeps: when a password was changed, that an account is locked.
RELAX = ("1.3.6.1.4.1.4203.666.5.12", True, None)
FOR_EVER = "000001010000Z"

# Nothing here outlives the run, so nothing is worth a write to disk (dbnosync).
CONFIGURATION = """
include {schemas}/core.schema
include {schemas}/cosine.schema
include {schemas}/nis.schema
include {schemas}/inetorgperson.schema
modulepath {modules}
moduleload back_mdb
moduleload memberof
moduleload refint
moduleload ppolicy
{features}

database mdb
suffix "{suffix}"
rootdn "{admin_dn}"
rootpw {admin_password}
directory data
maxsize 1073741824
dbnosync
index objectClass,uid,mail,member,uniqueMember,memberUid,memberOf,entryUUID eq
limits dn.exact="{service_dn}" size={size_limit}
access to attrs=userPassword by self =xw by anonymous auth by * none
access to * by dn.exact="{service_dn}" read by self read by * {others}

overlay memberof
memberof-refint TRUE
overlay refint
refint_attributes member uniqueMember
refint_nothing "{nobody}"
overlay ppolicy
ppolicy_default "cn=default,ou=policies,{suffix}"
ppolicy_use_lockout
ppolicy_hash_cleartext
"""

GroupKind = Literal["groupOfNames", "groupOfUniqueNames", "posixGroup"]
MEMBER_ATTRIBUTES = {"groupOfNames": "member", "groupOfUniqueNames": "uniqueMember", "posixGroup": "memberUid"}
SUFFIX_CLASSES = {"dc": "domain", "o": "organization", "ou": "organizationalUnit"}
Value = str | bytes | Sequence[str | bytes]
Attributes = Mapping[str, Value | None]

POLICY: Attributes = {
    "objectClass": ["organizationalRole", "pwdPolicy"],
    "pwdAttribute": "userPassword",
    "pwdLockout": "TRUE",
    "pwdMaxFailure": "5",
    "pwdMustChange": "TRUE",
}
SIGNS_CERTIFICATES = {
    "digital_signature": False,
    "content_commitment": False,
    "key_encipherment": False,
    "data_encipherment": False,
    "key_agreement": False,
    "key_cert_sign": True,
    "crl_sign": True,
    "encipher_only": False,
    "decipher_only": False,
}


def find_slapd() -> Path | None:
    """Return the server's program, where the modules and schemas that the tests need are installed too."""
    # Debian's place for it is in root's PATH only.
    program = shutil.which("slapd", path=os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin")))
    needed = (MODULES / "back_mdb.so", MODULES / "ppolicy.so", SCHEMAS / "core.schema")
    return Path(program) if program and all(path.exists() for path in needed) else None


class OpenLdapServer:
    """One server with its data in a temporary folder; a context manager that stops and removes it.

    Its `tls` is LDAPS and StartTLS by a certificate for `certificate_names` of an authority of its own, `ca`;
    `plain_ca` leaves the key usage out of the authority's certificate, as many a company's does. `anonymous` lets
    anybody read. `unauthenticated_binds` answers a name with an empty password with success. `size_limit` counts for
    the service account and is unlimited if None.
    """

    def __init__(
        self,
        program: Path,
        *,
        suffix: str = "dc=acme,dc=example",
        certificate_names: tuple[str, ...] = ("localhost",),
        tls: bool = True,
        anonymous: bool = False,
        unauthenticated_binds: bool = False,
        size_limit: int | None = None,
        plain_ca: bool = False,
    ) -> None:
        self.port = free_port()
        self.tls_port = next(port for port in iter(free_port, None) if port != self.port)
        self.url, self.tls_url = f"ldap://localhost:{self.port}", f"ldaps://localhost:{self.tls_port}"
        self.offers_starttls = tls
        self.suffix = suffix
        self.people, self.groups = f"ou=people,{suffix}", f"ou=groups,{suffix}"
        self.admin_dn, self.admin_password = f"cn=admin,{suffix}", secrets.token_hex(16)
        self.service_dn, self.service_password = f"cn=service,{suffix}", secrets.token_hex(16)
        self.nobody = f"cn=nobody,{suffix}"
        self.default_policy, self.expired_policy = (
            f"cn={name},ou=policies,{suffix}" for name in ("default", "expired")
        )
        self.folder = Path(tempfile.mkdtemp(prefix="tenantry-ldap-"))
        self.ca, identity = make_certificates(certificate_names, plain_ca=plain_ca)
        self._program = program
        self._identity = unprivileged("openldap")
        self._process: subprocess.Popen[bytes] | None = None
        self._next_gid = 10000
        atexit.register(self.close)
        try:
            features = _features(tls=tls, anonymous=anonymous, unauthenticated_binds=unauthenticated_binds)
            self._prepare(identity, features, "read" if anonymous else "none", size_limit)
            self.start()
        except BaseException:
            self.close()
            raise

    @property
    def pid(self) -> int:
        """Process id of the running server."""
        return self._running().pid

    def start(self) -> None:
        """Start the server on its ports and wait until it answers."""
        if self._process is not None:
            return
        addresses = [f"ldap://127.0.0.1:{self.port}/"]
        if self.offers_starttls:
            addresses.append(f"ldaps://127.0.0.1:{self.tls_port}/")
        # -d keeps it in the foreground, -s keeps it out of the machine's log.
        options = ["-f", "slapd.conf", "-h", " ".join(addresses), "-d", "none", "-s", "0"]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._program, *options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Ctrl-C belongs to the tests: the server is stopped after them.
                start_new_session=True,
                **self._surroundings(),
            )
        self._wait()

    def stop(self) -> None:
        """Stop the server and end its connections; data and ports stay for the next start."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGCONT)  # it may be paused, and would not hear the other
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def pause(self) -> None:
        """Let the server hang: connections are accepted and nothing is answered."""
        self._running().send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """End `pause`."""
        self._running().send_signal(signal.SIGCONT)

    def close(self) -> None:
        """Stop the server and remove its folder."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
        atexit.unregister(self.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def add_person(
        self,
        uid: str,
        *,
        password: str | None = PASSWORD,
        email: str | None = "",
        name: str | None = None,
        ou: str | None = None,
        **attributes: Value | None,
    ) -> str:
        """Add a person below `ou` and return the DN; an empty `email` is made of the uid, None is none."""
        dn = f"uid={escape_rdn(uid)},{ou or self.people}"
        attributes = _person(uid, name=name, email=email, password=password) | attributes
        with self._admin() as admin:
            admin.add(dn, attributes=_given(attributes), controls=[RELAX])
        return dn

    def add_group(self, name: str, members: Sequence[str] = (), *, kind: GroupKind = "groupOfNames") -> str:
        """Add a group and return its DN; members are DNs that exist already, or uids in a posixGroup."""
        dn = f"cn={escape_rdn(name)},{self.groups}"
        attributes: dict[str, Value] = {"objectClass": kind, "cn": name}
        if kind == "posixGroup":
            self._next_gid += 1
            attributes["gidNumber"] = str(self._next_gid)
        elif not members:
            members = [self.nobody]  # these kinds may not be empty
        with self._admin() as admin:
            admin.add(dn, attributes=_given(attributes | {MEMBER_ATTRIBUTES[kind]: members}))
        return dn

    def add_member(self, group_dn: str, member: str) -> None:
        """Add a member, as add_group takes it."""
        self._change_member(group_dn, member, ldap3.MODIFY_ADD)

    def remove_member(self, group_dn: str, member: str) -> None:
        """Remove a member, but not the last of a kind that may not be empty."""
        self._change_member(group_dn, member, ldap3.MODIFY_DELETE)

    def modify(self, dn: str, **changes: Value | None) -> None:
        """Replace attributes, also those that the server keeps itself; None deletes."""
        with self._admin() as admin:
            replaced = {name: [(ldap3.MODIFY_REPLACE, _values(value))] for name, value in changes.items()}
            admin.modify(dn, replaced, controls=[RELAX])

    def rename(self, dn: str, new_rdn: str, new_parent: str | None = None) -> str:
        """Rename or move an entry and return its new DN."""
        with self._admin() as admin:
            admin.modify_dn(dn, new_rdn, new_superior=new_parent)
        self._await_refint(dn)
        return f"{new_rdn},{new_parent or dn.removeprefix(_first_rdn(dn) + ',')}"

    def delete(self, dn: str) -> None:
        """Delete an entry without children."""
        with self._admin() as admin:
            admin.delete(dn)
        self._await_refint(dn)

    def disable(self, dn: str) -> None:
        """Lock an account until an administrator unlocks it."""
        self.modify(dn, pwdAccountLockedTime=FOR_EVER)

    def get(self, dn: str) -> dict[str, list[str]]:
        """Return an entry's attributes, with those that the server keeps itself."""
        with self._admin() as admin:
            admin.search(dn, "(objectClass=*)", ldap3.BASE, attributes=[ldap3.ALL_ATTRIBUTES, "+"])
            [found] = admin.response or []
        attributes: dict[str, list[bytes]] = found["raw_attributes"]
        return {name: [value.decode(errors="replace") for value in values] for name, values in attributes.items()}

    def load_people(self, count: int, *, group_size: int) -> None:
        """Add user0, user1 and so on, and the group cn=crowd with the first `group_size` of them; stops and starts."""
        crowd = f"cn=crowd,{self.groups}"
        dns = [f"uid=user{number},{self.people}" for number in range(count)]
        entries: list[tuple[str, Attributes]] = []
        for number, dn in enumerate(dns):
            # slapadd goes past the overlays, so this one's work is done here.
            overlay: dict[str, Value | None] = {"memberOf": crowd} if number < group_size else {}
            person = _person(f"user{number}", name=f"User {number}", email="", password=PASSWORD)
            entries.append((dn, person | overlay))
        members = dns[:group_size] or [self.nobody]
        entries.append((crowd, {"objectClass": "groupOfNames", "cn": "crowd", "member": members}))
        self.stop()
        self._slapadd(entries)
        self.start()

    @contextmanager
    def _admin(self) -> Iterator[Any]:  # a Connection, half of which its stubs leave untyped
        server = ldap3.Server("127.0.0.1", self.port, get_info=ldap3.NONE, connect_timeout=5)
        with ldap3.Connection(
            server, self.admin_dn, self.admin_password, receive_timeout=30, raise_exceptions=True
        ) as admin:
            yield admin

    def _change_member(self, group_dn: str, member: str, operation: str) -> None:
        kinds = self.get(group_dn)["objectClass"]
        attribute = next(name for kind, name in MEMBER_ATTRIBUTES.items() if kind in kinds)
        with self._admin() as admin:
            admin.modify(group_dn, {attribute: [(operation, [member])]})

    def _await_refint(self, old_dn: str) -> None:
        """Wait for the overlay that works after the answer: until no group has the old name of a member."""
        name = escape_filter_chars(old_dn)
        with self._admin() as admin:
            deadline = time.monotonic() + READY_WITHIN
            while admin.search(self.suffix, f"(|(member={name})(uniqueMember={name}))") and time.monotonic() < deadline:
                time.sleep(0.005)

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise RuntimeError("the server is stopped")
        return self._process

    def _prepare(self, identity: str, features: list[str], others: str, size_limit: int | None) -> None:
        (self.folder / "data").mkdir()
        (self.folder / "server.pem").write_text(identity)
        values = {
            "schemas": SCHEMAS,
            "modules": MODULES,
            "features": "\n".join(features),
            "suffix": self.suffix,
            "admin_dn": self.admin_dn,
            "admin_password": self.admin_password,
            "service_dn": self.service_dn,
            "nobody": self.nobody,
            "others": others,
            "size_limit": "unlimited" if size_limit is None else size_limit,
        }
        # The configuration has its own escapes around those of a DN.
        escaped = {name: str(value).replace("\\", "\\\\").replace('"', '\\"') for name, value in values.items()}
        configuration = CONFIGURATION.format(**escaped)
        (self.folder / "slapd.conf").write_text(configuration)
        if self._identity:
            for path in (self.folder, *self.folder.iterdir()):
                os.chown(path, self._identity["user"], self._identity["group"])
        self._slapadd(self._first_entries())

    def _first_entries(self) -> Iterator[tuple[str, Attributes]]:
        kind, name, _ = parse_dn(self.suffix)[0]
        yield self.suffix, {"objectClass": SUFFIX_CLASSES[kind.lower()], kind: name}
        for unit in ("people", "groups", "policies"):
            yield f"ou={unit},{self.suffix}", {"objectClass": "organizationalUnit", "ou": unit}
        yield (
            self.service_dn,
            {
                "objectClass": ["organizationalRole", "simpleSecurityObject"],
                "cn": "service",
                "userPassword": self.service_password,
            },
        )
        yield self.default_policy, {**POLICY, "cn": "default"}
        yield self.expired_policy, {**POLICY, "cn": "expired", "pwdMaxAge": "1", "pwdGraceAuthnLimit": "0"}

    def _slapadd(self, entries: Iterable[tuple[str, Attributes]]) -> None:
        lines = [line for dn, attributes in entries for line in _ldif(dn, attributes)]
        made = subprocess.run(
            # The program is slapadd if it is called so.
            ["slapadd", "-f", "slapd.conf", "-b", self.suffix, "-q"],
            executable=self._program,
            input="\n".join(lines).encode(),
            capture_output=True,
            check=False,
            **self._surroundings(),
        )
        if made.returncode != 0:
            raise RuntimeError(f"slapadd failed: {made.stderr.decode(errors='replace')}")

    def _surroundings(self) -> dict[str, Any]:
        # LDAP* variables and files of the caller would redirect the server.
        environment = {"LC_ALL": "C.UTF-8", "HOME": str(self.folder), "LDAPNOINIT": "1"}
        return {"cwd": self.folder, "env": environment, **self._identity}

    def _wait(self) -> None:
        deadline = time.monotonic() + READY_WITHIN
        while self._process is not None and self._process.poll() is None and time.monotonic() < deadline:
            try:
                # ldap3 would leave the socket of every attempt to the garbage collector.
                socket.create_connection(("127.0.0.1", self.port), 5).close()
                with self._admin():
                    return
            except (OSError, LDAPExceptionError):
                time.sleep(0.02)
        log = (self.folder / "log").read_text(errors="replace")
        self.stop()
        raise RuntimeError(f"OpenLDAP did not start on port {self.port}:\n{log}")


def make_certificates(names: Sequence[str], *, plain_ca: bool = False) -> tuple[str, str]:
    """Return a new authority's certificate, and a server's certificate for `names` with its key, as PEM."""
    authority_key, server_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    authority = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Authority {secrets.token_hex(4)}")])
    authority_identifier = x509.SubjectKeyIdentifier.from_public_key(authority_key.public_key())
    certificate = (
        _certificate(authority, authority, authority_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(authority_identifier, critical=False)
    )
    if not plain_ca:
        certificate = certificate.add_extension(x509.KeyUsage(**SIGNS_CERTIFICATES), critical=True)
    server = (
        _certificate(x509.Name([]), authority, server_key.public_key())
        .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=True)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(authority_identifier), critical=False
        )
    )
    ca, signed = (
        made.sign(authority_key, hashes.SHA256()).public_bytes(Encoding.PEM) for made in (certificate, server)
    )
    key = server_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return ca.decode(), (signed + key).decode()


def _certificate(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder(issuer, subject, key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _features(*, tls: bool, anonymous: bool, unauthenticated_binds: bool) -> list[str]:
    features = []
    if tls:
        features += ["TLSCertificateFile server.pem", "TLSCertificateKeyFile server.pem"]
    if not anonymous:
        features.append("require authc")
    if unauthenticated_binds:
        features.append("allow bind_anon_dn bind_anon_cred")
    elif not anonymous:
        features.append("disallow bind_anon")
    return features


def _person(uid: str, *, name: str | None, email: str | None, password: str | None) -> dict[str, Value | None]:
    name = name or uid
    given, _, family = name.rpartition(" ")
    return {
        "objectClass": "inetOrgPerson",
        "uid": uid,
        "cn": name,
        "givenName": given or None,
        "sn": family,
        "mail": f"{uid}@acme.example" if email == "" else email,
        "userPassword": password,
    }


def _values(value: Value | None) -> Sequence[str | bytes]:
    if value is None:
        return []
    return [value] if isinstance(value, str | bytes) else value


def _given(attributes: Attributes) -> dict[str, Sequence[str | bytes]]:
    return {name: values for name, value in attributes.items() if (values := _values(value))}


def _ldif(dn: str, attributes: Attributes) -> Iterator[str]:
    """Write every value in base64, so that none has to be looked at."""
    pairs = [("dn", dn), *((name, value) for name in attributes for value in _values(attributes[name]))]
    for name, value in pairs:
        raw = value.encode() if isinstance(value, str) else value
        yield f"{name}:: {base64.b64encode(raw).decode()}"
    yield ""


def _first_rdn(dn: str) -> str:
    """Return the DN's own part as it is written."""
    escaped = False
    for position, character in enumerate(dn):
        if character == "," and not escaped:
            return dn[:position]
        escaped = character == "\\" and not escaped
    return dn


def start(**options: Any) -> OpenLdapServer:
    """Start a server with these options of OpenLdapServer; raise ServerMissingError where slapd is not installed."""
    program = find_slapd()
    if program is None:
        raise ServerMissingError("no OpenLDAP server here (Debian's package: slapd)")
    return OpenLdapServer(program, **options)
