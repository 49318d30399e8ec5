"""What reading and writing cost, beside what others take for the same: `python -m tests.benchmarks`, or each module alone.

All contenders talk to `tests.servers.replay`, which answers from memory, so the client is what is measured. Each runs in a
fresh process (`child`), one after the other, the same work several times after a warm-up; medians are shown. Wall time is
what a user waits for; CPU seconds, of all the contender's threads and child processes but not of the server, are what a core
is worth. Nothing fails where a target is missed: the tables say so, and those of the stages say where the time goes.

`reading`, `writing`, `latency` and `memory` are the four questions; `ours`, `peers`, `on_spark` (with `tuple_source` and
`row_sink`) hold the contenders; `harness` starts them and prints.
"""
