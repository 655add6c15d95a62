//! Names of patients, and their encounters, for people who may see them: the gateway reads them, the pickers show them, and
//! neither knows the other.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;

use chartgate_access::ids::PatientId;
use chartgate_access::principal::User;
use chartgate_protocol::fhir::name::ResourceId;

use crate::net::origin::Origin;

/// Where the pickers have names from. Reading one is an access like any other, and recorded as such.
pub(crate) trait PatientDirectory: Send + Sync {
    /// The names of these patients, as far as the person may read them at this audience.
    fn names<'a>(
        &'a self,
        origin: &'a Origin,
        user: &'a User,
        audience: &'a str,
        patients: &'a BTreeSet<PatientId>,
    ) -> Names<'a>;

    /// The latest encounters of a patient, as far as the audience has them; the latest first.
    fn encounters<'a>(
        &'a self,
        origin: &'a Origin,
        user: &'a User,
        audience: &'a str,
        patient: &'a PatientId,
    ) -> Encounters<'a>;
}

/// An encounter, as a person knows it again.
#[derive(Clone, Debug)]
pub(crate) struct Encounter {
    pub(crate) id: ResourceId,
    /// When it was, and of what kind.
    pub(crate) title: String,
}

/// Encounters to come.
pub(crate) type Encounters<'a> =
    Pin<Box<dyn Future<Output = Result<Vec<Encounter>, DirectoryError>> + Send + 'a>>;

/// Names to come.
pub(crate) type Names<'a> =
    Pin<Box<dyn Future<Output = Result<BTreeMap<PatientId, String>, DirectoryError>> + Send + 'a>>;

/// Why there are no names.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DirectoryError {
    /// The access could not be recorded, so nothing is shown.
    #[error("the log cannot be written")]
    Unrecorded,
}
