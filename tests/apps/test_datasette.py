"""Datasette's own pages over an SQLite file."""

from __future__ import annotations

import csv
import io

import pytest
from sites import Site

datasette = pytest.mark.parametrize("site", ["datasette"], indirect=True)


@datasette
def test_a_table_is_shown_as_a_page(site: Site) -> None:
    page = site.client.get("/library/books")
    assert page.status_code == 200
    assert "Buch über Züge Nr. 1" in page.text


@datasette
def test_sql_in_a_query_string_is_answered_as_json(site: Site) -> None:
    sql = "select title from books where title like '%Züge%' and id = :id"
    answer = site.client.get("/library.json", params={"sql": sql, "id": "7", "_shape": "array"})
    assert answer.json() == [{"title": "Buch über Züge Nr. 7"}]


@datasette
def test_a_table_with_a_name_beyond_ascii_has_its_own_page(site: Site) -> None:
    index = site.client.get("/library.json").json()
    assert {table["name"] for table in index["tables"]} == {"books", "café au lait"}
    # Datasette writes a space as "+" and é as tilde-encoded UTF-8 in its links.
    answer = site.client.get("/library/caf~C3~A9+au+lait.json", params={"_shape": "array"})
    assert answer.json() == [{"id": 1, "size": "groß"}]


@datasette
def test_a_whole_table_is_streamed_as_csv(site: Site) -> None:
    with site.client.stream("GET", "/library/books.csv", params={"_stream": "on"}) as answer:
        assert "content-length" not in answer.headers
        rows = list(csv.reader(io.StringIO("".join(answer.iter_text()))))
    assert rows[0] == ["id", "title", "pages"]
    assert len(rows) == 20_001


@datasette
def test_wrong_sql_is_a_400_with_the_reason(site: Site) -> None:
    answer = site.client.get("/library.json", params={"sql": "select * from nowhere"})
    assert answer.status_code == 400
    assert "no such table: nowhere" in answer.json()["error"]
