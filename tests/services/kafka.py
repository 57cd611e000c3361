"""A real Kafka broker as a child process on loopback, without Docker.

The jars come from Maven, once, into ``.cache`` under the checkout (``SESSIONFOLD_TEST_CACHE`` names
another folder). By hand: ``python -m tests.services.kafka`` runs one until Ctrl+C.
"""

from __future__ import annotations

import argparse
import base64
import functools
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol, Self

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

START_TIMEOUT_SECONDS = 60.0
STOP_TIMEOUT_SECONDS = 15.0
FETCH_TIMEOUT_SECONDS = 600.0

_POM = Path(__file__).with_name("kafka-pom.xml")
_LOG4J = Path(__file__).with_name("kafka-log4j2.properties")
_ROOT = Path(__file__).parents[2]
_LEAST_JAVA = 17
_LEAST_G1_MEGABYTES = 1024
_LOG_LINES_SHOWN = 30


class Broker(Protocol):
    """What a test needs to know of a broker, whoever runs it."""

    @property
    def bootstrap_servers(self) -> str:
        """The address as ``host:port``, several separated by commas."""


class KafkaError(Exception):
    """Raised when the broker's jars cannot be fetched or the broker does not come up."""


class KafkaBroker:
    """One broker (and controller) with its data in a temporary folder.

    A context manager; made by :meth:`start`. The broker dies with this process, even if that is
    killed. After :meth:`kill` or :meth:`terminate` it can :meth:`restart` with the same ports and
    data; after :meth:`stop` its data is gone. Not thread-safe.

    Attributes:
        bootstrap_servers: ``127.0.0.1:PORT``, the same for the broker's whole life.
    """

    def __init__(self, *, heap_megabytes: int, properties: Mapping[str, str]) -> None:
        """Prepare folders and ports; :meth:`start` is the way to make a running one."""
        self._installation = install()
        self._heap_megabytes = heap_megabytes
        self._folder = Path(tempfile.mkdtemp(prefix="sessionfold-kafka-"))
        self._process: subprocess.Popen[bytes] | None = None
        self._watchdog: subprocess.Popen[bytes] | None = None
        port, controller_port = _free_ports(2)
        self.bootstrap_servers = f"127.0.0.1:{port}"
        _write_configuration(self._folder, self._installation, port, controller_port, properties)

    @classmethod
    def start(
        cls, *, heap_megabytes: int = 256, properties: Mapping[str, str] | None = None
    ) -> Self:
        """Start a broker and wait until it answers.

        Args:
            heap_megabytes: the size of Java's heap. From 1024 on (for benchmarks) the broker gets
                it at once, with G1 and the optimising compiler; below, it starts faster.
            properties: settings that go over those of this module.

        Raises:
            KafkaError: with the last lines of the broker's log when it does not answer within
                ``START_TIMEOUT_SECONDS``, or when the jars cannot be fetched.
        """
        broker = cls(heap_megabytes=heap_megabytes, properties=properties or {})
        try:
            broker.restart()
        except BaseException:
            broker.stop()
            raise
        return broker

    def __enter__(self) -> Self:
        """Return the running broker."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the broker and remove its data."""
        self.stop()

    @property
    def pid(self) -> int:
        """The broker's process ID.

        Raises:
            KafkaError: when it is not running.
        """
        if self._process is None:
            raise KafkaError("the broker is not running; call restart()")
        return self._process.pid

    @property
    def log(self) -> Path:
        """The file with what the broker printed; gone after :meth:`stop`."""
        return self._folder / "broker.log"

    def restart(self) -> None:
        """Start again with the same ports and data, after ending the broker if it runs.

        Raises:
            KafkaError: as :meth:`start`.
        """
        self.terminate()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                _command(self._heap_megabytes, self._folder / "server.properties"),
                cwd=self._installation,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._watchdog = _watch(self._process.pid, self._folder)
        self._wait_until_ready()

    def terminate(self) -> None:
        """End the broker in good order and keep its data. Nothing happens if it is not running."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End the broker with SIGKILL and keep its data, as a crash would."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End the broker for good and remove its data. A second call does nothing."""
        self.terminate()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _end(self, by: signal.Signals) -> None:
        process, watchdog = self._process, self._watchdog
        if process is not None:
            _end_process(process, by)
        if watchdog is not None:
            _end_watchdog(watchdog)
        self._process = self._watchdog = None

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        client = AdminClient({"bootstrap.servers": self.bootstrap_servers, "log_level": 0})
        while not _answers(client):
            if self._process is None or self._process.poll() is not None:
                raise KafkaError(f"the broker ended while starting; its log ends:\n{self._tail()}")
            if time.monotonic() > deadline:
                raise KafkaError(
                    f"the broker at {self.bootstrap_servers} did not answer within "
                    f"{START_TIMEOUT_SECONDS:g} s; its log ends:\n{self._tail()}"
                )

    def _tail(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines()
        return "\n".join(lines[-_LOG_LINES_SHOWN:])


@functools.cache
def kafka_available() -> str | None:
    """Return None when a broker can run here, else one sentence: what is missing, how to get it."""
    version = _java_version()
    if version is None or version < _LEAST_JAVA:
        found = "none was found" if version is None else f"version {version} was found"
        return (
            f"Kafka needs Java {_LEAST_JAVA} or newer on the PATH and {found}; "
            "install a JDK, on Debian: apt-get install openjdk-17-jre-headless maven."
        )
    if not _installation().is_dir() and shutil.which("mvn") is None:
        return (
            "Kafka's jars are fetched once with Maven, and mvn is not on the PATH; "
            "install it, on Debian: apt-get install maven."
        )
    return None


def install() -> Path:
    """Fetch the broker's jars and format its first metadata, unless that was done before.

    Interrupted, it leaves no half installation; processes may do it at the same time.

    Returns:
        The folder with ``lib/*.jar`` and ``bootstrap.checkpoint``.

    Raises:
        KafkaError: with Maven's or Kafka's own words when it fails.
    """
    installation = _installation()
    if installation.is_dir():
        return installation
    installation.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(
        tempfile.mkdtemp(prefix=installation.name + ".partial-", dir=installation.parent)
    )
    try:
        _fetch_jars(partial)
        _format_metadata(partial)
        _publish(partial, installation)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return installation


def _installation() -> Path:
    cache = os.environ.get("SESSIONFOLD_TEST_CACHE")
    folder = Path(cache).resolve() if cache else _ROOT / ".cache"
    return folder / f"kafka-{_kafka_version()}"


def _kafka_version() -> str:
    found = re.search("<kafka.version>(.+)</kafka.version>", _POM.read_text())
    if found is None:
        raise KafkaError(f"{_POM.name} has no property kafka.version")
    return found[1]


def _fetch_jars(folder: Path) -> None:
    goal = "dependency:copy-dependencies"
    options = [f"-DoutputDirectory={folder / 'lib'}", "-DincludeScope=runtime"]
    _run(["mvn", "-q", "-B", "-f", str(_POM), goal, *options], cwd=folder)


def _format_metadata(folder: Path) -> None:
    """Let Kafka write the record that switches its features on; every broker starts from a copy.

    Without it a broker starts with all features at 0, and KIP-848 groups fail.
    """
    data = folder / "format"
    properties = folder / "format.properties"
    properties.write_text(_lines(_properties(9092, 9093, data)))
    tool = ["kafka.tools.StorageTool", "format", "-t", _cluster_id(), "-c", str(properties)]
    _run([_java(), "-cp", "lib/*", *tool], cwd=folder)
    (data / "bootstrap.checkpoint").rename(folder / "bootstrap.checkpoint")
    shutil.rmtree(data)
    properties.unlink()


def _publish(partial: Path, installation: Path) -> None:
    """Put a whole installation in its place, in one step; one that is there already stays."""
    try:
        partial.rename(installation)
    except OSError:
        if not installation.is_dir():
            raise


def _run(command: Sequence[str], *, cwd: Path) -> None:
    try:
        subprocess.run(
            command,
            cwd=cwd,
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=FETCH_TIMEOUT_SECONDS,
        )
    except subprocess.CalledProcessError as error:
        raise KafkaError(
            f"{command[0]} failed with exit code {error.returncode}:\n{error.stdout}"
        ) from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise KafkaError(f"{command[0]} failed: {error}") from error


def _java() -> str:
    home = os.environ.get("JAVA_HOME")
    return str(Path(home, "bin", "java")) if home else "java"


def _java_version() -> int | None:
    try:
        answer = subprocess.run([_java(), "-version"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    found = re.search(r'version "(\d+)', answer.stderr)
    return int(found[1]) if found else None


def _command(heap_megabytes: int, properties: Path) -> list[str]:
    if heap_megabytes >= _LEAST_G1_MEGABYTES:
        options = [f"-Xms{heap_megabytes}m", "-XX:+UseG1GC"]
    else:
        options = ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
    options += [
        f"-Xmx{heap_megabytes}m",
        "-XX:-UsePerfData",
        f"-Dlog4j2.configurationFile={_LOG4J}",
    ]
    return [_java(), *options, "-cp", "lib/*", "kafka.Kafka", str(properties)]


def _write_configuration(
    folder: Path, installation: Path, port: int, controller_port: int, given: Mapping[str, str]
) -> None:
    """Lay out what a formatted broker has: its properties, its identity, the first metadata."""
    data = folder / "data"
    data.mkdir()
    shutil.copy(installation / "bootstrap.checkpoint", data)
    identity = {"version": "1", "cluster.id": _cluster_id(), "node.id": "1"}
    (data / "meta.properties").write_text(_lines(identity))
    settings = {**_properties(port, controller_port, data), **given}
    (folder / "server.properties").write_text(_lines(settings))


def _properties(port: int, controller_port: int, data: Path) -> dict[str, str]:
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


def _lines(properties: Mapping[str, str]) -> str:
    return "".join(f"{name}={value}\n" for name, value in properties.items())


def _cluster_id() -> str:
    """Return a new ID in Kafka's form: 16 random bytes as 22 characters."""
    return base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")


def _free_ports(count: int) -> list[int]:
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


def _watch(pid: int, folder: Path) -> subprocess.Popen[bytes]:
    """Start a shell that kills the broker and removes its data when this process is gone.

    It sees that by the end of its input, which works for any death, from any thread and on macOS;
    Linux's parent-death signal fires when the *thread* that started the child ends.
    """
    script = 'read -r _; kill -9 "$0"; sleep 0.2; rm -rf "$1"'
    return subprocess.Popen(
        ["/bin/sh", "-c", script, str(pid), str(folder)],
        stdin=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _end_watchdog(watchdog: subprocess.Popen[bytes]) -> None:
    watchdog.kill()
    watchdog.communicate()


def _end_process(process: subprocess.Popen[bytes], by: signal.Signals) -> None:
    process.send_signal(by)
    try:
        process.wait(STOP_TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _answers(client: AdminClient) -> bool:
    """Ask for metadata; a broker is up when it lists itself. Waits at most a quarter second."""
    try:
        return bool(client.list_topics(timeout=0.25).brokers)
    except KafkaException:
        return False


def main() -> int:
    """Run one broker in the foreground until Ctrl+C or SIGTERM; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.services.kafka", description=main.__doc__
    )
    parser.add_argument("--heap-megabytes", type=int, default=256)
    arguments = parser.parse_args()
    missing = kafka_available()
    if missing is not None:
        print(missing, file=sys.stderr)
        return 1
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with KafkaBroker.start(heap_megabytes=arguments.heap_megabytes) as broker:
            print(f"SESSIONFOLD_BOOTSTRAP_SERVERS={broker.bootstrap_servers}", flush=True)
            signal.pause()
    except KeyboardInterrupt:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
