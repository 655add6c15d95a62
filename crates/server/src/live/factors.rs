//! Second factors as the server knows them: secrets sealed under the master key, recovery codes as digests.

use std::sync::Arc;

use chartgate_access::ids::{FactorId, Subject};
use chartgate_access::login::assurance::{Holds, SecondFactor};
use chartgate_protocol::recovery_code::{AT_ONCE, RecoveryCode};
use chartgate_protocol::totp::{Code, Step, TotpSecret};
use chartgate_values::seal::SealingKey;
use chartgate_values::{Secret, Timestamp};

use crate::entropy::{SystemEntropy, digest_of};
use crate::live::passkeys::authenticators::KnownAuthenticators;
use crate::store::second_factors::{FactorKind, StoredFactor, Used};
use crate::store::{Sql, Store, StoreError};

/// What secrets of factors are sealed for.
pub(crate) const PURPOSE: &str = "second factors";
/// How many factors a person may have.
pub(crate) const MOST: usize = 10;
/// The longest name of one, in characters.
const LONGEST_LABEL: usize = 40;

/// Second factors.
pub(crate) struct Factors {
    pub(crate) store: Arc<Store>,
    pub(crate) seal: SealingKey,
    /// Which passkeys are more than others.
    pub(crate) known: Arc<KnownAuthenticators>,
}

/// Why a factor cannot be looked at.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FactorError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A secret cannot be sealed, or what was sealed is not what it was.
    #[error("the secret of a factor cannot be had")]
    Unsealed,
}

/// A code that is somebody's, until it is used up.
#[derive(Clone, Debug)]
pub(crate) enum Proof {
    /// Of an authenticator application, for this step.
    App(FactorId, Step),
    /// A recovery code, by its digest.
    Recovery(String),
}

/// New recovery codes: to be shown once, and to be kept.
pub(crate) struct NewRecoveryCodes {
    pub(crate) shown: Vec<Secret<String>>,
    pub(crate) digests: Vec<String>,
}

impl Factors {
    /// What a person has.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) fn holds(&self, of: &Subject) -> Result<Holds, StoreError> {
        self.store.read(|sql| self.holds_in(sql, of))
    }

    /// The same, in a look at the store that is for more. A passkey that is out of use counts: who has nothing else has not
    /// less to show than before.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) fn holds_in(&self, sql: &Sql<'_>, of: &Subject) -> Result<Holds, StoreError> {
        let passkeys = sql.passkeys(of)?;
        let is_hardware = |passkey| self.known.factor_of(passkey) == SecondFactor::HardwareKey;
        Ok(match (passkeys.is_empty(), sql.factors(of)?.is_empty()) {
            (false, _) if passkeys.iter().any(is_hardware) => Holds::AHardwareKey,
            (false, _) => Holds::APasskey,
            (true, false) => Holds::Codes,
            (true, true) => Holds::Nothing,
        })
    }

    /// What a typed code proves, if anything. Whether it was used before shows when it is used up.
    ///
    /// # Errors
    /// [`FactorError`].
    pub(crate) fn read(
        &self,
        of: &Subject,
        typed: &str,
        now: Timestamp,
    ) -> Result<Option<Proof>, FactorError> {
        if let Ok(recovery) = typed.parse::<RecoveryCode>() {
            return Ok(Some(Proof::Recovery(recovery_digest(of, &recovery))));
        }
        let Ok(code) = typed.parse::<Code>() else { return Ok(None) };
        let mut proof = None;
        for factor in self.store.read(|sql| sql.factors(of))? {
            let FactorKind::Totp = factor.kind;
            let secret = self.open(&place(of, &factor.id), &factor.secret)?;
            // Of two steps with the same code the later one may still be good where the other was used up.
            let step = secret.matching(code, now).filter(|step| step.number() > factor.last_step);
            proof = proof.or(step.map(|step| Proof::App(factor.id, step)));
        }
        Ok(proof)
    }

    /// A secret to offer to somebody who enrols, sealed for their half sign-in.
    ///
    /// # Errors
    /// [`FactorError::Unsealed`].
    pub(crate) fn offer(&self, of: &Subject, digest: &str) -> Result<Vec<u8>, FactorError> {
        self.seal(&offered_place(of, digest), &TotpSecret::generate(&mut SystemEntropy))
    }

    /// The secret that was offered.
    ///
    /// # Errors
    /// [`FactorError::Unsealed`].
    pub(crate) fn offered(
        &self,
        of: &Subject,
        digest: &str,
        sealed: &[u8],
    ) -> Result<TotpSecret, FactorError> {
        self.open(&offered_place(of, digest), sealed)
    }

    /// An authenticator application that has shown a code for a step, which is used up with that.
    ///
    /// # Errors
    /// [`FactorError::Unsealed`].
    pub(crate) fn confirmed(
        &self,
        of: &Subject,
        label: &str,
        secret: &TotpSecret,
        step: Step,
        now: Timestamp,
    ) -> Result<StoredFactor, FactorError> {
        let id = FactorId::random(&mut SystemEntropy);
        let secret = self.seal(&place(of, &id), secret)?;
        let label: String = label.trim().chars().filter(|c| !c.is_control()).take(LONGEST_LABEL).collect();
        Ok(StoredFactor {
            id,
            kind: FactorKind::Totp,
            label: if label.is_empty() { "Authenticator app".to_owned() } else { label },
            secret,
            last_step: step.number(),
            added_at: now,
            last_used_at: None,
        })
    }

    /// New recovery codes for a person.
    pub(crate) fn new_recovery_codes(of: &Subject) -> NewRecoveryCodes {
        let codes: Vec<RecoveryCode> =
            (0..AT_ONCE).map(|_| RecoveryCode::generate(&mut SystemEntropy)).collect();
        NewRecoveryCodes {
            shown: codes.iter().map(RecoveryCode::grouped).collect(),
            digests: codes.iter().map(|code| recovery_digest(of, code)).collect(),
        }
    }

    fn seal(&self, place: &str, secret: &TotpSecret) -> Result<Vec<u8>, FactorError> {
        let sealed = self.seal.seal(&mut SystemEntropy, place.as_bytes(), secret.expose());
        sealed.map_err(|_| FactorError::Unsealed)
    }

    fn open(&self, place: &str, sealed: &[u8]) -> Result<TotpSecret, FactorError> {
        let opened = self.seal.open(place.as_bytes(), sealed).map_err(|_| FactorError::Unsealed)?;
        TotpSecret::from_bytes(opened.expose()).map_err(|_| FactorError::Unsealed)
    }
}

impl Proof {
    /// What it proves.
    pub(crate) fn factor(&self) -> SecondFactor {
        match self {
            Self::App(..) => SecondFactor::AuthenticatorApp,
            Self::Recovery(_) => SecondFactor::RecoveryCode,
        }
    }

    /// Uses it up. It is good for nothing before that.
    pub(crate) fn use_up(&self, sql: &Sql<'_>, of: &Subject, now: Timestamp) -> Result<Used, StoreError> {
        match self {
            Self::App(id, step) => sql.use_step(of, id, step.number(), now),
            Self::Recovery(digest) => sql.use_recovery_code(of, digest, now),
        }
    }
}

fn place(of: &Subject, id: &FactorId) -> String {
    format!("factor {id} of {of}")
}

fn offered_place(of: &Subject, digest: &str) -> String {
    format!("offered to {of} in {digest}")
}

fn recovery_digest(of: &Subject, code: &RecoveryCode) -> String {
    let mut text = format!("recovery code of {of} ").into_bytes();
    text.extend_from_slice(code.expose());
    digest_of(zeroize::Zeroizing::new(text))
}
