//! Passkeys: what browsers are asked, and whether what they bring was signed. W3C Web Authentication Level 3 sections 7.1 and
//! 7.2; ATTACKS A07, A08.
//!
//! Every ceremony wants the user verified, and every passkey can be found without a name. What is brought is judged twice:
//! by `protocol::webauthn`, and by webauthn-rs ([`judge`]). Nothing is kept of a ceremony that nobody ends: a challenge
//! carries its own mark ([`challenge`]), and is remembered once it was signed.
//!
//! There are two kinds of challenge. Ours ([`Ceremony`]) is for signing in, and for changes. A caller's
//! ([`Passkeys::request_over`], [`Passkeys::verify_over`]) is the digest of what somebody agrees to: the caller sees to it
//! that it is good once, and keeps [`Shown::evidence`] for whoever verifies later what was approved.

pub(crate) mod authenticators;
mod challenge;
mod judge;
mod options;

use std::cmp::Ordering;
use std::sync::Arc;

use chartgate_access::ids::{FactorId, Subject};
use chartgate_access::login::assurance::{Offered, SecondFactor};
use chartgate_protocol::webauthn::{Assertion, AssertionRefused, CoseKey, Evidence, RelyingParty, Signed};
use chartgate_values::Timestamp;
use chartgate_values::mac::MarkingKey;
use subtle::ConstantTimeEq as _;

use authenticators::KnownAuthenticators;
pub(crate) use challenge::Ceremony;
use challenge::{NotOpen, Spent};
use options::{Creation, Hardware};

use crate::entropy::SystemEntropy;
use crate::store::passkeys::{Backup, StoredPasskey, Use};
use crate::store::second_factors::Used;
use crate::store::{Sql, Store, StoreError};

/// What challenges and handles are marked for.
pub(crate) const PURPOSE: &str = "passkeys";
/// The longest name of one, in characters.
const LONGEST_LABEL: usize = 40;
/// Whether webauthn-rs is in this build: without it nobody registers a passkey.
const REGISTERS: bool = cfg!(feature = "passkeys");

/// Passkeys.
pub(crate) struct Passkeys {
    pub(crate) store: Arc<Store>,
    marks: MarkingKey,
    party: RelyingParty,
    /// Whose makers are believed.
    pub(crate) known: Arc<KnownAuthenticators>,
}

/// A passkey that somebody says they have signed with, before anybody has looked whether they did.
#[derive(Clone, Debug)]
pub(crate) struct Claimed {
    assertion: Assertion,
    passkey: StoredPasskey,
}

/// A passkey that signed a challenge, for us, for this purpose, with its user verified.
#[derive(Clone, Debug)]
#[must_use = "it is good for nothing before it is used up"]
pub(crate) struct Shown {
    pub(crate) passkey: StoredPasskey,
    /// With the passkey's `credential_id` and `public_key`, what is needed to verify it again.
    pub(crate) evidence: Evidence,
    pub(crate) signed: Signed,
    spent: Spent,
}

/// Why a passkey does not do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PasskeyRefused {
    /// The challenge is not ours, not for this, not this browser's, or over.
    #[error("the challenge is not open")]
    Challenge,
    /// What was signed is something else, or was signed by something else.
    #[error(transparent)]
    Assertion(#[from] AssertionRefused),
    /// webauthn-rs finds fault with it.
    #[error("webauthn-rs: {0}")]
    Judge(String),
    /// It is another person's, or its authenticator made it for another.
    #[error("it is somebody else's")]
    SomebodyElses,
    /// Section 6.1.3: whether a passkey may be backed up never changes.
    #[error("what it says of backups has changed")]
    Backup,
    /// It was put out of use before.
    #[error("it is out of use")]
    OutOfUse,
    /// It was brought before.
    #[error("it was used before")]
    Used,
    /// Section 6.1.1: the signature is right and the counter went back. There may be two of it.
    #[error("its counter went back")]
    Suspected,
    /// What is stored of it is no key.
    #[error("the stored key cannot be read")]
    Stored,
}

impl Passkeys {
    /// For the pages at this issuer.
    pub(crate) fn new(
        store: Arc<Store>,
        marks: MarkingKey,
        issuer: &str,
        known: Arc<KnownAuthenticators>,
    ) -> Self {
        Self { store, marks, party: relying_party(issuer), known }
    }

    /// The options of `navigator.credentials.get()`, as JSON, for a passkey of one of these; with none of them the browser
    /// shows what it has.
    pub(crate) fn request(
        &self,
        ceremony: Ceremony<'_>,
        allowed: &[StoredPasskey],
        now: Timestamp,
    ) -> String {
        let challenge = challenge::draw(&self.marks, ceremony, now, &mut SystemEntropy);
        options::request(&self.party, &challenge, allowed)
    }

    /// The same over a challenge of the caller's: the SHA-256 of what somebody is shown. `allowed` are the passkeys of the
    /// person who is asked.
    pub(crate) fn request_over(&self, challenge: &[u8; 32], allowed: &[StoredPasskey]) -> String {
        options::request(&self.party, challenge, allowed)
    }

