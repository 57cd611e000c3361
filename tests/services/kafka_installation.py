"""What every broker starts from: Kafka's jars and its first metadata, made once and kept."""

from __future__ import annotations

import functools
import shutil
from pathlib import Path

from . import maven
from .kafka_configuration import lines, new_cluster_id, properties

_POM = Path(__file__).with_name("kafka-pom.xml")


@functools.cache
def kafka_available() -> str | None:
    """Return None when a broker can run here, else one sentence: what is missing, how to get it."""
    return maven.missing_java(_installation())


def install() -> Path:
    """Fetch the broker's jars and format its first metadata, unless that was done before.

    Returns:
        The folder with ``lib/*.jar`` and ``bootstrap.checkpoint``.

    Raises:
        JavaError: with Maven's or Kafka's own words when it fails.
    """
    installation = _installation()
    maven.install(_POM, installation, _format_metadata)
    return installation


def _installation() -> Path:
    return maven.installation_folder("kafka", _POM, "kafka.version")


def _format_metadata(folder: Path) -> None:
    """Let Kafka write the record that switches its features on; every broker starts from a copy.

    Without it a broker starts with all features at 0, and KIP-848 groups fail.
    """
    data = folder / "format"
    settings = folder / "format.properties"
    settings.write_text(lines(properties(9092, 9093, data)))
    tool = ["kafka.tools.StorageTool", "format", "-t", new_cluster_id(), "-c", str(settings)]
    maven.run([maven.java(), "-cp", "lib/*", *tool], cwd=folder)
    (data / "bootstrap.checkpoint").rename(folder / "bootstrap.checkpoint")
    shutil.rmtree(data)
    settings.unlink()
