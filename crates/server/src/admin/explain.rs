//! Why a request is allowed or denied, step by step as the gateway takes them: the scopes, whose record it is, the policies.
//!
//! What is supposed here is put to the policies and the relations of care that are in force; what the record itself says, such
//! as other patients whom it names, only the upstream knows.

mod telling;
mod who;

use std::collections::BTreeSet;

use chartgate_access::client::Client;
use chartgate_access::emergency::is_eligible;
use chartgate_access::ids::{ClientId, PatientId, Role, Subject};
use chartgate_access::pdp::caller::{Caller, CallerKind, Details, Facts};
use chartgate_access::pdp::decide::{Pdp, Question, RecordAction};
use chartgate_access::pdp::relation::{Belongs, Relation};
use chartgate_access::pdp::scope::{Which, Within};
use chartgate_access::principal::{User, UserState};
use chartgate_access::purpose::{NotForRole, Purposes};
use chartgate_audit::record::Event;
use chartgate_protocol::fhir::labels::Labels;
use chartgate_protocol::fhir::membership::Ownership;
use chartgate_protocol::fhir::name::ResourceType;
use chartgate_protocol::fhir::version::FhirVersion;
use chartgate_protocol::oauth::purpose_of_use::PurposeOfUse;
use chartgate_protocol::oauth::scope::ScopeSet;
use chartgate_protocol::smart::scope::Permission;
use chartgate_values::Phi;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub(crate) use who::Whose;

use crate::directory::{Forbidden, InCare, Supposing};

use super::{Administrator, CommandError, Operator, note};
use telling::{Explanation, stands};

/// A request that nobody has made.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Supposed {
    /// The person; without one the client acts for itself.
    pub(crate) user: Option<Subject>,
    pub(crate) client: ClientId,
    /// `read`, `search`, `create`, `update`, `patch`, `delete`.
    pub(crate) action: String,
    /// `Patient/ID`, `Observation/ID` or `Observation`.
    pub(crate) resource: String,
    /// Whose record it is, where the resource itself does not say.
    pub(crate) patient: Option<PatientId>,
    /// What the token was granted; without it, all that the client may have.
    pub(crate) scope: Option<ScopeSet>,
    /// For what.
    #[serde(default)]
    pub(crate) purpose: Option<String>,
    /// On this FHIR route alone.
    #[serde(default)]
    pub(crate) route: Option<String>,
}

/// What was looked at, by the names of the routes.
#[derive(Default)]
struct Looked {
    /// The FHIR routes, and of which version each is.
    routes: Vec<(String, FhirVersion)>,
    /// Who is in the person's care.
    in_care: Vec<(String, InCare)>,
    /// What the patient has forbidden, of each thing that is to be done.
    consents: Vec<(String, Permission, Forbidden)>,
    /// Which labels the patient's age gives the record; without a patient, which it can give.
    ages: Vec<(String, Labels)>,
}

/// Whether the next step is taken.
enum Step {
    Goes,
    Ends,
}

impl Administrator {
    /// Says what would come of a request, and why.
    pub(super) async fn explain(&self, by: Operator, supposed: Supposed) -> Result<Value, CommandError> {
        let purpose = purpose(supposed.purpose.as_deref())?;
        let mut record = self.record(by, Event::AuditRead, "policies");
        note(
            &mut record,
            "question",
            format!("{} {} by {}", supposed.action, supposed.resource, supposed.client),
        );
        if let Some(user) = &supposed.user {
            note(&mut record, "user", user);
        }
        if let Some(route) = &supposed.route {
            note(&mut record, "route", route);
        }
        // What the patient has forbidden is looked at.
        record.patients =
            patient_of(&supposed).map(|patient| Phi::new(patient.to_string())).into_iter().collect();
        record.purpose_of_use = purpose.map(|purpose| purpose.to_string());
        let _ = self.append(&record).await?;
        let pdp = self.policies.current();
        let mut explanation = Explanation::default();
        let looked = self.look(&supposed).await?;
        let allowed = match self.ask(&pdp, &supposed, &looked, &mut explanation)? {
            Step::Goes => "allow",
            Step::Ends => "deny",
        };
        let Explanation { because, policies } = explanation;
        let texts: Vec<Value> = policies
            .iter()
            .map(|id| json!({ "id": id, "text": pdp.policy_text(id).unwrap_or_default() }))
            .collect();
        Ok(json!({
            "decision": allowed, "because": because, "policies": texts, "policy_set": pdp.revision(),
        }))
    }

