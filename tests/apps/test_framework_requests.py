"""What a request carries reaches each framework, and its answer comes back unharmed."""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from urllib.parse import urlsplit

import httpx
import pytest
from expectations import (
    CANNOT,
    EXPECTATIONS,
    FRAMEWORKS,
    KEEPS_QUIET,
    PRINTS_WHAT_A_VIEW_RAISES,
    every_framework,
)
from launcher import eventually
from sites import Site, Sites


@every_framework()
def test_the_first_page_is_served(site: Site) -> None:
    answer = site.client.get("/plugin" if site.framework == "datasette" else "/")
    assert (answer.status_code, answer.json()) == (200, {"framework": site.framework})


@every_framework()
@pytest.mark.parametrize(
    ("target", "name", "q"),
    [
        ("/items/plain?q=1", "plain", ["1"]),
        ("/items/caf%C3%A9%20au%20lait?q=a%26b%3Dc&q=", "café au lait", ["a&b=c", ""]),
        ("/items/%E6%BD%AE%E9%96%80?q=%E6%BD%AE+%E9%96%80&q=%2B", "潮門", ["潮 門", "+"]),
        ("/items/100%25?q=50%25", "100%", ["50%"]),
        ("/items/semi;colon,~tilde?q=x/y?z", "semi;colon,~tilde", ["x/y?z"]),
    ],
)
def test_paths_and_queries_are_decoded(site: Site, target: str, name: str, q: list[str]) -> None:
    # http.client sends the target as it is written here; other clients would tidy it.
    with closing(site.connection()) as connection:
        connection.request("GET", target)
        answer = json.load(connection.getresponse())
    assert answer == {"name": name, "q": q}


@every_framework()
def test_json_survives_the_journey(site: Site) -> None:
    value = {"text": "über 潮門 \u0000", "numbers": [1, 2.5, -3, 10**15], "none": None}
    answer = site.client.post("/json", json=value)
    assert (answer.status_code, answer.json()) == (200, {"received": value})


@every_framework("form")
def test_a_multipart_form_with_a_file_is_read(site: Site) -> None:
    answer = site.client.post(
        "/form", data={"field": "größer"}, files={"file": ("ü.bin", b"\x00\xff" * 150_000)}
    )
    assert (answer.status_code, answer.json()) == (200, {"field": "größer", "file_size": 300_000})


@every_framework()
def test_an_unknown_path_is_not_found(site: Site) -> None:
    assert site.client.get("/there/is/nothing/here").status_code == 404


@every_framework()
def test_head_answers_like_get_but_without_the_body(site: Site) -> None:
    with closing(site.connection()) as connection:
        connection.request("GET", "/")
        get = connection.getresponse()
        page = get.read()
        connection.request("HEAD", "/")
        head = connection.getresponse()
        assert (head.status, head.read()) == (get.status, b"")
        assert head.headers["content-type"] == get.headers["content-type"]
        assert head.headers.get("content-length", str(len(page))) == str(len(page))
        # A body sent by mistake would be taken for the answer to this one.
        connection.request("GET", "/")
        assert connection.getresponse().read() == page


@every_framework()
def test_large_headers_pass_in_both_directions(site: Site) -> None:
    value = "abcdefghij" * 2_000
    answer = site.client.get("/headers", headers={"x-large": value})
    assert (answer.status_code, answer.json()) == (200, {"size": len(value)})
    assert answer.headers["x-large"] == value


@every_framework()
def test_one_connection_serves_request_after_request(site: Site) -> None:
    with closing(site.connection()) as connection:
        connection.connect()
        first = connection.sock
        for number in range(20):
            connection.request("GET", f"/items/{number}?q=x")
            assert connection.getresponse().read()
        # http.client would have opened another if the server had closed this one.
        assert connection.sock is first


@every_framework("sync")
def test_a_plain_def_view_blocks_nobody_else(site: Site, key: str) -> None:
    with ThreadPoolExecutor(1) as client:
        blocked = client.submit(site.client.get, f"/sync/{key}")
        try:
            eventually(lambda: site.notes(key), what="the view has been entered")
        finally:
            site.open_gate(key)
        assert blocked.result().json() == {"passed": True}


@every_framework()
def test_fifty_requests_are_in_the_application_at_once(site: Site, key: str) -> None:
    async def meet() -> list[httpx.Response]:
        limits = httpx.Limits(max_connections=50)
        async with httpx.AsyncClient(
            base_url=site.server.base_url, limits=limits, timeout=20, trust_env=False
        ) as client:
            return await asyncio.gather(*(client.get(f"/meet/{key}/50") for _ in range(50)))

    # None of them is answered before all have arrived.
    assert [answer.json() for answer in asyncio.run(meet())] == [{"met": 50}] * 50


@every_framework()
def test_an_exception_in_a_view_is_a_500_and_no_more_than_that(site: Site) -> None:
    with closing(site.connection()) as connection:
        connection.request("GET", "/broken")
        assert connection.getresponse().status == 500
    if site.framework not in KEEPS_QUIET:
        # Frameworks log it themselves or hand it on to the server, which does.
        site.server.wait_for_log("RuntimeError: this view is broken")
        site.forgive()
    assert site.client.get("/items/next?q=x").status_code == 200


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_links_begin_with_the_root_path(own_sites: Sites, framework: str) -> None:
    """A proxy in front takes ``/api`` away; the application must put it back."""
    server = own_sites.start(framework, "--root-path", "/api", BASE_URL="/api/")
    with httpx.Client(base_url=server.base_url, timeout=20, trust_env=False) as client:
        link, below = (client.get(path).json()["link"] for path in ("/where", "/sub/where"))
    assert urlsplit(link).netloc == urlsplit(server.base_url).netloc
    assert (urlsplit(link).path, urlsplit(below).path) == ("/api/where", "/api/sub/where")


@pytest.mark.parametrize(("framework", "expectation"), sorted(CANNOT))
def test_the_table_of_what_cannot_be_expected_is_exact(
    shared_sites: Sites, framework: str, expectation: str
) -> None:
    assert framework in FRAMEWORKS
    path = EXPECTATIONS[expectation]
    if path is not None:
        base_url = shared_sites.shared(framework).base_url
        assert httpx.get(base_url + path, trust_env=False).status_code == 404


def test_only_frameworks_under_test_are_named_in_the_lists() -> None:
    assert {*PRINTS_WHAT_A_VIEW_RAISES, *KEEPS_QUIET} <= set(FRAMEWORKS)
