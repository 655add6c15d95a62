//! Who could see a patient's records: everybody whom the policies would let read some, were they to ask now.
//!
//! Policies and relations of care are asked, and of programs the scopes that they are registered for. People's scopes are those of
//! whichever application they use, so they are not looked at: nobody is left out who would only need another application.

use std::collections::{BTreeMap, BTreeSet};

use chartgate_access::client::Client;
use chartgate_access::emergency::is_eligible;
use chartgate_access::ids::{ClientId, PatientId, Subject};
use chartgate_access::pdp::caller::{Caller, Facts};
use chartgate_access::pdp::decide::{Decision, NO_LABELS, Pdp, Question, RecordAction};
use chartgate_access::pdp::relation::{Belongs, Relation};
use chartgate_access::pdp::scope::{Reach, Which};
use chartgate_access::principal::{User, UserState};
use chartgate_access::purpose::Purposes;
use chartgate_audit::record::Event;
use chartgate_protocol::fhir::labels::Labels;
use chartgate_protocol::fhir::membership::{Ownership, ownership_in_any};
use chartgate_protocol::fhir::name::ResourceType;
use chartgate_protocol::fhir::reference::Reference;
use chartgate_protocol::fhir::version::FhirVersion;
use chartgate_protocol::oauth::client_metadata::GrantType;
use chartgate_protocol::oauth::purpose_of_use::PurposeOfUse;
use chartgate_protocol::smart::scope::Permission;
use chartgate_values::Phi;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::admin::{Administrator, CommandError, Operator, note};
use crate::directory::Carers;

/// Whose records, and for what.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Whose {
    pub(crate) patient: PatientId,
    pub(crate) purpose: Option<String>,
}

impl Administrator {
    /// Says who could see a patient's records. That is asked of people about a patient, so it is on record.
    pub(in crate::admin) async fn who_could_see(
        &self,
        by: Operator,
        of: Whose,
    ) -> Result<Value, CommandError> {
        let purpose = super::purpose(of.purpose.as_deref())?;
        let mut record = self.record(by, Event::AuditRead, "policies");
        note(&mut record, "question", format!("who could see {}", of.patient));
        record.patients = vec![Phi::new(of.patient.to_string())];
        record.purpose_of_use = purpose.map(|purpose| purpose.to_string());
        let _ = self.append(&record).await?;
        let (users, clients) =
            self.store.read(|sql| Ok::<_, CommandError>((sql.users()?, sql.clients()?)))?;
        let carers = match self.directory.current() {
            Some(directory) => {
                let found = directory.carers_of(&of.patient).await;
                found.into_iter().map(|(route, carers)| (route.to_owned(), carers)).collect()
            }
            None => Vec::new(),
        };
        let (pdp, config) = (self.policies.current(), self.in_force.config());
        let looked = tokio::task::spawn_blocking(move || {
            let looking = Looking {
                pdp: &pdp,
                purposes: &config.purposes,
                carers: &carers,
                patient: &of.patient,
                purpose,
            };
            looking.at_all(&users, &clients)
        });
        looked.await.map_err(|_| CommandError::Invalid("it was broken off".to_owned()))
    }
}

/// What is looked at.
struct Looking<'a> {
    pdp: &'a Pdp,
    purposes: &'a Purposes,
    /// In whose care they are, by the names of the routes.
    carers: &'a [(String, Carers)],
    patient: &'a PatientId,
    purpose: Option<PurposeOfUse>,
}

/// By which policies, with which mask.
type By = (Vec<String>, Option<String>);

