"""Doctor where there is no broker: what is near is examined all the same."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import pytest

from sessionfold_consumer import broker
from sessionfold_consumer.errors import BrokerUnreachableError, StoreUnusableError
from tests.services.kafka_configuration import free_ports
from tests.unit.consumer.conftest import CommandLine


@pytest.fixture(autouse=True)
def _nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """An address where nothing listens, and little patience for it."""
    monkeypatch.setattr(broker, "CONTACT_SECONDS", 0.1)
    monkeypatch.setattr(broker, "_ATTEMPT_SECONDS", 0.1)
    monkeypatch.setenv("SESSIONFOLD_BOOTSTRAP_SERVERS", f"127.0.0.1:{free_ports(1)[0]}")


def findings(cli: CommandLine, store: str) -> tuple[list[str], int]:
    """Return the lines that doctor prints, and its exit code."""
    result = cli("doctor", "--store", store)
    return result.stdout.splitlines(), result.exit_code


def test_an_absent_broker_is_named_with_the_fix(cli: CommandLine, store: str) -> None:
    """Versions and store are right; nothing is said of a topic that cannot be seen."""
    lines, code = findings(cli, store)
    assert code == BrokerUnreachableError.exit_code
    assert [line.split()[0] for line in lines] == ["ok", "ok", "FAIL"]
    assert f"sessionfold {metadata.version('sessionfold')}: Python 3" in lines[0]
    assert f"numpy {metadata.version('numpy')}" in lines[0]
    assert "can be used (contract version 2)" in lines[1]
    assert "--bootstrap-servers" in lines[2]


def test_a_store_that_is_still_to_be_made_is_fine(cli: CommandLine, tmp_path: Path) -> None:
    """And doctor does not make it."""
    lines, _ = findings(cli, f"sqlite:///{tmp_path / 'new.db'}")
    assert lines[1].startswith("ok    the store ")
    assert lines[1].endswith("does not exist yet and can be made")
    assert list(tmp_path.iterdir()) == []


def test_the_first_thing_that_is_wrong_gives_the_code(cli: CommandLine, tmp_path: Path) -> None:
    """Store before broker; both are told."""
    lines, code = findings(cli, f"sqlite:///{tmp_path / 'no-folder' / 'sessions.db'}")
    assert code == StoreUnusableError.exit_code
    assert [line.split()[0] for line in lines] == ["ok", "FAIL", "FAIL"]
    assert "no-folder is no folder that can be written; make it" in lines[1]


def test_another_programs_file_is_no_store(cli: CommandLine, tmp_path: Path) -> None:
    """It is found out, and left as it is."""
    path = tmp_path / "notes.txt"
    path.write_text("notes of another program, " * 100)
    before = path.read_bytes()
    lines, code = findings(cli, f"sqlite:///{path}")
    assert code == StoreUnusableError.exit_code
    assert lines[1].startswith("FAIL")
    assert path.read_bytes() == before


@pytest.mark.parametrize("url", ["mysql://host/db", "sqlite://sessions.db", "sqlite:///"])
def test_a_url_that_names_no_store_is_told(cli: CommandLine, url: str) -> None:
    """As one finding among others, with what a URL looks like."""
    lines, code = findings(cli, url)
    assert code == 3
    assert "sqlite:///" in lines[1]
    assert len(lines) == 3
