"""Why a certificate was refused, with the rule of RFC 5280 that it breaks, and what to do.

Python 3.13 and newer check certificates as RFC 5280 requires (`ssl.VERIFY_X509_STRICT`). So they
refuse many private CAs that older versions accept.
"""

import ssl
from collections.abc import Iterator, Mapping

RFC_5280_RULES: Mapping[int, tuple[str, str]] = {
    # Codes of OpenSSL (X509_V_ERR_…, x509_vfy.h) that only a strict check reports.
    80: ("4.2.1.9", "a pathLenConstraint in a certificate that is no CA's"),
    81: ("4.2.1.9", "a pathLenConstraint without keyCertSign in keyUsage"),
    82: ("4.2.1.9", "keyCertSign in keyUsage of a certificate that is no CA's"),
    83: ("4.1.2.4", "an empty issuer"),
    84: ("4.1.2.6", "an empty subject of a CA"),
    85: ("4.2.1.1", "no authorityKeyIdentifier (AKI)"),
    86: ("4.2.1.2", "a CA without subjectKeyIdentifier (SKI)"),
    87: ("4.2.1.6", "an empty subjectAltName"),
    88: ("4.2.1.6", "an empty subject with a subjectAltName that is not critical"),
    89: ("4.2.1.9", "basicConstraints of a CA that are not critical"),
    90: ("4.2.1.1", "an authorityKeyIdentifier that is critical"),
    91: ("4.2.1.2", "a subjectKeyIdentifier that is critical"),
    92: ("4.2.1.3", "a CA without keyUsage"),
    93: ("4.1.2.1", "extensions in a certificate that is not version 3"),
}
"""The section and what is wrong, by the code of the error."""


def certificate_error_of(error: BaseException) -> ssl.SSLCertVerificationError | None:
    """Return the certificate error that `error` is or was caused by, None if there is none."""
    return next(
        (one for one in _causes(error) if isinstance(one, ssl.SSLCertVerificationError)), None
    )


def describe_certificate_error(error: ssl.SSLCertVerificationError) -> str:
    """Return why the certificate was refused; nothing in it comes from the certificate itself."""
    found = RFC_5280_RULES.get(error.verify_code)
    if found:
        section, rule = found
        return f"it breaks RFC 5280 section {section}: {rule}"
    # OpenSSL's message for a wrong host name contains the name, which is that of the upstream.
    return error.verify_message


def breaks_rfc_5280(error: ssl.SSLCertVerificationError) -> bool:
    """Return whether only a strict check refuses the certificate."""
    return error.verify_code in RFC_5280_RULES


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or current.__context__
