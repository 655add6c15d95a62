//! How long tokens and sessions live, and what tokens are signed with.

use std::collections::BTreeSet;
use std::time::Duration;

use chartgate_access::session::{Limits, Timeouts};
use chartgate_protocol::jose::{Algorithm, KeyManagement};

use super::section::{Reading, Section};

/// How tokens are signed and how long they live.
#[derive(Clone, Debug)]
pub(crate) struct Tokens {
    pub(crate) signing: SigningKeys,
    /// Services beside the routes that tokens may be for.
    pub(crate) audiences: Vec<String>,
    pub(crate) access_token_ttl: Duration,
    pub(crate) refresh_token_ttl: Duration,
    pub(crate) offline_token_ttl: Duration,
}

/// What tokens are signed with, and for how long by the same key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct SigningKeys {
    /// Where nobody asks for another.
    pub(crate) algorithm: Algorithm,
    /// Those that have keys as well.
    pub(crate) additional: BTreeSet<Algorithm>,
    /// How what is for us may be encrypted: each has its keys.
    pub(crate) encryption: Vec<KeyManagement>,
    /// How long a key is used.
    pub(crate) rotation: Duration,
}

/// The longest that an access token may live; cut-offs are kept as long.
pub(crate) const LONGEST_ACCESS_TOKEN: Duration = Duration::from_secs(3600);

impl Tokens {
    pub(super) fn read(reading: &mut Reading<'_>, mut section: Section) -> Self {
        let second = Duration::from_secs(1);
        let tokens = Self {
            signing: SigningKeys::read(reading, &mut section),
            audiences: audiences(reading, &mut section),
            access_token_ttl: section.duration(
                reading,
                "access_token_ttl",
                Duration::from_mins(5),
                second..=LONGEST_ACCESS_TOKEN,
            ),
            refresh_token_ttl: section.duration(
                reading,
                "refresh_token_ttl",
                Duration::from_hours(8),
                second..=Duration::from_hours(24 * 30),
            ),
            offline_token_ttl: section.duration(
                reading,
                "offline_token_ttl",
                Duration::from_hours(24 * 90),
                second..=Duration::from_hours(24 * 730),
            ),
        };
        section.finish(reading);
        tokens
    }
}

/// RFC 8707 section 2: an absolute URI without a fragment; ours are https.
fn audiences(reading: &mut Reading<'_>, section: &mut Section) -> Vec<String> {
    let (line, key) = (section.line_of("audiences"), section.key("audiences"));
    let audiences = section.texts(reading, "audiences");
    for audience in &audiences {
        let is_good = audience.parse::<http::Uri>().is_ok_and(|uri| uri.scheme_str() == Some("https"));
        if !is_good || audience.ends_with('/') || audience.contains('#') {
            reading.error(
                line,
                &key,
                format!("`{audience}` has to be https://…, without a slash at the end"),
            );
        }
    }
    audiences
}

impl SigningKeys {
    fn read(reading: &mut Reading<'_>, section: &mut Section) -> Self {
        let line = section.line_of("signing_algorithm");
        let named = section.text(reading, "signing_algorithm");
        let key = section.key("signing_algorithm");
        let algorithm = named.and_then(|name| signs(reading, line, &key, &name)).unwrap_or(Algorithm::RS256);
        let line = section.line_of("additional_algorithms");
        let names = section.texts(reading, "additional_algorithms");
        let key = section.key("additional_algorithms");
        let additional = names.iter().filter_map(|name| signs(reading, line, &key, name)).collect();
        let rotation = section.duration(
            reading,
            "key_rotation",
            Duration::from_hours(24 * 90),
            Duration::from_hours(1)..=Duration::from_hours(24 * 730),
        );
        let encryption = encryption(reading, section);
        Self { algorithm, additional, encryption, rotation }
    }

    /// Every algorithm that has keys, whoever asks.
    pub(crate) fn all(&self) -> impl Iterator<Item = Algorithm> {
        std::iter::once(self.algorithm).chain(self.additional.iter().copied())
    }
}

fn encryption(reading: &mut Reading<'_>, section: &mut Section) -> Vec<KeyManagement> {
    let (line, key) = (section.line_of("encryption_algorithms"), section.key("encryption_algorithms"));
    if !section.has("encryption_algorithms") {
        return vec![KeyManagement::EcdhEsA256Kw];
    }
    let mut managements = Vec::new();
    for name in section.texts(reading, "encryption_algorithms") {
        match KeyManagement::PUBLIC.into_iter().find(|management| management.name() == name) {
            Some(management) => managements.push(management),
            None => {
                let problem = format!("`{name}` has to be ECDH-ES, ECDH-ES+A256KW or RSA-OAEP-256");
                reading.error(line, &key, problem);
            }
        }
    }
    managements
}

fn signs(reading: &mut Reading<'_>, line: usize, key: &str, name: &str) -> Option<Algorithm> {
    let algorithm = name.parse().ok().filter(|algorithm| Algorithm::SIGNING.contains(algorithm));
    if algorithm.is_none() {
        reading.error(line, key, format!("`{name}` has to be RS256, PS256, ES256, ES384 or EdDSA"));
    }
    algorithm
}

/// How long sessions live: all, unless those of a stronger sign-in have limits of their own.
pub(super) fn sessions(reading: &mut Reading<'_>, mut section: Section) -> Timeouts {
    let (two_factors, phishing_resistant) =
        (section.table(reading, "two_factors"), section.table(reading, "phishing_resistant"));
    let usual = Limits { idle: Duration::from_mins(15), absolute: Duration::from_hours(12) };
    let one_factor = limits(reading, section, usual);
    let two_factors = limits(reading, two_factors, one_factor);
    Timeouts { one_factor, two_factors, phishing_resistant: limits(reading, phishing_resistant, two_factors) }
}

fn limits(reading: &mut Reading<'_>, mut section: Section, usual: Limits) -> Limits {
    let minute = Duration::from_mins(1);
    let (day, month) = (Duration::from_hours(24), Duration::from_hours(24 * 30));
    let idle = section.duration(reading, "idle_timeout", usual.idle, minute..=day);
    let absolute = section.duration(reading, "absolute_timeout", usual.absolute, minute..=month);
    section.finish(reading);
    Limits { idle, absolute }
}
