//! For what programs would refuse our certificate, now or soon: a gateway starts with such a one all the same, and says so.

use std::fmt;
use std::time::Duration;

use chartgate_values::Timestamp;
use rustls::client::verify_server_name;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::ParsedCertificate;

/// So long before a certificate ends it is told at a start and a reload.
const SOON: Duration = Duration::from_secs(14 * 24 * 3600);

/// Something that is wrong with it.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum Flaw {
    /// RFC 5280 section 4.1.2.5.
    #[error("{0} has expired: it ended at {1}")]
    Expired(Link, Timestamp),
    /// The same.
    #[error("{0} is not valid before {1}")]
    NotYet(Link, Timestamp),
    /// It will have.
    #[error("{0} ends soon: at {1}")]
    EndsSoon(Link, Timestamp),
    /// RFC 9525: no name of it is the one that everybody calls.
    #[error("the certificate does not name `{0}`, the host of the issuer")]
    OtherHost(String),
}

/// Which certificate of the chain.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Link(usize);

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => f.write_str("the certificate"),
            place => write!(f, "certificate {} of the chain", place.saturating_add(1)),
        }
    }
}

/// What is wrong with a chain for whoever calls `host` now. What cannot be read is not judged.
pub(super) fn flaws(chain: &[CertificateDer<'_>], host: &str, now: Timestamp) -> Vec<Flaw> {
    let mut found: Vec<Flaw> =
        chain.iter().enumerate().filter_map(|(place, one)| of_time(Link(place), one, now)).collect();
    found.extend(chain.first().filter(|own| !names(own, host)).map(|_| Flaw::OtherHost(host.to_owned())));
    found
}

fn of_time(link: Link, certificate: &[u8], now: Timestamp) -> Option<Flaw> {
    let (begins, ends) = validity(certificate)?;
    if now > ends {
        Some(Flaw::Expired(link, ends))
    } else if now < begins {
        Some(Flaw::NotYet(link, begins))
    } else if now.plus(SOON) > ends {
        Some(Flaw::EndsSoon(link, ends))
    } else {
        None
    }
}

/// From when to when a certificate is good; none if that cannot be read.
pub(super) fn validity(certificate: &[u8]) -> Option<(Timestamp, Timestamp)> {
    let (_, certificate) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let validity = certificate.validity();
    let at = |time: x509_parser::time::ASN1Time| Timestamp::from_unix(time.timestamp());
    Some((at(validity.not_before), at(validity.not_after)))
}

fn names(certificate: &CertificateDer<'_>, host: &str) -> bool {
    let (Ok(parsed), Ok(name)) = (ParsedCertificate::try_from(certificate), ServerName::try_from(host))
    else {
        return false;
    };
    verify_server_name(&parsed, &name).is_ok()
}

#[cfg(test)]
mod tests;
