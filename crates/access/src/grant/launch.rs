//! A launch: who and what was on the screen of the EHR, or was picked where there is none. SMART App Launch 2.2, "EHR Launch"
//! and "Standalone Launch".

use std::time::Duration;

use chartgate_protocol::fhir::name::ResourceId;
use chartgate_protocol::smart::launch::LaunchContext;
use serde::{Deserialize, Serialize};

use crate::ids::{PatientId, Subject};

/// The scope that goes with a launch handle.
pub const LAUNCH: &str = "launch";
/// The scope that asks for an encounter.
pub const LAUNCH_ENCOUNTER: &str = "launch/encounter";
/// How long a handle may wait for its application.
pub const LAUNCH_LIFE: Duration = Duration::from_secs(300);

/// What an EHR said of it. It opens nothing: what the application may see of the patient is asked for each request.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Launch {
    /// The person who launched it, if it is for no other.
    pub user: Option<Subject>,
    /// Whose record was open.
    pub patient: Option<PatientId>,
    /// In which encounter.
    pub encounter: Option<ResourceId>,
    /// Everything else.
    pub context: LaunchContext,
}

impl Launch {
    /// What a standalone launch comes to where a person picked an encounter.
    #[must_use]
    pub fn of_encounter(encounter: ResourceId) -> Self {
        Self { user: None, patient: None, encounter: Some(encounter), context: LaunchContext::default() }
    }
}
