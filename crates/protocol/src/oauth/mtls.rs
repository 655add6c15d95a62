//! Clients that show a certificate on their connection. RFC 8705.
//!
//! That the connection's client has the private key, and for `tls_client_auth` that an authority vouches for the
//! certificate and that it has not expired, was checked by whoever holds the connection. Here it is said whose it is.

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer as _;
use x509_parser::public_key::PublicKey as X509Key;

use crate::jose::{Curve, Jwk, KeySetError, PublicKey, Thumbprint, keys_of};
use crate::json::Object;

mod distinguished_name;
mod registered_subject;

pub use distinguished_name::{DistinguishedName, NotADistinguishedName};
pub use registered_subject::{RegisteredSubject, SUBJECT_MEMBERS};

/// A certificate that a client showed.
#[derive(Debug)]
pub struct ClientCertificate<'a> {
    parsed: X509Certificate<'a>,
    thumbprint: Thumbprint,
}

/// The bytes are no certificate, or more than one.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not one DER certificate of at most {MAX_CERTIFICATE_BYTES} bytes")]
pub struct NotACertificate;

/// Why a certificate is not the client's.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum WrongCertificate {
    /// RFC 8705 section 2.1: the subject, or one of its other names, is the registered one.
    #[error("certificate does not have the registered name")]
    Name,
    /// RFC 8705 section 2.2: the certificate is one of those that were registered.
    #[error("certificate is not registered")]
    NotRegistered,
    /// RFC 5280 section 4.2: names that cannot be read are nobody's.
    #[error("names of the certificate cannot be read")]
    Unreadable,
}

impl<'a> ClientCertificate<'a> {
    /// Reads a certificate.
    ///
    /// # Errors
    /// [`NotACertificate`] if there is anything but one.
    pub fn parse(der: &'a [u8]) -> Result<Self, NotACertificate> {
        if der.len() > MAX_CERTIFICATE_BYTES {
            return Err(NotACertificate);
        }
        match X509Certificate::from_der(der) {
            Ok(([], parsed)) => Ok(Self { parsed, thumbprint: Thumbprint::of_bytes(der) }),
            Ok(_) | Err(_) => Err(NotACertificate),
        }
    }

    /// The digest of the certificate, as `x5t#S256` has it: RFC 8705 section 3.1.
    #[must_use]
    pub fn thumbprint(&self) -> &Thumbprint {
        &self.thumbprint
    }

    /// Its public key, if it is of a type that is offered.
    fn key(&self) -> Option<PublicKey> {
        let info = self.parsed.public_key();
        match info.parsed().ok()? {
            X509Key::RSA(key) => Some(PublicKey::Rsa {
                modulus: without_zeros(key.modulus).to_vec(),
                exponent: without_zeros(key.exponent).to_vec(),
            }),
            X509Key::EC(point) => {
                let coordinates = point.data().strip_prefix(&[4])?;
                let curve = match coordinates.len() {
                    64 => Curve::P256,
                    96 => Curve::P384,
                    _ => return None,
                };
                let oid = info.algorithm.parameters.as_ref()?.as_oid().ok()?.to_id_string();
                let (x, y) = coordinates.split_at_checked(coordinates.len().div_euclid(2))?;
                (oid == oid_of(curve)).then(|| PublicKey::Ec { curve, x: x.to_vec(), y: y.to_vec() })
            }
            X509Key::Unknown(bytes) if info.algorithm.algorithm.to_id_string() == ED25519 => {
                Some(PublicKey::Ed25519 { x: bytes.try_into().ok()? })
            }
            _ => None,
        }
    }
}

/// The one name that a client of `tls_client_auth` registered: RFC 8705 section 2.1.2.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum CertificateSubject {
    /// `tls_client_auth_subject_dn`.
    Dn(DistinguishedName),
    /// `tls_client_auth_san_dns`.
    Dns(String),
    /// `tls_client_auth_san_uri`.
    Uri(String),
    /// `tls_client_auth_san_ip`.
    Ip(IpAddr),
    /// `tls_client_auth_san_email`.
    Email(String),
}

/// Why a name cannot be registered.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SubjectError {
    /// RFC 8705 section 2.1.2 has five members.
    #[error("not a member that names the subject of a certificate")]
    Member,
    /// The name is not of the kind that the member says.
    #[error("not a name of this kind")]
    Name,
}

