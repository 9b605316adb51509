"""The settings table as it is read."""

from pathlib import Path

import pytest

from config.settings import DEVELOPMENT_KEY, PREFIX, Settings, SettingsError, load_settings

PRODUCTION = {
    "SAAS_SECRET_KEY": "k" * 32,
    "SAAS_ENCRYPTION_KEYS": "e" * 32,
    "SAAS_MAIL_URL": "smtp://mail.example",
    "SAAS_BASE_DOMAIN": "app.example",
    "SAAS_DATABASE_URL": "postgresql://app@db.example/app",
}


def test_an_empty_environment_is_production_and_is_refused() -> None:
    with pytest.raises(SettingsError):
        load_settings({})


def test_production_takes_what_is_complete() -> None:
    assert load_settings(PRODUCTION).production


@pytest.mark.parametrize("variable", PRODUCTION)
@pytest.mark.parametrize("how", ["missing", "empty"])
def test_production_refuses_to_go_without(variable: str, how: str) -> None:
    environ = dict(PRODUCTION)
    if how == "missing":
        del environ[variable]
    else:
        environ[variable] = ""
    with pytest.raises(SettingsError, match=variable):
        load_settings(environ)


def test_production_names_everything_that_is_missing_at_once() -> None:
    with pytest.raises(SettingsError) as refused:
        load_settings({})
    assert all(variable in str(refused.value) for variable in PRODUCTION)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("SAAS_SECRET_KEY", "k" * 31),
        ("SAAS_ENCRYPTION_KEYS", " , "),
        ("SAAS_SCHEME", "http"),
        ("SAAS_ARGON2_MEMORY_KIB", "19455"),
        ("SAAS_ARGON2_MEMORY_KIB", "30000"),
    ],
)
def test_production_refuses_what_is_only_convenient(variable: str, value: str) -> None:
    with pytest.raises(SettingsError):
        load_settings(PRODUCTION | {variable: value})


@pytest.mark.parametrize("variable", ["SAAS_SECRET_KEY", "SAAS_ENCRYPTION_KEYS"])
def test_production_refuses_the_key_that_everybody_knows(variable: str) -> None:
    with pytest.raises(SettingsError, match=variable):
        load_settings(PRODUCTION | {variable: DEVELOPMENT_KEY})


@pytest.mark.parametrize("env", ["production ", "Production", "PRODUCTION", "prod", " production"])
def test_a_misspelt_production_never_falls_back_to_development(env: str) -> None:
    with pytest.raises(SettingsError, match="SAAS_ENV"):
        load_settings({"SAAS_ENV": env})


@pytest.mark.parametrize("env", ["development", "testing"])
def test_development_needs_nothing(env: str) -> None:
    settings = load_settings({"SAAS_ENV": env})
    assert settings.secret_key.get_secret_value() == DEVELOPMENT_KEY
    assert settings.external_url("acme.localhost") == "http://acme.localhost:8000"


def test_a_given_value_wins_over_the_convenience_of_development() -> None:
    assert load_settings({"SAAS_ENV": "development", "SAAS_MAIL_URL": "smtp://mine"}).mail_url == "smtp://mine"


def test_an_override_wins_over_the_environment() -> None:
    assert load_settings({"SAAS_ENV": "testing", "SAAS_LOG_LEVEL": "ERROR"}, log_level="DEBUG").log_level == "DEBUG"


def test_the_process_environment_is_read_when_no_other_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAAS_ENV", "testing")
    monkeypatch.setenv("SAAS_DATABASE_POOL_SIZE", "3")
    assert load_settings().database_pool_size == 3


@pytest.mark.parametrize("variable", PRODUCTION)
def test_a_value_may_stand_in_a_file(tmp_path: Path, variable: str) -> None:
    mounted = tmp_path / "secret"
    mounted.write_text(PRODUCTION[variable] + "\n", encoding="utf-8")
    environ = {name: value for name, value in PRODUCTION.items() if name != variable}
    assert load_settings(environ | {f"{variable}_FILE": str(mounted)}) == load_settings(PRODUCTION)


def test_an_empty_file_is_a_missing_secret(tmp_path: Path) -> None:
    mounted = tmp_path / "secret"
    mounted.write_text("\n", encoding="utf-8")
    environ = {name: value for name, value in PRODUCTION.items() if name != "SAAS_SECRET_KEY"}
    with pytest.raises(SettingsError, match="SAAS_SECRET_KEY"):
        load_settings(environ | {"SAAS_SECRET_KEY_FILE": str(mounted)})


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00"])
def test_a_file_that_cannot_be_read_names_its_variable(tmp_path: Path, content: bytes | None) -> None:
    mounted = tmp_path / "secret"
    if content is not None:
        mounted.write_bytes(content)
    with pytest.raises(SettingsError, match="SAAS_SECRET_KEY_FILE"):
        load_settings({"SAAS_ENV": "testing", "SAAS_SECRET_KEY_FILE": str(mounted)})


