"""The HTTP endpoint: what it answers, and to whom it gives nothing."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from http import HTTPStatus

import pytest

from sessionfold_consumer import endpoint
from sessionfold_consumer.endpoint import Page, serving
from sessionfold_consumer.errors import ConfigurationError

_PATIENCE_SECONDS = 20.0


class Client:
    """Talks to the endpoint in bytes."""

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self.address = host.strip("[]"), int(port)

    def connect(self) -> socket.socket:
        """Return a new connection."""
        return socket.create_connection(self.address, timeout=_PATIENCE_SECONDS)

    def send(self, request: bytes) -> bytes:
        """Send a request as it is, and return all that comes until the connection is closed."""
        with self.connect() as connection:
            connection.sendall(request)
            return rest(connection)

    def get(self, target: str, method: str = "GET") -> tuple[int, dict[str, str], bytes]:
        """Return status, headers and body of an answer."""
        answer = self.send(f"{method} {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        return parsed(answer)


def rest(connection: socket.socket) -> bytes:
    """Read until the other side closes, in whatever way."""
    received = b""
    try:
        while chunk := connection.recv(65_536):
            received += chunk
    except ConnectionResetError:
        pass
    return received


def parsed(answer: bytes) -> tuple[int, dict[str, str], bytes]:
    """Return status, headers and body of an answer."""
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    version, status, _ = first.split(" ", 2)
    assert version == "HTTP/1.1"
    return int(status), dict(line.split(": ", 1) for line in lines), body


BIG = b"x" * 32_000_000
"""More than two sockets of this host hold between them."""


@pytest.fixture
def client() -> Iterator[Client]:
    """Speaks to an endpoint with three pages."""
    pages = {
        "/good": lambda: Page(status=HTTPStatus.OK, body=b"fine\n", content_type="text/x"),
        "/bad": lambda: Page(status=HTTPStatus.SERVICE_UNAVAILABLE, body=b"not now\n"),
        "/big": lambda: Page(status=HTTPStatus.OK, body=BIG),
    }
    with serving("0", pages) as address:
        yield Client(address)


def test_a_page_is_answered_with_its_status_type_and_body(client: Client) -> None:
    """Whole, not to be kept, and the connection ends with it."""
    status, headers, body = client.get("/good")
    assert (status, body) == (200, b"fine\n")
    assert headers == {
        "Content-Type": "text/x",
        "Content-Length": "5",
        "Cache-Control": "no-store",
        "Connection": "close",
    }
    assert client.get("/bad")[0::2] == (503, b"not now\n")
    assert client.get("/big")[2] == BIG


def test_what_stands_behind_a_question_mark_is_no_matter(client: Client) -> None:
    """As some probes ask."""
    assert client.get("/good?verbose=1")[0] == 200


def test_head_has_all_but_the_body(client: Client) -> None:
    """The length is that of the body that GET has."""
    status, headers, body = client.get("/good", "HEAD")
    assert (status, headers["Content-Length"], body) == (200, "5", b"")
    assert client.get("/none", "HEAD")[0::2] == (404, b"")


@pytest.mark.parametrize("path", ["/", "/none", "/good/", "/../good", "//good", "/%67ood"])
def test_there_is_nothing_else(client: Client, path: str) -> None:
    """Paths are compared as they are: no folder, no file, no decoding."""
    assert client.get(path)[0] == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH"])
def test_it_is_read_only(client: Client, method: str) -> None:
    """Whatever the path; the answer says what may be asked."""
    status, headers, _ = client.get("/good", method)
    assert (status, headers["Allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize(
    "request_head",
    [
        b"\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /good\r\n\r\n",
        b"GET /good HTTP/2.0\r\n\r\n",
        b"get /good HTTP/1.1\r\n\r\n",
        b"GET good HTTP/1.1\r\n\r\n",
        b"GET http://x/good HTTP/1.1\r\n\r\n",
        b"GET /go od HTTP/1.1\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\n\r\n",
        b"GET /good\x00 HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    ],
)
def test_what_is_no_request_is_refused(client: Client, request_head: bytes) -> None:
    """With 400, and nothing of it is said again."""
    status, _, body = parsed(client.send(request_head))
    assert (status, body) == (400, b"Bad Request\n")


@pytest.mark.parametrize(
    "request_start",
    [
        b"GET /" + b"a" * 100_000,
        b"GET /good HTTP/1.1\r\n" + b"X: y\r\n" * 20_000,
    ],
)
def test_a_request_is_bounded(client: Client, request_start: bytes) -> None:
    """It is refused (or cut off) before its end, and the next one is answered."""
    with client.connect() as connection:
        with suppress(OSError):
            connection.sendall(request_start)
        received = rest(connection)
    assert received == b"" or parsed(received)[0] == 431
    assert client.get("/good")[0] == 200


def test_the_bound_of_a_request_is_told(client: Client) -> None:
    """To who sent no more than what it took to see that it is too much."""
    first_too_many = endpoint.MOST_BYTES + len(b"\r\n\r\n")
    assert parsed(client.send(b"GET /".ljust(first_too_many, b"a")))[0] == 431


def hurry(monkeypatch: pytest.MonkeyPatch, seconds: float = 0.5) -> None:
    """Let connections last for a shorter time."""
    monkeypatch.setattr(endpoint, "CONNECTION_SECONDS", seconds)


def test_who_sends_a_byte_now_and_then_is_cut_off(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time is for the whole request: no byte makes it longer."""
    hurry(monkeypatch)
    sent = 0
    with client.connect() as connection, pytest.raises(OSError):  # noqa: PT011, PT012 - any of them
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < deadline:
            connection.sendall(b"G")
            sent += 1
            time.sleep(0.05)
    assert sent > 1


