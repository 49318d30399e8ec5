"""Items by key with 20 ms until each answer: one by one, and a thousand awaited at once.

`python -m tests.benchmarks.repositories [--peer-python PATH]`, where that Python has aiobotocore.
"""

from tests.benchmarks.harness import Row, Settings, Target, main, measure, print_rates, print_targets, ratio
from tests.servers.replay import replay_server

_LATENCY = 0.02  # seconds
_ITEMS, _IN_TURN = 1_000, 100
_OURS = "await repository.get, a thousand at once over 50 connections"


def run(chosen: Settings) -> None:
    """Measure and print."""
    with replay_server(1, _ITEMS, _LATENCY) as server:
        at_once = measure("gets.at_once", runs=chosen.runs, endpoint=server.endpoint, items=chosen.items(_ITEMS))
        in_turn = measure("gets.in_turn", runs=chosen.runs, endpoint=server.endpoint, items=_IN_TURN)
        rows = [Row(_OURS, at_once), Row("repository.get, one after the other", in_turn)]
        if chosen.peer_python:
            peer = measure(
                "gets.by_aiobotocore",
                runs=chosen.runs,
                python=chosen.peer_python,
                endpoint=server.endpoint,
                items=chosen.items(_ITEMS),
            )
            rows.append(Row("aiobotocore's get_item over 50 connections, no models made", peer))
    print_rates(f"Single items with {_LATENCY * 1000:.0f} ms of latency per request", rows, _OURS)
    print_targets([Target("20 ms per request, to one after the other", 10, ratio(at_once, in_turn), None)])


if __name__ == "__main__":
    main("What awaiting brings.", run)
