//! Whether a FHIR route keeps to what patients have forbidden by Consent resources.

use std::collections::BTreeSet;
use std::time::Duration;

use chartgate_protocol::fhir::name::ResourceId;

use super::section::{Reading, Section};

/// Whether a route looks at Consents, and how.
#[derive(Clone, Debug)]
pub(crate) enum ConsentCheck {
    Ignored,
    Enforced {
        /// How long what the upstream said is believed.
        cache: Duration,
        /// The Organizations of which everybody here is; without it that is not known.
        organizations: Option<BTreeSet<ResourceId>>,
    },
}

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);
const QUARTER: Duration = Duration::from_mins(15);

impl ConsentCheck {
    /// Reads what a route says of it.
    pub(super) fn read(reading: &mut Reading<'_>, section: &mut Section) -> Self {
        let line = section.line_of("consent");
        let is_enforced = match section.text(reading, "consent").as_deref() {
            None | Some("ignore") => false,
            Some("enforce") => true,
            Some(other) => {
                let problem = format!("`{other}` is not one of ignore, enforce");
                reading.error(line, section.key("consent"), problem);
                false
            }
        };
        let cache = section.duration(reading, "consent_cache", MINUTE, SECOND..=QUARTER);
        let line = section.line_of("consent_organizations");
        let mut organizations = section.has("consent_organizations").then(BTreeSet::<ResourceId>::new);
        for name in section.texts(reading, "consent_organizations") {
            match name.strip_prefix("Organization/").and_then(|id| id.parse().ok()) {
                Some(id) => {
                    organizations.get_or_insert_default().insert(id);
                }
                None => {
                    let problem = format!("`{name}` is no `Organization/ID`");
                    reading.error(line, section.key("consent_organizations"), problem);
                }
            }
        }
        if is_enforced { Self::Enforced { cache, organizations } } else { Self::Ignored }
    }
}
