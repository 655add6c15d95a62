//! Names that one client has for things and nobody else has. 45 CFR 164.514(c).
//!
//! HMAC-SHA256 under a key of the client's, which is derived from the gateway's: the same thing has the same name each time,
//! two clients cannot compare theirs, and no name leads back.

use aws_lc_rs::hmac;

use crate::fhir::reference::Reference;

/// The names that a client has for things.
pub struct Pseudonyms(hmac::Key);

impl Pseudonyms {
    /// Names for a client, under a key that nobody else has.
    #[must_use]
    pub fn for_client(key: &[u8; 32], client_id: &str) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, key);
        let own = hmac::sign(&key, client_id.as_bytes());
        Self(hmac::Key::new(hmac::HMAC_SHA256, own.as_ref()))
    }

    /// An identifier's value within its system.
    pub(super) fn of_identifier(&self, system: &str, value: &str) -> String {
        self.of("identifier", system, value)
    }

    /// A record's name, which is one of the same type.
    pub(super) fn of_record(&self, record: &Reference) -> Reference {
        let id = self.of("record", record.resource_type.as_str(), record.id.as_str());
        // INVARIANT: hexadecimal digits are an id.
        Reference {
            resource_type: record.resource_type,
            id: id.parse().unwrap_or_else(|_| record.id.clone()),
        }
    }

    /// The id of a resource within another one.
    pub(super) fn of_contained(&self, id: &str) -> String {
        self.of("contained", "", id)
    }

    fn of(&self, kind: &str, space: &str, name: &str) -> String {
        let mut context = hmac::Context::with_key(&self.0);
        for part in [kind, space, name] {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part.as_bytes());
        }
        let tag = context.sign();
        let half = tag.as_ref().iter().take(16);
        half.flat_map(|byte| [byte >> 4, byte & 15])
            .filter_map(|digit| char::from_digit(digit.into(), 16))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_the_same_each_time_and_another_for_another_client_key_or_thing() {
        let names = |key: u8, client: &str| Pseudonyms::for_client(&[key; 32], client);
        let name = names(1, "app").of_identifier("urn:mrn", "12");
        assert_eq!(name, names(1, "app").of_identifier("urn:mrn", "12"));
        assert_eq!(name.len(), 32);
        for other in [
            names(1, "app2").of_identifier("urn:mrn", "12"),
            names(2, "app").of_identifier("urn:mrn", "12"),
            names(1, "app").of_identifier("urn:mrn", "13"),
            names(1, "app").of_identifier("urn:mrn1", "2"),
            names(1, "app").of_contained("12"),
        ] {
            assert_ne!(name, other);
        }
        let record = names(1, "app").of_record(&"Patient/a".parse().unwrap());
        assert!(record.to_string().starts_with("Patient/") && record.id.as_str() != "a");
        assert_ne!(record.id, names(1, "app").of_record(&"Group/a".parse().unwrap()).id);
    }
}
