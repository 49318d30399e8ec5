"""Watching a Spark Connect session from its client: operations as they pass by, with what the server tells of them.

.. code-block:: text

    client ── request ──> ConnectWatch ── Operation ──> server
       ^                       |  requests: name, tables; the rows of a write are counted by an observation
       └──── responses <───────┘  responses: plan metrics, observations, error; progress handler: tasks and bytes
                               └── tell ──> Run

There is no JVM to listen in. What the server doesn't tell stays None: see `figures`.
"""

from spark_dynamo.run_logs.connect.watch import ConnectWatch

__all__ = ["ConnectWatch"]