    /// The options of `navigator.credentials.create()`, as JSON, for a person who has these, and needs such a one. What keeps
    /// one of them makes no second one; but where hardware is needed, an authenticator from before anybody knew its maker makes
    /// another, which is attested, in place of what it had.
    pub(crate) fn creation(
        &self,
        ceremony: Ceremony<'_>,
        of: &Subject,
        (has, needs): (&[StoredPasskey], SecondFactor),
        now: Timestamp,
    ) -> String {
        let challenge = challenge::draw(&self.marks, ceremony, now, &mut SystemEntropy);
        let hardware = match needs {
            _ if self.known.in_force().roots.is_empty() => Hardware::Unknown,
            SecondFactor::HardwareKey => Hardware::Needed,
            _ => Hardware::Known,
        };
        let mut has = has.to_vec();
        if hardware == Hardware::Needed {
            has.retain(|passkey| self.factor_of(passkey) == SecondFactor::HardwareKey);
        }
        let creation = Creation { of, handle: &self.handle(of), has: &has, hardware };
        options::creation(&self.party, &challenge, &creation)
    }

    /// A passkey that a browser has made for a person.
    ///
    /// # Errors
    /// [`PasskeyRefused`].
    pub(crate) fn registered(
        &self,
        text: &str,
        ceremony: Ceremony<'_>,
        of: &Subject,
        label: &str,
        now: Timestamp,
    ) -> Result<StoredPasskey, PasskeyRefused> {
        let made = judge::Made::read(text)?;
        challenge::open(&self.marks, ceremony, &made.challenge, now)
            .map_err(|_| PasskeyRefused::Challenge)?;
        let judged = made.judge(&self.party, &self.known.in_force(), now)?;
        Ok(StoredPasskey {
            id: FactorId::random(&mut SystemEntropy),
            of: of.clone(),
            credential_id: judged.credential_id,
            label: labelled(label),
            public_key: judged.key.to_bytes(),
            sign_count: judged.sign_count,
            backup: judged.backup,
            attested: judged.attested,
            transports: made.transports,
            added_at: now,
            last_used_at: None,
            suspected_at: None,
        })
    }

    /// Whether a browser's answer is to a page of ours for this ceremony that stood open for too long. That says nothing of any
    /// passkey, and is asked before anybody looks for one (ATTACKS A01).
    pub(crate) fn is_of_an_old_page(&self, text: &str, ceremony: Ceremony<'_>, now: Timestamp) -> bool {
        let Ok(assertion) = Assertion::parse(text) else { return false };
        let Ok(challenge) = assertion.evidence.challenge() else { return false };
        challenge::open(&self.marks, ceremony, &challenge, now).is_err_and(|cause| cause == NotOpen::Over)
    }

    /// Whose passkey a browser's answer says it is of, if of anybody's.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) fn claimed(&self, text: &str) -> Result<Option<Claimed>, StoreError> {
        let Ok(assertion) = Assertion::parse(text) else { return Ok(None) };
        let passkey = self.store.read(|sql| sql.passkey(&assertion.credential_id))?;
        Ok(passkey.map(|passkey| Claimed { assertion, passkey }))
    }

    /// Verifies an answer to [`Self::request`] for the same ceremony.
    ///
    /// # Errors
    /// [`PasskeyRefused`].
    pub(crate) fn verify(
        &self,
        claimed: Claimed,
        ceremony: Ceremony<'_>,
        now: Timestamp,
    ) -> Result<Shown, PasskeyRefused> {
        let challenge = claimed.assertion.evidence.challenge()?;
        let spent =
            challenge::open(&self.marks, ceremony, &challenge, now).map_err(|_| PasskeyRefused::Challenge)?;
        // Section 7.2, step 6: where nobody was named before, the authenticator has to say whom it made it for.
        if ceremony.names_nobody() && claimed.assertion.user_handle.is_none() {
            return Err(PasskeyRefused::SomebodyElses);
        }
        // A form that is sent twice is no copy of a passkey: this is asked before the counter is.
        if let Spent::Ours { digest, .. } = &spent
            && self.store.read(|sql| sql.is_used_challenge(digest)).unwrap_or(true)
        {
            return Err(PasskeyRefused::Used);
        }
        self.judge(claimed, &challenge, spent)
    }

    /// Verifies an answer to [`Self::request_over`]: that this person signed this challenge.
    ///
    /// # Errors
    /// [`PasskeyRefused`].
    pub(crate) fn verify_over(
        &self,
        claimed: Claimed,
        of: &Subject,
        challenge: &[u8; 32],
    ) -> Result<Shown, PasskeyRefused> {
        if claimed.passkey.of != *of {
            return Err(PasskeyRefused::SomebodyElses);
        }
        self.judge(claimed, challenge, Spent::ByTheCaller)
    }

    fn judge(&self, claimed: Claimed, challenge: &[u8], spent: Spent) -> Result<Shown, PasskeyRefused> {
        let Claimed { assertion, passkey } = claimed;
        if let Some(handle) = &assertion.user_handle
            && !bool::from(handle.ct_eq(&self.handle(&passkey.of)))
        {
            return Err(PasskeyRefused::SomebodyElses);
        }
        let key = CoseKey::from_bytes(&passkey.public_key).map_err(|_| PasskeyRefused::Stored)?;
        let signed = assertion.evidence.verify(&key, &self.party, challenge)?;
        judge::agrees(&self.party, &assertion, challenge, (&passkey, &key))?;
        if signed.flags.is_backup_eligible() != passkey.backup.is_eligible() {
            return Err(PasskeyRefused::Backup);
        }
        if passkey.suspected_at.is_some() {
            return Err(PasskeyRefused::OutOfUse);
        }
        let counts = signed.sign_count > 0 || passkey.sign_count > 0;
        match signed.sign_count.cmp(&passkey.sign_count) {
            // The caller's challenge may be signed but once: the same answer once more.
            Ordering::Equal if counts && matches!(spent, Spent::ByTheCaller) => {
                return Err(PasskeyRefused::Used);
            }
            Ordering::Less | Ordering::Equal if counts => return Err(PasskeyRefused::Suspected),
            Ordering::Less | Ordering::Equal | Ordering::Greater => {}
        }
        Ok(Shown { passkey, evidence: assertion.evidence, signed, spent })
    }

    /// What a passkey is worth now.
    pub(crate) fn factor_of(&self, passkey: &StoredPasskey) -> SecondFactor {
        self.known.factor_of(passkey)
    }

    /// What authenticators know a person by: nothing that says who it is, and always the same.
    fn handle(&self, of: &Subject) -> [u8; 32] {
        self.marks.mark(format!("user handle of {of}").as_bytes())
    }
}

