//! Passwords: Argon2id with a pepper, on a few threads of their own. NIST SP 800-63B-4 section 3.1.1.2, RFC 9106.

use std::sync::{Arc, PoisonError, RwLock};

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, PasswordHasher as _, PasswordVerifier as _, Version};
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chartgate_access::login::blocklist::{Blocklist, Listed};
use chartgate_values::{Entropy, Secret};
use tokio::sync::Semaphore;
use zxcvbn::feedback::Warning;

use crate::entropy::SystemEntropy;
use crate::tongue::{Id, Tells, Words};

/// A password has at least this many characters where it is the only factor.
pub(crate) const SHORTEST: u8 = 15;
/// And at most this many bytes, so that nobody makes us hash a book.
const LONGEST: usize = 1024;
/// Hashes at the same time: each takes 19 MiB and a core.
const AT_ONCE: usize = 2;
/// And so many may wait for theirs, a few seconds at the most; further ones are told to come again.
const WAITING: usize = 64;

/// Hashes and verifies.
pub(crate) struct Passwords {
    pepper: Arc<Secret<Vec<u8>>>,
    places: Arc<Semaphore>,
    /// Places in the queue before them.
    queue: Arc<Semaphore>,
    /// What is verified against where there is nothing: the answer takes as long.
    decoy: String,
    /// What is not to be set.
    rules: RwLock<PasswordRules>,
}

/// What passwords are not to be, beside short or easy to guess.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct PasswordRules {
    /// Those that the configuration names.
    pub(crate) blocklist: Arc<Blocklist>,
    /// What the service is called.
    pub(crate) service: Vec<String>,
}

/// Whether a password was right.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use = "a wrong password is refused"]
pub(crate) enum Verdict {
    Right,
    Wrong,
    /// Too many others wait: it was not looked at.
    Busy,
}

/// Hashing failed: the machine is out of memory, or going down.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("password could not be hashed")]
pub(crate) struct HashError;

/// Why a password is not taken.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub(crate) enum WeakPassword {
    #[error("The password needs at least {SHORTEST} characters.")]
    Short,
    #[error("The password is too long.")]
    Long,
    #[error("{}", guessable(.0.as_ref()))]
    Guessable(Option<Warning>),
    /// NIST SP 800-63B-4 section 3.1.1.2.
    #[error("This password, or what is left of it without digits, is one of those that attackers try first.")]
    Common,
    #[error("This password is on the list of those that are not taken here.")]
    OfThisPlace,
    #[error("The password is made of your name or this service's.")]
    Names,
}

impl From<Listed> for WeakPassword {
    fn from(listed: Listed) -> Self {
        match listed {
            Listed::Common => Self::Common,
            Listed::OfThisPlace => Self::OfThisPlace,
            Listed::Names => Self::Names,
        }
    }
}

/// As a sentence for whoever types at a terminal.
fn guessable(warning: Option<&Warning>) -> String {
    let hint = warning.map(|warning| format!(": {warning}")).unwrap_or_default();
    format!("The password is too easy to guess{}.", hint.trim_end_matches('.'))
}

impl Tells for WeakPassword {
    fn words(&self) -> Words {
        match self {
            Self::Short => Words::of("password-short").number("shortest", SHORTEST),
            Self::Long => Words::of("password-long"),
            Self::Guessable(None) => Words::of("password-guessable"),
            Self::Common => Words::of("password-listed"),
            Self::OfThisPlace => Words::of("password-of-this-place"),
            Self::Names => Words::of("password-of-names"),
            Self::Guessable(Some(warning)) => why(*warning).words(),
        }
    }
}

