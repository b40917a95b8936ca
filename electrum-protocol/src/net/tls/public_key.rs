//! The public key of an X.509 certificate of any version.

/// The tags on the way to it (ITU-T X.690).
const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const VERSION: u8 = 0xa0;

/// Returns the `SubjectPublicKeyInfo` of a certificate in DER (RFC 5280, section 4.1), with its own head; nothing when
/// it is no certificate.
///
/// Whether what stands there is a key is for the signature to show.
pub fn public_key(certificate: &[u8]) -> Option<&[u8]> {
    let (certificate, _) = element(certificate, SEQUENCE)?;
    let (to_be_signed, _) = element(certificate.content, SEQUENCE)?;
    let mut rest = to_be_signed.content;
    // Absent in version 1.
    if rest.first() == Some(&VERSION) {
        (_, rest) = element(rest, VERSION)?;
    }
    // Serial number, signature algorithm, issuer, validity, subject.
    for tag in [INTEGER, SEQUENCE, SEQUENCE, SEQUENCE, SEQUENCE] {
        (_, rest) = element(rest, tag)?;
    }
    Some(element(rest, SEQUENCE)?.0.whole)
}

/// A value of DER.
struct Element<'a> {
    /// With its tag and length.
    whole: &'a [u8],
    content: &'a [u8],
}

/// Takes the element of a tag off the beginning.
fn element(bytes: &[u8], tag: u8) -> Option<(Element<'_>, &[u8])> {
    let (head, length) = match *bytes {
        [found, length @ ..=0x7f, ..] if found == tag => (2, usize::from(length)),
        [found, 0x81, length, ..] if found == tag => (3, usize::from(length)),
        [found, 0x82, high, low, ..] if found == tag => {
            (4, usize::from(u16::from_be_bytes([high, low])))
        }
        // A longer certificate than 64 KiB does not fit into a handshake.
        _ => return None,
    };
    let (whole, rest) = bytes.split_at_checked(head + length)?;
    let content = whole.get(head..)?;
    Some((Element { whole, content }, rest))
}
