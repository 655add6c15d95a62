//! What patients have forbidden, by the Consents that the upstream has: asked with the gateway's own credential, for the
//! patients whose records a decision is about, and remembered for a short while.
//!
//! What cannot be asked for or read is taken for a Consent that cannot be understood.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use chartgate_access::ids::PatientId;
use chartgate_access::pdp::caller::{Caller, CallerKind};
use chartgate_protocol::fhir::bundle::NextPage;
use chartgate_protocol::fhir::consent::{Act, Asked, Asker, Directive, Record, Says, Whose};
use chartgate_protocol::fhir::interaction::Interaction;
use chartgate_protocol::fhir::labels::Labels;
use chartgate_protocol::fhir::name::{ResourceId, ResourceType};
use chartgate_protocol::fhir::reference::Reference;
use chartgate_protocol::fhir::searchset::{Companions, Searchset, Sought};
use chartgate_protocol::form::Form;
use chartgate_protocol::json::Node;
use chartgate_protocol::smart::scope::Permission;
use chartgate_values::{Clock, Timestamp};
use futures_util::future::join_all;
use http::StatusCode;
use moka::sync::Cache;

use super::upstream::{FhirUpstream, SAID_LIFE};
use super::written::Writing;
use crate::config::ConsentCheck;
use crate::directory::{Forbidden, Supposing};
use crate::pep::respond::UpstreamFault;

/// What is known of Consents, and whether they are asked for.
pub(super) struct Consents {
    check: ConsentCheck,
    kept: Cache<PatientId, Arc<Restrictions>>,
    /// How many writes of Consents went by.
    writes: Arc<AtomicU64>,
    /// When the server was last seen to find those of several patients at once, in seconds; it may be another one by now.
    took_lists: AtomicI64,
}

/// What one patient has forbidden.
#[derive(Debug)]
pub(in crate::pep) struct Restrictions {
    directives: Vec<Directive>,
    /// Why there may be more.
    failed: Option<String>,
    as_of: Timestamp,
    writes: u64,
}

/// What the Consents of a record's patients say of a request, and which say so.
#[derive(Clone, Debug)]
pub(in crate::pep) struct Said {
    pub(in crate::pep) says: Says,
    /// `Consent/abc`, or why they could not be read.
    pub(in crate::pep) by: BTreeSet<String>,
}

/// So many patients' Consents are remembered.
const PATIENTS: u64 = 10_000;
/// For so many patients is asked at once.
const AT_ONCE: usize = 50;
/// So many questions about one patient each are asked side by side.
const SIDE_BY_SIDE: usize = 8;
/// So many pages of one search are looked at.
const PAGES: usize = 10;
/// How many are asked for a page.
const A_PAGE: &str = "200";
/// That the server finds those of several at once is believed so long.
const LISTS_LIFE: Duration = SAID_LIFE;
/// That they could not be read is believed so long.
const NEGATIVE: Duration = Duration::from_secs(10);

impl Consents {
    pub(super) fn new(check: ConsentCheck, writes: Arc<AtomicU64>) -> Self {
        Self { check, kept: Cache::new(PATIENTS), writes, took_lists: AtomicI64::new(i64::MIN) }
    }

    /// The same for what may have written anything.
    pub(super) fn writing_anything(&self) -> Writing<'_> {
        Writing(&self.writes)
    }

    /// What is done when writes are over, however they end.
    pub(super) fn writing<'i>(
        &self,
        writes: impl IntoIterator<Item = &'i Interaction>,
    ) -> Option<Writing<'_>> {
        let is_one = |write: &Interaction| write.written_type().is_some_and(|of| of.as_str() == "Consent");
        writes.into_iter().any(is_one).then_some(Writing(&self.writes))
    }

    /// Whether the server finds those of several patients at once, as it was seen to within the last minute.
    fn takes_lists(&self, now: Timestamp) -> bool {
        let seen = Timestamp::from_unix(self.took_lists.load(Ordering::SeqCst));
        seen <= now && now < seen.plus(LISTS_LIFE)
    }

    fn known(&self, patient: &PatientId, now: Timestamp) -> Option<Arc<Restrictions>> {
        let ConsentCheck::Enforced { cache, .. } = self.check else { return None };
        let kept = self.kept.get(patient)?;
        let life = if kept.failed.is_some() { cache.min(NEGATIVE) } else { cache };
        let is_good = kept.as_of <= now
            && now.since(kept.as_of) < life
            && kept.writes == self.writes.load(Ordering::SeqCst);
        is_good.then_some(kept)
    }
}

