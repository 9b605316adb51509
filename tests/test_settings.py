"""What is documented is what the code reads."""

import ast
import re
from pathlib import Path

import pytest

from config.settings import PREFIX, Settings

ROOT = Path(__file__).parent.parent
FIELDS = sorted(Settings.model_fields)
NAMED = re.compile(rf"\b{PREFIX}[A-Z0-9_]*[A-Z0-9]\b")
DOCUMENTS = [
    path for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", ".env.example")
    if (path := ROOT / name).exists()
]  # fmt: skip


@pytest.mark.parametrize("name", FIELDS)
def test_every_setting_has_one_line_of_documentation(name: str) -> None:
    description = Settings.model_fields[name].description or ""
    assert description.endswith(".")
    assert "\n" not in description


def test_what_the_documents_name_is_a_setting() -> None:
    known = {f"{PREFIX}{name.upper()}{suffix}" for name in FIELDS for suffix in ("", "_FILE")}
    for document in DOCUMENTS:
        assert set(NAMED.findall(document.read_text(encoding="utf-8"))) <= known, document.name


def test_only_the_settings_table_reads_the_environment() -> None:
    for path in (path for package in ("config", "tenants", "auth", "saas") for path in (ROOT / package).rglob("*.py")):
        if path == ROOT / "config" / "settings.py":
            continue
        names = {
            ast.unparse(node)
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.Attribute)
        }
        assert not names & {"os.environ", "os.getenv"}, path


def test_every_setting_is_used_by_the_code() -> None:
    code = "".join(
        path.read_text(encoding="utf-8")
        for package in ("tenants", "auth", "saas")
        for path in (ROOT / package).rglob("*.py")
    )
    unused = [name for name in FIELDS if not re.search(rf"settings\.{name}\b", code)]
    # `env` is read through `production`, the public port through `external_url` too.
    assert not set(unused) - {"env"}
