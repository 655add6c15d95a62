//! Names of patients, and their encounters, for people who may see them: the gateway reads them, the pickers show them, and
//! neither knows the other.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, PoisonError, RwLock};

use chartgate_access::ids::{FhirUser, PatientId, Subject};
use chartgate_access::pdp::caller::Caller;
use chartgate_access::principal::User;
use chartgate_protocol::fhir::labels::Labels;
use chartgate_protocol::fhir::name::{ResourceId, ResourceType};
use chartgate_protocol::fhir::reference::Reference;
use chartgate_protocol::fhir::version::FhirVersion;
use chartgate_protocol::smart::scope::Permission;
use chartgate_values::Phi;

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

    /// Who is in somebody's care, on the route of this audience or on each; `wanted` is looked for anew where nothing was
    /// known of them.
    fn in_care<'a>(
        &'a self,
        audience: Option<&'a str>,
        somebody: Somebody<'a>,
        wanted: Option<&'a PatientId>,
    ) -> ByRoute<'a, InCare>;

    /// The FHIR routes, and of which version each is.
    fn routes(&self) -> Vec<(&str, FhirVersion)>;

    /// What the Consents of a patient say of a request that nobody has made, on each route on which they are looked at.
    fn forbidden<'a>(&'a self, patient: &'a PatientId, supposing: Supposing<'a>) -> ByRoute<'a, Forbidden>;

    /// The labels that a patient's age gives their records, on each route on which those of minors are labelled. Where nobody in
    /// particular is meant, those that it can give.
    fn ages<'a>(&'a self, patient: Option<&'a PatientId>) -> ByRoute<'a, Labels>;

    /// In whose care a patient is, on each route.
    fn carers_of<'a>(&'a self, patient: &'a PatientId) -> ByRoute<'a, Carers>;

    /// The family names of these patients, as the FHIR server of this route has them; nobody's, if it is no FHIR route. For
    /// whoever watches the log, who has put on record that they are asked for.
    fn family_names<'a>(
        &'a self,
        route: &'a str,
        patients: &'a BTreeSet<PatientId>,
    ) -> Pin<Box<dyn Future<Output = Result<FamilyNames, String>> + Send + 'a>>;
}

/// Family names, by patient; why there are none, in words that name nobody.
pub(crate) type FamilyNames = BTreeMap<PatientId, Vec<Phi<String>>>;

/// The patients in somebody's care.
#[derive(Clone, Debug, Default)]
pub(crate) struct InCare {
    /// Each with what puts them there: `table`, or the resource that proves it.
    pub(crate) by: BTreeMap<PatientId, String>,
    /// Which look-ups failed.
    pub(crate) failed: BTreeSet<String>,
}

/// A request that nobody has made, about records of a type of which nothing more is known.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Supposing<'a> {
    pub(crate) caller: &'a Caller,
    pub(crate) permission: Permission,
    pub(crate) resource_type: ResourceType,
    pub(crate) id: Option<&'a str>,
}

/// What a patient's Consents say of it.
#[derive(Clone, Debug)]
pub(crate) struct Forbidden {
    /// What policies see of it.
    pub(crate) label: Option<&'static str>,
    /// By which of them, or why they could not be read.
    pub(crate) by: BTreeSet<String>,
    /// Whether there are any that might say more, by what stands in a record.
    pub(crate) may_say_more: bool,
}

/// Those in whose care a patient is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Carers {
    /// By the care table.
    pub(crate) table: Vec<Subject>,
    /// By what the upstream says: as FHIR knows them, each with the resource that proves it.
    pub(crate) proven: BTreeMap<Reference, Reference>,
    /// Which look-ups failed.
    pub(crate) failed: BTreeSet<String>,
}

/// Somebody who may care for patients: by name, and as FHIR knows them.
pub(crate) type Somebody<'a> = (&'a Subject, Option<&'a FhirUser>);

/// What is known on each route, by its name.
pub(crate) type ByRoute<'a, T> = Pin<Box<dyn Future<Output = Vec<(&'a str, T)>> + Send + 'a>>;

/// Asked for by administrators, whichever configuration is in force.
#[derive(Default)]
pub(crate) struct LiveDirectory(RwLock<Option<Arc<dyn PatientDirectory>>>);

impl LiveDirectory {
    /// Puts another one to use.
    pub(crate) fn replace(&self, directory: Arc<dyn PatientDirectory>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(directory);
    }

    /// The one in use, once there is one.
    pub(crate) fn current(&self) -> Option<Arc<dyn PatientDirectory>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
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
