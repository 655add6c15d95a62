//! Safeguard by safeguard: what is in force, what shows it, what is missing. 45 CFR 164 subparts C and E.
//!
//! Every sentence is made from the running gateway's settings, from its store or from the log; what this software does not do
//! at all is said where it belongs.

use chartgate_values::Timestamp;

use super::seen::Seen;
use super::{Safeguard, TestRun};
use crate::admin::in_force::Settings;
use crate::cli::span::{HOUR, YEAR, span};

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