impl CertificateSubject {
    /// Reads a name by the member of the registration that has it. Names with wildcards are none.
    ///
    /// # Errors
    /// [`SubjectError`].
    pub fn registered(member: &str, name: &str) -> Result<Self, SubjectError> {
        let plain = !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic());
        let text = |is_name: bool| (plain && is_name).then(|| name.to_owned()).ok_or(SubjectError::Name);
        match member {
            "tls_client_auth_subject_dn" => name.parse().map(Self::Dn).map_err(|_| SubjectError::Name),
            "tls_client_auth_san_dns" => {
                let is_label = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
                text(name.bytes().all(is_label)).map(Self::Dns)
            }
            "tls_client_auth_san_uri" => text(name.contains(':')).map(Self::Uri),
            "tls_client_auth_san_ip" => name.parse().map(Self::Ip).map_err(|_| SubjectError::Name),
            "tls_client_auth_san_email" => text(name.contains('@')).map(Self::Email),
            _ => Err(SubjectError::Member),
        }
    }

    /// Whether a certificate that an authority vouches for has this name. The subject stands for itself alone: a
    /// registered DNS name is not looked for in it, nor the other way round.
    ///
    /// # Errors
    /// [`WrongCertificate`] if it does not.
    pub fn check(&self, certificate: &ClientCertificate<'_>) -> Result<(), WrongCertificate> {
        let found = match self {
            Self::Dn(own) => {
                let subject = DistinguishedName::of(certificate.parsed.subject());
                *own == subject.ok_or(WrongCertificate::Unreadable)?
            }
            Self::Dns(_) | Self::Uri(_) | Self::Ip(_) | Self::Email(_) => {
                let names = certificate.parsed.subject_alternative_name();
                let names = names.map_err(|_| WrongCertificate::Unreadable)?;
                names.is_some_and(|names| names.value.general_names.iter().any(|name| self.is(name)))
            }
        };
        if found { Ok(()) } else { Err(WrongCertificate::Name) }
    }

    fn is(&self, name: &GeneralName<'_>) -> bool {
        match (self, name) {
            (Self::Dns(own), GeneralName::DNSName(name)) => own.eq_ignore_ascii_case(name),
            // RFC 5280 section 7.4 would compare by scheme. Byte by byte is what an operator can see.
            (Self::Uri(own), GeneralName::URI(name)) => own == name,
            (Self::Ip(IpAddr::V4(own)), GeneralName::IPAddress(octets)) => own.octets().as_slice() == *octets,
            (Self::Ip(IpAddr::V6(own)), GeneralName::IPAddress(octets)) => own.octets().as_slice() == *octets,
            (Self::Email(own), GeneralName::RFC822Name(name)) => is_same_mailbox(own, name),
            _ => false,
        }
    }
}

/// RFC 5280 section 7.5: the host in any case, the local part as it is written.
fn is_same_mailbox(own: &str, other: &str) -> bool {
    match (own.rsplit_once('@'), other.rsplit_once('@')) {
        (Some((own, own_host)), Some((other, other_host))) => {
            own == other && own_host.eq_ignore_ascii_case(other_host)
        }
        _ => false,
    }
}

/// The certificates that a client of `self_signed_tls_client_auth` registered: RFC 8705 section 2.2.2.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct RegisteredCertificates(Vec<Thumbprint>);

impl RegisteredCertificates {
    /// Reads the first certificate of each `x5c` in a client's key set. One that is not of the key beside it is left
    /// out, as RFC 7517 section 4.7 wants them to be the same, and so is a key of a type that is not offered.
    ///
    /// # Errors
    /// [`KeySetError`] if it is no key set at all.
    pub fn parse(key_set: &[u8]) -> Result<Self, KeySetError> {
        let keys = keys_of(key_set)?;
        Ok(Self(keys.into_iter().filter_map(|key| thumbprint_of(key.get().as_bytes())).collect()))
    }

    /// Whether a certificate that a client showed is one of them. Who issued it, and until when, says nothing.
    ///
    /// # Errors
    /// [`WrongCertificate`] if it is not.
    pub fn check(&self, certificate: &ClientCertificate<'_>) -> Result<(), WrongCertificate> {
        if self.0.contains(certificate.thumbprint()) { Ok(()) } else { Err(WrongCertificate::NotRegistered) }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn thumbprint_of(key: &[u8]) -> Option<Thumbprint> {
    let jwk = Jwk::parse(key).ok()?;
    let chain: Vec<String> = Object::parse(key, MAX_DEPTH).ok()?.read("x5c").ok()??;
    // RFC 7517 section 4.7: base64, not base64url.
    let der = STANDARD.decode(chain.first()?).ok()?;
    let certificate = ClientCertificate::parse(&der).ok()?;
    (certificate.key()? == jwk.key).then(|| certificate.thumbprint().clone())
}

/// DER keeps numbers from looking negative by a zero in front, which JWK has not.
fn without_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number.get(zeros..).unwrap_or_default()
}

/// RFC 5480 section 2.1.1.1.
fn oid_of(curve: Curve) -> &'static str {
    match curve {
        Curve::P256 => "1.2.840.10045.3.1.7",
        Curve::P384 => "1.3.132.0.34",
    }
}

/// RFC 8410 section 3.
const ED25519: &str = "1.3.101.112";

/// Longer than any certificate that TLS carries in practice.
const MAX_CERTIFICATE_BYTES: usize = 16_384;

/// Deeper than any key is.
const MAX_DEPTH: usize = 32;

#[cfg(test)]
mod tests;
