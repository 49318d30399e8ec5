"""Ports of loopback, the only address that a local server listens on."""

from __future__ import annotations

import secrets
import socket

from spark_dynamo.errors import ConfigurationError

HOST = "127.0.0.1"


def listen(wanted: int = 0) -> socket.socket:
    """A socket that listens on the wanted port, or on any free one for 0; ConfigurationError where it can't be had."""
    listening = _bound(HOST, wanted)
    listening.listen(128)
    return listening


def free_port(wanted: int = 0, host: str = HOST) -> int:
    """The wanted port, or any free one for 0; ConfigurationError where it can't be had."""
    with _bound(host, wanted) as probe:
        port: int = probe.getsockname()[1]
        return port


def hidden_host() -> str:
    """An address of loopback that nobody guesses; the usual one where the system has no other, as macOS."""
    host = f"127.{secrets.randbelow(255) + 1}.{secrets.randbelow(256)}.{secrets.randbelow(254) + 1}"
    with socket.socket() as probe:
        try:
            probe.bind((host, 0))
        except OSError:
            return HOST
    return host


def _bound(host: str, port: int) -> socket.socket:
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except (OSError, OverflowError) as error:
        bound.close()
        problem = str(error).removesuffix(".")
        raise ConfigurationError(
            f"Port {port} of {host} can't be used: {problem}. Choose another one", error
        ) from error
    return bound
