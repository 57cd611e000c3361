"""docker-compose.yml, read: there is no Docker engine where this is developed.

The schema knows which keys there are; the rest of what `docker compose up` would stumble over is
checked here.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.docs import commands

_ROOT = Path(__file__).parents[2]
_FILE = _ROOT / "docker-compose.yml"
_COMPOSE: dict[str, Any] = YAML(typ="safe").load(_FILE.read_text())
_SERVICES: dict[str, dict[str, Any]] = _COMPOSE["services"]
_EXACT = re.compile(r"[a-z/]+:\d+(\.\d+)+(-[a-z-]+)?")

each_service = pytest.mark.parametrize("name", sorted(_SERVICES))


def test_it_is_a_compose_file() -> None:
    """The compose specification's own schema accepts it."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    ended = subprocess.run([*command, str(_FILE)], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr


@each_service
def test_what_a_service_waits_for_can_come_true(name: str) -> None:
    """It exists, is started with it, and can reach the state that is waited for."""
    for other, wait in _SERVICES[name].get("depends_on", {}).items():
        awaited = _SERVICES[other]
        assert set(awaited.get("profiles", [])) <= set(_SERVICES[name].get("profiles", []))
        if wait["condition"] == "service_healthy":
            assert "test" in awaited["healthcheck"]
        else:
            assert wait["condition"] == "service_completed_successfully"
            assert awaited["restart"] == "no", f"{other} would be started again when it is done"


@each_service
def test_images_have_exact_versions(name: str) -> None:
    """What was tried is what runs."""
    assert _EXACT.fullmatch(_SERVICES[name]["image"])


def test_our_image_has_the_projects_version_and_is_built_from_exact_ones() -> None:
    """A release moves both; the Dockerfile names no image that moves by itself."""
    project = tomllib.loads((_ROOT / "pyproject.toml").read_text())["project"]
    built = {service["image"] for service in _SERVICES.values() if "build" in service}
    assert built == {f"sessionfold:{project['version']}"}
    bases = re.findall(r"^FROM (\S+)", (_ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert bases
    assert all(_EXACT.fullmatch(base) for base in bases)


@each_service
def test_ports_are_open_to_this_host_only(name: str) -> None:
    """Nothing here asks for a password that is worth one."""
    for port in _SERVICES[name].get("ports", []):
        assert re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port)


@each_service
def test_volumes_are_declared(name: str) -> None:
    """Data lives in named volumes: no path of the host is mounted."""
    for volume in _SERVICES[name].get("volumes", []):
        assert volume.partition(":")[0] in _COMPOSE["volumes"]


def test_workers_on_the_host_and_services_each_have_a_listener() -> None:
    """A broker names itself as it is reached: from the host by its published port."""
    kafka = _SERVICES["kafka"]
    listeners = dict(
        address.split("://")
        for address in kafka["environment"]["KAFKA_ADVERTISED_LISTENERS"].split(",")
    )
    assert f"127.0.0.1:{listeners['HOST'].partition(':')[2]}:9092" in kafka["ports"]
    assert listeners["HOST"] == "localhost:9092"
    for name in ("topic", "consumer", "fleet"):
        environment = _SERVICES[name]["environment"]
        assert environment["SESSIONFOLD_BOOTSTRAP_SERVERS"] == listeners["COMPOSE"]


def test_every_variable_of_ours_is_an_options() -> None:
    """A misspelled one would be ignored in silence."""
    used = [name for service in _SERVICES.values() for name in service.get("environment", {})]
    used += re.findall(r"^ENV (\w+)=", (_ROOT / "Dockerfile").read_text(), re.MULTILINE)
    ours = {name for name in used if name.startswith("SESSIONFOLD_")}
    assert ours
    assert ours <= commands.variables()


@pytest.mark.parametrize("name", ["topic", "consumer", "migrate", "fleet"])
def test_what_our_services_run_can_be_typed(name: str) -> None:
    """The commands and their options exist, those that ask for the health included."""
    service = _SERVICES[name]
    assert commands.problem(["sessionfold", *service["command"]]) is None
    for _, *typed in [service["healthcheck"]["test"]] if "healthcheck" in service else []:
        assert commands.problem(typed) is None


def test_a_second_start_finds_the_topic() -> None:
    """That it exists is no failure; every other one is, and the consumer waits."""
    assert "--if-missing" in _SERVICES["topic"]["command"]


def test_the_consumer_keeps_its_store_in_a_volume() -> None:
    """The image's store lies under the folder that the compose file mounts."""
    (store,) = re.findall(r"SESSIONFOLD_STORE=sqlite:///(\S+)", (_ROOT / "Dockerfile").read_text())
    (mounted,) = [volume.partition(":")[2] for volume in _SERVICES["consumer"]["volumes"]]
    assert Path(store).parent == Path(mounted)
