"""A missing service is visible: skipped at home, failed in CI."""

from __future__ import annotations

import pytest

from tests.conftest import require


def test_nothing_missing_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test runs, in CI too."""
    monkeypatch.setenv("CI", "true")
    require(None)


def test_at_home_a_missing_service_skips(monkeypatch: pytest.MonkeyPatch) -> None:
    """The skip's reason is the sentence that says how to get the service."""
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="install a JDK"):
        require("install a JDK")


def test_in_ci_a_missing_service_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """CI that skips its services proves nothing."""
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="install a JDK"):
        require("install a JDK")
