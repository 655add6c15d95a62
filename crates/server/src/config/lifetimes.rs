//! How long tokens and sessions live, and what tokens are signed with.

use std::time::Duration;

use chartgate_access::session::Timeouts;
use chartgate_protocol::jose::Algorithm;

use super::section::{Reading, Section};

/// How tokens are signed and how long they live.
#[derive(Clone, Debug)]
pub(crate) struct Tokens {
    pub(crate) signing_algorithm: Algorithm,
    pub(crate) access_token_ttl: Duration,
    pub(crate) refresh_token_ttl: Duration,
    pub(crate) offline_token_ttl: Duration,
}

/// The longest that an access token may live; cut-offs are kept as long.
pub(crate) const LONGEST_ACCESS_TOKEN: Duration = Duration::from_secs(3600);

impl Tokens {
    pub(super) fn read(reading: &mut Reading<'_>, mut section: Section) -> Self {
        let second = Duration::from_secs(1);
        let line = section.line_of("signing_algorithm");
        let algorithm: Algorithm = section.parsed(reading, "signing_algorithm").unwrap_or(Algorithm::RS256);
        let signs = match algorithm {
            Algorithm::RS256 | Algorithm::PS256 | Algorithm::ES256 | Algorithm::ES384 | Algorithm::EdDSA => {
                algorithm
            }
            Algorithm::RS384 | Algorithm::PS384 => {
                let problem = "has to be RS256, PS256, ES256, ES384 or EdDSA";
                reading.error(line, section.key("signing_algorithm"), problem);
                Algorithm::RS256
            }
        };
        let tokens = Self {
            signing_algorithm: signs,
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

/// How long sessions live.
pub(super) fn sessions(reading: &mut Reading<'_>, mut section: Section) -> Timeouts {
    let idle = section.duration(
        reading,
        "idle_timeout",
        Duration::from_mins(15),
        Duration::from_mins(1)..=Duration::from_hours(24),
    );
    let absolute = section.duration(
        reading,
        "absolute_timeout",
        Duration::from_hours(12),
        Duration::from_mins(1)..=Duration::from_hours(24 * 30),
    );
    section.finish(reading);
    Timeouts { idle, absolute }
}