fn why(warning: Warning) -> Id {
    match warning {
        Warning::StraightRowsOfKeysAreEasyToGuess => Id::of("password-rows"),
        Warning::ShortKeyboardPatternsAreEasyToGuess => Id::of("password-keyboard"),
        Warning::RepeatsLikeAaaAreEasyToGuess => Id::of("password-repeats"),
        Warning::RepeatsLikeAbcAbcAreOnlySlightlyHarderToGuess => Id::of("password-repeats-longer"),
        Warning::ThisIsATop10Password | Warning::ThisIsATop100Password | Warning::ThisIsACommonPassword => {
            Id::of("password-common")
        }
        Warning::ThisIsSimilarToACommonlyUsedPassword => Id::of("password-similar"),
        Warning::SequencesLikeAbcAreEasyToGuess => Id::of("password-sequences"),
        Warning::RecentYearsAreEasyToGuess => Id::of("password-years"),
        Warning::AWordByItselfIsEasyToGuess => Id::of("password-word"),
        Warning::DatesAreOftenEasyToGuess => Id::of("password-dates"),
        Warning::NamesAndSurnamesByThemselvesAreEasyToGuess
        | Warning::CommonNamesAndSurnamesAreEasyToGuess => Id::of("password-names"),
    }
}

impl Passwords {
    /// A hasher with this pepper, which is kept apart from the hashes.
    ///
    /// # Errors
    /// [`HashError`].
    pub(crate) fn new(pepper: Secret<Vec<u8>>) -> Result<Self, HashError> {
        let pepper = Arc::new(pepper);
        let entropy: &mut dyn Entropy = &mut SystemEntropy;
        let decoy = hash(&pepper, &entropy.bytes::<32>())?;
        Ok(Self {
            pepper,
            places: Arc::new(Semaphore::new(AT_ONCE)),
            queue: Arc::new(Semaphore::new(WAITING)),
            decoy,
            rules: RwLock::default(),
        })
    }

    /// Hashes a new password.
    ///
    /// # Errors
    /// [`HashError`].
    pub(crate) async fn hash(&self, password: &str) -> Result<String, HashError> {
        let password = Secret::new(password.to_owned());
        self.off_the_runtime(move |pepper| hash(pepper, password.expose().as_bytes())).await
    }

    /// Verifies a password against a stored hash; `None` takes as long and is wrong.
    pub(crate) async fn verify(&self, password: &str, stored: Option<&str>) -> Verdict {
        let Ok(_turn) = self.queue.try_acquire() else { return Verdict::Busy };
        let known = stored.is_some();
        let stored = stored.unwrap_or(&self.decoy).to_owned();
        let password = Secret::new(password.chars().take(LONGEST).collect::<String>());
        let fits = self
            .off_the_runtime(move |pepper| {
                let hash = PasswordHash::new(&stored).map_err(|_| HashError)?;
                let verified = argon2(pepper)?.verify_password(password.expose().as_bytes(), &hash);
                Ok(verified.is_ok())
            })
            .await;
        if known && fits == Ok(true) { Verdict::Right } else { Verdict::Wrong }
    }

    /// Puts other rules in force for the next password.
    pub(crate) fn reconfigure(&self, rules: PasswordRules) {
        *self.rules.write().unwrap_or_else(PoisonError::into_inner) = rules;
    }

    /// Whether a password is one that somebody of this name may set.
    ///
    /// # Errors
    /// [`WeakPassword`].
    pub(crate) fn check(&self, password: &str, name: &str) -> Result<(), WeakPassword> {
        let rules = self.rules.read().unwrap_or_else(PoisonError::into_inner).clone();
        let service = rules.service.iter().map(String::as_str);
        let about: Vec<&str> = [name, "chartgate"].into_iter().chain(service).collect();
        check_strength(password, &about)?;
        Ok(rules.blocklist.check(password, &about)?)
    }

    /// A name under which tries are counted, from which nobody reads what was typed.
    pub(crate) fn blind(&self, typed: &str) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.pepper.expose());
        URL_SAFE_NO_PAD.encode(hmac::sign(&key, format!("login name {typed}").as_bytes()))
    }

    async fn off_the_runtime<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Secret<Vec<u8>>) -> Result<T, HashError> + Send + 'static,
    ) -> Result<T, HashError> {
        let place = Arc::clone(&self.places).acquire_owned().await.map_err(|_| HashError)?;
        let pepper = Arc::clone(&self.pepper);
        tokio::task::spawn_blocking(move || {
            let _place = place;
            work(&pepper)
        })
        .await
        .map_err(|_| HashError)?
    }
}