impl Looking<'_> {
    fn at_all(&self, users: &[User], clients: &[Client]) -> Value {
        // Where policies ask which application it is, what they say of one is not what they say of another.
        let mut applications: Vec<&Client> = clients.iter().filter(|client| is_for_people(client)).collect();
        if !self.pdp.asks_for_clients() {
            applications.truncate(1);
        }
        let enabled = users.iter().filter(|user| user.state == UserState::Enabled);
        let mut found: Vec<Value> = enabled.filter_map(|user| self.at_person(user, &applications)).collect();
        found.extend(clients.iter().filter_map(|client| self.at_program(client)));
        let in_tables = self.carers.iter().flat_map(|(_, carers)| &carers.table);
        let strangers: BTreeSet<&Subject> = in_tables.filter(|subject| subject.is_foreign()).collect();
        let failed = |(route, carers): &(String, Carers)| {
            carers.failed.iter().map(|failed| format!("{route}: {failed}")).collect::<Vec<_>>()
        };
        let failed: Vec<String> = self.carers.iter().flat_map(failed).collect();
        json!({
            "patient": self.patient, "purpose_of_use": self.purpose.map(|purpose| purpose.to_string()),
            "policy_set": self.pdp.revision(), "who": found, "others_in_care_table": strangers,
            "care_failed": failed,
        })
    }

    fn at_person(&self, user: &User, applications: &[&Client]) -> Option<Value> {
        let mut ways = Vec::new();
        for application in applications {
            let caller = super::caller(application, Some(user), &application.scope, Some(self.patient));
            let via = (applications.len() > 1).then_some(&application.client_id);
            ways.extend(self.ways(&caller, via, |_, _| true));
        }
        let shown = json!({ "kind": "person", "name": user.name, "roles": user.roles, "ways": ways });
        (!ways.is_empty()).then_some(shown)
    }

    fn at_program(&self, client: &Client) -> Option<Value> {
        if !client.grant_types.contains(&GrantType::ClientCredentials) {
            return None;
        }
        let caller = super::caller(client, None, &client.scope, Some(self.patient));
        let reaches = |permission: Permission, kind: ResourceType| {
            caller.reach(permission, kind.as_str(), Which::Any) != Reach::Nothing
        };
        let ways = self.ways(&caller, None, reaches);
        let shown =
            json!({ "kind": "program", "name": client.client_id, "roles": client.roles, "ways": ways });
        (!ways.is_empty()).then_some(shown)
    }

    /// How somebody could see them: as they stand to the patient, and in an emergency if there is no other.
    fn ways(
        &self,
        caller: &Caller,
        via: Option<&ClientId>,
        reaches: impl Fn(Permission, ResourceType) -> bool,
    ) -> Vec<Value> {
        // Who may not have the purpose has no token that names it.
        let Ok(named) = super::purpose_named(self.purposes, &caller.facts.roles, self.purpose) else {
            return Vec::new();
        };
        let facts = Facts { purpose_of_use: named.map(|p| p.to_string()), ..caller.facts.clone() };
        let own = caller.fhir_user.as_ref().and_then(|own| own.patient());
        let belongs = Belongs::To([self.patient.clone()].into());
        let care = self.care_of(caller);
        let relation = Relation::find(&belongs, own.as_ref(), |_| !care.is_empty());
        let mut ways: Vec<Value> = self.way(&facts, relation, via, &reaches).into_iter().collect();
        if relation == Relation::Panel {
            for way in ways.iter_mut().filter_map(Value::as_object_mut) {
                way.insert("care".to_owned(), json!(care));
            }
        }
        // Whoever asks of another purpose does not ask of emergencies.
        let emergency = self.purpose.unwrap_or(PurposeOfUse::EMERGENCY_TREATMENT);
        let is_meant = matches!(relation, Relation::Other | Relation::Panel) && emergency.is_of_emergencies();
        if is_meant && is_eligible(self.pdp, &caller.facts, emergency) {
            let facts = Facts { purpose_of_use: Some(emergency.to_string()), ..facts };
            ways.extend(self.way(&facts, Relation::Emergency, via, &reaches));
        }
        ways
    }

    /// By what the patient is in somebody's care.
    fn care_of(&self, caller: &Caller) -> Vec<String> {
        let name: Option<Reference> = caller.fhir_user.as_ref().and_then(|user| user.as_str().parse().ok());
        let mut by = Vec::new();
        for (route, carers) in self.carers {
            if carers.table.contains(&caller.facts.subject) {
                by.push("the care table".to_owned());
            }
            let proof = name.as_ref().and_then(|name| carers.proven.get(name));
            by.extend(proof.map(|proof| format!("{proof} on the route {route}")));
        }
        by.sort_unstable();
        by.dedup();
        by
    }

    /// By what somebody may have records of a type.
    fn view(
        &self,
        facts: &Facts,
        relation: Relation,
        action: RecordAction,
        kind: ResourceType,
    ) -> Option<By> {
        let question = |labels| Question::Record { action, resource_type: kind.as_str(), relation, labels };
        // Some see records of minors alone: whether this patient is one is not looked up.
        let minor = Labels::from(["minor".to_owned()]);
        [&NO_LABELS, &minor].into_iter().find_map(|labels| match self.pdp.decide(facts, &question(labels)) {
            Decision::Allow(allowance) => {
                Some((allowance.policies().to_vec(), allowance.mask().map(ToString::to_string)))
            }
            Decision::Deny(_) => None,
        })
    }

    fn way(
        &self,
        facts: &Facts,
        relation: Relation,
        via: Option<&ClientId>,
        reaches: &impl Fn(Permission, ResourceType) -> bool,
    ) -> Option<Value> {
        let mut types = BTreeMap::<By, Vec<String>>::new();
        let mut asked = 0_usize;
        let kinds: BTreeSet<ResourceType> =
            FhirVersion::ALL.into_iter().flat_map(ResourceType::all).collect();
        for kind in kinds.into_iter().filter(|kind| ownership_in_any(*kind) == Ownership::Patients) {
            asked = asked.saturating_add(1);
            // What a search finds is given whole.
            let views = [(Permission::Read, RecordAction::Read), (Permission::Search, RecordAction::Search)];
            let views = views.into_iter().filter(|(permission, _)| reaches(*permission, kind));
            let by = views.filter_map(|(_, action)| self.view(facts, relation, action, kind));
            for by in by.collect::<BTreeSet<By>>() {
                types.entry(by).or_default().push(kind.to_string());
            }
        }
        let by = |((policies, mask), types): (By, Vec<String>)| {
            let scope = if types.len() == asked { json!("all") } else { json!(types) };
            json!({ "policies": policies, "mask": mask, "types": scope })
        };
        let by: Vec<Value> = types.into_iter().map(by).collect();
        (!by.is_empty()).then(|| json!({ "stands": relation.as_str(), "client": via, "by": by }))
    }
}

/// Whether people use it.
fn is_for_people(client: &Client) -> bool {
    client.grant_types.iter().any(|grant| match grant {
        GrantType::AuthorizationCode | GrantType::DeviceCode | GrantType::Ciba | GrantType::JwtBearer => true,
        GrantType::RefreshToken | GrantType::ClientCredentials | GrantType::TokenExchange => false,
    })
}
