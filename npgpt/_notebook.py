"""Notebook tables: what `_repr_html_` shows of an object, as a small HTML table."""

from collections.abc import Mapping, Sequence
from html import escape


def fields_table(fields: Mapping[str, object], *, title: str) -> str:
    """A table of two columns: what it is, and its value.

    >>> fields_table({"n_layer": 6}, title="GPT-2 <mine>")
    '<table><caption>GPT-2 &lt;mine&gt;</caption><tr><th>n_layer</th><td>6</td></tr></table>'
    """
    rows = "".join(
        f"<tr><th>{escape(name)}</th><td>{escape(str(value))}</td></tr>"
        for name, value in fields.items()
    )
    return f"<table><caption>{escape(title)}</caption>{rows}</table>"


def columns_table(header: Sequence[str], rows: Sequence[Sequence[object]], *, title: str) -> str:
    """A table of named columns.

    >>> columns_table(["id", "log p"], [[5, "-1.25"]], title="a score")
    '<table><caption>a score</caption><tr><th>id</th><th>log p</th></tr><tr><td>5</td><td>-1.25</td></tr></table>'
    """  # noqa: E501
    first = "".join(f"<th>{escape(name)}</th>" for name in header)
    rest = "".join(
        "<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f"<table><caption>{escape(title)}</caption><tr>{first}</tr>{rest}</table>"