    /// Looks, on each FHIR route that is meant, who is in the care of the person, and what the patient has forbidden.
    async fn look(&self, supposed: &Supposed) -> Result<Looked, CommandError> {
        let Some(directory) = self.directory.current() else { return Ok(Looked::default()) };
        let is_meant = |name: &str| supposed.route.as_deref().is_none_or(|route| route == name);
        let mut looked = Looked::default();
        let routes = directory.routes().into_iter().filter(|(name, _)| is_meant(name));
        looked.routes = routes.map(|(name, version)| (name.to_owned(), version)).collect();
        if let Some(route) = supposed.route.as_ref().filter(|_| looked.routes.is_empty()) {
            return Err(CommandError::Invalid(format!("there is no FHIR route `{route}`")));
        }
        let (user, client) = (self.user_of(supposed)?, self.find_client(&supposed.client)?);
        let patient = patient_of(supposed);
        if let Some(user) = &user {
            let found =
                directory.in_care(None, (&user.name, user.fhir_user.as_ref()), patient.as_ref()).await;
            let found = found.into_iter().filter(|(name, _)| is_meant(name));
            looked.in_care = found.map(|(route, in_care)| (route.to_owned(), in_care)).collect();
        }
        let ages = directory.ages(patient.as_ref()).await;
        let ages = ages.into_iter().filter(|(name, _)| is_meant(name));
        looked.ages = ages.map(|(route, labels)| (route.to_owned(), labels)).collect();
        let (name, id) = type_and_id(&supposed.resource);
        let (Some(patient), Ok(resource_type)) = (patient, name.parse::<ResourceType>()) else {
            return Ok(looked);
        };
        let scope = client.grantable(supposed.scope.as_ref().unwrap_or(&client.scope));
        let (caller, _) = self.caller(supposed, &client, user.as_ref(), &scope)?;
        let parts =
            if supposed.action == "patch" { &["read", "update"][..] } else { &[supposed.action.as_str()] };
        for part in parts {
            let (_, permission) = action(part)?;
            let supposing = Supposing { caller: &caller, permission, resource_type, id };
            let found = directory.forbidden(&patient, supposing).await;
            let found = found.into_iter().filter(|(name, _)| is_meant(name));
            looked.consents.extend(found.map(|(name, said)| (name.to_owned(), permission, said)));
        }
        Ok(looked)
    }

    /// Who would ask, by a token as it would be issued now; and whether one would be, for none names a purpose that its roles may
    /// not have.
    fn caller(
        &self,
        supposed: &Supposed,
        client: &Client,
        user: Option<&User>,
        scope: &ScopeSet,
    ) -> Result<(Caller, Step), CommandError> {
        let mut caller = caller(client, user, scope, patient_of(supposed).as_ref());
        let asked = purpose(supposed.purpose.as_deref())?;
        let (named, step) = match purpose_named(&self.in_force.config().purposes, &caller.facts.roles, asked)
        {
            Ok(named) => (named, Step::Goes),
            Err(NotForRole) => (asked, Step::Ends),
        };
        caller.facts.purpose_of_use = named.map(|purpose| purpose.to_string());
        Ok((caller, step))
    }

    fn user_of(&self, supposed: &Supposed) -> Result<Option<User>, CommandError> {
        supposed.user.as_ref().map(|name| self.find_user(name)).transpose()
    }

    fn ask(
        &self,
        pdp: &Pdp,
        supposed: &Supposed,
        looked: &Looked,
        to: &mut Explanation,
    ) -> Result<Step, CommandError> {
        if supposed.action == "patch" {
            for part in ["read", "update"] {
                to.say(format!("a patch takes {part}:"));
                let supposed = Supposed { action: part.to_owned(), ..supposed.clone() };
                if let Step::Ends = self.ask(pdp, &supposed, looked, to)? {
                    return Ok(Step::Ends);
                }
            }
            return Ok(Step::Goes);
        }
        let (name, _) = type_and_id(&supposed.resource);
        let (resource_type, ownership) = to.resource_type(looked, name)?;
        let (action, permission) = action(&supposed.action)?;
        let client = self.find_client(&supposed.client)?;
        let user = self.user_of(supposed)?;
        if let Some(user) = user.as_ref().filter(|user| user.state == UserState::Disabled) {
            to.say(format!("{} is disabled: no token of theirs is believed", user.name));
            return Ok(Step::Ends);
        }
        let scope = client.grantable(supposed.scope.as_ref().unwrap_or(&client.scope));
        let patient = patient_of(supposed);
        let (caller, issued) = self.caller(supposed, &client, user.as_ref(), &scope)?;
        match (&issued, &supposed.purpose, &caller.facts.purpose_of_use) {
            (Step::Ends, Some(asked), _) => {
                to.say(format!("no token of these roles names the purpose {asked}"))
            }
            (Step::Goes, None, Some(own)) => {
                to.say(format!("for {own}, which a token of these roles names where none is asked for"));
            }
            (_, _, _) => {}
        }
        if let Step::Ends = to.scopes(&caller, &scope, permission, resource_type) {
            return Ok(Step::Ends);
        }
        let own = caller.fhir_user.as_ref().and_then(|own| own.patient());
        let purpose = purpose(supposed.purpose.as_deref())?;
        let in_emergency = purpose.is_some_and(PurposeOfUse::is_of_emergencies);
        let mut labels = Labels::new();
        let relations: Vec<Relation> = match (ownership, &patient) {
            (Ownership::Unknown, _) => {
                to.say(format!("whose a {name} is cannot be told, so it is nobody's to see"));
                return Ok(Step::Ends);
            }
            (Ownership::Nobodys, _) => {
                to.say(format!("a {name} belongs to no patient"));
                vec![Relation::Nobody]
            }
            (Ownership::Patients, Some(patient)) => {
                let belongs = Belongs::To(BTreeSet::from([patient.clone()]));
                if caller.reaches(permission, name, &belongs, Which::Any) == Within::No {
                    to.say(format!("the token names other patients than {patient}"));
                    return Ok(Step::Ends);
                }
                let relation = Relation::find(&belongs, own.as_ref(), |patient| {
                    looked.in_care.iter().any(|(_, in_care)| in_care.by.contains_key(patient))
                });
                // Such a token comes with emergency access alone.
                let relation = relation.in_emergency(&belongs, Some(patient).filter(|_| in_emergency));
                to.say(stands(relation, patient, &caller.facts.subject));
                to.care(&looked.in_care, relation, patient);
                labels = to.consents(looked, permission, patient);
                labels.extend(to.ages(looked, patient));
                let purpose = PurposeOfUse::EMERGENCY_TREATMENT;
                let views = matches!(permission, Permission::Read | Permission::Search);
                if relation == Relation::Other && views && is_eligible(pdp, &caller.facts, purpose) {
                    to.say("they could ask for emergency access to it".to_owned());
                }
                vec![relation]
            }
            (Ownership::Patients, None) => {
                to.say(
                    "whose record it is was not said (--patient): asked for each way in which it can stand"
                        .to_owned(),
                );
                Relation::OF_PATIENTS.to_vec()
            }
        };
        let at_best: Labels = looked.ages.iter().flat_map(|(_, labels)| labels).cloned().collect();
        let mut step = Step::Ends;
        for relation in relations {
            let question = |labels| Question::Record { action, resource_type: name, relation, labels };
            let mut own = to.policy(pdp, &caller.facts, &question(&labels), relation);
            // Some see records of minors alone.
            if matches!(own, Step::Ends) && patient.is_none() && !at_best.is_empty() {
                to.say("where the patient is a minor:".to_owned());
                own = to.policy(pdp, &caller.facts, &question(&at_best), relation);
            }
            if matches!((own, &issued), (Step::Goes, Step::Goes)) {
                step = Step::Goes;
            }
        }
        Ok(step)
    }
}

