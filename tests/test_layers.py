"""The line of the packages, config · tenants ← auth ← saas, and the sizes that keep them readable."""

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
BELOW = {
    "config": frozenset({"config"}),
    "tenants": frozenset({"config", "tenants"}),
    "auth": frozenset({"config", "tenants", "auth"}),
    "saas": frozenset({"config", "tenants", "auth", "saas"}),
}
"""Package → what it may import of the project."""
IDENTITY_LIBRARIES = frozenset({"flask_security", "flask_principal", "flask_login", "ldap3", "authlib"})
ENGINE_MAKERS = frozenset(
    {"create_engine", "create_async_engine", "engine_from_config", "sessionmaker", "scoped_session", "Session",
     "AsyncSession", "TenantSession"}
)  # fmt: skip
LONGEST_MODULE, LONGEST_FUNCTION = 300, 60


def sources(*packages: str) -> list[Path]:
    return sorted(path for package in packages for path in (ROOT / package).rglob("*.py"))


MODULES = sources(*BELOW)
DEPLOYED = sources("deploy")


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


PROJECT = frozenset(map(name_of, MODULES))


@cache
def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def imports(tree: ast.AST, within: str = "") -> Iterator[tuple[str, ast.stmt]]:
    """Every imported module or name, as written in full; `within` resolves a relative import."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = ".".join(within.split(".")[: -node.level]) if node.level else ""
            module = ".".join(filter(None, (package, node.module)))
            yield from ((f"{module}.{alias.name}", node) for alias in node.names)


def imported_modules(path: Path) -> set[str]:
    """Modules of the project that `path` imports: of `from a import b` it is a.b if that is a module, else a."""
    found = set()
    for name, _node in imports(parse(path), name_of(path)):
        target = name if name in PROJECT else name.rpartition(".")[0]
        if target in PROJECT:
            found.add(target)
    return found - {name_of(path)}


def components(graph: Mapping[str, set[str]]) -> list[set[str]]:
    """The strongly connected components of `graph` (Tarjan)."""
    index: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    found: list[set[str]] = []

    def visit(node: str) -> None:
        index[node] = lowest[node] = len(index)
        stack.append(node)
        for target in graph[node]:
            if target not in index:
                visit(target)
                lowest[node] = min(lowest[node], lowest[target])
            elif target in stack:
                lowest[node] = min(lowest[node], index[target])
        if lowest[node] == index[node]:
            component: set[str] = set()
            while node not in component:
                component.add(stack.pop())
            found.append(component)

    for node in graph:
        if node not in index:
            visit(node)
    return found


by_module = pytest.mark.parametrize("path", MODULES, ids=name_of)
# A migration is as long as what it changes.
by_short_module = pytest.mark.parametrize(
    "path", [path for path in MODULES if "versions" not in path.parts], ids=name_of
)


@by_module
def test_a_module_imports_only_its_own_package_and_those_below(path: Path) -> None:
    package = name_of(path).split(".")[0]
    wrong = {
        name
        for name, _node in imports(parse(path), name_of(path))
        if name.split(".")[0] in {*BELOW, "tests", "deploy"} - BELOW[package]
    }
    assert not wrong, f"{name_of(path)} imports upward: {wrong}"


@by_module
def test_a_module_imports_at_its_top_only(path: Path) -> None:
    top = set(parse(path).body)
    inner = {f"{name} in line {node.lineno}" for name, node in imports(parse(path)) if node not in top}
    assert not inner, f"{name_of(path)} imports inside of a block: {inner}"


def test_a_module_that_is_imported_by_name_is_none_of_ours() -> None:
    loaders = {"import_module", "__import__"}
    for path in MODULES:
        for node in ast.walk(parse(path)):
            if isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) in loaders:
                assert isinstance(node.args[0], ast.Constant), f"{name_of(path)}:{node.lineno} hides what it imports"
                assert node.args[0].value.split(".")[0] not in BELOW, f"{name_of(path)}:{node.lineno} hides a ring"


def test_no_modules_import_each_other_in_a_ring() -> None:
    graph = {name_of(path): imported_modules(path) for path in MODULES}
    assert not [ring for ring in components(graph) if len(ring) > 1]


def test_a_ring_of_imports_would_be_found() -> None:
    graph = {"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": set()}
    assert {frozenset(found) for found in components(graph)} == {frozenset("abc"), frozenset("d")}


def test_only_auth_imports_the_libraries_of_identity() -> None:
    for path in sources("config", "tenants", "saas"):
        found = {name.split(".")[0] for name, _node in imports(parse(path))} & IDENTITY_LIBRARIES
        assert not found, f"{name_of(path)} imports {found}"


def test_only_the_directory_package_imports_ldap3() -> None:
    for path in MODULES:
        if "ldap3" in {name.split(".")[0] for name, _node in imports(parse(path))}:
            assert name_of(path).startswith("auth.providers.ldap."), name_of(path)


def test_only_three_places_speak_oauth_and_sign_tokens() -> None:
    for path in MODULES:
        used = {"authlib", "joserfc", "requests", "urllib3"} & {
            name.split(".")[0] for name, _node in imports(parse(path))
        }
        if name_of(path).startswith("auth.oauth_server."):
            used -= {"authlib", "joserfc"}
        if name_of(path) == "auth.signing_keys":
            used -= {"joserfc"}
        assert not used or name_of(path).startswith("auth.providers.oauth."), f"{name_of(path)} imports {used}"


def test_only_the_provisioning_package_speaks_scim() -> None:
    for path in MODULES:
        used = {"scim2_models", "scim2_server"} & {name.split(".")[0] for name, _node in imports(parse(path))}
        assert not used or name_of(path).startswith("auth.scim."), f"{name_of(path)} imports {used}"


def test_only_two_modules_make_engines_and_sessions() -> None:
    for path in MODULES:
        if name_of(path) in ("tenants.engines", "tenants.db"):
            continue
        for node in ast.walk(parse(path)):
            called = node.func if isinstance(node, ast.Call) else None
            name = called.id if isinstance(called, ast.Name) else getattr(called, "attr", "")
            assert name not in ENGINE_MAKERS, f"{name_of(path)}:{getattr(node, 'lineno', 0)} calls {name}"


def test_what_is_deployed_imports_nothing_of_the_project() -> None:
    for path in DEPLOYED:
        assert not {name.split(".")[0] for name, _node in imports(parse(path))} & {*BELOW, "tests"}


def test_a_feature_knows_no_other_feature() -> None:
    features = {path.parent.name for path in (ROOT / "saas").glob("*/models.py")}
    assert "projects" in features
    for path in sources(*(f"saas/{feature}" for feature in features)):
        own = name_of(path).split(".")[1]
        used = {name.split(".")[1] for name in imported_modules(path) if name.count(".") and name.startswith("saas.")}
        assert not used & (features - {own}), name_of(path)


def test_the_ways_into_a_feature_reach_its_models_through_its_service() -> None:
    for path in (ROOT / "saas").glob("*/service.py"):
        used = {name.rpartition(".")[2] for name in imported_modules(path) if name.startswith(name_of(path.parent))}
        assert not used & {"views", "api", "tasks", "forms"}, name_of(path)


def test_no_module_is_named_after_nothing() -> None:
    names = {part for path in MODULES for part in name_of(path).split(".")}
    assert not names & {"utils", "util", "helpers", "helper", "common", "misc"}


@by_short_module
def test_what_is_said_stands_in_no_f_string(path: Path) -> None:
    """Babel, as it reads our files, does not find it there."""
    strings = [node for node in ast.walk(parse(path)) if isinstance(node, ast.JoinedStr)]
    calls = [call for string in strings for call in ast.walk(string) if isinstance(call, ast.Call)]
    named = {call.func.id for call in calls if isinstance(call.func, ast.Name)}
    assert not named & {"_", "gettext", "ngettext", "lazy_gettext"}


@by_short_module
def test_a_module_stays_short(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST_MODULE


@by_short_module
def test_a_function_stays_short(path: Path) -> None:
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            assert length <= LONGEST_FUNCTION, f"{node.name} has {length} lines"
