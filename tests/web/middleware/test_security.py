"""Fields that make browsers careful."""

from __future__ import annotations

from tidegate.web.middleware import SecurityHeaders

from .driver import Recorder, ask, page

DEFAULTS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "strict-origin-when-cross-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "content-security-policy": "frame-ancestors 'none'",
}
HSTS = "strict-transport-security"


async def test_the_defaults_are_careful():
    answer = await ask(SecurityHeaders()(page(headers={"x-a": "b"})))
    assert dict(answer.headers) == {"x-a": "b", **DEFAULTS}
    assert len(answer.headers) == len(DEFAULTS) + 1


async def test_transport_security_is_said_over_tls_only():
    app = SecurityHeaders(hsts_max_age=31_536_000, hsts_include_subdomains=True, hsts_preload=True)(
        page()
    )
    assert (await ask(app))[HSTS] is None
    answer = await ask(app, scheme="https")
    assert answer[HSTS] == "max-age=31536000; includeSubDomains; preload"
    never = SecurityHeaders(hsts_max_age=0)(page())
    assert (await ask(never, scheme="https"))[HSTS] is None


async def test_what_the_application_sets_is_kept():
    app = page(headers={"X-Frame-Options": "SAMEORIGIN", "content-security-policy": "a"})
    answer = await ask(SecurityHeaders()(app))
    assert answer["x-frame-options"] is None
    assert answer["X-Frame-Options"] == "SAMEORIGIN"
    assert answer["content-security-policy"] == "a"
    assert answer["x-content-type-options"] == "nosniff"


async def test_everything_can_be_left_out():
    wrap = SecurityHeaders(
        hsts_max_age=0,
        frame_options=None,
        nosniff=False,
        referrer_policy=None,
        opener_policy=None,
        resource_policy=None,
    )
    assert (await ask(wrap(page()), scheme="https")).headers == []


async def test_features_are_listed():
    wrap = SecurityHeaders(permissions_policy={"camera": "()", "geolocation": "(self)"})
    answer = await ask(wrap(page()))
    assert answer["permissions-policy"] == "camera=(), geolocation=(self)"


async def test_frames_of_the_same_origin_can_be_allowed():
    answer = await ask(SecurityHeaders(frame_options="SAMEORIGIN")(page()))
    assert answer["content-security-policy"] == "frame-ancestors 'self'"


async def test_each_request_has_a_nonce_of_its_own():
    app = Recorder()
    wrap = SecurityHeaders("script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'")
    seen = set()
    for _ in range(2):
        answer = await ask(wrap(app))
        nonce = app.state["csp_nonce"]
        expected = f"script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'"
        assert answer["content-security-policy"] == expected
        assert len(nonce) >= 22
        seen.add(nonce)
    assert len(seen) == 2


async def test_a_policy_without_a_nonce_is_sent_as_it_is():
    app = Recorder()
    answer = await ask(SecurityHeaders("default-src 'self'")(app))
    assert answer["content-security-policy"] == "default-src 'self'"
    assert "csp_nonce" not in app.state


async def test_a_policy_can_be_tried_out():
    answer = await ask(SecurityHeaders("default-src 'self'", csp_report_only=True)(page()))
    assert answer["content-security-policy-report-only"] == "default-src 'self'"
    assert answer["content-security-policy"] is None


async def test_a_scope_without_state_gets_one():
    app = Recorder()

    async def server(scope, receive, send):
        del scope["state"]
        await SecurityHeaders("script-src 'nonce-{nonce}'")(app)(scope, receive, send)

    await ask(server)
    assert app.state["csp_nonce"]