/// `Observation` of `Observation/ID`, and `ID`.
fn type_and_id(resource: &str) -> (&str, Option<&str>) {
    match resource.split_once('/') {
        Some((name, rest)) => (name, rest.split('/').next().filter(|id| !id.is_empty())),
        None => (resource, None),
    }
}

/// Whose record is asked for, as far as that was said.
fn patient_of(supposed: &Supposed) -> Option<PatientId> {
    let by_name = || supposed.resource.strip_prefix("Patient/").and_then(|id| id.parse().ok());
    supposed.patient.clone().or_else(by_name)
}

/// The purpose that a token of these roles names. Those of emergencies come with emergency access, whoever asks.
fn purpose_named(
    purposes: &Purposes,
    roles: &BTreeSet<Role>,
    asked: Option<PurposeOfUse>,
) -> Result<Option<PurposeOfUse>, NotForRole> {
    match asked {
        Some(purpose) if purpose.is_of_emergencies() => Ok(asked),
        Some(_) | None => purposes.choose(roles, asked),
    }
}

/// A purpose of use by its code.
fn purpose(code: Option<&str>) -> Result<Option<PurposeOfUse>, CommandError> {
    let unknown = |code: &str| CommandError::Invalid(format!("`{code}` is no purpose of use, such as TREAT"));
    code.map(|code| code.parse().map_err(|_| unknown(code))).transpose()
}

fn action(name: &str) -> Result<(RecordAction, Permission), CommandError> {
    Ok(match name {
        "read" | "vread" => (RecordAction::Read, Permission::Read),
        "search" => (RecordAction::Search, Permission::Search),
        "create" => (RecordAction::Create, Permission::Create),
        "update" => (RecordAction::Update, Permission::Update),
        "delete" => (RecordAction::Delete, Permission::Delete),
        other => {
            let problem = format!("`{other}` is not one of read, search, create, update, patch, delete");
            return Err(CommandError::Invalid(problem));
        }
    })
}

/// Who would ask, by a token as it would be issued now.
fn caller(client: &Client, user: Option<&User>, scope: &ScopeSet, patient: Option<&PatientId>) -> Caller {
    let (kind, subject, roles) = match user {
        Some(user) => (CallerKind::Person, user.name.clone(), user.roles.clone()),
        None => (CallerKind::Workload, Subject::from(&client.client_id), client.roles.clone()),
    };
    Caller {
        facts: Facts {
            kind,
            subject,
            client_id: client.client_id.clone(),
            roles,
            acr: None,
            amr: BTreeSet::from(["pwd".to_owned()]),
            purpose_of_use: None,
        },
        smart: scope.iter().filter_map(|token| token.parse().ok()).collect(),
        scopes: scope.iter().map(str::to_owned).collect(),
        details: Details::default(),
        patient: patient.cloned(),
        fhir_user: user.and_then(|user| user.fhir_user.clone()),
    }
}
