//! A record as it is now, for whoever asks what it was.
//!
//! What a record is found to be, all of it is found to be: a label that was put on later, or that it was another patient's all
//! along, counts for what it said before. Of a record that is no more it is what it was last that counts; where nobody tells
//! what that was, nothing is told of it.

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

/// Why nothing is told of what a record was.
pub(super) enum OutOfReach {
    /// What it is, or was last, is out of reach.
    Kept(Kept),
    /// It is no more, or never was, and the upstream does not tell what it was last.
    Untold,
}

impl OutOfReach {
    /// Notes whose record it is, if that is known, and refuses it.
    pub(super) fn refused(self, exchange: &mut Exchange<'_>) -> Refused {
        match self {
            Self::Kept(kept) => kept.refused(exchange),
            Self::Untold => Refused::NotFound,
        }
    }
}

/// Whether a record is within reach as it is now, or as it was last if it is no more.
///
/// # Errors
/// [`Refused`] if it cannot be told.
pub(super) async fn look(
    exchange: &Exchange<'_>,
    enforcer: &Enforcer<'_>,
    permission: Permission,
    record: &Reference,
) -> Result<Result<(), OutOfReach>, Refused> {
    let Reference { resource_type, id } = record.clone();
    let allowed = in_reach(enforcer, permission, resource_type, Interaction::Read { resource_type, id })?;
    let withheld = exchange.upstream.before(&allowed, record).await.map_err(Refused::Upstream)?;
    let answer = withheld.inspect();
    match answer.status {
        StatusCode::OK => {}
        StatusCode::NOT_FOUND | StatusCode::GONE => {
            let _: Known = enforcer.look_up().await;
            return look_at_last(exchange, enforcer, permission, record, |_| ()).await;
        }
        _ => return Err(Refused::Upstream(UpstreamFault::Failed)),
    }
    let resource =
        Resource::parse(&answer.body, record, None).map_err(|_| Refused::Upstream(UpstreamFault::Wrong))?;
    let cleared = clear_looking(exchange, enforcer, permission, &resource).await;
    Ok(cleared.map(drop).map_err(OutOfReach::Kept))
}

/// The same of one that is no more: by what it was last, for a deletion opens nothing, and no more does an upstream that does
/// not tell. One that keeps versions and no histories has none to give away of what was deleted.
/// What it was is given to `look`, if it was within reach.
///
/// # Errors
/// [`Refused`] if it cannot be told.
pub(super) async fn look_at_last<T>(
    exchange: &Exchange<'_>,
    enforcer: &Enforcer<'_>,
    permission: Permission,
    record: &Reference,
    look: impl FnOnce(&Resource<'_>) -> T + Send,
) -> Result<Result<T, OutOfReach>, Refused> {
    let of = HistoryOf::Record(record.clone());
    let asked = Interaction::History { of: of.clone(), query: HistoryQuery::newest(LAST) };
    let allowed = in_reach(enforcer, permission, record.resource_type, asked)?;
    let withheld = exchange.upstream.fetch(&allowed).await.map_err(Refused::Upstream)?;
    let answer = withheld.inspect();
    match answer.status {
        StatusCode::OK => {}
        status if may_pass(status) => return Err(Refused::Upstream(UpstreamFault::Failed)),
        _ => return Ok(Err(OutOfReach::Untold)),
    }
    let history = History::parse(&answer.body, &of, &exchange.upstream.bases)
        .map_err(|_| Refused::Upstream(UpstreamFault::Wrong))?;
    match history.newest() {
        Some(last) => {
            let cleared = clear_looking(exchange, enforcer, permission, last).await;
            Ok(cleared.map(|_| look(last)).map_err(OutOfReach::Kept))
        }
        None => Ok(Err(OutOfReach::Untold)),
    }
}

/// Whether an upstream may answer the same question soon. One that never does is no failure: of a record that is there and
/// withheld it is not asked, which would show.
fn may_pass(status: StatusCode) -> bool {
    match status {
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => true,
        StatusCode::NOT_IMPLEMENTED => false,
        other => !other.is_client_error(),
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
