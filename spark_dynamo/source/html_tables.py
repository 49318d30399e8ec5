"""Tables for notebooks, which by themselves would set all of a table at the right."""

from __future__ import annotations

from collections.abc import Sequence


def html_table(rows: Sequence[Sequence[str]], headers: Sequence[str], alignment: Sequence[str]) -> str:
    """The rows under their headers, with texts at the left and numbers at the right, as `alignment` says of each column.

    >>> print(html_table([["<id>", "7"]], ["name", "count"], ["left", "right"]))
    <table>
    <thead>
    <tr><th style="text-align: left;">name  </th><th style="text-align: right;">  count</th></tr>
    </thead>
    <tbody>
    <tr><td style="text-align: left;">&lt;id&gt;  </td><td style="text-align: right;">      7</td></tr>
    </tbody>
    </table>
    """
    from tabulate import tabulate

    table = str(tabulate(rows, headers, tablefmt="html", disable_numparse=True, colalign=alignment if rows else None))
    for cell in ("td", "th"):
        table = table.replace(f"<{cell}>", f'<{cell} style="text-align: left;">')  # it says so of the others alone
    return table
