"""What operators ask of the table of run logs, in SQL; the README shows it, and `test_questions` asks it."""

from __future__ import annotations

from collections.abc import Iterator

__all__ = ["QUESTIONS", "in_markdown"]

QUESTIONS = {
    "slowest_pipelines": (
        "Which pipelines are the slowest this week?",
        """
SELECT pipeline_id, count(*) AS runs, round(median(duration_seconds) / 60, 1) AS usual_minutes,
       round(max(duration_seconds) / 60, 1) AS longest_minutes
FROM run_logs
WHERE status = 'success' AND start_time >= now() - INTERVAL 7 DAYS
GROUP BY pipeline_id
ORDER BY usual_minutes DESC
""",
    ),
    "failures_by_error": (
        "What fails, and where? An error message begins with the exception's class and a colon.",
        """
SELECT substring_index(error_message, ':', 1) AS error, count(*) AS runs,
       array_sort(collect_set(pipeline_id)) AS pipelines, max(start_time) AS newest
FROM run_logs
WHERE status IN ('failed', 'lost')
GROUP BY error
ORDER BY runs DESC, error
""",
    ),
    "rows_trend": (
        "How do rows develop, day by day?",
        """
SELECT pipeline_id, day, rows,
       round(100 * (rows / avg(rows) OVER before - 1), 1) AS percent_above_week_before
FROM (SELECT pipeline_id, to_date(start_time) AS day, sum(rows_written) AS rows
      FROM run_logs WHERE status = 'success' GROUP BY pipeline_id, day)
WINDOW before AS (PARTITION BY pipeline_id ORDER BY day ROWS BETWEEN 7 PRECEDING AND 1 PRECEDING)
ORDER BY pipeline_id, day
""",
    ),
    "still_running": (
        "What runs now, where, at which stage, and is its driver alive? A driver renews the lease of its run every 30 seconds.",
        """
SELECT run_id, pipeline_id, timestampdiff(MINUTE, start_time, now()) AS minutes, current_stage, lease_owner,
       lease_expires_at >= now() AS is_alive
FROM run_logs
WHERE status IN ('pending', 'running')
ORDER BY minutes DESC
""",
    ),
    "sla_misses": (
        "Which runs took, or take, longer than their tag `sla_minutes` allows?",
        """
SELECT run_id, pipeline_id, status, start_time, minutes, CAST(tags['sla_minutes'] AS INT) AS sla_minutes
FROM (SELECT *, round(coalesce(duration_seconds, timestampdiff(SECOND, start_time, now())) / 60, 1) AS minutes
      FROM run_logs WHERE status <> 'lost')
WHERE minutes > CAST(tags['sla_minutes'] AS INT)
ORDER BY start_time DESC
""",
    ),
}


def in_markdown() -> Iterator[str]:
    """The questions as the README has them."""
    for view, (question, query) in QUESTIONS.items():
        yield f"{question}\n"
        yield f"```sql\nCREATE OR REPLACE TEMPORARY VIEW {view} AS{query}```\n"
