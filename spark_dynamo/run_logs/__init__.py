"""Run logs that write themselves: a run as a state (`state`), its row kept up to date (`recorder`), its bounds (`context`).

.. code-block:: text

    pipeline_run ── events ──> RunState ── snapshot ──> Recorder (one thread) ──> RunStore ──> pipeline_run_logs
                                                                                  reap ──────────────^
"""
