//! A type for each kind of identifier, made from text by `FromStr` alone.

use std::fmt;
use std::str::FromStr;

use chartgate_values::Entropy;
use serde::{Deserialize, Serialize};

/// The text is no identifier of the kind that was asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("`{kind}` has to be {rule}")]
pub struct IdError {
    kind: &'static str,
    rule: &'static str,
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $rule:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Eq, PartialEq, Ord, PartialOrd, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The identifier as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                text.to_owned().try_into()
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;

            fn try_from(text: String) -> Result<Self, IdError> {
                let check: fn(&str) -> bool = $check;
                if check(&text) { Ok(Self(text)) } else { Err(IdError { kind: $kind, rule: $rule }) }
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

id!(
    /// Whom a token speaks of: a person's login name or a client's id. Given once, never renamed, never reused, and
    /// never both a person and a client (RFC 9700 section 4.15), so that a name in an old record means one subject.
    ///
    /// Or somebody whom a trusted issuer knows: its name, `#`, and its `sub`, such as `https://login.example.org#4711`.
    Subject,
    "name",
    "1 to 64 of a-z, 0-9, `.`, `_`, `-`, `@`, starting with a letter or digit; or an issuer's name, `#` and a name there",
    |t| is_local_name(t) || is_foreign(t)
);
id!(
    /// An OAuth client; or one of a trusted issuer's, as [`Subject`] has it; or one that says under an https address what
    /// it is, and is called by that address (draft-ietf-oauth-client-id-metadata-document section 3).
    ClientId,
    "client id",
    "1 to 64 of a-z, 0-9, `.`, `_`, `-`, `@`, starting with a letter or digit; or an issuer's name, `#` and an id there; \
     or a plain https address with a path",
    |t| is_local_name(t) || is_foreign(t) || document_parts(t).is_some()
);
id!(
    /// A role, as policies name it.
    Role,
    "role",
    "1 to 64 of a-z, 0-9, `_`, `-`, starting with a letter",
    |t| (1..=64).contains(&t.len())
        && t.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-".contains(&b))
        && t.starts_with(|c: char| c.is_ascii_lowercase())
);
id!(
    /// The logical id of a FHIR Patient, without its type. FHIR R4, datatype id.
    PatientId,
    "patient",
    "a FHIR id: 1 to 64 of A-Z, a-z, 0-9, `-`, `.`",
    is_fhir_id
);
id!(
    /// What says who is in whose care, in the care table.
    CareSource,
    "source",
    "1 to 32 of a-z, 0-9, `-`, starting with a letter",
    |t| t.len() <= 32
        && t.starts_with(|c: char| c.is_ascii_lowercase())
        && t.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
);
id!(
    /// A relative FHIR reference to a person's own resource, such as `Practitioner/dana`.
    FhirUser,
    "fhir user",
    "Patient, Practitioner, PractitionerRole, RelatedPerson or Person, a slash and a FHIR id",
    |t| t.split_once('/').is_some_and(|(kind, id)| {
        matches!(kind, "Patient" | "Practitioner" | "PractitionerRole" | "RelatedPerson" | "Person") && is_fhir_id(id)
    })
);
id!(
    /// A session, as tokens and records name it. Not the cookie: it opens nothing. Or one of a trusted issuer's, as
    /// [`Subject`] has it.
    SessionId,
    "session",
    "an id of ours, or an issuer's name, `#` and an id there",
    |t| is_opaque(t) || is_foreign(t)
);
id!(
    /// A grant: one approval with all the tokens that came of it.
    GrantId,
    "grant",
    "an id of ours",
    is_opaque
);
id!(
    /// One use of emergency access, as tokens, records and those who review it name it.
    EmergencyId,
    "emergency id",
    "an id of ours",
    is_opaque
);
id!(
    /// One second factor of a person's.
    FactorId,
    "factor",
    "an id of ours",
    is_opaque
);
id!(
    /// One browser that a person was seen in.
    BrowserId,
    "browser",
    "an id of ours",
    is_opaque
);
id!(
    /// One access token. RFC 7519 section 4.1.7. Or one of a trusted issuer's, as [`Subject`] has it.
    Jti,
    "token id",
    "1 to 128 visible ASCII characters, or an issuer's name, `#` and an id there",
    |t| is_foreign(t) || ((1..=128).contains(&t.len()) && t.bytes().all(|b| b.is_ascii_graphic()))
);

fn is_local_name(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-@".contains(&b))
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
}

/// A trusted issuer's name, `#`, and what it calls something. No name of ours has such a form, and no issuer's name has a
/// fragment, so nothing of one issuer can be taken for another's or for ours.
fn is_foreign(text: &str) -> bool {
    let Some((issuer, name)) = text.split_once('#') else { return false };
    let host = issuer.strip_prefix("https://").unwrap_or_default();
    !host.is_empty()
        && issuer.len() <= 512
        && (1..=255).contains(&name.len())
        && text.bytes().all(|b| b.is_ascii_graphic())
}

/// Host (with its port, if it is not 443) and path of an address that a client may be called by. One place has one spelling,
/// as far as we can see to it: a host in lower case, no escapes, nothing that a reader of addresses would resolve away.
fn document_parts(text: &str) -> Option<(&str, &str)> {
    let rest = text.strip_prefix("https://").filter(|_| text.len() <= MAX_DOCUMENT_ADDRESS)?;
    let (authority, path) = rest.split_at(rest.find('/')?);
    let (host, port) = match authority.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (authority, None),
    };
    let is_host = host.split('.').all(|label| {
        !label.is_empty()
            && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    });
    let is_port = port.is_none_or(|port| {
        let digits = !port.starts_with('0') && port.bytes().all(|b| b.is_ascii_digit());
        digits && port != "443" && port.parse::<u16>().is_ok()
    });
    // RFC 3986 section 3.3, without escapes.
    let is_path = path.bytes().all(|b| b.is_ascii_alphanumeric() || b"/-._~!$&'()*+,;=:@".contains(&b))
        && !path.split('/').any(|segment| matches!(segment, "." | ".."));
    (is_host && is_port && is_path).then_some((authority, path))
}

const MAX_DOCUMENT_ADDRESS: usize = 512;

fn foreign(issuer: &str, name: &str, kind: &'static str) -> Result<String, IdError> {
    let text = format!("{issuer}#{name}");
    if is_foreign(&text) && !issuer.contains('#') {
        return Ok(text);
    }
    Err(IdError { kind, rule: "1 to 255 visible ASCII characters of an issuer with an https name" })
}

macro_rules! foreign {
    ($($type:ident = $kind:literal),+ $(,)?) => {
        $(impl $type {
            /// What a trusted issuer calls so.
            ///
            /// # Errors
            /// [`IdError`] if it is too long or has characters that are not to be seen.
            pub fn foreign(issuer: &str, name: &str) -> Result<Self, IdError> {
                foreign(issuer, name, $kind).map(Self)
            }

            /// Whether it is a trusted issuer's.
            #[must_use]
            pub fn is_foreign(&self) -> bool {
                is_foreign(&self.0)
            }
        })+
    };
}

foreign!(Subject = "subject", ClientId = "client", SessionId = "session", Jti = "token id");

fn is_fhir_id(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.')
}

fn is_opaque(text: &str) -> bool {
    (16..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

impl FhirUser {
    /// The patient whom this person is, if they are one.
    #[must_use]
    pub fn patient(&self) -> Option<PatientId> {
        self.0.strip_prefix("Patient/").and_then(|id| id.parse().ok())
    }
}

impl ClientId {
    /// The host, with its port if it has one, where a client says what it is, if it does.
    #[must_use]
    pub fn document_host(&self) -> Option<&str> {
        document_parts(&self.0).map(|(authority, _)| authority)
    }

    /// Whether it is the address of a metadata document.
    #[must_use]
    pub fn is_document(&self) -> bool {
        self.document_host().is_some()
    }
}

impl From<&ClientId> for Subject {
    /// A client that acts for itself is its own subject. RFC 9068 section 2.2.
    fn from(id: &ClientId) -> Self {
        // INVARIANT: both have the same rule but for addresses of documents, and no client that has one acts for itself.
        Self(id.0.clone())
    }
}

/// 128 bits in hexadecimal: an id that nobody guesses, that opens nothing, and that no command line takes for a flag.
fn random_id(entropy: &mut dyn Entropy) -> String {
    const DIGITS: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    let digit = |half: u8| DIGITS.get(usize::from(half)).copied().unwrap_or('0');
    entropy.bytes::<16>().iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 0xf)]).collect()
}

