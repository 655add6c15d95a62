//! Who asks: what a verified token says, as far as decisions need it.

use std::collections::BTreeSet;

use chartgate_protocol::jose::claims::AccessTokenClaims;
use chartgate_protocol::oauth::authorization_details::{Action, AuthorizationDetail};
use chartgate_protocol::smart::scope::{Permission, SmartScope};
use serde::Serialize;
use serde_json::Value;

use crate::ids::{ClientId, EmergencyId, FhirUser, PatientId, Role, Subject};

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
    /// What the token allows in detail. RFC 9396.
    pub details: Details,
    /// The patient in the token's context.
    pub patient: Option<PatientId>,
    /// The person's own FHIR resource.
    pub fhir_user: Option<FhirUser>,
}

/// What a token allows in detail.
#[derive(Clone, Debug, Default)]
pub struct Details {
    /// Records of patients that it names.
    pub records: Vec<RecordsOf>,
    /// Emergency access, which then is all that it allows.
    pub emergency: Option<Emergency>,
}

/// Emergency access to the record of one patient.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Emergency {
    /// The name of this use.
    pub id: EmergencyId,
    /// Whose record.
    pub patient: PatientId,
}

/// Records of patients that a token names, of these types and for these acts.
#[derive(Clone, Debug, Serialize)]
pub struct RecordsOf {
    permissions: Vec<Permission>,
    types: Types,
    patients: BTreeSet<PatientId>,
}

#[derive(Clone, Debug, Serialize)]
enum Types {
    All,
    These(BTreeSet<String>),
}

impl Details {
    /// The details of a token of ours; `None` if one has a form that we never give it.
    #[must_use]
    pub fn read(claims: &AccessTokenClaims) -> Option<Self> {
        let mut details = Self::default();
        for detail in &claims.authorization_details {
            match serde_json::from_value(Value::Object(detail.clone())).ok()? {
                AuthorizationDetail::FhirRecords(records) => {
                    let patients =
                        records.patients.iter().map(|id| id.parse()).collect::<Result<_, _>>().ok()?;
                    let permissions = records.actions.into_iter().map(Action::permission).collect();
                    let types = Types::These(records.datatypes);
                    details.records.push(RecordsOf { permissions, types, patients });
                }
                AuthorizationDetail::EmergencyAccess(access) => {
                    let patient: PatientId = access.patient.parse().ok()?;
                    let emergency = Emergency { id: access.identifier?.parse().ok()?, patient };
                    // We never give more than one, nor anything beside it.
                    if claims.authorization_details.len() != 1 {
                        return None;
                    }
                    details.records.push(RecordsOf {
                        permissions: vec![Permission::Read, Permission::Search],
                        types: Types::All,
                        patients: BTreeSet::from([emergency.patient.clone()]),
                    });
                    details.emergency = Some(emergency);
                }
            }
        }
        Some(details)
    }
}

impl RecordsOf {
    /// Whether it speaks of this act on this type.
    #[must_use]
    pub fn covers(&self, permission: Permission, resource_type: &str) -> bool {
        let is_of_type = match &self.types {
            Types::All => true,
            Types::These(types) => types.contains(resource_type),
        };
        self.permissions.contains(&permission) && is_of_type
    }

    /// Whose records.
    #[must_use]
    pub fn patients(&self) -> &BTreeSet<PatientId> {
        &self.patients
    }
}
