"""The settings of a test broker, and the ports it listens on."""

from __future__ import annotations

import base64
import random
import shutil
import socket
import uuid
from collections.abc import Mapping
from pathlib import Path


def write_configuration(
    folder: Path, installation: Path, port: int, controller_port: int, given: Mapping[str, str]
) -> None:
    """Lay out what a formatted broker has: its properties, its identity, the first metadata."""
    data = folder / "data"
    data.mkdir()
    shutil.copy(installation / "bootstrap.checkpoint", data)
    identity = {"version": "1", "cluster.id": new_cluster_id(), "node.id": "1"}
    (data / "meta.properties").write_text(lines(identity))
    settings = {**properties(port, controller_port, data), **given}
    (folder / "server.properties").write_text(lines(settings))


def properties(port: int, controller_port: int, data: Path) -> dict[str, str]:
    """Return the settings of a broker that is its own controller and alone in its cluster."""
    return {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@127.0.0.1:{controller_port}",
        "controller.listener.names": "CONTROLLER",
        "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}",
        "log.dirs": str(data),
        "auto.create.topics.enable": "false",
        # A broker that was killed is registered until this is over, and cannot come back before.
        "broker.session.timeout.ms": "3000",
        "broker.heartbeat.interval.ms": "500",
        "group.initial.rebalance.delay.ms": "0",
        "log.segment.bytes": str(16 * 1024 * 1024),
        "log.cleaner.dedupe.buffer.size": str(4 * 1024 * 1024),
        **_ONE_NODE,
    }


_ONE_NODE = {
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "1",
}
"""Kafka's internal topics ask for three nodes unless told otherwise."""


def lines(settings: Mapping[str, str]) -> str:
    """Write settings as Kafka reads them, one ``name=value`` a line."""
    return "".join(f"{name}={value}\n" for name, value in settings.items())


def new_cluster_id() -> str:
    """Return a new ID in Kafka's form: 16 random bytes as 22 characters."""
    return base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")


def free_ports(count: int) -> list[int]:
    """Find ports that are free now, below those that systems give to outgoing connections.

    From the system's own range a client that retries while the broker is down can connect to
    itself (its source port is the broker's) and so take the port before the broker is back.
    """
    candidates = random.sample(range(20_000, 32_000), 200)
    return [port for port in candidates if _is_free(port)][:count]


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
