"""What an operator looks at: runs as tables (`html`, `terminal`), pictures (`timeline`, `trend`) and OpenLineage events.

`reading` fetches them, `runs` has `sd.runs` and `Runs`; `standing`, `usual` and `words` say what all of them say: how a run
stands, what is usual, and how figures read.
"""
