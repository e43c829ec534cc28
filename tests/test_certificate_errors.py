"""A refused certificate is explained by the rule of RFC 5280 that it breaks."""

import asyncio
import datetime as dt
import ipaddress
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from app.certificate_errors import (
    RFC_5280_RULES,
    breaks_rfc_5280,
    certificate_error_of,
    describe_certificate_error,
)

Key = ec.EllipticCurvePrivateKey


def name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name)])


def certificate(subject: str, key: Key, issuer: str, issuer_key: Key, *extensions: object) -> bytes:
    """Return a certificate in PEM; each extension is a pair of it and whether it is critical."""
    now = dt.datetime.now(dt.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(subject))
        .issuer_name(name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
    )
    for extension, critical in extensions:  # type: ignore[misc]
        builder = builder.add_extension(extension, critical)  # type: ignore[has-type]
    return builder.sign(issuer_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def contexts(folder: Path, *, aki: bool, critical: bool) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return the contexts of a server and of a client, which checks strictly, of a private CA."""
    ca_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    usage = x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=True,
        crl_sign=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    ca = certificate(
        "private CA",
        ca_key,
        "private CA",
        ca_key,
        (x509.BasicConstraints(ca=True, path_length=None), critical),
        (x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key()), False),
        (usage, True),
    )
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key())
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    leaf = certificate(
        "server",
        key,
        "private CA",
        ca_key,
        (x509.SubjectAlternativeName([address]), False),
        *([(identifier, False)] if aki else []),
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    (folder / "server.pem").write_bytes(private + leaf)
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(folder / "server.pem")
    client = ssl.create_default_context(cadata=ca.decode())
    client.verify_flags |= ssl.VERIFY_X509_STRICT  # the default from Python 3.13 on
    return server, client


@pytest.mark.parametrize(
    ("aki", "critical", "section", "word"),
    [
        (False, True, "4.2.1.1", "authorityKeyIdentifier"),
        (True, False, "4.2.1.9", "basicConstraints"),
    ],
    ids=["no AKI", "uncritical basicConstraints"],
)
async def test_the_rule_that_a_private_ca_breaks_is_named(
    tmp_path: Path, aki: bool, critical: bool, section: str, word: str
) -> None:
    server, client = contexts(tmp_path, aki=aki, critical=critical)

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=server) as listening:
        port = listening.sockets[0].getsockname()[1]
        with pytest.raises(ssl.SSLCertVerificationError) as raised:
            await asyncio.open_connection("127.0.0.1", port, ssl=client)
    wrapped = OSError("a library wraps it")
    wrapped.__cause__ = raised.value
    found = certificate_error_of(wrapped)
    assert found is raised.value
    assert breaks_rfc_5280(found)
    assert f"section {section}" in describe_certificate_error(found)
    assert word in describe_certificate_error(found)


def test_other_errors_are_described_by_openssl() -> None:
    error = ssl.SSLCertVerificationError("refused")
    error.verify_code, error.verify_message = 10, "certificate has expired"
    assert describe_certificate_error(error) == "certificate has expired"
    assert not breaks_rfc_5280(error)


def test_an_error_without_a_certificate_error_has_none_also_if_it_is_its_own_cause() -> None:
    error = OSError("refused")
    assert certificate_error_of(error) is None
    other = ValueError("other")
    error.__context__, other.__context__ = other, error
    assert certificate_error_of(error) is None


def test_every_rule_has_a_section_of_the_rfc() -> None:
    assert all(section.startswith("4.") for section, _ in RFC_5280_RULES.values())
