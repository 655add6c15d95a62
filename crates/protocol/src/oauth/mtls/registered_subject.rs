//! The name that a client's certificate has to have, as its registration says it. RFC 8705 section 2.1.2.

use serde::{Deserialize, Serialize};

use super::{CertificateSubject, ClientCertificate, SubjectError, WrongCertificate};

/// The members that a registration may name the subject by; it has one of them.
pub const SUBJECT_MEMBERS: [&str; 5] = [
    "tls_client_auth_subject_dn",
    "tls_client_auth_san_dns",
    "tls_client_auth_san_uri",
    "tls_client_auth_san_ip",
    "tls_client_auth_san_email",
];

/// A subject with the words by which it was registered.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "(String, String)", into = "(String, String)")]
pub struct RegisteredSubject {
    member: String,
    name: String,
    subject: CertificateSubject,
}

impl RegisteredSubject {
    /// Reads a name by the member of the registration that has it.
    ///
    /// # Errors
    /// [`SubjectError`].
    pub fn new(member: &str, name: &str) -> Result<Self, SubjectError> {
        let subject = CertificateSubject::registered(member, name)?;
        Ok(Self { member: member.to_owned(), name: name.to_owned(), subject })
    }

    /// The member of the registration.
    #[must_use]
    pub fn member(&self) -> &str {
        &self.member
    }

    /// The name as it was registered.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether a certificate that an authority vouches for has this name.
    ///
    /// # Errors
    /// [`WrongCertificate`] if it does not.
    pub fn check(&self, certificate: &ClientCertificate<'_>) -> Result<(), WrongCertificate> {
        self.subject.check(certificate)
    }
}

impl TryFrom<(String, String)> for RegisteredSubject {
    type Error = SubjectError;

    fn try_from((member, name): (String, String)) -> Result<Self, SubjectError> {
        Self::new(&member, &name)
    }
}

impl From<RegisteredSubject> for (String, String) {
    fn from(subject: RegisteredSubject) -> Self {
        (subject.member, subject.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registered_name_reads_back_and_no_other_member_names_one() {
        for (member, name) in [
            ("tls_client_auth_subject_dn", "CN=app,O=Clinic"),
            ("tls_client_auth_san_dns", "app.clinic.test"),
            ("tls_client_auth_san_uri", "urn:app"),
            ("tls_client_auth_san_ip", "192.0.2.1"),
            ("tls_client_auth_san_email", "app@clinic.test"),
        ] {
            let subject = RegisteredSubject::new(member, name).unwrap();
            let text = serde_json::to_string(&subject).unwrap();
            assert_eq!(serde_json::from_str::<RegisteredSubject>(&text).unwrap(), subject);
            assert_eq!((subject.member(), subject.name()), (member, name));
        }
        assert_eq!(RegisteredSubject::new("subject", "CN=app"), Err(SubjectError::Member));
        assert_eq!(RegisteredSubject::new("tls_client_auth_san_ip", "app"), Err(SubjectError::Name));
    }
}
