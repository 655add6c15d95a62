//! What a record says beside what every format has a place for: in one list, so that a format leaves nothing out unawares.

use super::{exposed, words};
use crate::record::Record;

/// A name of ours, and what stands there.
pub(super) type Particular = (&'static str, String);

/// All of them but for what is as long as an answer: its digests.
pub(super) fn particulars(record: &Record) -> impl Iterator<Item = Particular> {
    let number = |number: Option<u64>| number.map(|number| number.to_string());
    let listed = |list: &[String]| (!list.is_empty()).then(|| list.join(" "));
    let Record { actor, decision, request, response, .. } = record;
    let all = [
        ("actor_kind", Some(actor.kind.as_str().to_owned())),
        ("fhir_user", exposed(actor.fhir_user.as_ref()).map(str::to_owned)),
        ("on_behalf_of", listed(&words::delegates(record))),
        ("purpose_of_use", record.purpose_of_use.clone()),
        ("policies", listed(&decision.policies)),
        ("obligations", listed(&decision.obligations)),
        ("session", record.session.clone()),
        ("jti", record.jti.clone()),
        ("grant", record.grant.clone()),
        ("acr", record.acr.clone()),
        ("amr", listed(&record.amr)),
        ("auth_time", record.auth_time.map(|time| time.to_string())),
        ("source_ip", record.source_ip.as_ref().map(|ip| ip.expose().to_string())),
        ("request_id", record.request_id.clone()),
        ("entry", number(record.entry.map(u64::from))),
        ("route", record.route.clone()),
        ("action", record.action.clone()),
        ("method", request.method.clone()),
        ("query", exposed(request.query.as_ref()).map(str::to_owned)),
        ("digest", exposed(request.digest.as_ref()).map(str::to_owned)),
        ("status", number(response.status.map(u64::from))),
        ("count", number(response.count)),
        ("withheld", number(response.withheld)),
        ("bytes", number(response.bytes)),
        ("truncated", response.truncated.clone()),
    ];
    all.into_iter().filter_map(|(name, value)| Some((name, value?)))
}

/// Those that are not among `placed`.
pub(super) fn particulars_but(record: &Record, placed: &[&str]) -> impl Iterator<Item = Particular> {
    particulars(record).filter(|(name, _)| !placed.contains(name))
}