BAD = [
    ("SAAS_ENV", "hush-env"),
    ("SAAS_DATABASE_POOL_SIZE", "hush-many"),
    ("SAAS_DATABASE_POOL_SIZE", "0"),
    ("SAAS_DATABASE_URL", "mysql://root:hush@db/app"),
    ("SAAS_MIGRATION_DATABASE_URL", "oracle://root:hush@db/app"),
    ("SAAS_DATABASE_TRANSACTION_POOLER", "hush-perhaps"),
    ("SAAS_BASE_DOMAIN", "http://hush.example"),
    ("SAAS_BASE_DOMAIN", "hush.example:8000"),
    ("SAAS_BASE_DOMAIN", "hush..example"),
    ("SAAS_PUBLIC_PORT", "70000"),
    ("SAAS_TRUSTED_PROXIES", "-1"),
    ("SAAS_SCHEME", "hush-gopher"),
    ("SAAS_OUTGOING_NETWORKS", "10.0.0.0/8,hush"),
    ("SAAS_LOG_LEVEL", "HUSH"),
]


@pytest.mark.parametrize(("variable", "value"), BAD)
def test_a_bad_value_names_its_variable_and_is_not_printed(variable: str, value: str) -> None:
    with pytest.raises(SettingsError) as refused:
        load_settings({"SAAS_ENV": "testing", variable: value})
    assert variable in str(refused.value)
    assert "hush" not in str(refused.value).lower()
    assert refused.value.__cause__ is None  # whose text would have the value


def test_every_bad_value_is_named_at_once() -> None:
    with pytest.raises(SettingsError) as refused:
        load_settings({"SAAS_ENV": "testing", "SAAS_PUBLIC_PORT": "x", "SAAS_TRUSTED_PROXIES": "x"})
    assert {"SAAS_PUBLIC_PORT", "SAAS_TRUSTED_PROXIES"} <= set(str(refused.value).replace(":", " ").split())


def test_an_override_that_is_no_setting_is_refused() -> None:
    with pytest.raises(SettingsError, match="SAAS_SECERT_KEY"):
        load_settings({"SAAS_ENV": "testing"}, secert_key="x")


def test_printing_the_settings_tells_no_secret() -> None:
    settings = load_settings(
        PRODUCTION
        | {
            "SAAS_SECRET_KEY": "hush" * 8,
            "SAAS_SECRET_KEY_FALLBACKS": "hush-former",
            "SAAS_ENCRYPTION_KEYS": "hush-1,hush-2",
            "SAAS_DATABASE_URL": "postgresql://app:hush@db/app",
            "SAAS_MIGRATION_DATABASE_URL": "postgresql://owner:hush@db/app",
            "SAAS_MAIL_URL": "smtp://user:hush@mail.example",
        }
    )
    assert "hush" not in repr(settings)
    assert "hush" not in str(settings)


@pytest.mark.parametrize(
    "given", ["postgres://app@db/app", "postgresql://app@db/app", "postgresql+psycopg://app@db/app"]
)
def test_a_postgresql_url_gets_the_driver_that_we_have(given: str) -> None:
    settings = load_settings({"SAAS_ENV": "testing", "SAAS_DATABASE_URL": given})
    assert settings.database_url == "postgresql+psycopg://app@db/app"


def test_a_list_is_separated_by_commas() -> None:
    settings = load_settings({"SAAS_ENV": "testing", "SAAS_SECRET_KEY_FALLBACKS": "one, two,,"})
    assert [key.get_secret_value() for key in settings.secret_key_fallbacks] == ["one", "two"]


def test_the_base_domain_is_compared_in_lower_case_and_without_trailing_dot() -> None:
    assert load_settings({"SAAS_ENV": "testing", "SAAS_BASE_DOMAIN": "App.Example."}).base_domain == "app.example"


def test_settings_do_not_change_under_a_running_process() -> None:
    settings = load_settings({"SAAS_ENV": "testing"})
    with pytest.raises(ValueError, match="frozen"):
        settings.scheme = "https"


def test_every_prefix_is_the_documented_one() -> None:
    assert PREFIX == "SAAS_"
    assert len(Settings.model_fields) > 10
