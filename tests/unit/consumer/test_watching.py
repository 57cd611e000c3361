"""Who watches a service: everyone is told everything, and nothing is served unasked."""

from __future__ import annotations

import threading
from inspect import getmembers, isfunction
from typing import Any

import pytest

from sessionfold_consumer.cli._watching import Observers, watching
from sessionfold_consumer.config import Settings
from sessionfold_consumer.errors import ConfigurationError
from sessionfold_consumer.observer import Observer
from tests.unit.consumer.conftest import CommandLine

_METHODS = [name for name, _ in getmembers(Observer, isfunction) if not name.startswith("_")]


class Recorder(Observer):
    """Keeps all that it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []

    def __getattribute__(self, name: str) -> Any:  # noqa: ANN401 - any method
        """Return what keeps a call, for a method of the protocol."""
        if name in _METHODS:
            return lambda *arguments: self.told.append((name, *arguments))
        return super().__getattribute__(name)


@pytest.mark.parametrize("name", _METHODS)
def test_every_observer_is_told(name: str) -> None:
    """Also by a method that the protocol gets tomorrow: this test then asks for it."""
    first, second = Recorder(), Recorder()
    arguments = {"staged": ("fold", 1.5), "renewed": ()}.get(name, ("something",))
    getattr(Observers(first, second), name)(*arguments)
    assert first.told == second.told == [(name, *arguments)]


def test_nothing_is_served_without_an_address() -> None:
    """No port, no thread, no client beside the service's."""
    progress = Recorder()
    before = threading.active_count()
    with watching(Settings(), progress, None, None) as observer:
        assert observer is progress
        assert threading.active_count() == before


def test_an_address_that_is_taken_ends_the_start() -> None:
    """Before store and broker are asked."""
    nowhere = Settings(bootstrap_servers="127.0.0.1:9")
    with (
        pytest.raises(ConfigurationError, match="is not usable: "),
        watching(nowhere, Observer(), "no address", None),
    ):
        pass


@pytest.mark.parametrize(
    ("arguments", "code"), [(["--metrics-address", "x"], 3), (["--ready-max-lag", "-1"], 2)]
)
def test_values_that_cannot_work_have_their_codes(
    cli: CommandLine, arguments: list[str], code: int
) -> None:
    """As all settings have."""
    result = cli("run", "--bootstrap-servers", "127.0.0.1:9", *arguments)
    assert result.exit_code == code
