//! Subjects of certificates. RFC 4514, RFC 5280 section 4.1.2.4.

use std::str::FromStr;

use x509_parser::asn1_rs::Tag;
use x509_parser::x509::X509Name;

/// The name of a subject: its relative names from the most general one on, each a set of types and values.
///
/// SPEC: RFC 8705 section 2.1.2 compares as RFC 4517 has it, which knows no case and folds white space. Here values
/// are compared as they are written, so that a name that merely looks alike is another one; who registers it copies it
/// from the certificate.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DistinguishedName(Vec<Vec<(String, String)>>);

/// The text is no RFC 4514 name of types that are known.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not an RFC 4514 distinguished name")]
pub struct NotADistinguishedName;

impl DistinguishedName {
    /// The name as a certificate has it; `None` if a value is no text.
    pub(super) fn of(name: &X509Name<'_>) -> Option<Self> {
        let mut relative = Vec::new();
        for set in name.iter() {
            let mut pairs = Vec::new();
            for attribute in set.iter() {
                let value = attribute.attr_value();
                // Other kinds of strings are read differently by different readers.
                let is_text = [Tag::Utf8String, Tag::PrintableString, Tag::Ia5String].contains(&value.tag());
                let text = std::str::from_utf8(value.data).ok().filter(|_| is_text)?;
                pairs.push((attribute.attr_type().to_id_string(), text.to_owned()));
            }
            pairs.sort_unstable();
            relative.push(pairs);
        }
        Some(Self(relative))
    }
}

impl FromStr for DistinguishedName {
    type Err = NotADistinguishedName;

    /// Text begins with the most special name: RFC 4514 section 2.1. White space after a comma is let pass, since many
    /// programs write it.
    fn from_str(text: &str) -> Result<Self, NotADistinguishedName> {
        if text.len() > MAX_BYTES {
            return Err(NotADistinguishedName);
        }
        let mut relative = Vec::new();
        let mut pairs = Vec::new();
        let mut rest = text;
        loop {
            let (pair, after) = pair(rest.trim_start_matches(' '))?;
            pairs.push(pair);
            let mut following = after.chars();
            let separator = following.next();
            rest = following.as_str();
            if separator != Some('+') {
                pairs.sort_unstable();
                relative.push(std::mem::take(&mut pairs));
            }
            if separator.is_none() {
                break;
            }
        }
        relative.reverse();
        Ok(Self(relative))
    }
}

/// Type and value in front of a text, and what follows: nothing, or a text that begins with `,` or `+`.
fn pair(text: &str) -> Result<((String, String), &str), NotADistinguishedName> {
    let (name, text) = text.split_once('=').ok_or(NotADistinguishedName)?;
    let oid = oid_of(name).ok_or(NotADistinguishedName)?;
    let mut value = Vec::new();
    let mut ends_with_space = false;
    let mut characters = text.chars();
    let mut rest = text;
    while let Some(character) = characters.next() {
        let is_first = value.is_empty();
        match character {
            ',' | '+' => break,
            '\\' => {
                value.push(escaped(&mut characters)?);
                ends_with_space = false;
            }
            '"' | ';' | '<' | '>' | '\0' => return Err(NotADistinguishedName),
            ' ' | '#' if is_first => return Err(NotADistinguishedName),
            plain => {
                value.extend_from_slice(plain.encode_utf8(&mut [0; 4]).as_bytes());
                ends_with_space = plain == ' ';
            }
        }
        rest = characters.as_str();
    }
    let value = String::from_utf8(value).map_err(|_| NotADistinguishedName)?;
    if value.is_empty() || ends_with_space {
        return Err(NotADistinguishedName);
    }
    Ok(((oid, value), rest))
}

/// What follows a backslash: RFC 4514 section 3, `pair`.
fn escaped(characters: &mut std::str::Chars<'_>) -> Result<u8, NotADistinguishedName> {
    let first = characters.next().ok_or(NotADistinguishedName)?;
    if "\"+,;<> #=\\".contains(first) {
        return u8::try_from(first).map_err(|_| NotADistinguishedName);
    }
    let digits = [Some(first), characters.next()].map(|digit| digit.and_then(|digit| digit.to_digit(16)));
    match digits {
        [Some(high), Some(low)] => u8::try_from((high << 4) | low).map_err(|_| NotADistinguishedName),
        _ => Err(NotADistinguishedName),
    }
}

/// A type by its name, in any case, or by its number.
fn oid_of(name: &str) -> Option<String> {
    let is_number = name.contains('.') && name.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    if is_number {
        return Some(name.to_owned());
    }
    let known = TYPES.into_iter().find(|(own, _)| own.eq_ignore_ascii_case(name));
    known.map(|(_, oid)| oid.to_owned())
}

/// RFC 4514 section 3, and what certificates for organisations have beside it.
const TYPES: [(&str, &str); 13] = [
    ("CN", "2.5.4.3"),
    ("L", "2.5.4.7"),
    ("ST", "2.5.4.8"),
    ("O", "2.5.4.10"),
    ("OU", "2.5.4.11"),
    ("C", "2.5.4.6"),
    ("STREET", "2.5.4.9"),
    ("DC", "0.9.2342.19200300.100.1.25"),
    ("UID", "0.9.2342.19200300.100.1.1"),
    ("serialNumber", "2.5.4.5"),
    ("organizationIdentifier", "2.5.4.97"),
    ("emailAddress", "1.2.840.113549.1.9.1"),
    ("E", "1.2.840.113549.1.9.1"),
];

/// Longer than any name of a client.
const MAX_BYTES: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<DistinguishedName, NotADistinguishedName> {
        text.parse()
    }

    #[test]
    fn spellings_of_one_name_are_one() {
        let name = parse("CN=app\\, one,OU=a+L=b,O=Clinic,C=US").unwrap();
        for same in [
            "cn=app\\2c one,L=b+OU=a,o=Clinic,c=US",
            "2.5.4.3=app\\, one, OU=a+L=b, O=Clinic, C=US",
            "CN=\\61pp\\, one,OU=a+L=b,O=Clinic,C=US",
        ] {
            assert_eq!(parse(same).as_ref(), Ok(&name), "{same}");
        }
        for other in [
            "C=US,O=Clinic,OU=a+L=b,CN=app\\, one",
            "CN=App\\, one,OU=a+L=b,O=Clinic,C=US",
            "CN=app\\, one,OU=a,L=b,O=Clinic,C=US",
            "CN=app\\, one,O=Clinic,C=US",
        ] {
            assert_ne!(parse(other).as_ref(), Ok(&name), "{other}");
        }
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for text in [
            "", "CN", "CN=", "CN=a,", "CN=a+", ",CN=a", "X=a", "CN=#0401", "CN= a", "CN=a ", "CN=a;O=b",
            "CN=\"a\"", "CN=a\\", "CN=a\\x", "CN=a\\4", "CN=\\ff", "CN=a<b", "=a",
        ] {
            assert_eq!(parse(text), Err(NotADistinguishedName), "{text}");
        }
        assert_eq!(parse(&format!("CN={}", "a".repeat(1024))), Err(NotADistinguishedName));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in ".{0,60}", tail in "[CN=,+\\\\ #a0é\"]{0,20}") {
            let _ = parse(&text);
            let _ = parse(&format!("CN={tail}"));
        }
    }
}
