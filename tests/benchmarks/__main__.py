"""All benchmarks in order: `python -m tests.benchmarks [--scale 0.1] [--runs 3] [--peer-python PATH]`."""

from tests.benchmarks import latency, listener, memory, reading, writing
from tests.benchmarks.harness import print_facts, settings


def main() -> None:
    chosen = settings("All benchmarks.")
    print_facts(chosen)
    for benchmark in (reading, writing, latency, memory, listener):
        benchmark.run(chosen)


if __name__ == "__main__":
    main()
