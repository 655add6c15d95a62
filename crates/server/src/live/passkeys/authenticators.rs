//! Authenticators that are believed of what they are: roots of their makers, and models. Web Authentication Level 3 sections
//! 6.5.1 and 7.1; NIST SP 800-63B-4 section 3.1.7; docs/adr/0044.

use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, PoisonError, RwLock};

use chartgate_access::login::assurance::SecondFactor;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::entropy::digest_of;
use crate::store::passkeys::{Backup, StoredPasskey};

/// What a maker calls one of its models: an AAGUID, written as a UUID is.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct Model([u8; 16]);

/// It is no AAGUID, or the one that says nothing.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("no AAGUID such as `cb69481e-8ff7-4039-93ec-0a2729a154a8`")]
pub(crate) struct NoModel;

/// Who vouches for authenticators.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Root {
    pub(crate) der: Vec<u8>,
    /// By which it is known again.
    pub(crate) digest: String,
    /// What it calls itself.
    pub(crate) subject: String,
}

/// Why a certificate vouches for nobody.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum NoRoot {
    #[error("it is no certificate")]
    Malformed,
    /// RFC 5280 sections 4.2.1.3 and 4.2.1.9.
    #[error("it is no CA: its basic constraints and key usage have to say so")]
    NoAuthority,
}

/// What is believed of authenticators. By default nothing.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Authenticators {
    pub(crate) roots: Vec<Root>,
    /// Those that count, each with what it is called here; with none of them, all that a root vouches for.
    pub(crate) models: Vec<(Model, Option<String>)>,
}

/// What the maker of an authenticator has attested of a passkey when it was made: that a model of its making keeps it, and
/// gives it to nobody.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Attested {
    pub(crate) model: Model,
    /// The root's digest.
    pub(crate) root: String,
    /// What the root calls itself.
    pub(crate) by: String,
}

/// What is believed, which changes with the configuration.
#[derive(Debug, Default)]
pub(crate) struct KnownAuthenticators(RwLock<Arc<Authenticators>>);

impl Model {
    /// The AAGUID of these bytes.
    ///
    /// # Errors
    /// [`NoModel`] for zeros, which authenticators write that do not say what they are.
    pub(crate) fn of(bytes: [u8; 16]) -> Result<Self, NoModel> {
        if bytes == [0; 16] { Err(NoModel) } else { Ok(Self(bytes)) }
    }
}

impl fmt::Display for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, byte) in self.0.iter().enumerate() {
            if matches!(place, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl FromStr for Model {
    type Err = NoModel;

    fn from_str(text: &str) -> Result<Self, NoModel> {
        let digits: String = text.chars().filter(|c| *c != '-').collect();
        let number = u128::from_str_radix(&digits, 16).map_err(|_| NoModel)?;
        let model = Self::of(number.to_be_bytes())?;
        // One form alone: neither signs nor digits that are missing are read.
        if model.to_string() == text.to_ascii_lowercase() { Ok(model) } else { Err(NoModel) }
    }
}

impl Root {
    /// A certificate that may vouch for others.
    ///
    /// # Errors
    /// [`NoRoot`].
    pub(crate) fn from_der(der: &[u8]) -> Result<Self, NoRoot> {
        let (_, certificate) = X509Certificate::from_der(der).map_err(|_| NoRoot::Malformed)?;
        let usage = certificate.key_usage().ok().flatten();
        if !certificate.is_ca() || !usage.is_some_and(|usage| usage.value.key_cert_sign()) {
            return Err(NoRoot::NoAuthority);
        }
        Ok(Self { der: der.to_vec(), digest: digest_of(der), subject: certificate.subject().to_string() })
    }
}

impl Authenticators {
    /// Whether this model counts.
    pub(crate) fn takes(&self, model: Model) -> bool {
        self.models.is_empty() || self.models.iter().any(|(one, _)| *one == model)
    }

    /// What a model is called here.
    pub(crate) fn name_of(&self, model: Model) -> String {
        let named = self.models.iter().find(|(one, _)| *one == model).and_then(|(_, name)| name.clone());
        named.unwrap_or_else(|| model.to_string())
    }

    /// Whether what was attested of a passkey counts still: whom the configuration does not name any more vouches for nobody.
    fn believe(&self, attested: &Attested) -> bool {
        self.roots.iter().any(|root| root.digest == attested.root) && self.takes(attested.model)
    }
}

impl KnownAuthenticators {
    /// Puts others in force.
    pub(crate) fn reconfigure(&self, authenticators: Arc<Authenticators>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = authenticators;
    }

    /// Those that are.
    pub(crate) fn in_force(&self) -> Arc<Authenticators> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// What a passkey is worth: hardware keeps it whose maker vouched for that and is believed now, and it never leaves it.
    pub(crate) fn factor_of(&self, passkey: &StoredPasskey) -> SecondFactor {
        let is_believed = passkey.attested.as_ref().is_some_and(|attested| self.in_force().believe(attested));
        match passkey.backup {
            Backup::DeviceBound if is_believed => SecondFactor::HardwareKey,
            Backup::DeviceBound | Backup::Eligible | Backup::BackedUp => SecondFactor::Passkey,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_written_in_one_way_and_one_of_zeros_is_none() {
        let text = "cb69481e-8ff7-4039-93ec-0a2729a154a8";
        let model: Model = text.parse().unwrap();
        assert_eq!((model.to_string().as_str(), model.0[0], model.0[15]), (text, 0xcb, 0xa8));
        assert_eq!(text.to_uppercase().parse(), Ok(model));
        for wrong in [
            "",
            "cb69481e8ff7403993ec0a2729a154a8",
            "cb69481e-8ff7-4039-93ec-0a2729a154a",
            "cb69481e-8ff7-4039-93ec-0a2729a154a8a",
            "+b69481e-8ff7-4039-93ec-0a2729a154a8",
            "cb69481e8-ff7-4039-93ec-0a2729a154a8",
            "00000000-0000-0000-0000-000000000000",
        ] {
            assert_eq!(wrong.parse::<Model>(), Err(NoModel), "{wrong}");
        }
    }

    #[test]
    fn only_a_ca_vouches_for_others() {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::default();
        let der = |params: &rcgen::CertificateParams| params.self_signed(&key).unwrap().der().to_vec();
        assert_eq!(Root::from_der(&der(&params)), Err(NoRoot::NoAuthority));
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        assert_eq!(Root::from_der(&der(&params)), Err(NoRoot::NoAuthority), "it may sign nothing");
        params.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign];
        params.distinguished_name.push(rcgen::DnType::CommonName, "Keys of tests");
        assert!(Root::from_der(&der(&params)).unwrap().subject.contains("CN=Keys of tests"));
        assert_eq!(Root::from_der(b"root"), Err(NoRoot::Malformed));
    }
}
