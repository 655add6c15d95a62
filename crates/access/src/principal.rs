//! People: who they are and what they may be asked to be.

use std::collections::BTreeSet;

use chartgate_values::Timestamp;

use crate::ids::{FhirUser, Role, Subject};

/// Whether a person may sign in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum UserState {
    /// May sign in.
    Enabled,
    /// May not; every session and token ended when this began.
    Disabled,
}

/// A person.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct User {
    /// Login name and `sub`.
    pub name: Subject,
    /// May sign in or not.
    pub state: UserState,
    /// Roles, which become claims.
    pub roles: BTreeSet<Role>,
    /// The person's own FHIR resource.
    pub fhir_user: Option<FhirUser>,
    /// Where notices go; never a key to anything.
    pub email: Option<String>,
    /// When the record was made.
    pub created_at: Timestamp,
}
