//! From what a FHIR route knows who is in whose care.

use std::collections::BTreeSet;
use std::time::Duration;

use chartgate_protocol::fhir::care::{Margins, Source};

use super::section::{Reading, Section};

/// Who is in whose care on a route.
#[derive(Clone, Debug)]
pub(crate) struct CareFrom {
    /// Whether the care table counts.
    pub(crate) table: CareTable,
    /// The resources of the route's own upstream that count.
    pub(crate) sources: BTreeSet<Source>,
    /// How long what the upstream said is believed.
    pub(crate) cache: Duration,
    /// How long before and after.
    pub(crate) margins: Margins,
    /// Whether a person's PractitionerRoles are they.
    pub(crate) roles: CareRoles,
}

/// Whether the care table counts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum CareTable {
    Counts,
    Ignored,
}

/// Whether who takes part by a PractitionerRole is looked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum CareRoles {
    Ignored,
    Followed,
}

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);
const QUARTER: Duration = Duration::from_mins(15);
const DAY: Duration = Duration::from_hours(24);
const WEEK: Duration = Duration::from_hours(7 * 24);
const YEAR: Duration = Duration::from_hours(365 * 24);
const TEN_YEARS: Duration = Duration::from_hours(3650 * 24);
const QUARTER_YEAR: Duration = Duration::from_hours(90 * 24);

impl CareFrom {
    /// Reads what a route says of it.
    pub(super) fn read(reading: &mut Reading<'_>, section: &mut Section) -> Self {
        let line = section.line_of("care_from");
        let is_said = section.has("care_from");
        let mut table = if is_said { CareTable::Ignored } else { CareTable::Counts };
        let mut sources = BTreeSet::new();
        for name in section.texts(reading, "care_from") {
            match name.as_str() {
                "table" => table = CareTable::Counts,
                "care-team" => drop(sources.insert(Source::CareTeam)),
                "encounter" => drop(sources.insert(Source::Encounter)),
                "appointment" => drop(sources.insert(Source::Appointment)),
                other => {
                    let problem = format!("`{other}` is not one of table, care-team, encounter, appointment");
                    reading.error(line, section.key("care_from"), problem);
                }
            }
        }
        if is_said && table == CareTable::Ignored && sources.is_empty() {
            reading.error(line, section.key("care_from"), "names nothing: nobody would be in anybody's care");
        }
        Self {
            table,
            sources,
            cache: section.duration(reading, "care_cache", MINUTE, SECOND..=QUARTER),
            margins: Margins {
                after_encounter: section.duration(
                    reading,
                    "care_after_encounter",
                    WEEK,
                    Duration::ZERO..=QUARTER_YEAR,
                ),
                open_encounter: section.duration(reading, "care_open_encounter", YEAR, DAY..=TEN_YEARS),
                around_appointment: section.duration(
                    reading,
                    "care_around_appointment",
                    DAY,
                    Duration::ZERO..=QUARTER_YEAR,
                ),
            },
            roles: section.choice(reading, "care_roles", [CareRoles::Ignored, CareRoles::Followed]),
        }
    }
}
