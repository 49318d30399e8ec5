"""The front before an embedded server: what it passes on is whole and in order, and what it refuses never arrives."""

from __future__ import annotations

import json
import socket
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_dynamo.local import LocalDynamoDB
from spark_dynamo.local.front import Front, RefusedError, Requests
from spark_dynamo.local.ports import listen
from tests.servers.dynoxide import required_dynoxide
from tests.servers.scripted import Reply, ScriptedServer, scripted_server

pytestmark = pytest.mark.server
EVIL = "Host: evil.example"


def post(number: int, *headers: str, size: int = 0) -> bytes:
    """A request that the scripted server counts, with a body that looks like a request."""
    body = json.dumps({"number": number, "text": "\r\n\r\nGET / HTTP/1.1\r\nHost: evil\r\n\r\n" + "x" * size}).encode()
    lines = [
        "POST / HTTP/1.1",
        *(headers or ["Host: localhost"]),
        "X-Amz-Target: D.Ask",
        f"Content-Length: {len(body)}",
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@dataclass
class Fronted:
    server: ScriptedServer
    port: int

    @contextmanager
    def talk(self) -> Iterator[socket.socket]:
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as talk:
            yield talk

    def numbers(self) -> list[int]:
        return [body["number"] for _, body in self.server.requests]


@pytest.fixture
def fronted() -> Iterator[Fronted]:
    def answer(operation: str, request: dict[str, Any]) -> Reply:
        return Reply({"answer": request["number"]})

    with scripted_server(answer) as server:
        listening = listen()
        place = urlsplit(server.endpoint)
        assert place.hostname
        assert place.port
        front = Front(listening, (place.hostname, place.port))
        try:
            yield Fronted(server, listening.getsockname()[1])
        finally:
            front.stop()


def all_of(talk: socket.socket) -> str:
    """What comes until the other side closes."""
    return b"".join(iter(lambda: talk.recv(65_536), b"")).decode()


def is_closed(talk: socket.socket) -> bool:
    try:
        return all_of(talk) == ""
    except ConnectionResetError:  # nobody had taken it yet
        return True


def test_requests_at_once_are_answered_in_order_up_to_one_that_is_refused(fronted: Fronted) -> None:
    with fronted.talk() as talk:
        talk.sendall(post(1) + post(2) + post(3, EVIL) + post(4))
        told = all_of(talk)
    places = [told.index(text) for text in ('{"answer": 1}', '{"answer": 2}', "HTTP/1.1 403 Forbidden", "not for host")]
    assert places == sorted(places)
    assert fronted.numbers() == [1, 2]


def test_a_request_in_single_bytes_arrives_whole(fronted: Fronted) -> None:
    with fronted.talk() as talk:
        talk.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in post(1):
            talk.sendall(bytes([byte]))
        talk.shutdown(socket.SHUT_WR)
        assert all_of(talk).endswith('{"answer": 1}')
    assert fronted.numbers() == [1]


def test_one_that_is_refused_hears_so_though_it_sends_on(fronted: Fronted) -> None:
    with fronted.talk() as talk:
        talk.sendall(post(1, EVIL, size=3_000_000))
        assert all_of(talk).startswith("HTTP/1.1 403 Forbidden\r\n")
    assert fronted.numbers() == []


@pytest.mark.parametrize(
    ("head", "status", "problem"),
    [
        ("PRI * HTTP/2.0", 400, "does not begin as one of HTTP/1.1 does"),
        ("nothing", 400, "does not begin as one of HTTP/1.1 does"),
        ("GET /\nHost:evil HTTP/1.1", 400, "does not begin as one of HTTP/1.1 does"),
        ("GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil", 400, "has header Host twice"),
        ("GET / HTTP/1.1\r\nHost: localhost\r\nhost: localhost", 400, "has header host twice"),
        ("GET / HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost\r\nORIGIN: http://evil", 400, "ORIGIN twice"),
        ("GET / HTTP/1.1\r\nHost : evil\r\nHost: localhost", 400, "has a line that is not a header"),
        ("GET / HTTP/1.1\r\nHost: localhost\r\n x", 400, "has a line that is not a header"),
        ("GET / HTTP/1.1\r\nA: b\nHost: evil", 400, "has a line that is not a header"),
        ("GET / HTTP/1.1\r\nA: b\rHost: evil", 400, "has a line that is not a header"),
        ("POST / HTTP/1.1\r\nContent-Length: +1", 400, "has the Content-Length '+1'"),
        ("POST / HTTP/1.1\r\nContent-Length: 1, 1", 400, "has the Content-Length '1, 1'"),
        ("POST / HTTP/1.1\r\nContent-Length: ", 400, "has the Content-Length ''"),
        ("POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2", 400, "has header Content-Length twice"),
        ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked", 411, "has a body in pieces: send it with Content-Length"),
        ("GET / HTTP/1.1\r\nA: " + "a" * 70_000, 431, "is longer than 65,536 bytes"),
    ],
    ids=lambda value: repr(value)[:50],
)
def test_a_head_that_may_be_read_in_two_ways_is_refused(fronted: Fronted, head: str, status: int, problem: str) -> None:
    with fronted.talk() as talk:
        talk.sendall(f"{head}\r\n\r\n".encode())
        told = all_of(talk)
    assert told.startswith(f"HTTP/1.1 {status} ")
    assert problem in json.loads(told.partition("\r\n\r\n")[2])["message"]
    assert fronted.numbers() == []


@given(st.lists(st.tuples(st.integers(0, 300), st.booleans()), max_size=5), st.lists(st.integers(1, 400), min_size=1))
def test_however_the_bytes_come_what_is_passed_on_ends_before_the_first_that_is_refused(
    asked: list[tuple[int, bool]], sizes: list[int]
) -> None:
    whole = [post(number, *([EVIL] if is_evil else []), size=size) for number, (size, is_evil) in enumerate(asked)]
    good = next((number for number, (_, is_evil) in enumerate(asked) if is_evil), len(asked))
    left, requests, passed, place, turn = b"".join(whole), Requests(), b"", 0, 0
    try:
        while place < len(left):
            size = sizes[turn % len(sizes)]
            for piece in requests.take(left[place : place + size]):
                passed += piece
            place, turn = place + size, turn + 1
        assert good == len(asked)
    except RefusedError:
        assert good < len(asked)
    assert passed == b"".join(whole[:good])


def test_many_connections_at_once_get_each_their_own_answers(fronted: Fronted) -> None:
    def ask(number: int) -> bool:
        with fronted.talk() as talk:
            talk.sendall(post(number, "Host: localhost", "Connection: close", size=number * 1_000))
            return all_of(talk).endswith(f'{{"answer": {number}}}')

    with ThreadPoolExecutor(20) as pool:
        assert all(pool.map(ask, range(60)))
    assert sorted(fronted.numbers()) == list(range(60))


def test_a_server_that_is_gone_ends_the_connection() -> None:
    listening, gone = listen(), listen()
    behind = gone.getsockname()
    gone.close()
    front = Front(listening, behind)
    try:
        with socket.create_connection(listening.getsockname(), timeout=20) as talk:
            assert all_of(talk) == ""
    finally:
        front.stop()


def test_stop_ends_connections_that_wait_and_leaves_no_thread() -> None:
    others = threading.enumerate()  # of another test's server
    with scripted_server(lambda operation, request: Reply()) as server:
        listening = listen()
        place = listening.getsockname()
        front = Front(listening, ("127.0.0.1", int(server.endpoint.rpartition(":")[2])))
        with socket.create_connection(place, timeout=20) as talk, socket.create_connection(place, timeout=20) as half:
            half.sendall(b"POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\nabc")
            talk.sendall(b"POST /")
            front.stop()
            assert is_closed(talk)
            assert is_closed(half)
        with pytest.raises(OSError, match="refused"):
            socket.create_connection(place, timeout=20)
    left = [thread for thread in threading.enumerate() if thread not in others]
    assert not [thread for thread in left if thread.name == "spark-dynamo-front"]


@pytest.mark.skipif(sys.platform != "linux", reason="macOS has only 127.0.0.1 on loopback")
def test_dynoxide_itself_listens_where_no_page_looks() -> None:
    required_dynoxide()
    found = set()
    for _ in range(3):
        with LocalDynamoDB(share=False, engine="dynoxide") as server:
            host, port = server._engine.behind  # type: ignore[union-attr]
            found.add(host)
            assert host.startswith("127.")
            assert host != "127.0.0.1"
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", port), timeout=20)
    assert len(found) > 1