impl Restrictions {
    /// What they say of what is asked.
    pub(in crate::pep) fn say(&self, asked: &Asked<'_>) -> Said {
        let mut said = Said { says: Says::Nothing, by: BTreeSet::new() };
        if let Some(why) = &self.failed {
            said = Said { says: Says::Unclear, by: BTreeSet::from([why.clone()]) };
        }
        for directive in &self.directives {
            match directive.says(asked) {
                Says::Nothing => {}
                says @ (Says::Unclear | Says::Denied) => {
                    said.says = said.says.max(says);
                    said.by.insert(directive.reference.to_string());
                }
            }
        }
        said
    }

    /// Whether they might keep anything from anybody.
    pub(in crate::pep) fn restrict(&self) -> bool {
        self.failed.is_some() || self.directives.iter().any(Directive::restricts)
    }
}

impl Said {
    /// What several patients' Consents say together.
    pub(in crate::pep) fn and(mut self, other: Self) -> Self {
        self.says = self.says.max(other.says);
        self.by.extend(other.by);
        self
    }

    /// What policies see of it.
    pub(in crate::pep) fn label(&self) -> Option<&'static str> {
        match self.says {
            Says::Nothing => None,
            Says::Unclear => Some("consent:unclear"),
            Says::Denied => Some("consent:deny"),
        }
    }

    /// The stable code for the record.
    pub(in crate::pep) fn reason(&self) -> &'static str {
        match self.says {
            Says::Nothing | Says::Unclear => "consent-unclear",
            Says::Denied => "consent-denied",
        }
    }
}

/// Who asks, as Consents know them.
pub(in crate::pep) fn asker<'a>(
    caller: &'a Caller,
    who: Option<&'a Reference>,
    organizations: Option<&'a BTreeSet<ResourceId>>,
) -> Asker<'a> {
    let facts = &caller.facts;
    Asker {
        who,
        is_program: facts.kind == CallerKind::Workload,
        purpose: facts.purpose_of_use.as_deref(),
        organizations,
    }
}

/// What is done, as Consents know it.
pub(in crate::pep) fn act(permission: Permission) -> Act {
    match permission {
        Permission::Read | Permission::Search => Act::View,
        Permission::Create | Permission::Update | Permission::Delete => Act::Change,
    }
}

impl FhirUpstream {
    /// What the Consents of a patient say of a request that nobody has made, as far as it can be told without a record; `None`
    /// where they are not looked at.
    pub(in crate::pep) async fn forbidden(
        &self,
        patient: &PatientId,
        supposing: Supposing<'_>,
        clock: &dyn Clock,
    ) -> Option<Forbidden> {
        let organizations = self.consents_are_looked_at()?;
        let Supposing { caller, permission, resource_type, id } = supposing;
        let own = self.consents_of(&BTreeSet::from([patient.clone()]), clock).await.remove(patient)?;
        let who: Option<Reference> = caller.fhir_user.as_ref().and_then(|user| user.as_str().parse().ok());
        let mut content = serde_json::json!({ "resourceType": resource_type.as_str() });
        if let Some((id, content)) = id.zip(content.as_object_mut()) {
            content.insert("id".to_owned(), id.into());
        }
        let (content, labels) = (Node::from(&content), Labels::new());
        let asked = Asked {
            asker: asker(caller, who.as_ref(), organizations),
            act: act(permission),
            record: Record { resource_type, content: &content, labels: &labels },
            now: clock.now(),
        };
        let said = own.say(&asked);
        Some(Forbidden { label: said.label(), may_say_more: own.restrict(), by: said.by })
    }

    /// The Organizations of which everybody here is, if Consents are looked at, and if that is known.
    pub(in crate::pep) fn consents_are_looked_at(&self) -> Option<Option<&BTreeSet<ResourceId>>> {
        match &self.consents.check {
            ConsentCheck::Ignored => None,
            ConsentCheck::Enforced { organizations, .. } => Some(organizations.as_ref()),
        }
    }

    /// What these patients have forbidden: an answer for each.
    pub(in crate::pep) async fn consents_of(
        &self,
        patients: &BTreeSet<PatientId>,
        clock: &dyn Clock,
    ) -> BTreeMap<PatientId, Arc<Restrictions>> {
        let mut found = BTreeMap::new();
        let mut unknown = Vec::new();
        for patient in patients {
            match self.consents.known(patient, clock.now()) {
                Some(known) => drop(found.insert(patient.clone(), known)),
                None => unknown.push(patient),
            }
        }
        for some in unknown.chunks(AT_ONCE) {
            // Dated before it is asked.
            let (as_of, writes) = (clock.now(), self.consents.writes.load(Ordering::SeqCst));
            for (patient, (directives, failed)) in self.look_for_each(some, as_of).await {
                let is_theirs = |directive: &&Directive| match &directive.patient {
                    Whose::Patient(id) => id.as_str() == patient.as_str(),
                    // It may be anybody's of those for whom was asked.
                    Whose::Unknown => true,
                };
                let own = Arc::new(Restrictions {
                    directives: directives.iter().filter(is_theirs).cloned().collect(),
                    failed: failed.clone(),
                    as_of,
                    writes,
                });
                self.consents.kept.insert(patient.clone(), Arc::clone(&own));
                found.insert(patient.clone(), own);
            }
        }
        found
    }

