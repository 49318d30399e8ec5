"""What an operator looks at: runs as tables (`html`, `terminal`), pictures (`timeline`, `trend`).

`reading` fetches them, `runs` has `sd.runs` and `Runs`; `status`, `outliers` and `formatting` say what all of them say: how a run
stands, what is usual, and how figures read.
"""