@pytest.mark.parametrize("request_start", [b"", b"GET /good HTTP/1.1\r\n"])
def test_who_sends_nothing_more_is_cut_off(
    client: Client, monkeypatch: pytest.MonkeyPatch, request_start: bytes
) -> None:
    """Without an answer."""
    hurry(monkeypatch)
    assert client.send(request_start) == b""


def test_who_does_not_read_is_cut_off(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """A large answer is not kept for ever: those who wait for their turn get it."""
    hurry(monkeypatch)
    monkeypatch.setattr(endpoint, "MOST_CONNECTIONS", 2)
    with ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(client.connect()).sendall(b"GET /big HTTP/1.1\r\n\r\n")
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not client.send(b"GET /good HTTP/1.1\r\n\r\n"):
            assert time.monotonic() < deadline


def test_others_are_answered_beside_those_who_are_slow(client: Client) -> None:
    """Fewer than the bound hold nobody up."""
    with ExitStack() as stack:
        for _ in range(endpoint.MOST_CONNECTIONS - 1):
            stack.enter_context(client.connect()).sendall(b"GET /good")
        assert client.get("/good")[0] == 200


def test_there_are_so_many_connections_and_no_more(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One more is closed at once; when the slow ones are cut off, there is room again."""
    with ExitStack() as stack:
        slow = [stack.enter_context(client.connect()) for _ in range(endpoint.MOST_CONNECTIONS)]
        for each in slow:
            each.sendall(b"GET /good")
        assert client.send(b"") == b""
        slow[0].sendall(b" HTTP/1.1\r\n\r\n")
        assert parsed(rest(slow[0]))[0] == 200
        assert client.get("/good")[0] == 200


def test_a_page_that_fails_ends_its_connection_only(caplog: pytest.LogCaptureFixture) -> None:
    """It is logged; the next page is answered."""

    def fail() -> Page:
        raise ZeroDivisionError

    good = Page(status=HTTPStatus.OK, body=b"fine\n")
    with serving("0", {"/fail": fail, "/good": lambda: good}) as address:
        client = Client(address)
        status, _, body = client.get("/fail")
        assert (status, body) == (500, b"Internal Server Error\n")
        assert client.get("/good")[0] == 200
    assert [record.exc_info is not None for record in caplog.records] == [True]


@pytest.mark.parametrize("is_accepted", [True, False])
def test_it_ends_with_its_block_though_connections_are_open(is_accepted: bool) -> None:
    """They are closed, the port is free again, and no thread is left."""
    with serving("0", {}) as address:
        client = Client(address)
        open_connection = client.connect()
        open_connection.sendall(b"GET /")
        if is_accepted:
            client.get("/")  # accepted one after the other
    assert rest(open_connection) == b""
    open_connection.close()
    assert [each for each in threading.enumerate() if each.name == "sessionfold-http"] == []
    with serving(address, {}) as again:
        assert again == address


@pytest.mark.parametrize("address", ["0", "127.0.0.1:0", "localhost:0"])
def test_it_is_for_this_host_only_unless_told_otherwise(address: str) -> None:
    """A port alone is one of loopback; port 0 takes a free one."""
    with serving(address, {}) as served:
        host, _, port = served.rpartition(":")
        assert host in ("127.0.0.1", "[::1]")
        assert int(port) > 0


def test_ipv6_addresses_stand_in_brackets() -> None:
    """As everywhere."""
    if not socket.has_ipv6 or not _has_ipv6_loopback():
        pytest.skip("this host has no IPv6")
    with serving("[::1]:0", {}) as served:
        assert served.startswith("[::1]:")
        assert Client(served).get("/")[0] == 404


@pytest.mark.parametrize(
    "address",
    [
        "",
        "x",
        "127.0.0.1",
        "127.0.0.1:",
        ":",
        "127.0.0.1:x",
        "70000",
        "1:2:3",
        "::1:9",
        "h h:1",
        "-1",
    ],
)
def test_what_is_no_address_is_refused(address: str) -> None:
    """With what is one."""
    with pytest.raises(ConfigurationError) as caught, serving(address, {}):
        pass
    assert str(caught.value) == (
        f"--metrics-address (or SESSIONFOLD_METRICS_ADDRESS) {address!r} is not usable: write "
        "HOST:PORT, as 127.0.0.1:9464, or PORT alone for loopback"
    )


@pytest.mark.parametrize("host", ["no-such-host.invalid", "192.0.2.1"])
def test_an_address_that_is_not_this_hosts_is_refused(host: str) -> None:
    """In one sentence with the fix."""
    with pytest.raises(ConfigurationError, match="name a free port and an address of this host"):
        serving(f"{host}:9464", {}).__enter__()


def test_a_port_that_is_taken_is_refused(client: Client) -> None:
    """In one sentence that names it."""
    address = ":".join(map(str, client.address))
    with pytest.raises(ConfigurationError) as caught, serving(address, {}):
        pass
    assert str(caught.value) == (
        f"--metrics-address (or SESSIONFOLD_METRICS_ADDRESS) {address!r} is not usable: Address "
        "already in use; name a free port and an address of this host"
    )


def _has_ipv6_loopback() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True