    /// The Consents of each of some patients. They are asked for together where the server was seen to find those of several
    /// (search.html#combining); one that looks at the first name alone, or at none, finds too little and says nothing. Where
    /// some of one patient's are too many or cannot be read, the others are asked about by themselves.
    async fn look_for_each<'p>(
        &self,
        patients: &[&'p PatientId],
        now: Timestamp,
    ) -> Vec<(&'p PatientId, (Vec<Directive>, Option<String>))> {
        let (directives, short) = self.look_for_consents(patients).await;
        let of = |patient: &PatientId| {
            directives
                .iter()
                .any(|own| matches!(&own.patient, Whose::Patient(id) if id.as_str() == patient.as_str()))
        };
        if patients.iter().filter(|patient| of(patient)).count() > 1 {
            self.consents.took_lists.store(now.as_unix(), Ordering::SeqCst);
        }
        let holds_for_all = match &short {
            _ if patients.len() == 1 => true,
            Some(Short::Unanswered(_)) => true,
            Some(Short::OfSome(_)) => false,
            None => self.consents.takes_lists(now),
        };
        if holds_for_all {
            let found = (directives, short.map(Short::told));
            return patients.iter().map(|patient| (*patient, found.clone())).collect();
        }
        let mut all = Vec::new();
        for some in patients.chunks(SIDE_BY_SIDE) {
            let asked = some.iter().map(|patient| async {
                let (directives, short) = self.look_for_consents(&[patient]).await;
                (*patient, (directives, short.map(Short::told)))
            });
            all.extend(join_all(asked).await);
        }
        all
    }

    async fn look_for_consents(&self, patients: &[&PatientId]) -> (Vec<Directive>, Option<Short>) {
        let mut all = Vec::new();
        let told = |why: &str| {
            tracing::warn!(why, "Consents cannot be looked up in full");
            format!("Consent: {why}")
        };
        let unanswered = |why: &str| Some(Short::Unanswered(told(why)));
        let of_some = |why: &str| Some(Short::OfSome(told(why)));
        let Ok(resource_type) = "Consent".parse::<ResourceType>() else {
            return (all, unanswered("unknown"));
        };
        let names: Vec<String> = patients.iter().map(|patient| format!("Patient/{patient}")).collect();
        let mut form = Form::default();
        form.push("patient", &names.join(","));
        form.push("_count", A_PAGE);
        let mut asked: Option<NextPage> = None;
        for _ in 0..PAGES {
            let page = match &asked {
                None => self.call("POST", "/Consent/_search", Some(form.encode())).await,
                Some(next) => self.call("GET", next.as_str(), None).await,
            };
            let answer = match page {
                Ok(answer) if answer.status == StatusCode::OK => answer,
                Ok(answer) => return (all, unanswered(&format!("answered {}", answer.status.as_u16()))),
                Err(fault @ (UpstreamFault::TooLong | UpstreamFault::NoRoom)) => {
                    return (all, of_some(&fault.to_string()));
                }
                Err(fault) => return (all, unanswered(&fault.to_string())),
            };
            let sought = Sought::Type(resource_type, Companions::None);
            let Ok(searchset) = Searchset::parse(&answer.body, sought, &self.bases) else {
                return (all, of_some(&UpstreamFault::Wrong.to_string()));
            };
            let next = searchset.next().cloned();
            let count = searchset.found();
            let mut read = 0_usize;
            searchset.each(|resource| {
                read = read.saturating_add(1);
                all.extend(Directive::read(resource, &self.bases));
            });
            if read < count {
                return (all, of_some("has one that cannot be read"));
            }
            match next {
                None => return (all, None),
                Some(next) => asked = Some(next),
            }
        }
        (all, of_some("more than is looked at"))
    }
}

/// Why not all Consents were found that were asked for.
enum Short {
    /// The server does not answer, and would not where each patient's are asked for.
    Unanswered(String),
    /// There is something about some of them, which may all be one patient's.
    OfSome(String),
}

impl Short {
    fn told(self) -> String {
        match self {
            Self::Unanswered(why) | Self::OfSome(why) => why,
        }
    }
}
