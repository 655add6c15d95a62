//! A record as it is now, for whoever asks what it was.
//!
//! What a record is found to be, all of it is found to be: a label that was put on later, or that it was another patient's all
//! along, counts for what it said before.

use std::collections::BTreeSet;

use chartgate_protocol::fhir::history::{History, HistoryOf, HistoryQuery};
use chartgate_protocol::fhir::interaction::Interaction;
use chartgate_protocol::fhir::reference::Reference;
use chartgate_protocol::fhir::resource::Resource;
use chartgate_protocol::smart::scope::Permission;
use futures_util::future::FutureExt as _;
use futures_util::stream::{self, StreamExt as _};
use http::StatusCode;

use super::mask::{Kept, clear_looking, in_reach};
use super::session::Exchange;
use crate::pep::enforce::{Enforcer, Known};
use crate::pep::respond::{Refused, UpstreamFault};

/// So many of the newest versions of a record that is no more are asked for: one of them says what it was.
const LAST: u16 = 5;
/// How many records are looked at at once.
const AT_ONCE: usize = 8;
/// How many wait for that.
const IN_LINE: usize = 256;

/// Whether a record is within reach as it is now. One that is no more is, for its former versions are decided on.
///
/// # Errors
/// [`Refused`] if it cannot be told.
pub(super) async fn look(
    exchange: &Exchange<'_>,
    enforcer: &Enforcer<'_>,
    permission: Permission,
    record: &Reference,
) -> Result<Result<(), Kept>, Refused> {
    let Reference { resource_type, id } = record.clone();
    let allowed = in_reach(enforcer, permission, resource_type, Interaction::Read { resource_type, id })?;
    let withheld = exchange.upstream.before(&allowed, record).await.map_err(Refused::Upstream)?;
    let answer = withheld.inspect();
    match answer.status {
        StatusCode::OK => {}
        StatusCode::NOT_FOUND | StatusCode::GONE => {
            let _: Known = enforcer.look_up().await;
            return look_at_last(exchange, enforcer, permission, record).await;
        }
        _ => return Err(Refused::Upstream(UpstreamFault::Failed)),
    }
    let resource =
        Resource::parse(&answer.body, record, None).map_err(|_| Refused::Upstream(UpstreamFault::Wrong))?;
    Ok(clear_looking(exchange, enforcer, permission, &resource).await.map(drop))
}

/// The same of one that is no more: by what it was last, for a deletion opens nothing.
async fn look_at_last(
    exchange: &Exchange<'_>,
    enforcer: &Enforcer<'_>,
    permission: Permission,
    record: &Reference,
) -> Result<Result<(), Kept>, Refused> {
    let of = HistoryOf::Record(record.clone());
    let asked = Interaction::History { of: of.clone(), query: HistoryQuery::newest(LAST) };
    let allowed = in_reach(enforcer, permission, record.resource_type, asked)?;
    let withheld = exchange.upstream.fetch(&allowed).await.map_err(Refused::Upstream)?;
    let answer = withheld.inspect();
    // A server that keeps no versions gives none away.
    if answer.status != StatusCode::OK {
        return Ok(Ok(()));
    }
    let history = History::parse(&answer.body, &of, &exchange.upstream.bases)
        .map_err(|_| Refused::Upstream(UpstreamFault::Wrong))?;
    match history.newest() {
        Some(last) => Ok(clear_looking(exchange, enforcer, permission, last).await.map(drop)),
        None => Ok(Ok(())),
    }
}

/// Those of some records that are out of reach as they are now.
///
/// # Errors
/// [`Refused`] if it cannot be told of one.
pub(super) async fn out_of_reach(
    exchange: &Exchange<'_>,
    enforcer: &Enforcer<'_>,
    permission: Permission,
    records: BTreeSet<Reference>,
) -> Result<BTreeSet<Reference>, Refused> {
    let one = |record: Reference| {
        let looked = async move {
            let found = look(exchange, enforcer, permission, &record).await?;
            Ok(found.is_err().then_some(record))
        };
        looked.boxed()
    };
    let mut records = records.into_iter();
    let mut hidden = BTreeSet::new();
    loop {
        // A few at a time, for a look is larger than a name.
        let some: Vec<_> = records.by_ref().take(IN_LINE).map(one).collect();
        if some.is_empty() {
            return Ok(hidden);
        }
        exchange.still_believed()?;
        let found: Vec<Result<_, Refused>> = stream::iter(some).buffered(AT_ONCE).collect().await;
        for one in found {
            hidden.extend(one?);
        }
    }
}
