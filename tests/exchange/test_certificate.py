"""Certificates as DER: subject and end, compared with what a library wrote."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import NameOID

from tidegate.exchange.certificate import common_name, expiry, subject

END = datetime(2031, 7, 9, 12, 30, 5, tzinfo=UTC)
KEY = ec.generate_private_key(ec.SECP256R1())

CN, ORG, C = NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME, NameOID.COUNTRY_NAME


def attribute(
    kind: x509.ObjectIdentifier, value: str | bytes, form: _ASN1Type | None = None
) -> x509.NameAttribute:
    return x509.NameAttribute(kind, value, form, _validate=False)


def issued(*parts: list[x509.NameAttribute], end: datetime = END) -> bytes:
    """Return a certificate in DER whose subject has these parts."""
    name = x509.Name([x509.RelativeDistinguishedName(part) for part in parts])
    issuer = x509.Name([attribute(CN, "issuer")])
    builder = x509.CertificateBuilder(issuer, name, KEY.public_key(), 7)
    builder = builder.not_valid_before(datetime(2020, 1, 1, tzinfo=UTC)).not_valid_after(end)
    return builder.sign(KEY, SHA256()).public_bytes(Encoding.DER)


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        ([], ""),
        (
            [[attribute(C, "GB")], [attribute(ORG, "A, B")], [attribute(CN, "me")]],
            "CN=me,O=A\\, B,C=GB",
        ),
        ([[attribute(CN, "a"), attribute(NameOID.USER_ID, "b")]], "CN=a+UID=b"),
        ([[attribute(CN, " #x ")]], "CN=\\ #x\\ "),
        ([[attribute(CN, "#x")]], "CN=\\#x"),
        ([[attribute(CN, '"+;<>\\')]], 'CN=\\"\\+\\;\\<\\>\\\\'),
        ([[attribute(CN, "a\0b")]], "CN=a\\00b"),
        ([[attribute(CN, " ")]], "CN=\\ "),
        ([[attribute(NameOID.SERIAL_NUMBER, "7")]], "serialNumber=7"),
        ([[attribute(CN, "Żółw", _ASN1Type.BMPString)]], "CN=Żółw"),
        ([[attribute(CN, "Żółw", _ASN1Type.UniversalString)]], "CN=Żółw"),
        ([[attribute(NameOID.TITLE, "Dr", _ASN1Type.UTF8String)]], "2.5.4.12=#0c024472"),
        (
            [[attribute(NameOID.X500_UNIQUE_IDENTIFIER, b"\0a", _ASN1Type.BitString)]],
            "2.5.4.45=#03020061",
        ),
    ],
)
def test_a_subject_is_written_as_rfc_4514_says(
    parts: list[list[x509.NameAttribute]], text: str
) -> None:
    assert subject(issued(*parts)) == text


def test_a_text_that_is_none_is_shown_as_it_is() -> None:
    der = issued([attribute(CN, "me?")]).replace(b"\x0c\x03me?", b"\x0c\x03me\xff")
    assert subject(der) == "CN=#0c036d65ff"


def test_a_common_name_alone_is_escaped_too() -> None:
    assert common_name("a,b") == "CN=a\\,b"


@pytest.mark.parametrize("end", [END, datetime(2049, 12, 31, tzinfo=UTC)])
def test_the_end_is_read_from_both_forms_of_a_date(end: datetime) -> None:
    assert expiry(issued(end=end)) == end.timestamp()
    later = end.replace(year=2051)
    assert expiry(issued(end=later)) == later.timestamp()


def test_a_year_of_the_last_century_is_told_apart() -> None:
    der = issued().replace(b"310709123005Z", b"990709123005Z")
    assert expiry(der) == datetime(1999, 7, 9, 12, 30, 5, tzinfo=UTC).timestamp()


def test_a_certificate_of_version_1_has_no_version() -> None:
    der = issued([attribute(CN, "me")])
    # Within the outer sequence: an inner one that begins with its version.
    start = der.index(b"\xa0\x03\x02\x01\x02")
    old = der[: start - 2] + bytes((der[start - 2], der[start - 1] - 5)) + der[start + 5 :]
    old = old[:2] + bytes((old[2], old[3])) + old[4:]
    whole = bytearray(old)
    if whole[1] == 0x82:
        whole[2:4] = (int.from_bytes(whole[2:4], "big") - 5).to_bytes(2, "big")
    else:
        whole[2] -= 5
    assert subject(bytes(whole)) == "CN=me"


def test_what_is_cut_off_or_no_certificate_is_a_value_error() -> None:
    der = issued([attribute(CN, "me")])
    for size in (0, 1, 2, 3, 4, 5, 8, 20, 60, 90, len(der) - 1):
        with pytest.raises(ValueError, match=r"."):
            subject(der[:size])
    for bad in (b"\x30\x00", b"\x30\x03\x30\x01\xa0", b"nonsense" * 9, b"\xff" * 40):
        with pytest.raises(ValueError, match=r"."):
            subject(bad)
    empty = der.replace(b"\x06\x03\x55\x04\x03\x0c\x02me", b"\x06\x00\x0c\x05me...", 1)
    with pytest.raises(ValueError, match="identifier"):
        subject(empty)