fn argon2(pepper: &Secret<Vec<u8>>) -> Result<Argon2<'_>, HashError> {
    Argon2::new_with_secret(pepper.expose(), Algorithm::Argon2id, Version::V0x13, Params::DEFAULT)
        .map_err(|_| HashError)
}

fn hash(pepper: &Secret<Vec<u8>>, password: &[u8]) -> Result<String, HashError> {
    let entropy: &mut dyn Entropy = &mut SystemEntropy;
    let salt = entropy.bytes::<16>();
    let hashed = argon2(pepper)?.hash_password_with_salt(password, &salt).map_err(|_| HashError)?;
    Ok(hashed.to_string())
}

/// Whether a password is one that may be set. `about` is what it must not be made of: name, address.
///
/// # Errors
/// [`WeakPassword`], in words for its person.
fn check_strength(password: &str, about: &[&str]) -> Result<(), WeakPassword> {
    if password.chars().count() < usize::from(SHORTEST) {
        return Err(WeakPassword::Short);
    }
    if password.len() > LONGEST {
        return Err(WeakPassword::Long);
    }
    let start: String = password.chars().take(100).collect();
    let estimate = zxcvbn::zxcvbn(&start, about);
    if estimate.score() < zxcvbn::Score::Three {
        return Err(WeakPassword::Guessable(estimate.feedback().and_then(|feedback| feedback.warning())));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passwords() -> Passwords {
        Passwords::new(Secret::new(vec![7; 32])).unwrap()
    }

    #[tokio::test]
    async fn a_hash_verifies_its_password_under_its_pepper_alone() {
        let hash = passwords().hash("correct horse battery staple").await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert_eq!(passwords().verify("correct horse battery staple", Some(&hash)).await, Verdict::Right);
        assert_eq!(passwords().verify("correct horse battery stapler", Some(&hash)).await, Verdict::Wrong);
        let other = Passwords::new(Secret::new(vec![8; 32])).unwrap();
        assert_eq!(other.verify("correct horse battery staple", Some(&hash)).await, Verdict::Wrong);
    }

    #[tokio::test]
    async fn a01_where_there_is_no_hash_no_password_is_right() {
        assert_eq!(passwords().verify("", None).await, Verdict::Wrong);
    }

    #[test]
    fn short_and_guessable_passwords_are_refused_with_a_reason() {
        assert_eq!(check_strength("kX9!vQ2#", &[]), Err(WeakPassword::Short));
        for bad in ["passwordpassword", "aaaaaaaaaaaaaaaaaa", "qwertyuiopasdfghjkl"] {
            assert!(matches!(check_strength(bad, &[]), Err(WeakPassword::Guessable(_))), "{bad}");
        }
        assert_eq!(check_strength("lantern gravel orbit mustard", &["dana"]), Ok(()));
    }

    #[test]
    fn what_is_listed_or_made_of_names_is_refused_by_rules_that_can_change() {
        let passwords = passwords();
        let check = |password: &str| passwords.check(password, "dana");
        assert_eq!(check("northhollow-2026-lantern"), Ok(()));
        // No estimate knows it; those who try passwords do.
        assert_eq!(check("Mittens029642820"), Err(WeakPassword::Common));
        passwords.reconfigure(PasswordRules {
            blocklist: Arc::new(Blocklist::with_lines("Northhollow-2026-Lantern")),
            service: vec!["ravenmoor".to_owned()],
        });
        assert_eq!(check("northhollow-2026-lantern"), Err(WeakPassword::OfThisPlace));
        assert_eq!(check("Ravenmoor-dana-7391-#"), Err(WeakPassword::Names));
        assert!(check("chartgatechartgate").is_err());
    }
}
