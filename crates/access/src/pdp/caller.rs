//! Who asks: what a verified token says, as far as decisions need it.

use std::collections::BTreeSet;

use chartgate_protocol::smart::scope::SmartScope;

use crate::ids::{ClientId, FhirUser, PatientId, Role, Subject};

/// A person or a program.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Hash)]
pub enum CallerKind {
    /// A person, through a client.
    Person,
    /// A client that acts for itself.
    Workload,
}

/// The facts that policies see. Two callers with equal facts get equal decisions, so decisions are cached by them.
#[derive(Clone, Debug, Eq, PartialEq, Hash)]
pub struct Facts {
    /// A person or a program.
    pub kind: CallerKind,
    /// `sub`.
    pub subject: Subject,
    /// `client_id`.
    pub client_id: ClientId,
    /// `roles`.
    pub roles: BTreeSet<Role>,
    /// `acr`.
    pub acr: Option<String>,
    /// `amr`.
    pub amr: BTreeSet<String>,
    /// `purpose_of_use`.
    pub purpose_of_use: Option<String>,
}

/// A caller with what their token lets them reach.
#[derive(Clone, Debug)]
pub struct Caller {
    /// What policies see.
    pub facts: Facts,
    /// SMART scopes of the token.
    pub smart: Vec<SmartScope>,
    /// All scope tokens of the token, as they stand.
    pub scopes: BTreeSet<String>,
    /// The patient in the token's context.
    pub patient: Option<PatientId>,
    /// The person's own FHIR resource.
    pub fhir_user: Option<FhirUser>,
}
