"""What is said to each application, and to no other."""

from __future__ import annotations

import json
import re

from visitor import Conversation, Visitor

__all__ = ["CONVERSATIONS", "DRAWN", "IN_CHUNKS", "chunked_uploads"]

BOUNDARY = "a-boundary"
MULTIPART = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
JSON = {"Content-Type": "application/json"}
OCTETS = {"Content-Type": "application/octet-stream"}


def multipart(size: int) -> bytes:
    """A form with one field and one file."""
    disposition = "Content-Disposition: form-data; name="
    parts = [
        f'--{BOUNDARY}\r\n{disposition}"field"\r\n\r\ngroß\r\n'.encode(),
        f'--{BOUNDARY}\r\n{disposition}"file"; filename="Übersicht.bin"\r\n'.encode(),
        b"Content-Type: application/octet-stream\r\n\r\n",
        bytes(range(256)) * (size // 256),
        f"\r\n--{BOUNDARY}--\r\n".encode(),
    ]
    return b"".join(parts)


IN_CHUNKS = [bytes([n]) * 9_973 for n in range(40)]


def queries(visitor: Visitor) -> None:
    visitor.ask("GET", "/")
    visitor.ask("HEAD", "/")
    visitor.ask("GET", "/?a=1&a=2&empty=&plus=a+b&utf8=%C3%A9")
    visitor.ask("GET", "/nowhere")
    visitor.ask("GET", "/nowh%C3%A9re/%2F/%C3%BC?q=%2F")
    visitor.ask("DELETE", "/")
    visitor.ask("OPTIONS", "/")


def odd_queries(visitor: Visitor) -> None:
    visitor.ask("GET", "/?odd=%FF%00%0A&semi;colon&=x&%26=%3D&%zz=%")
    visitor.ask("GET", "/nowh%C3%A9re/%2F/%E9")


def forms(visitor: Visitor) -> None:
    visitor.post_form("/form", "a=1&a=2&b=%C3%BC&d=")
    visitor.ask("POST", "/form", multipart(1_000), MULTIPART)
    visitor.ask("POST", "/form", multipart(3_000_000), MULTIPART)


def documents(visitor: Visitor) -> None:
    visitor.ask("POST", "/json", json.dumps({"ü": [1, None, 2.5]}).encode(), JSON)


def broken_documents(visitor: Visitor) -> None:
    visitor.ask("POST", "/json", b"{broken", JSON)


def uploads(visitor: Visitor) -> None:
    visitor.ask("POST", "/upload", b"", OCTETS)
    visitor.ask("POST", "/upload", bytes(2_000_000), OCTETS)
    visitor.ask("POST", "/upload", b"x" * 50, {**OCTETS, "Expect": "100-continue"})


def chunked_uploads(visitor: Visitor) -> None:
    visitor.ask("POST", "/upload", IN_CHUNKS, OCTETS)
    visitor.ask("POST", "/upload", [], OCTETS)
    visitor.ask("POST", "/upload", [b"x"], OCTETS)


def unread_upload(visitor: Visitor) -> None:
    """The next request on the connection must not be taken for content."""
    visitor.ask("POST", "/nowhere", bytes(200_000), OCTETS)
    visitor.ask("GET", "/")


def cookies(visitor: Visitor) -> None:
    for _ in range(3):
        visitor.ask("GET", "/count")


def redirects(visitor: Visitor) -> None:
    visitor.ask("GET", "/leave")
    visitor.ask("HEAD", "/leave")
    visitor.ask("GET", "/?after=leave")


def streams(visitor: Visitor) -> None:
    visitor.ask("GET", "/stream")
    visitor.ask("HEAD", "/stream")


def static_at(target: str, large: str) -> Conversation:
    """Files at ``target``, conditional requests for them, and parts of a large one."""

    def static(visitor: Visitor) -> None:
        visitor.ask("GET", target)
        visitor.ask("HEAD", target)
        modified = dict(visitor.answers[-1].headers).get("last-modified", "")
        visitor.ask("GET", target, None, {"If-Modified-Since": modified})
        visitor.ask("GET", target, None, {"If-Modified-Since": "Thu, 01 Jan 1970 00:00:00 GMT"})
        tag = dict(visitor.answers[-1].headers).get("etag", '"none"')
        visitor.ask("GET", target, None, {"If-None-Match": tag})
        visitor.ask("GET", target + ".missing")
        visitor.ask("GET", large)
        for span in ("0-0", "1000000-1999999", "-5", "2999990-", "9999999-", "5-1", "0-1,5-6"):
            visitor.ask("GET", large, None, {"Range": f"bytes={span}"})

    return static


def failures(visitor: Visitor) -> None:
    visitor.ask("GET", "/gone")
    visitor.ask("GET", "/")


def flask_environ(visitor: Visitor) -> None:
    visitor.ask("GET", "/environ/a%2Fb//c;d/%C3%A9/%FF?q=%2F&r=%FF")
    visitor.ask("POST", "/environ/x", b"12345", {"X-One": "caf\xe9", "Content-Type": "a/b; c=d"})
    visitor.ask("POST", "/environ/x", b"")
    visitor.ask("OPTIONS", "/environ/x")
    visitor.ask("DELETE", "/environ/x", None, {"X-Empty": "", "Accept": "a, b;q=0.5"})
    visitor.ask("GET", "http://shop.example/environ/absolute?x=1")
    visitor.ask("GET", "/environ/x?" + "q=" + "v" * 3_000, None, {"X-Long": "w" * 4_000})


def flask_answers(visitor: Visitor) -> None:
    visitor.ask("GET", "/status/299")
    visitor.ask("GET", "/status/404")
    visitor.ask("GET", "/empty")
    visitor.ask("HEAD", "/empty")
    visitor.ask("GET", "/count")
    visitor.ask("GET", "/forget")
    visitor.ask("GET", "/count")


def token_of(page: bytes) -> str:
    found = re.search(rb'name="csrfmiddlewaretoken" value="([^"]+)"', page)
    assert found, page
    return found[1].decode()


def admin(visitor: Visitor) -> None:
    """Log in, create, change and delete through the pages a person would use."""
    visitor.ask("GET", "/admin/")
    login = "/admin/login/?next=/admin/"
    credentials = "username=admin&password={}&next=%2Fadmin%2F&csrfmiddlewaretoken={}"
    token = token_of(visitor.ask("GET", login))
    visitor.post_form(login, credentials.format("secret", "forged"))
    visitor.post_form(login, credentials.format("wrong", token))
    visitor.post_form(login, credentials.format("secret", token))
    assert visitor.answers[-1].status == 302
    assert b"Groups" in visitor.ask("GET", "/admin/")
    visitor.ask("GET", "/admin/auth/group/?q=Gruppe")
    visitor.ask("GET", "/admin/auth/group/?o=-1&p=1")
    add = "/admin/auth/group/add/"
    token = token_of(visitor.ask("GET", add))
    visitor.post_form(add, f"name=&csrfmiddlewaretoken={token}")
    visitor.post_form(add, f"name=Neue+Gr%C3%BC%C3%9Fe&_save=Save&csrfmiddlewaretoken={token}")
    assert visitor.answers[-1].status == 302
    page = visitor.ask("GET", "/admin/auth/group/?q=Neue")
    found = re.search(rb"/admin/auth/group/(\d+)/change/", page)
    assert found, page
    one = f"/admin/auth/group/{int(found[1])}"
    token = token_of(visitor.ask("GET", f"{one}/change/"))
    visitor.post_form(f"{one}/delete/", f"post=yes&csrfmiddlewaretoken={token}")
    visitor.ask("GET", f"{one}/change/")
    visitor.post_form("/admin/logout/", f"csrfmiddlewaretoken={token}")
    visitor.ask("GET", "/admin/")


def orm(visitor: Visitor) -> None:
    visitor.ask("GET", "/groups?q=f%C3%BCr+1")
    visitor.post_form("/rename", "name=undone+7&undo=1")
    visitor.ask("GET", "/groups?q=undone")
    visitor.post_form("/rename", "name=done+7")
    visitor.ask("GET", "/groups?q=done")


def httpbin_reads(visitor: Visitor) -> None:
    for target in (
        *("/get?a=1&b=%C3%A9", "/anything/some/path?x=%FF", "/headers", "/ip", "/user-agent"),
        *("/robots.txt", "/html", "/json", "/xml", "/encoding/utf8", "/deny", "/forms/post"),
        *("/image/png", "/image/svg", "/deflate", "/brotli", "/links/3/1", "/base64/w7w%3D"),
        *("/status/418", "/status/204", "/status/304", "/status/503", "/status/401"),
        *("/response-headers?X-One=1&X-One=2", "/cache/60", "/delay/0", "/bytes/5000?seed=7"),
        *("/stream/5", "/stream-bytes/9000?seed=7&chunk_size=1000", "/drip?duration=0&numbytes=9"),
        *("/redirect/2", "/relative-redirect/2", "/absolute-redirect/2", "/nowhere"),
        *("/redirect-to?url=%2Fget&status_code=307", "/cookies/set?one=1", "/cookies"),
        *("/cookies/delete?one=", "/hidden-basic-auth/u/p", "/basic-auth/u/p", "/bearer"),
    ):
        visitor.ask("GET", target)
    for target in ("/get", "/stream/3", "/image/jpeg", "/status/200", "/gzip", "/drip?duration=0"):
        visitor.ask("HEAD", target)


def httpbin_conditions(visitor: Visitor) -> None:
    visitor.ask("GET", "/cache", None, {"If-Modified-Since": "Thu, 01 Jan 2026 00:00:00 GMT"})
    visitor.ask("GET", "/etag/one", None, {"If-None-Match": '"one"'})
    visitor.ask("GET", "/etag/one", None, {"If-Match": '"two"'})
    for span in ("0-9", "1000-", "-7", "5000-6000"):
        visitor.ask("GET", "/range/2048", None, {"Range": f"bytes={span}"})
    visitor.ask("GET", "/basic-auth/u/p", None, {"Authorization": "Basic dTpw"})
    visitor.ask("GET", "/bearer", None, {"Authorization": "Bearer abc"})
    visitor.ask("GET", "/image", None, {"Accept": "image/webp"})
    origin = {"Origin": "https://other.example", "Access-Control-Request-Method": "PUT"}
    visitor.ask("OPTIONS", "/anything", None, origin)


def httpbin_writes(visitor: Visitor) -> None:
    visitor.post_form("/post", "a=1&a=2&b=%C3%BC")
    visitor.ask("POST", "/post", multipart(2_560), MULTIPART)
    visitor.ask("PUT", "/put", b'{"a": 1}', JSON)
    visitor.ask("PATCH", "/patch", b"\xff\xfe\x00", OCTETS)
    visitor.ask("DELETE", "/delete")
    visitor.ask("POST", "/get", b"not allowed")
    visitor.ask("POST", "/status/201", b"")


def webdav(visitor: Visitor) -> None:
    """A folder is filled, read, changed and emptied."""
    visitor.ask("OPTIONS", "/")
    visitor.ask("MKCOL", "/folder")
    visitor.ask("MKCOL", "/folder")
    visitor.ask("PUT", "/folder/%C3%BCber.txt", b"0123456789" * 20_000)
    visitor.ask("PUT", "/folder/chunks.bin", IN_CHUNKS)
    for target in ("/folder/%C3%BCber.txt", "/folder/chunks.bin", "/folder/missing"):
        visitor.ask("GET", target)
        visitor.ask("HEAD", target)
    for span in ("0-9", "-5", "199990-", "999999-"):
        visitor.ask("GET", "/folder/%C3%BCber.txt", None, {"Range": f"bytes={span}"})
    wanted = b"<D:getcontentlength/><D:resourcetype/><D:displayname/>"
    body = b'<D:propfind xmlns:D="DAV:"><D:prop>' + wanted + b"</D:prop></D:propfind>"
    kind = {"Content-Type": "application/xml"}
    visitor.ask("PROPFIND", "/folder", body, {**kind, "Depth": "1"})
    visitor.ask("COPY", "/folder/chunks.bin", None, {"Destination": "/folder/copy.bin"})
    visitor.ask("MOVE", "/folder/copy.bin", None, {"Destination": "/moved.bin"})
    visitor.ask("GET", "/moved.bin")
    visitor.ask("PROPFIND", "/", body, {**kind, "Depth": "infinity"})
    visitor.ask("DELETE", "/folder")
    visitor.ask("GET", "/folder/chunks.bin")
    visitor.ask("BREW", "/")


ODD = [odd_queries, broken_documents]
SMALL = [queries, forms, documents, uploads, unread_upload, cookies, redirects, streams, failures]
DJANGO = [
    queries,
    odd_queries,
    forms,
    uploads,
    unread_upload,
    cookies,
    redirects,
    streams,
    orm,
    admin,
]
STATIC = static_at("/static/text.txt", "/static/large.bin")

CONVERSATIONS: dict[str, list[Conversation]] = {
    "bottle": [*SMALL, *ODD, STATIC],
    "django": [*DJANGO, static_at("/files/text.txt", "/file")],
    "django_postgresql": [orm, admin, cookies],
    "flask": [
        *(*SMALL, *ODD, STATIC, static_at("/static/text.txt", "/file")),
        *(chunked_uploads, flask_environ, flask_answers),
    ],
    "httpbin": [httpbin_reads, httpbin_conditions, httpbin_writes],
    # Pyramid leaves odd bytes to the server, as it does all that a view raises.
    "pyramid": [*SMALL, chunked_uploads, STATIC, static_at("/static/text.txt", "/file")],
    "webdav": [webdav],
}

# Application -> headers of which only their presence is compared, and why.
DRAWN = {
    "django": ["expires"],  # counted from the time of the answer
    "django_postgresql": ["expires"],
    "webdav": ["etag", "last-modified"],  # of files that each server has written itself
}
