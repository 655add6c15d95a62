//! Just enough DER to take an RSA key apart. X.690 section 8, RFC 5208 section 5, RFC 8017 appendix A.1.

/// The private integers of an RSA key, big-endian without leading zeros.
pub(super) struct RsaIntegers<'a> {
    pub(super) d: &'a [u8],
    pub(super) p: &'a [u8],
    pub(super) q: &'a [u8],
    pub(super) dp: &'a [u8],
    pub(super) dq: &'a [u8],
    pub(super) qi: &'a [u8],
}

/// The integers within a PKCS#8 `PrivateKeyInfo` that holds an `RSAPrivateKey`.
pub(super) fn rsa_private(pkcs8: &[u8]) -> Option<RsaIntegers<'_>> {
    let (info, _) = element(SEQUENCE, pkcs8)?;
    let (_version, info) = element(INTEGER, info)?;
    let (_algorithm, info) = element(SEQUENCE, info)?;
    let (key, _) = element(OCTET_STRING, info)?;
    let (key, _) = element(SEQUENCE, key)?;
    let (_version, rest) = element(INTEGER, key)?;
    let (_n, rest) = unsigned(rest)?;
    let (_e, rest) = unsigned(rest)?;
    let (d, rest) = unsigned(rest)?;
    let (p, rest) = unsigned(rest)?;
    let (q, rest) = unsigned(rest)?;
    let (dp, rest) = unsigned(rest)?;
    let (dq, rest) = unsigned(rest)?;
    let (qi, _) = unsigned(rest)?;
    Some(RsaIntegers { d, p, q, dp, dq, qi })
}

/// Modulus and exponent of a PKCS#1 `RSAPublicKey`.
pub(super) fn rsa_public(pkcs1: &[u8]) -> Option<(&[u8], &[u8])> {
    let (key, _) = element(SEQUENCE, pkcs1)?;
    let (n, rest) = unsigned(key)?;
    let (e, _) = unsigned(rest)?;
    Some((n, e))
}

fn unsigned(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (content, rest) = element(INTEGER, der)?;
    // A zero in front only keeps the number from looking negative.
    Some((content.strip_prefix(&[0]).unwrap_or(content), rest))
}

/// Splits off an element of this tag: its content, and what follows it.
fn element(tag: u8, der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&own, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first().filter(|_| own == tag)?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81 => {
            let (&length, rest) = rest.split_first()?;
            (usize::from(length), rest)
        }
        0x82 => {
            let (length, rest) = rest.split_first_chunk::<2>()?;
            (usize::from(u16::from_be_bytes(*length)), rest)
        }
        _ => return None,
    };
    rest.split_at_checked(length)
}

const INTEGER: u8 = 0x02;
const OCTET_STRING: u8 = 0x04;
const SEQUENCE: u8 = 0x30;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_element_is_split_off_whatever_form_its_length_has() {
        assert_eq!(element(INTEGER, &[2, 1, 7, 9]), Some((&[7][..], &[9][..])));
        assert_eq!(element(INTEGER, &[2, 0x81, 1, 7]), Some((&[7][..], &[][..])));
        assert_eq!(element(INTEGER, &[2, 0x82, 0, 1, 7]), Some((&[7][..], &[][..])));
        assert_eq!(unsigned(&[2, 2, 0, 0x80]), Some((&[0x80][..], &[][..])));
    }

    #[test]
    fn what_is_cut_short_or_of_another_tag_is_nothing() {
        for der in
            [&[][..], &[2], &[2, 1], &[2, 0x81], &[2, 0x82, 0], &[2, 0x83, 0, 0, 0], &[2, 0x80], &[4, 0]]
        {
            assert_eq!(element(INTEGER, der), None, "{der:?}");
        }
    }
}
