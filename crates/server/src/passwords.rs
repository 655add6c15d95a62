//! Passwords: hashed with a pepper, on a few threads of their own ([`hashing`]). NIST SP 800-63B-4 section 3.1.1.2.

mod hashing;

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock};

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chartgate_access::ids::Subject;
use chartgate_access::login::blocklist::{Blocklist, Listed};
use chartgate_values::Secret;
use hashing::Cost;
pub(crate) use hashing::Scheme;
use tokio::sync::Semaphore;
use unicode_normalization::UnicodeNormalization as _;
use zxcvbn::feedback::Warning;

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
    /// How new ones are hashed.
    scheme: Scheme,
    /// What they cost.
    own: Cost,
    places: Arc<Semaphore>,
    /// Places in the queue before them.
    queue: Arc<Semaphore>,
    /// What is verified against where there is nothing, of each cost that somebody's hash has: whoever it is, and whether it is
    /// anybody, the answer takes as long.
    decoys: Arc<[(Cost, String)]>,
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

/// Hashing failed: the machine is out of memory, or going down, or too many wait for it.
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
    /// A hasher with this pepper, which is kept apart from the hashes, where these are known already.
    ///
    /// # Errors
    /// [`HashError`].
    pub(crate) fn new<'a>(
        pepper: Secret<Vec<u8>>,
        scheme: Scheme,
        known: impl Iterator<Item = &'a str>,
    ) -> Result<Self, HashError> {
        let own = Cost::of(&scheme.hash(&pepper, b"")?).ok_or(HashError)?;
        let mut costs: BTreeSet<Cost> = known.filter_map(Cost::of).collect();
        costs.insert(own.clone());
        let with_decoy = |cost: Cost| {
            let decoy = cost.decoy();
            (cost, decoy)
        };
        Ok(Self {
            pepper: Arc::new(pepper),
            scheme,
            own,
            decoys: costs.into_iter().map(with_decoy).collect(),
            places: Arc::new(Semaphore::new(AT_ONCE)),
            queue: Arc::new(Semaphore::new(WAITING)),
            rules: RwLock::default(),
        })
    }

    /// Hashes a new password.
    ///
    /// # Errors
    /// [`HashError`].
    pub(crate) async fn hash(&self, password: &str) -> Result<String, HashError> {
        let _turn = self.queue.try_acquire().map_err(|_| HashError)?;
        let (password, scheme) = (Secret::new(normal(password)), self.scheme);
        self.off_the_runtime(move |pepper| scheme.hash(pepper, password.expose().as_bytes())).await
    }

    /// Whether a hash is to be made anew at its next right password: it is of another cost than new ones are.
    pub(crate) fn is_outdated(&self, hash: &str) -> bool {
        Cost::of(hash).as_ref() != Some(&self.own)
    }

    /// Whether a hash can be verified in this build.
    pub(crate) fn can_verify(&self, hash: &str) -> bool {
        let cost = Cost::of(hash);
        self.decoys.iter().any(|(known, _)| Some(known) == cost.as_ref())
    }

    /// Verifies a password against a stored hash; `None`, and one that cannot be verified in this build, take as long and are
    /// wrong.
    pub(crate) async fn verify(&self, password: &str, stored: Option<&str>) -> Verdict {
        let Ok(_turn) = self.queue.try_acquire() else { return Verdict::Busy };
        let decoys = Arc::clone(&self.decoys);
        let stored = stored.map(str::to_owned);
        let spellings = spellings(password);
        let fits = self
            .off_the_runtime(move |pepper| {
                let mut fits = false;
                for spelling in &spellings {
                    // Nobody has set one so long.
                    let stored = stored.as_deref().filter(|_| spelling.is_whole);
                    for (hash, whose) in computed(&decoys, stored) {
                        let is_of = hashing::is_of(hash, pepper, spelling.text.expose().as_bytes());
                        fits |= is_of && whose == Whose::Theirs;
                    }
                }
                Ok(fits)
            })
            .await;
        match fits {
            Ok(true) => Verdict::Right,
            Ok(false) => Verdict::Wrong,
            // Nobody could look at it.
            Err(HashError) => Verdict::Busy,
        }
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
        let password = Secret::new(normal(password));
        check_strength(password.expose(), &about)?;
        Ok(rules.blocklist.check(password.expose(), &about)?)
    }

    /// A name under which tries are counted, from which nobody reads what was typed.
    pub(crate) fn blind(&self, typed: &str) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.pepper.expose());
        URL_SAFE_NO_PAD.encode(hmac::sign(&key, format!("login name {typed}").as_bytes()))
    }

    /// The names under which a person's tries are counted: with their password, and after a link in place of that, for wrong
    /// passwords, a stranger's hundred of them, are what a link is for.
    pub(crate) fn counters(&self, of: &Subject) -> [String; 2] {
        [self.blind(of.as_str()), self.blind(&format!("{of} after a link"))]
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

/// A password as it is hashed (NFC): keyboards spell the same letter in two ways.
fn normal(password: &str) -> String {
    password.nfc().collect()
}

/// A typed password in one spelling.
struct Spelling {
    text: Secret<String>,
    /// Whether this is all of it.
    is_whole: bool,
}

impl Spelling {
    fn of(text: &str) -> Self {
        let is_whole = text.chars().nth(LONGEST).is_none();
        Self { text: Secret::new(text.chars().take(LONGEST).collect()), is_whole }
    }
}

/// In which spellings a typed password may have been hashed: in the one that all are now, and as it was typed, as they were
/// before. How many these are depends on what was typed alone (ATTACKS A01).
fn spellings(typed: &str) -> Vec<Spelling> {
    let normal = Secret::new(normal(typed));
    let as_typed = (normal.expose() != typed).then(|| Spelling::of(typed));
    std::iter::once(Spelling::of(normal.expose())).chain(as_typed).collect()
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

/// Whose hash is computed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Whose {
    Theirs,
    Nobodys,
}

/// What is computed at each sign-in, whoever signs in: a hash of every cost, of which one may be the person's own.
fn computed<'h>(decoys: &'h [(Cost, String)], stored: Option<&'h str>) -> Vec<(&'h str, Whose)> {
    let stored = stored.and_then(|hash| Some((Cost::of(hash)?, hash)));
    let of_cost = |(cost, decoy): &'h (Cost, String)| match &stored {
        Some((own, hash)) if own == cost => (*hash, Whose::Theirs),
        Some(_) | None => (decoy.as_str(), Whose::Nobodys),
    };
    decoys.iter().map(of_cost).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(scheme: Scheme, pepper: u8, known: &[&str]) -> Passwords {
        Passwords::new(Secret::new(vec![pepper; 32]), scheme, known.iter().copied()).unwrap()
    }

    fn passwords() -> Passwords {
        with(Scheme::of_this_build(), 7, &[])
    }

    #[tokio::test]
    async fn a_hash_verifies_its_password_under_its_pepper_alone() {
        let all = if cfg!(feature = "fips") {
            vec![(Scheme::Pbkdf2, "$pbkdf2-sha512$i=250000$")]
        } else {
            let argon2id = "$argon2id$v=19$m=19456,t=2,p=1$";
            vec![(Scheme::Argon2id, argon2id), (Scheme::Pbkdf2, "$pbkdf2-sha512$i=250000$")]
        };
        for (scheme, head) in all {
            let passwords = with(scheme, 7, &[]);
            let hash = passwords.hash("correct horse battery staple").await.unwrap();
            assert!(hash.starts_with(head), "{hash}");
            assert!(!passwords.is_outdated(&hash));
            let again = passwords.hash("correct horse battery staple").await.unwrap();
            assert_ne!(hash, again, "each has a salt of its own");
            let verify = async |typed: &str| passwords.verify(typed, Some(&hash)).await;
            assert_eq!(verify("correct horse battery staple").await, Verdict::Right);
            assert_eq!(verify("correct horse battery stapler").await, Verdict::Wrong);
            let other = with(scheme, 8, &[]);
            assert_eq!(other.verify("correct horse battery staple", Some(&hash)).await, Verdict::Wrong);
        }
    }

    #[tokio::test]
    async fn a_hash_of_another_kind_or_cost_is_verified_where_it_can_be_and_made_anew() {
        let password = "correct horse battery staple";
        let argon2id = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAA";
        let (of, by) = if cfg!(feature = "fips") {
            (Scheme::Pbkdf2, Scheme::Pbkdf2)
        } else {
            (Scheme::Pbkdf2, Scheme::Argon2id)
        };
        let hash = with(of, 7, &[]).hash(password).await.unwrap();
        let passwords = with(by, 7, &[&hash, "$pbkdf2-sha512$i=1000$AAAA$AAAA", argon2id, "nothing"]);
        assert_eq!(passwords.verify(password, Some(&hash)).await, Verdict::Right);
        assert_eq!(passwords.is_outdated(&hash), of != by);
        assert!(passwords.is_outdated("$pbkdf2-sha512$i=1000$AAAA$AAAA"));
        // ATTACKS A01: every cost that somebody's has is paid for everybody, and none but the ones that can be.
        let costs = if cfg!(feature = "fips") { 2 } else { 3 };
        for (stored, own) in
            [(None, 0), (Some(hash.as_str()), 1), (Some("nothing"), 0), (Some("$argon2i$x"), 0)]
        {
            let computed = computed(&passwords.decoys, stored);
            let costs_of: std::collections::BTreeSet<_> =
                computed.iter().map(|(hash, _)| cost(hash)).collect();
            assert_eq!((computed.len(), costs_of.len()), (costs, costs), "{stored:?}: each cost once");
            assert_eq!(
                computed.iter().filter(|(_, whose)| *whose == Whose::Theirs).count(),
                own,
                "{stored:?}"
            );
        }
        if cfg!(feature = "fips") {
            assert_eq!(passwords.verify(password, Some(argon2id)).await, Verdict::Wrong);
        }
    }

    /// What says how much a hash takes.
    fn cost(hash: &str) -> String {
        let parts: Vec<&str> = hash.split('$').collect();
        parts[..parts.len().saturating_sub(2)].join("$")
    }

    #[tokio::test]
    async fn a_password_that_is_longer_than_any_may_be_is_nobodys_and_no_beginning_of_it_is_right() {
        let (longest, passwords) = ("p".repeat(LONGEST), passwords());
        let hash = passwords.hash(&longest).await.unwrap();
        assert_eq!(passwords.verify(&longest, Some(&hash)).await, Verdict::Right);
        assert_eq!(passwords.verify(&format!("{longest}x"), Some(&hash)).await, Verdict::Wrong);
    }

    /// NIST SP 800-63B-4 section 3.1.1.2: what looks alike and is typed alike is alike, on whichever keyboard.
    #[tokio::test]
    async fn a_password_is_the_same_in_either_spelling_and_one_from_before_opens_as_it_was_typed() {
        let (composed, decomposed) = ("caf\u{e9} lantern gravel", "cafe\u{301} lantern gravel");
        let passwords = passwords();
        for set in [composed, decomposed] {
            let hash = passwords.hash(set).await.unwrap();
            for typed in [composed, decomposed] {
                assert_eq!(passwords.verify(typed, Some(&hash)).await, Verdict::Right, "{set} {typed}");
            }
            assert_eq!(passwords.verify("cafe lantern gravel", Some(&hash)).await, Verdict::Wrong);
        }
        let before = passwords.scheme.hash(&passwords.pepper, decomposed.as_bytes()).unwrap();
        assert_eq!(passwords.verify(decomposed, Some(&before)).await, Verdict::Right);
        assert_eq!(passwords.verify("cafe lantern gravel", Some(&before)).await, Verdict::Wrong);
        // Twelve characters that take two signs each are no longer for that.
        assert_eq!(passwords.check(&"e\u{301}".repeat(12), "dana"), Err(WeakPassword::Short));
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
