//! Safeguard by safeguard: what is in force, what shows it, what is missing. 45 CFR 164 subparts C and E.
//!
//! Every sentence is made from the running gateway's settings, from its store or from the log; what this software does not do
//! at all is said where it belongs.

use chartgate_values::Timestamp;

use super::seen::Seen;
use super::{Safeguard, TestRun};
use crate::admin::in_force::Settings;

mod administrative;
mod privacy;
mod sign_in;
mod technical;

/// What is known.
pub(super) struct Known<'a> {
    pub(super) settings: &'a Settings,
    pub(super) seen: &'a Seen,
    pub(super) now: Timestamp,
    /// The end of the time that the log was looked at for.
    pub(super) end: Timestamp,
    /// What came of the policies' own tests; none if they cannot be read.
    pub(super) tests: Option<&'a TestRun>,
}

/// All of them.
pub(super) fn all(known: &Known<'_>) -> Vec<Safeguard> {
    [
        technical::access_control,
        technical::unique_people,
        technical::administrators,
        technical::emergency_access,
        sign_in::automatic_logoff,
        sign_in::sign_in_attempts,
        technical::segmentation,
        technical::encryption_at_rest,
        technical::audit_controls,
        technical::integrity,
        sign_in::authentication,
        technical::transmission,
        administrative::activity_review,
        administrative::termination,
        administrative::authorization,
        administrative::incidents,
        administrative::contingency,
        administrative::evaluation,
        administrative::disposal,
        administrative::six_years,
        privacy::minimum_necessary,
        privacy::disclosures,
        privacy::restrictions,
    ]
    .iter()
    .map(|tell| tell(known))
    .collect()
}

const HOUR: u64 = 3600;
/// As the configuration has it: 365 days and a quarter.
const YEAR: u64 = 8766 * HOUR;

/// A span of time as people say it.
fn span(seconds: u64) -> String {
    const UNITS: [(u64, &str); 5] =
        [(YEAR, "year"), (24 * HOUR, "day"), (HOUR, "hour"), (60, "minute"), (1, "second")];
    let whole = |(length, _): &&(u64, &str)| seconds >= *length && seconds.is_multiple_of(*length);
    let (length, unit) = UNITS.iter().find(whole).copied().unwrap_or((1, "second"));
    let count = seconds.checked_div(length).unwrap_or_default();
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_told_in_its_largest_whole_unit() {
        let told = [0, 1, 60, 90, 3600, 5400, 86_400, 6 * YEAR].map(span);
        let expected =
            ["0 seconds", "1 second", "1 minute", "90 seconds", "1 hour", "90 minutes", "1 day", "6 years"];
        assert_eq!(told, expected);
    }
}
