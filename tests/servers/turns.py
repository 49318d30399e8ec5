"""Programs that take turns at a real DynamoDB server, so that each interleaving of their requests can be had, and had again.

Each program has an address of its own. Whichever is asked next is chosen when every program either waits for an answer or has
ended, so nothing depends on how fast anybody is.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial

from .faulty import Forward, Request, faulty_server
from .scripted import Reply

Program = Callable[[str], None]  # gets its address
Chooser = Callable[[Mapping[str, str]], str]  # of the programs that wait, each with its next operation


@dataclass(eq=False)
class _Ticket:
    name: str
    operation: str
    granted: threading.Event = field(default_factory=threading.Event)


def operation_of(operation: str, request: Request) -> str:
    """The operation; of BatchWriteItem `put` or `delete`."""
    if operation != "BatchWriteItem":
        return operation
    return "put" if "PutRequest" in json.dumps(request) else "delete"


def take_turns(backend: str, programs: Mapping[str, Program], choose: Chooser) -> dict[str, BaseException | None]:
    """Run the programs until all have ended; what each of them raised.

    A Scan is answered in pages of 20 items, so that there is something to come between.
    """
    changed = threading.Condition()
    under_way: list[_Ticket] = []
    waiting: list[_Ticket] = []
    running: set[str] = set(programs)
    raised: dict[str, BaseException | None] = dict.fromkeys(programs)

    def in_turn(name: str, operation: str, request: Request, forward: Forward) -> Reply:
        ticket = _Ticket(name, operation_of(operation, request))
        with changed:
            waiting.append(ticket)
            changed.notify_all()
        ticket.granted.wait()
        try:
            return forward({**request, "Limit": 20} if operation == "Scan" else request)
        finally:
            with changed:
                under_way.remove(ticket)
                changed.notify_all()

    def run(name: str, program: Program, endpoint: str) -> None:
        try:
            program(endpoint)
        except BaseException as error:
            raised[name] = error
        with changed:
            running.discard(name)
            changed.notify_all()

    def all_wait() -> bool:
        return not under_way and running <= {ticket.name for ticket in waiting}

    with ExitStack() as stack:
        threads = []
        for name, program in programs.items():
            fault = partial(in_turn, name)
            proxy = stack.enter_context(faulty_server(backend, lambda operation, request, fault=fault: fault))
            threads.append(threading.Thread(target=run, args=(name, program, proxy.endpoint), daemon=True))
        for thread in threads:
            thread.start()
        while True:
            with changed:
                assert changed.wait_for(all_wait, timeout=120), f"{running} neither ended nor asked for anything"
                if not running:
                    break
                first = {ticket.name: ticket for ticket in reversed(waiting) if ticket.name in running}
                ticket = first[choose({name: first[name].operation for name in first})]
                waiting.remove(ticket)
                under_way.append(ticket)
            ticket.granted.set()
        for ticket in waiting:  # of programs that have ended before their requests
            under_way.append(ticket)
            ticket.granted.set()
        for thread in threads:
            thread.join()
    return raised
