"""The listener inside the JVM of a classic Spark session: `JvmEvents`."""

from __future__ import annotations

import json
import logging
from importlib.resources import files
from typing import Any
from weakref import WeakKeyDictionary

__all__ = ["JvmEvents"]

_classes: WeakKeyDictionary[Any, tuple[Any, Any]] = WeakKeyDictionary()  # by gateway
_QUEUE = "spark-dynamo"
logger = logging.getLogger(__name__)


class JvmEvents:
    """A listener of its own queue on the bus of a SparkContext. Each method is one round trip to the JVM.

    Raises what Py4J raises, also where this Spark has no Janino or other classes than `RunEvents.java` knows.
    """

    def __init__(self, context: Any) -> None:
        jvm, gateway = context._jvm, context._gateway
        self._bus = context._jsc.sc().listenerBus()
        # once for a JVM: Py4J knows a class by its name
        events, tables_class = _classes.get(gateway) or _classes.setdefault(gateway, _compile_both(jvm))
        tables = None if tables_class is None else _made(tables_class, gateway.new_array(jvm.Object, 0))
        arguments = gateway.new_array(jvm.Object, 2)
        # the counter is there as soon as the queue is; asking for it by name makes it where it is not
        arguments[0] = self._bus.metrics().metricRegistry().counter(f"queue.{_QUEUE}.numDroppedEvents")
        arguments[1] = tables
        self._listener = _made(events, arguments)
        self._bus.addToQueue(self._listener, _QUEUE)

    def listen(self, wanted: bool) -> None:
        """Take notice of what happens from now on, or of nothing any more."""
        self._listener.listen(wanted)

    def sync(self, timeout: float) -> bool:
        """Wait until all that Spark has posted until now has arrived; False where that took longer than `timeout` seconds."""
        return bool(self._listener.sync(self._bus, max(1, int(timeout * 1000))))

    def drain(self) -> list[dict[str, Any]]:
        """What is new since the last time, in its order."""
        text = self._listener.drain()
        found: list[dict[str, Any]] = json.loads(text) if text else []
        return found


def _compile_both(jvm: Any) -> tuple[Any, Any]:
    """The classes of events and tables; None for that of tables where this Spark has other plans."""
    loader, events = _compiled(jvm, "RunEvents", jvm.Thread.currentThread().getContextClassLoader())
    try:
        return events, _compiled(jvm, "RunTables", loader)[1]
    except Exception:
        logger.debug("The tables that queries read and write can't be told", exc_info=True)
        return events, None


def _made(kind: Any, arguments: Any) -> Any:
    (constructor,) = kind.getConstructors()
    return constructor.newInstance(arguments)


def _compiled(jvm: Any, name: str, parent: Any) -> tuple[Any, Any]:
    """The class of that name in this folder, and its loader."""
    compiler = jvm.org.codehaus.janino.SimpleCompiler()
    compiler.setParentClassLoader(parent)
    compiler.cook(files(__package__).joinpath(f"{name}.java").read_text("utf-8"))
    loader = compiler.getClassLoader()
    return loader, loader.loadClass(name)
