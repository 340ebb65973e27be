"""Telling a failure to read."""

from __future__ import annotations

import pytest

from croissant_recipes.access import explain
from croissant_recipes.codes import Code
from croissant_recipes.diagnostics import Diagnostic


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


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("'https://me:hid/den@example.org/a' is", "'https://example.org/a' is"),
        ("https://me:hid@den@example.org/a@b", "https://example.org/a@b"),
        ("https://example.org:8080/a@b stays", "https://example.org:8080/a@b stays"),
        ("abfs://container@account/a", "abfs://container@account/a"),
        ("see 'https://example.org/a?X-Amz-Signature=hidden', and", "see 'https://example.org/a', and"),
        ("simplecache::s3://k:s@bucket/a?versionId=7.", "simplecache::s3://bucket/a."),
        ("write 'm?instance=true' or a@b", "write 'm?instance=true' or a@b"),
    ],
)
def test_no_finding_tells_the_credentials_of_a_url(text: str, shown: str) -> None:
    found = Diagnostic(Code.VALUE, text, hint=text, notes=(text,))
    assert (found.message, found.hint, found.notes) == (shown, shown, (shown,))
