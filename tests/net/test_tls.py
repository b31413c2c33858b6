"""Certificates as files: what is read, refused, chosen, replaced, and when it ends."""

from __future__ import annotations

import logging
import os
import ssl
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.authority import Files, authority

from tidegate.errors import ConfigError
from tidegate.net.certificates import Certificates, Pair, TlsSettings

DAY = 86400.0


class Walls:
    """A wall clock that a test sets."""

    def __init__(self, now: datetime) -> None:
        self.now = now.timestamp()

    def __call__(self) -> float:
        return self.now


def settings(files: Files, **more: object) -> TlsSettings:
    return TlsSettings((Pair(files.certfile, files.keyfile),), **more)  # type: ignore[arg-type]


def agree(
    certificates: Certificates, client: ssl.SSLContext, name: str | None = "localhost"
) -> tuple[ssl.SSLObject, ssl.SSLObject]:
    """Shake hands in memory; return both ends."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = certificates.context.wrap_bio(to_server, to_client, server_side=True)
    theirs = client.wrap_bio(to_client, to_server, server_hostname=name)
    for end in (theirs, ours, theirs, ours, theirs):
        try:
            end.do_handshake()
        except ssl.SSLWantReadError:
            pass
    return ours, theirs


def shown(certificates: Certificates, name: str | None = "localhost") -> str:
    """Return the certificate that a client sees."""
    client = authority().context(checks_host=False)
    _, theirs = agree(certificates, client, name)
    seen = theirs.getpeercert(binary_form=True)
    assert seen is not None
    return ssl.DER_cert_to_PEM_cert(seen)


# What is agreed.


def test_only_tls_1_2_and_1_3_are_spoken(tmp_path: Path) -> None:
    certificates = Certificates(settings(authority().issue(tmp_path)))
    assert certificates.context.minimum_version == ssl.TLSVersion.TLSv1_2
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        client = authority().context()
        client.minimum_version = client.maximum_version = version
        _, theirs = agree(certificates, client)
        assert theirs.version() == version.name.replace("_", ".")


def test_every_cipher_has_forward_secrecy_and_authenticates_what_it_encrypts(
    tmp_path: Path,
) -> None:
    certificates = Certificates(settings(authority().issue(tmp_path)))
    for cipher in certificates.context.get_ciphers():
        assert cipher["aead"], cipher
        assert "ECDHE" in cipher["name"] or cipher["protocol"] == "TLSv1.3", cipher


def test_the_client_cannot_negotiate_again_or_compress(tmp_path: Path) -> None:
    options = Certificates(settings(authority().issue(tmp_path))).context.options
    assert options & ssl.OP_NO_RENEGOTIATION
    assert options & ssl.OP_NO_COMPRESSION


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [(["h2", "http/1.1"], "http/1.1"), (["h2"], None), ([], None)],
)
def test_alpn_offers_what_is_spoken(tmp_path: Path, offered: list[str], chosen: str | None) -> None:
    certificates = Certificates(settings(authority().issue(tmp_path)))
    client = authority().context()
    if offered:
        client.set_alpn_protocols(offered)
    _, theirs = agree(certificates, client)
    assert theirs.selected_alpn_protocol() == chosen


def test_the_operator_may_choose_the_ciphers_of_tls_1_2(tmp_path: Path) -> None:
    files = authority().issue(tmp_path)
    certificates = Certificates(settings(files, ciphers="ECDHE+CHACHA20"))
    client = authority().context()
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    _, theirs = agree(certificates, client)
    cipher = theirs.cipher()
    assert cipher is not None
    assert "CHACHA20" in cipher[0]


# Which certificate is shown.


def test_a_name_chooses_its_certificate_and_an_unknown_one_gets_the_first(tmp_path: Path) -> None:
    hosts = ("", "a.example", "*.b.example")
    pairs = [authority().issue(tmp_path, name=f"pair{n}") for n in range(3)]
    made = Certificates(
        TlsSettings(
            tuple(
                Pair(files.certfile, files.keyfile, host)
                for files, host in zip(pairs, hosts, strict=True)
            )
        )
    )
    pems = [Path(files.certfile).read_text() for files in pairs]
    assert shown(made, "a.example") == pems[1]
    assert shown(made, "A.Example") == pems[1]
    assert shown(made, "x.b.example") == pems[2]
    for unknown in ("localhost", "b.example", "y.x.b.example", "x.a.example", None):
        assert shown(made, unknown) == pems[0], unknown


def test_key_and_certificate_may_share_a_file(tmp_path: Path) -> None:
    files = authority().issue(tmp_path)
    both = tmp_path / "both.pem"
    both.write_text(Path(files.keyfile).read_text() + Path(files.certfile).read_text())
    certificates = Certificates(TlsSettings((Pair(str(both)),)))
    assert shown(certificates) == Path(files.certfile).read_text()


# The password of the key.


def test_the_password_opens_the_key(tmp_path: Path) -> None:
    files = authority().issue(tmp_path, password="open sesame")
    shown(Certificates(settings(files, password="open sesame")))
    file = tmp_path / "password"
    file.write_text("open sesame\n")
    shown(Certificates(settings(files, password_file=str(file))))


@pytest.mark.parametrize(
    ("password", "words"),
    [("wrong", "the password does not open the key"), (None, "the key is encrypted")],
)
def test_a_password_that_does_not_open_the_key_is_said(
    tmp_path: Path, password: str | None, words: str
) -> None:
    files = authority().issue(tmp_path, password="open sesame")
    with pytest.raises(ConfigError, match=f"server.key: {words}"):
        Certificates(settings(files, password=password))


# What cannot be used.


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    files = authority().issue(tmp_path)
    for name in (files.certfile, files.keyfile):
        kept = Path(name).read_text()
        os.unlink(name)
        with pytest.raises(ConfigError, match=f"{name}: .*cannot be read: No such file"):
            Certificates(settings(files))
        Path(name).write_text(kept)
    with pytest.raises(ConfigError, match=r"gone: the CA file cannot be read"):
        Certificates(settings(files, ca_certs=str(tmp_path / "gone")))
    with pytest.raises(ConfigError, match=r"gone: the password file cannot be read"):
        Certificates(settings(files, password_file=str(tmp_path / "gone")))


def test_the_key_of_another_certificate_is_refused(tmp_path: Path) -> None:
    files = authority().issue(tmp_path)
    other = authority().issue(tmp_path, name="other")
    with pytest.raises(ConfigError, match=r"other\.key: is not the key of .*server\.pem"):
        Certificates(settings(Files(files.certfile, other.keyfile)))


def test_what_is_not_pem_is_refused(tmp_path: Path) -> None:
    files = authority().issue(tmp_path)
    der = tmp_path / "server.der"
    der.write_bytes(ssl.PEM_cert_to_DER_cert(Path(files.certfile).read_text()))
    for bad, words in (
        (Files(str(der), files.keyfile), "server.der: the certificate file is not text"),
        (Files(files.keyfile, files.keyfile), "server.key: holds no certificate"),
        (Files(files.certfile, files.certfile), "server.pem: holds no private key"),
    ):
        with pytest.raises(ConfigError, match=words):
            Certificates(settings(bad))
    damaged = tmp_path / "damaged.pem"
    damaged.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    with pytest.raises(ConfigError, match=r"damaged\.pem"):
        Certificates(settings(Files(str(damaged), files.keyfile)))
    with pytest.raises(ConfigError, match=r"server\.key: "):
        Certificates(settings(files, ca_certs=files.keyfile))


def test_ciphers_that_do_not_exist_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"ssl_ciphers: .*'SOUP'"):
        Certificates(settings(authority().issue(tmp_path), ciphers="SOUP"))


# When it ends.


@pytest.mark.parametrize("year", [2031, 2063])  # UTCTime, and GeneralizedTime from 2050 on
def test_the_end_is_read_from_the_certificate(tmp_path: Path, year: int) -> None:
    end = datetime(year, 2, 28, 23, 59, 58, tzinfo=UTC)
    files = authority().issue(tmp_path, not_after=end)
    assert Certificates(settings(files)).expiries() == {files.certfile: end.timestamp()}


def test_three_weeks_before_the_end_the_log_warns_once_a_day(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    end = datetime(2031, 3, 1, 12, tzinfo=UTC)
    walls = Walls(datetime(2031, 2, 7, tzinfo=UTC))
    files = authority().issue(tmp_path, not_after=end)
    certificates = Certificates(settings(files), walls)
    said: list[list[str]] = []
    for _ in range(3):
        caplog.clear()
        certificates.warn()
        certificates.on_deadline(0.0)  # not twice on one day
        said.append(caplog.messages.copy())
        walls.now += DAY
    assert said[0] == []
    assert said[1] == []
    assert said[2] == [
        f"The certificate in {files.certfile} expires in 20 days: 2031-03-01 12:00 UTC"
    ]
    caplog.clear()
    certificates.on_deadline(5.0)
    assert len(caplog.messages) == 1
    assert "expires in 19 days" in caplog.messages[0]
    walls.now += 20 * DAY
    caplog.clear()
    certificates.on_deadline(10.0)
    assert caplog.messages == [
        f"The certificate in {files.certfile} has expired: 2031-03-01 12:00 UTC"
    ]
    assert caplog.records[0].levelno == logging.WARNING


# Replacing it.


def replace(old: Files, new: Files) -> None:
    os.replace(new.certfile, old.certfile)
    os.replace(new.keyfile, old.keyfile)


def test_new_files_are_seen_by_their_change(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "tidegate.error")
    files = authority().issue(tmp_path)
    certificates = Certificates(settings(files))
    before = certificates.context
    certificates.on_deadline(100.0)
    assert certificates.context is before
    assert 100.0 < certificates.deadline <= 110.0
    replace(files, authority().issue(tmp_path, name="new"))
    certificates.on_deadline(105.0)
    assert certificates.context is not before
    assert shown(certificates) == Path(files.certfile).read_text()
    assert caplog.messages == ["The certificates have been read again"]


def test_a_bad_pair_keeps_the_old_one_and_is_reported_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    files = authority().issue(tmp_path)
    old = Path(files.certfile).read_text()
    certificates = Certificates(settings(files))
    new = authority().issue(tmp_path, name="new")
    os.replace(new.certfile, files.certfile)
    for now in (1.0, 2.0, 3.0):
        certificates.on_deadline(now)
    assert shown(certificates) == old
    (message,) = caplog.messages
    assert message.startswith("The certificates are not replaced: ")
    assert f"{files.keyfile}: is not the key of {files.certfile}" in message
    # The other half arrives.
    os.replace(new.keyfile, files.keyfile)
    certificates.on_deadline(4.0)
    assert shown(certificates) == Path(files.certfile).read_text() != old


def test_files_that_are_gone_keep_the_old_certificate(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    files = authority().issue(tmp_path)
    old = Path(files.certfile).read_text()
    certificates = Certificates(settings(files))
    os.unlink(files.keyfile)
    certificates.on_deadline(1.0)
    certificates.on_deadline(2.0)
    assert shown(certificates) == old
    assert len(caplog.messages) == 1
