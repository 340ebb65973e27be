"""Telling a failure to read."""

from __future__ import annotations

from croissant_recipes.access import explain


def test_an_error_is_told_without_secrets() -> None:
    fs_args = {
        "key": "AKIA1234",
        "client_kwargs": {"endpoint_url": "http://127.0.0.1:9", "proxies": ["hunter2hunter2"]},
    }
    error = ValueError(
        "AKIA1234 at http://127.0.0.1:9 by https://me:hunter3@proxy/x?sig=hunter4 with hunter2hunter2\nmore AKIA1234"
    )
    assert explain(error, fs_args) == "*** at http://127.0.0.1:9 by https://proxy/x with ***"
    assert explain(PermissionError(13, "Permission denied", "/x"), {}) == "Permission denied (/x)"
    assert explain(RuntimeError(), {}) == "RuntimeError"
