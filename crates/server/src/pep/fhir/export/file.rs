//! A file of an export: read line by line, each record decided on by itself, what leaves of it spooled, and one record in
//! the log for all of it before its first byte.

use std::collections::BTreeSet;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use chartgate_access::permit::Withheld;
use chartgate_audit::record::MORE_PATIENTS;
use chartgate_protocol::fhir::bulk::{ExportFile, ExportOf, Lines, Manifest, record_in};
use chartgate_protocol::fhir::membership::{Membership, patients_of};
use chartgate_protocol::fhir::name::{ResourceId, ResourceType};
use chartgate_protocol::fhir::outcome::{IssueType, OperationOutcome};
use chartgate_protocol::fhir::reference::{Reference, Target};
use chartgate_protocol::fhir::resource::Resource;
use chartgate_protocol::json::Node;
use chartgate_values::Phi;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::BodyExt as _;

use super::{exportable, exportable_of, group, kept};
use crate::config::Exports;
use crate::entropy::RunningDigest;
use crate::net::client::Answering;
use crate::pep::enforce::{Enforcer, Known};
use crate::pep::fhir::large::{no_disk, out_of_spool};
use crate::pep::fhir::mask::{Cleared, clear_exported};
use crate::pep::fhir::session::{Answered, Exchange};
use crate::pep::respond::{Refused, UpstreamFault};
use crate::spool::{Spool, Spooled, blocking};
use crate::store::exports::KeptExport;

/// The longest line that is taken: a record is parsed in memory.
const LONGEST_LINE: usize = 16 << 20;
/// Bytes that are brought to the spool at once.
const STEP: usize = 256 << 10;
/// How long the upstream may be silent.
const SILENCE: Duration = Duration::from_mins(1);
/// How long a file may take until it is spooled.
const FILE_TIME: Duration = Duration::from_mins(30);
/// So many patients of one file are named in its record, and how many more there are.
const MOST_PATIENTS: usize = 100_000;

pub(super) async fn serve(
    exchange: &mut Exchange<'_>,
    enforcer: &Enforcer<'_>,
    exports: Exports,
    id: &str,
    number: usize,
) -> Answered {
    let KeptExport { job, .. } = kept(exchange, enforcer, id)?;
    exchange.record.detail.insert("file".to_owned(), Phi::new(number.to_string()));
    let manifest = job.manifest.as_ref().ok_or(Refused::NotFound)?;
    exportable_of(enforcer, &job.of)?;
    let Some(ExportFile { resource_type, place }) = manifest.files.get(number) else {
        return failures(exchange, manifest, number);
    };
    let allowed = exportable(enforcer, &job.of, *resource_type, place.clone())?;
    exchange.record.decision.policies = allowed.policies().to_vec();
    // Held until the file is spooled: what leaves then is paced by its reader, and costs nobody else.
    let _download = exchange.upstream.downloads.begin(enforcer.client()).ok_or(Refused::Busy)?;
    let members = match &job.of {
        ExportOf::Group(id) => {
            let answer = group(exchange, enforcer, id).await?;
            members(exchange, &answer.inspect().body, id)?
        }
        ExportOf::System | ExportOf::Patients => None,
    };
    let opened = exchange.upstream.open_export_file(&allowed).await.map_err(Refused::Upstream)?;
    match opened.inspect().status() {
        StatusCode::OK => {}
        StatusCode::NOT_FOUND | StatusCode::GONE => return Err(Refused::NotFound),
        _ => return Err(Refused::Upstream(UpstreamFault::Failed)),
    }
    let mut sifting = Sifting {
        exchange,
        enforcer,
        resource_type: *resource_type,
        members,
        out: Vec::new(),
        digest: RunningDigest::default(),
        told: Told::default(),
    };
    // INVARIANT: what is read here leaves by the spool alone, which is withheld until its record is durable.
    let mut spooled = None;
    let withheld = opened
        .then(async |response| {
            let sifted = tokio::time::timeout(FILE_TIME, sifting.all(response, exports.longest_file)).await;
            spooled = Some(sifted.unwrap_or(Err(Refused::Upstream(UpstreamFault::TooSlow))));
        })
        .await;
    let spooled = spooled.unwrap_or(Err(Refused::Upstream(UpstreamFault::Failed)))?;
    let Sifting { digest, told, .. } = sifting;
    tell(exchange, told, digest, spooled.length());
    let guard = exchange.guard();
    Ok(withheld.map(|()| {
        let mut response = out_of_spool(spooled, guard);
        let ndjson = HeaderValue::from_static(NDJSON);
        response.headers_mut().insert(header::CONTENT_TYPE, ndjson);
        response
    }))
}

