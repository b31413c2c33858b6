"""Database connections and event loops of Django and Flask, in the threads of a server."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from launcher import Launcher, Server
from postgresql import PostgreSQL

CLIENTS = 8
THREADS = 4  # of each server, see conftest.py; and of ``asgi_app``


def ask(server: Server, target: str, times: int) -> list[Any]:
    """Ask for the same on one connection; return the documents."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    documents = []
    for _ in range(times):
        connection.request("GET", target)
        response = connection.getresponse()
        body = response.read()
        assert response.status == 200, body
        documents.append(json.loads(body))
    connection.close()
    return documents


def ask_together(server: Server, target: str, times: int) -> list[Any]:
    """Ask ``times`` times in all, on several connections at once."""
    with ThreadPoolExecutor(CLIENTS) as clients:
        calls = [clients.submit(ask, server, target, times // CLIENTS) for _ in range(CLIENTS)]
    return [document for call in calls for document in call.result()]


def opened(server: Server) -> int:
    """How many connections to its database the application has opened until now."""
    count: int = ask(server, "/connections", 1)[0]["opened"]
    return count


@pytest.mark.parametrize("name", ["django", "django_postgresql"])
def test_django_opens_a_connection_for_each_thread_and_no_more(
    pairs: Callable[[str], Any], name: str
) -> None:
    server = pairs(name).tidegate
    assert len(ask_together(server, "/groups", 400)) == 400
    assert 1 <= opened(server) <= THREADS
    server.check()


def test_django_under_asgi_keeps_its_connections_to_postgresql(
    launch: Launcher,
    server_of_postgresql: PostgreSQL,
    postgresql_database: Callable[[str], str],
) -> None:
    env = {"POSTGRESQL": postgresql_database("for_asgi")}
    server = launch("wsgi_django:asgi_app", env=env)
    # One after another: at the next request, the end of the one before may still be
    # on its way to its thread, so that another has to take it.
    ask(server, "/groups", 100)
    assert opened(server) <= THREADS
    ask_together(server, "/groups", 400)
    assert opened(server) <= THREADS
    assert server_of_postgresql.connections("for_asgi") == opened(server)
    server.check()


@pytest.mark.parametrize("name", ["django", "flask"])
def test_all_asynchronous_views_run_on_one_loop_from_the_first_on(
    pairs: Callable[[str], Any], name: str
) -> None:
    server = pairs(name).tidegate
    documents = ask(server, "/loop", 5) + ask_together(server, "/loop", 80)
    assert {document["loop"] for document in documents} == {0}
    server.check()
