"""What the tests inherit from the shell that started them, made the same for all: nobody's AWS settings, no deaf signals.

Imported before anything else, so that what reads the environment, and each process that tests start, finds it so.
"""

from __future__ import annotations

import os
import signal
import sys


def prepare() -> None:
    """Clear the environment, and let signals do what they do by default; the second call changes nothing."""
    for name in list(os.environ):
        if name.startswith(("AWS_", "DYNAMODB_")) or name == "ENVIRONMENT":
            del os.environ[name]
    # else each of Spark's Python processes compiles the whole package anew
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False
    os.environ |= {
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "PYSPARK_PYTHON": sys.executable,
        "SPARK_LOCAL_IP": "127.0.0.1",
    }
    # a shell without job control lets what runs in its background ignore SIGINT, nohup SIGHUP, and both are inherited
    defaults = {
        signal.SIGINT: signal.default_int_handler,
        signal.SIGTERM: signal.SIG_DFL,
        signal.SIGHUP: signal.SIG_DFL,
    }
    for number, default in defaults.items():
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, default)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, defaults)