const NDJSON: &str = "application/fhir+ndjson";

/// What left, and of whom.
#[derive(Default)]
struct Told {
    count: u64,
    withheld: u64,
    patients: BTreeSet<String>,
    more_patients: u64,
    policies: BTreeSet<String>,
}

fn tell(exchange: &mut Exchange<'_>, told: Told, digest: RunningDigest, bytes: u64) {
    let record = &mut exchange.record;
    record.response.count = Some(told.count);
    record.response.withheld = Some(told.withheld);
    record.response.bytes = Some(bytes);
    record.response.digests = vec![Phi::new(digest.finish())];
    record.patients = told.patients.into_iter().map(Phi::new).collect();
    if told.more_patients > 0 {
        record.detail.insert(MORE_PATIENTS.to_owned(), Phi::new(told.more_patients.to_string()));
    }
    if !told.policies.is_empty() {
        record.decision.policies = told.policies.into_iter().collect();
    }
}

/// A file that is gone through.
struct Sifting<'s, 'e> {
    exchange: &'s Exchange<'e>,
    enforcer: &'s Enforcer<'s>,
    /// What the manifest says that it holds.
    resource_type: ResourceType,
    /// The patients of the group, where it names them.
    members: Option<BTreeSet<ResourceId>>,
    /// What leaves and is not spooled yet.
    out: Vec<u8>,
    digest: RunningDigest,
    told: Told,
}

impl Sifting<'_, '_> {
    async fn all(&mut self, response: Response<Answering>, limit: u64) -> Result<Spooled, Refused> {
        let mut content = response.into_body();
        let mut spool =
            self.exchange.gateway.spools.begin().map_err(|error| Refused::Upstream(no_disk(&error)))?;
        let mut lines = Lines::new(LONGEST_LINE);
        let mut length: u64 = 0;
        loop {
            let frame = tokio::time::timeout(SILENCE, content.frame()).await;
            let Some(frame) = frame.map_err(|_| Refused::Upstream(UpstreamFault::TooSlow))? else { break };
            let frame = frame.map_err(|_| Refused::Upstream(UpstreamFault::Unreachable))?;
            let Ok(data) = frame.into_data() else { continue };
            length = length.saturating_add(data.len() as u64);
            let too_long = || Refused::Upstream(UpstreamFault::TooLong);
            if length > limit {
                return Err(too_long());
            }
            let whole = lines.push(&data).map_err(|_| too_long())?;
            self.look_ahead(&whole).await;
            for line in &whole {
                self.line(line).await?;
            }
            if self.out.len() >= STEP {
                self.exchange.still_believed()?;
                spool = self.flush(spool).await?;
            }
        }
        if let Some(line) = lines.end() {
            self.line(&line).await?;
        }
        self.exchange.still_believed()?;
        let spool = self.flush(spool).await?;
        blocking(move || spool.end()).await.map_err(|error| Refused::Upstream(no_disk(&error)))
    }

    async fn flush(&mut self, mut spool: Spool) -> Result<Spool, Refused> {
        let out = std::mem::take(&mut self.out);
        self.digest.update(&out);
        let written = blocking(move || spool.write(&out).map(|()| spool)).await;
        written.map_err(|error| Refused::Upstream(no_disk(&error)))
    }

