"""CORS as the Fetch standard has it (sections 3.3 and 4.8)."""

from __future__ import annotations

import json

import pytest

from tidegate.web.middleware import CORS

from .driver import Recorder, ask, page

FRIEND = "https://a.example"
STRANGER = "https://b.example"

APP = page(b"ok", headers={"content-type": "text/plain"})


def preflight(origin=FRIEND, method="PUT", **more):
    more = {name.replace("_", "-"): value for name, value in more.items()}
    headers = {"origin": origin, "access-control-request-method": method, **more}
    return {"path": "/", "headers": headers, "method": "OPTIONS"}


async def test_a_listed_origin_may_read_the_response():
    answer = await ask(CORS(allow_origins=[FRIEND])(APP), headers={"origin": FRIEND})
    assert answer["access-control-allow-origin"] == FRIEND
    assert answer["vary"] == "Origin"
    assert answer["access-control-allow-credentials"] is None
    assert answer.body == b"ok"


@pytest.mark.parametrize("origin", [STRANGER, "https://a.example.evil", "http://a.example", "null"])
async def test_another_origin_is_served_but_may_not_read(origin):
    answer = await ask(CORS(allow_origins=[FRIEND])(APP), headers={"origin": origin})
    assert answer.status == 200
    assert answer["access-control-allow-origin"] is None
    assert answer["vary"] == "Origin"


async def test_two_origins_in_one_request_are_none():
    headers = [("origin", FRIEND), ("origin", FRIEND)]
    answer = await ask(CORS(allow_origins=[FRIEND])(APP), headers=headers)
    assert answer["access-control-allow-origin"] is None


async def test_the_response_without_an_origin_still_depends_on_it():
    # A cache would otherwise give it to a page of another origin.
    answer = await ask(CORS(allow_origins=[FRIEND])(APP))
    assert answer["vary"] == "Origin"
    assert answer["access-control-allow-origin"] is None


async def test_with_a_star_nothing_depends_on_the_origin():
    app = CORS(allow_origins=["*"])(APP)
    answer = await ask(app, headers={"origin": STRANGER})
    assert answer["access-control-allow-origin"] == "*"
    assert answer["vary"] is None
    assert (await ask(app))["access-control-allow-origin"] is None


async def test_credentials_and_exposed_fields_are_told_with_the_response():
    wrap = CORS(allow_origins=[FRIEND], allow_credentials=True, expose_headers=["X-A", "X-B"])
    answer = await ask(wrap(APP), headers={"origin": FRIEND})
    assert answer["access-control-allow-credentials"] == "true"
    assert answer["access-control-expose-headers"] == "X-A, X-B"


async def test_a_pattern_must_match_the_whole_origin():
    app = CORS(allow_origin_regex=r"https://[a-z]+\.example")(APP)
    assert (await ask(app, headers={"origin": STRANGER}))["access-control-allow-origin"] == STRANGER
    for origin in ("https://a.example.evil", "xhttps://a.example"):
        answer = await ask(app, headers={"origin": origin})
        assert answer["access-control-allow-origin"] is None


async def test_null_is_allowed_by_name_only():
    headers = {"origin": "null"}
    answer = await ask(CORS(allow_origins=["null"])(APP), headers=headers)
    assert answer["access-control-allow-origin"] == "null"


@pytest.mark.parametrize("status", [304, 404, 500])
async def test_errors_are_marked_too(status):
    app = CORS(allow_origins=[FRIEND])(page(b"", status=status))
    answer = await ask(app, headers={"origin": FRIEND})
    assert (answer.status, answer["access-control-allow-origin"]) == (status, FRIEND)


async def test_what_the_application_says_about_origins_is_replaced():
    app = page(b"", headers={"access-control-allow-origin": "*", "vary": "Cookie"})
    answer = await ask(CORS(allow_origins=[FRIEND])(app), headers={"origin": FRIEND})
    assert answer["access-control-allow-origin"] == FRIEND
    assert answer["vary"] == "Cookie, Origin"


async def test_a_preflight_is_answered_without_the_application():
    app = Recorder()
    wrap = CORS(allow_origins=[FRIEND], allow_methods=["PUT"], allow_headers=["X-A"], max_age=5)
    answer = await ask(wrap(app), **preflight(access_control_request_headers="x-a"))
    assert app.scopes == []
    assert (answer.status, answer.body) == (204, b"")
    assert answer["access-control-allow-origin"] == FRIEND
    assert answer["access-control-allow-methods"] == "PUT"
    allowed = "X-A, accept, accept-language, content-language, content-type"
    assert answer["access-control-allow-headers"] == allowed
    assert answer["access-control-max-age"] == "5"
    assert answer["vary"] == "Origin"


async def test_a_preflight_of_another_origin_says_why_not():
    app = Recorder()
    answer = await ask(CORS(allow_origins=[FRIEND])(app), **preflight(STRANGER))
    assert app.scopes == []
    assert answer.status == 403
    assert answer["content-type"] == "application/problem+json"
    assert "origin" in json.loads(answer.body)["detail"]
    assert answer["access-control-allow-origin"] is None
    assert answer["vary"] == "Origin"


async def test_a_star_for_methods_and_headers_repeats_what_is_asked_for():
    # With credentials a browser takes "*" literally.
    wrap = CORS(
        allow_origins=[FRIEND], allow_methods=["*"], allow_headers=["*"], allow_credentials=True
    )
    answer = await ask(wrap(APP), **preflight(access_control_request_headers="authorization,x-b"))
    assert answer["access-control-allow-methods"] == "PUT"
    assert answer["access-control-allow-headers"] == "authorization,x-b"
    assert answer["access-control-allow-credentials"] == "true"
    asked = "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"
    assert answer["vary"] == asked
    assert (await ask(wrap(APP), **preflight()))["access-control-allow-headers"] is None


async def test_a_preflight_for_everybody_names_nobody():
    answer = await ask(CORS(allow_origins=["*"])(APP), **preflight(STRANGER))
    assert answer["access-control-allow-methods"] == "GET, HEAD, POST"
    assert answer["access-control-max-age"] == "600"
    assert answer["access-control-allow-origin"] == "*"
    assert answer["vary"] is None


@pytest.mark.parametrize(("allow", "told"), [(True, "true"), (False, None)])
async def test_a_private_network_is_opened_only_if_told_so(allow, told):
    wrap = CORS(allow_origins=[FRIEND], allow_private_network=allow)
    asked = preflight(access_control_request_private_network="true")
    assert (await ask(wrap(APP), **asked))["access-control-allow-private-network"] == told
    assert (await ask(wrap(APP), **preflight()))["access-control-allow-private-network"] is None


@pytest.mark.parametrize("headers", [{"origin": FRIEND}, {"access-control-request-method": "PUT"}])
async def test_other_options_requests_reach_the_application(headers):
    app = Recorder()
    await ask(CORS(allow_origins=[FRIEND])(app), headers=headers, method="OPTIONS")
    assert len(app.scopes) == 1
