"""A real Kafka broker as a child process on loopback, without Docker.

By hand: ``python -m tests.services.kafka`` runs one until Ctrl+C.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol, Self

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from .kafka_configuration import free_ports, write_configuration
from .kafka_installation import install, kafka_available
from .maven import java

__all__ = ["Broker", "KafkaBroker", "KafkaError", "kafka_available"]

START_TIMEOUT_SECONDS = 60.0
STOP_TIMEOUT_SECONDS = 15.0

_LOG4J = Path(__file__).with_name("kafka-log4j2.properties")
_LEAST_G1_MEGABYTES = 1024
_LOG_LINES_SHOWN = 30


class Broker(Protocol):
    """What a test needs to know of a broker, whoever runs it."""

    @property
    def bootstrap_servers(self) -> str:
        """The address as ``host:port``, several separated by commas."""


class KafkaError(Exception):
    """Raised when the broker does not come up, or is asked for what only a running one has."""


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
        port, controller_port = free_ports(2)
        self.bootstrap_servers = f"127.0.0.1:{port}"
        write_configuration(self._folder, self._installation, port, controller_port, properties)

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
                ``START_TIMEOUT_SECONDS``.
            JavaError: when the jars cannot be fetched.
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
            KafkaError: as for :meth:`start`.
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
    return [java(), *options, "-cp", "lib/*", "kafka.Kafka", str(properties)]


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
            while True:  # signal.pause() would miss a signal that came just before it
                time.sleep(0.2)
    except KeyboardInterrupt:
        return 0


if __name__ == "__main__":
    sys.exit(main())
