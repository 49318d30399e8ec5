"""Run logs that write themselves.

.. code-block:: text

    `registration`, `launch`, `context`, `streaming`: who opens a run and ends it
        │
        │      Watch: `classic` (a listener in the JVM) or `connect` ── events ──┐
        ▼                                                                        ▼
       Run ──────────────── events (stages, checks, messages) ───────────────> RunState
                                                                                 │ snapshot
                                                                                 ▼
                                                  Recorder (one thread) ──> RunStore ──> pipeline_run_logs
                                                                    reap ──────^              │
                                                                         `report` (runs) <────┘
"""
