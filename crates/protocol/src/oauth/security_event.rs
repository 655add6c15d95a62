//! What a privacy officer's program is told of emergency access, and of findings in the log: a Security Event Token (RFC 8417),
//! pushed by RFC 8935.
//!
//! It says who or how many, when and where to look; whose record and why, it does not.

use std::collections::BTreeMap;

use chartgate_values::Timestamp;
use serde::Serialize;

use crate::jose::claims::NumericDate;

/// `typ`, RFC 8417 section 2.3; with `application/` before it, how it is sent (RFC 8935 section 2).
pub const SECURITY_EVENT_TYPE: &str = "secevent+jwt";

/// The claims. RFC 8417 section 2.2.
#[derive(Clone, Debug, Serialize)]
pub struct SecurityEventClaims {
    iss: String,
    aud: String,
    jti: String,
    iat: NumericDate,
    /// When it happened.
    toe: NumericDate,
    events: SecurityEvent,
}

/// What happened, under its name.
#[derive(Clone, Debug, Serialize)]
pub enum SecurityEvent {
    /// A use of emergency access began.
    #[serde(rename = "urn:chartgate:event:emergency-access")]
    EmergencyAccess(EmergencyAccessBegan),
    /// There are findings.
    #[serde(rename = "urn:chartgate:event:findings")]
    Findings(FindingsMade),
}

/// Somebody should look at something.
#[derive(Clone, Debug, Serialize)]
pub struct FindingsMade {
    /// How many findings there are, by rule.
    pub findings: BTreeMap<String, usize>,
    /// Where they are.
    pub link: String,
}

/// A use of emergency access began.
#[derive(Clone, Debug, Serialize)]
pub struct EmergencyAccessBegan {
    /// Its name.
    pub id: String,
    /// Who.
    pub user: String,
    /// Until when.
    pub until: NumericDate,
    /// Where it is reviewed.
    pub link: String,
}

impl SecurityEventClaims {
    /// Of this issuer to whoever is there: that this began then.
    #[must_use]
    pub fn new(
        iss: String,
        aud: String,
        jti: String,
        (now, began): (Timestamp, Timestamp),
        events: SecurityEvent,
    ) -> Self {
        Self { iss, aud, jti, iat: now.into(), toe: began.into(), events }
    }
}
