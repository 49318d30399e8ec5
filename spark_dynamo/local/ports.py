"""Ports of loopback, the only address that a local server listens on."""

from __future__ import annotations

import socket

from spark_dynamo.errors import ConfigurationError

HOST = "127.0.0.1"


def free_port(wanted: int = 0) -> int:
    """The wanted port, or any free one for 0; ConfigurationError where it can't be had."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, wanted))
        except (OSError, OverflowError) as error:
            raise ConfigurationError(
                f"Port {wanted} of {HOST} can't be used: {str(error).removesuffix('.')}. Choose another one", error
            ) from error
        port: int = probe.getsockname()[1]
        return port