impl SessionId {
    /// A fresh one.
    pub fn random(entropy: &mut dyn Entropy) -> Self {
        Self(random_id(entropy))
    }
}

impl GrantId {
    /// A fresh one.
    pub fn random(entropy: &mut dyn Entropy) -> Self {
        Self(random_id(entropy))
    }
}

impl EmergencyId {
    /// A fresh one.
    pub fn random(entropy: &mut dyn Entropy) -> Self {
        Self(random_id(entropy))
    }
}

impl FactorId {
    /// A fresh one.
    pub fn random(entropy: &mut dyn Entropy) -> Self {
        Self(random_id(entropy))
    }
}

impl BrowserId {
    /// A fresh one.
    pub fn random(entropy: &mut dyn Entropy) -> Self {
        Self(random_id(entropy))
    }
}

impl Jti {
    /// A fresh one.
    pub fn random(entropy: &mut dyn Entropy) -> Self {
        Self(random_id(entropy))
    }

    /// Whether it looks like those that we give: no token, secret or code of ours does.
    #[must_use]
    pub fn is_one_of_ours(&self) -> bool {
        self.0.len() == 32 && self.0.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a02_one_spelling_a_name() {
        assert!("dana".parse::<Subject>().is_ok());
        for bad in ["Dana", " dana", "dana ", "dänä", "", "-x", "a/b", "a\0"] {
            assert!(bad.parse::<Subject>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_name_of_another_issuers_is_nobody_elses() {
        let issuer = "https://login.example.org";
        let foreign = Subject::foreign(issuer, "dana").unwrap();
        assert_eq!(foreign.as_str(), "https://login.example.org#dana");
        assert!(foreign.is_foreign() && !"dana".parse::<Subject>().unwrap().is_foreign());
        assert_eq!(foreign.as_str().parse::<Subject>().unwrap(), foreign);
        // What looks like two names is the first issuer's.
        assert!(Subject::foreign("https://a.example#x", "y").is_err());
        for (issuer, name) in
            [(issuer, ""), (issuer, "a b"), (issuer, "ä"), ("http://a.example", "x"), ("https://", "x")]
        {
            assert!(Subject::foreign(issuer, name).is_err(), "{issuer} {name}");
        }
        assert!(Subject::foreign(issuer, &"x".repeat(256)).is_err());
    }

    #[test]
    fn an_address_of_a_document_has_one_spelling_and_is_nobody_elses_name() {
        for good in
            ["https://app.example.org/client.json", "https://app.example.org/", "https://localhost:8443/a/b"]
        {
            let id: ClientId = good.parse().unwrap();
            assert!(id.is_document() && !id.is_foreign(), "{good}");
            assert!(good.parse::<Subject>().is_err(), "{good}");
        }
        let id: ClientId = "https://localhost:8443/a".parse().unwrap();
        assert_eq!(id.document_host(), Some("localhost:8443"));
        for bad in [
            "http://app.example.org/c",
            "https://app.example.org",
            "https:///c",
            "https://u@app.example.org/c",
            "https://u:p@app.example.org/c",
            "https://app.example.org/c?a=b",
            "https://app.example.org/a/../c",
            "https://app.example.org/./c",
            "https://app.example.org/..",
            "https://app.example.org/%2e%2e/c",
            "https://app.example.org\\@evil.example/c",
            "https://App.example.org/c",
            "https://app.example.org./c",
            "https://app.example.org:443/c",
            "https://app.example.org:/c",
            "https://app.example.org:08443/c",
            "https://app.example.org:65536/c",
            "https://[::1]/c",
            "https://äpp.example/c",
            " https://app.example.org/c",
        ] {
            assert!(bad.parse::<ClientId>().is_err(), "{bad}");
        }
        let long = format!("https://app.example.org/{}", "x".repeat(MAX_DOCUMENT_ADDRESS));
        assert!(long.parse::<ClientId>().is_err());
        // With a fragment it would be another issuer's.
        assert!(!"https://app.example.org/c#x".parse::<ClientId>().unwrap().is_document());
        assert!("lab".parse::<ClientId>().unwrap().document_host().is_none());
    }

    #[test]
    fn a_patient_is_known_by_their_own_reference_alone() {
        let user: FhirUser = "Patient/p-1".parse().unwrap();
        assert_eq!(user.patient().unwrap().as_str(), "p-1");
        assert_eq!("Practitioner/p-1".parse::<FhirUser>().unwrap().patient(), None);
        for bad in ["Patient/", "Patient/a/b", "Group/x", "Patient/../x", "https://x/Patient/p"] {
            assert!(bad.parse::<FhirUser>().is_err(), "{bad}");
        }
    }
}