impl Claimed {
    /// Whose passkey it is.
    pub(crate) fn of(&self) -> &Subject {
        &self.passkey.of
    }

    /// Which.
    pub(crate) fn id(&self) -> &FactorId {
        &self.passkey.id
    }
}

impl Shown {
    /// Whether the private key may be on several devices, and is.
    pub(crate) fn backup(&self) -> Backup {
        Backup::of(self.signed.flags.is_backup_eligible(), self.signed.flags.is_backed_up())
    }

    /// Uses it up: the challenge, if it was ours, and the counter.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) fn use_up(&self, sql: &Sql<'_>, now: Timestamp) -> Result<Used, StoreError> {
        if let Spent::Ours { digest, expires_at } = &self.spent
            && sql.use_challenge(digest, *expires_at)? == Used::Before
        {
            return Ok(Used::Before);
        }
        let by = Use { sign_count: self.signed.sign_count, backup: self.backup(), at: now };
        sql.use_passkey(&self.passkey.id, &self.passkey.of, by)
    }
}

impl PasskeyRefused {
    /// The stable code for the record.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Challenge => "passkey-challenge",
            Self::Assertion(_) | Self::Judge(_) => "wrong-passkey",
            Self::SomebodyElses => "passkey-of-another",
            Self::Backup => "passkey-backup-changed",
            Self::OutOfUse => "passkey-out-of-use",
            Self::Used => "passkey-used",
            Self::Suspected => "passkey-suspected",
            Self::Stored => "passkey-unreadable",
        }
    }
}

/// A name as its person wrote it, if it can be read.
pub(crate) fn labelled(label: &str) -> String {
    let label: String = label.trim().chars().filter(|c| !c.is_control()).take(LONGEST_LABEL).collect();
    if label.is_empty() { "Passkey".to_owned() } else { label }
}

/// What can be offered at this issuer: passkeys are for a name, never for an address (section 5.1.2).
pub(crate) fn can_be_offered(issuer: &str) -> Offered {
    let host = relying_party(issuer).id;
    let is_address = host.starts_with('[') || host.parse::<std::net::Ipv4Addr>().is_ok();
    if REGISTERS && !is_address && !host.is_empty() { Offered::Passkeys } else { Offered::CodesAlone }
}

/// Who we are to browsers: the host of the issuer, and its origin.
fn relying_party(issuer: &str) -> RelyingParty {
    let host_and_port = issuer.strip_prefix("https://").unwrap_or_default();
    let host_and_port = host_and_port.split('/').next().unwrap_or_default().to_lowercase();
    // RFC 6454 section 6.2: browsers do not write the port that goes without saying.
    let host_and_port = host_and_port.strip_suffix(":443").unwrap_or(&host_and_port);
    let host = match host_and_port.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        Some(_) | None => host_and_port,
    };
    RelyingParty { id: host.to_owned(), origin: format!("https://{host_and_port}") }
}

// Nobody registers a passkey in a build without them.
#[cfg(feature = "passkeys")]
#[cfg(test)]
mod tests;
