"""Secrets of tokens: what scanners can know them by, and what is kept of them."""

import pytest

from auth import token_secrets


def test_a_secret_has_its_prefix_and_checksum() -> None:
    secret = token_secrets.make(token_secrets.PERSONAL)
    assert secret.startswith("tnt_pat_")
    assert len(secret) == len("tnt_pat_") + 46
    assert token_secrets.looks_right(secret, token_secrets.PERSONAL)


def test_no_two_secrets_are_the_same() -> None:
    assert len({token_secrets.make(token_secrets.PERSONAL) for _ in range(100)}) == 100


def test_a_secret_of_another_kind_does_not_look_right() -> None:
    secret = token_secrets.make(token_secrets.REFRESH)
    assert not token_secrets.looks_right(secret, token_secrets.PERSONAL)
    assert not token_secrets.looks_right(secret.replace("tnt_rt_", "tnt_pat_"), token_secrets.PERSONAL)


@pytest.mark.parametrize("change", ["mistyped", "longer", "shorter", "other letters", "line"])
def test_what_was_mistyped_does_not_look_right(change: str) -> None:
    secret = "tnt_pat_" + "0" * 40 + "1RzoyU"
    assert not token_secrets.looks_right(
        {
            "mistyped": secret[:10] + "1" + secret[11:],
            "longer": secret + "0",
            "shorter": secret[:-1],
            "other letters": secret[:10] + "é" + secret[11:],
            "line": secret + "\n",
        }[change],
        token_secrets.PERSONAL,
    )


def test_what_is_kept_is_a_hash() -> None:
    secret = token_secrets.make(token_secrets.ACCESS)
    assert secret not in token_secrets.digest(secret)
    assert len(token_secrets.digest(secret)) == 64
