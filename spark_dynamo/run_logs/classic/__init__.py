"""Watching a classic Spark session: a listener inside the JVM adds up, a thread in Python asks it once a second.

.. code-block:: text

    SparkContext ── events ──> RunEvents (Java, compiled by Spark's own Janino) ── drain, one text ──> ClassicWatch ── tell ──> Run
                                   RunTables (names and schemas of tables) ^

A listener in Python, through Py4J, would be called once for each event, and Spark's status stores keep only the newest
1,000 jobs, count failed attempts too and don't know the tags of queries: see `tests/benchmarks/listener.py`.
"""