    /// Looks up what depends on the patients of several records, all at once: which are minors, and what they have forbidden.
    async fn look_ahead(&self, lines: &[Vec<u8>]) {
        if !self.enforcer.looks_at_patients() {
            return;
        }
        // What is asked second can depend on what was found first.
        for _ in 0..2 {
            for resource in lines.iter().filter_map(|line| record_in(line).ok()) {
                if self.is_wanted(&resource) {
                    let _: Result<_, _> = clear_exported(self.exchange, self.enforcer, &resource).map(drop);
                }
            }
            if self.enforcer.catch_up().await == Known::AsBefore {
                return;
            }
        }
    }

    /// Decides on one record. A line that is none makes the whole file useless: nobody can tell what it was.
    async fn line(&mut self, line: &[u8]) -> Result<(), Refused> {
        let resource = record_in(line).map_err(|_| Refused::Upstream(UpstreamFault::Wrong))?;
        let decide = || match self.is_wanted(&resource) {
            true => clear_exported(self.exchange, self.enforcer, &resource).ok(),
            false => None,
        };
        let mut cleared = decide();
        while cleared.is_none() && self.enforcer.catch_up().await == Known::More {
            cleared = decide();
        }
        let Some(Cleared { patients, policies, view }) = cleared else {
            self.told.withheld = self.told.withheld.saturating_add(1);
            return Ok(());
        };
        self.told.count = self.told.count.saturating_add(1);
        self.told.policies.extend(policies);
        for patient in patients {
            let known = self.told.patients.contains(&patient);
            if !known && self.told.patients.len() >= MOST_PATIENTS {
                self.told.more_patients = self.told.more_patients.saturating_add(1);
            } else if !known {
                self.told.patients.insert(patient);
            }
        }
        self.out.extend_from_slice(view.text().as_bytes());
        self.out.push(b'\n');
        Ok(())
    }

    /// Whether a record is what the file should hold: of its type, and of a patient of the group.
    fn is_wanted(&self, resource: &Resource<'_>) -> bool {
        let is_members =
            || match (&self.members, patients_of(resource.value(), &self.exchange.upstream.bases)) {
                (None, _) | (Some(_), Membership::Nobody) => true,
                (Some(members), Membership::Patients(patients)) => !members.is_disjoint(&patients),
                (Some(_), Membership::Unknown) => false,
            };
        resource.reference().resource_type == self.resource_type && is_members()
    }
}

/// The patients that a group names. Whom it names otherwise is no reason to give out more.
fn members(
    exchange: &Exchange<'_>,
    group: &[u8],
    id: &ResourceId,
) -> Result<Option<BTreeSet<ResourceId>>, Refused> {
    let asked = Reference { resource_type: ResourceType::GROUP, id: id.clone() };
    let group = Resource::parse(group, &asked, None).map_err(|_| Refused::Upstream(UpstreamFault::Wrong))?;
    let Some(all) = group.value().get("member").and_then(Node::as_array) else { return Ok(None) };
    let patient = |member: &Node<'_>| {
        let text = member.get("entity")?.get("reference")?.as_str()?;
        match Target::of(text, &exchange.upstream.bases) {
            Target::Record(record) if record.resource_type == ResourceType::PATIENT => Some(record.id),
            Target::Record(_) | Target::Contained(_) | Target::Unproven => None,
        }
    };
    let is_over = |member: &&Node<'_>| matches!(member.get("inactive"), Some(Node::Bool(true)));
    Ok(Some(all.iter().filter(|member| !is_over(member)).filter_map(patient).collect()))
}

/// That the upstream could not export everything, in our words: what it says may tell of records.
fn failures(exchange: &mut Exchange<'_>, manifest: &Manifest, number: usize) -> Answered {
    if number != manifest.files.len() || manifest.failures == 0 {
        return Err(Refused::NotFound);
    }
    let text = "the server could not export everything, and what it says of that is not handed on";
    let line = format!("{}\n", OperationOutcome::new(IssueType::Exception, text).to_json());
    exchange.record.response.bytes = u64::try_from(line.len()).ok();
    let mut response = Response::new(Body::from(Bytes::from(line)));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(NDJSON));
    Ok(Withheld::new(response))
}
