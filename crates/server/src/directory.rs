//! Names of patients for people who may see them: the gateway reads them, the patient picker shows them, and neither
//! knows the other.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;

use chartgate_access::ids::PatientId;
use chartgate_access::principal::User;

use crate::net::origin::Origin;

/// Where the patient picker has names from. Reading one is an access like any other, and recorded as such.
pub(crate) trait PatientDirectory: Send + Sync {
    /// The names of these patients, as far as the person may read them at this audience.
    fn names<'a>(
        &'a self,
        origin: &'a Origin,
        user: &'a User,
        audience: &'a str,
        patients: &'a BTreeSet<PatientId>,
    ) -> Names<'a>;
}

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
