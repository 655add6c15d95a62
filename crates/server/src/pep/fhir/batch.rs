//! Batches and transactions.
//!
//! An entry is a request like any other: it becomes the same closed type, is decided on and answered by the same code, and
//! has a record of its own; one `batch` record ends them. The entries of a batch go upstream one by one, those of a
//! transaction as one: see [`transaction`].

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::body::Body;
use chartgate_access::permit::Withheld;
use chartgate_audit::record::Event;
use chartgate_protocol::fhir::batch::response::{self, Answered as Entered, Went};
use chartgate_protocol::fhir::batch::{Batch, Entry, Kind};
use chartgate_protocol::fhir::interaction::Interaction;
use chartgate_protocol::fhir::write::Returns;
use futures_util::future::{BoxFuture, FutureExt as _, join_all};
use futures_util::stream::{self, StreamExt as _};
use http::response::Parts as Head;
use http::{HeaderName, HeaderValue, Response, header};
use http_body_util::{BodyExt as _, Collected};
use hyper::body::{Body as _, Bytes};
use serde_json::value::RawValue;

use super::session::{Answered, Exchange, Sent};
use super::write::Replaces;
use super::{large, mask};
use crate::pep::authenticate::Authenticated;
use crate::pep::enforce::Enforcer;
use crate::pep::respond::{Refused, UpstreamFault};

mod transaction;

use transaction::Undone;

/// How many entries are under way at once.
const AT_ONCE: usize = 8;

/// What came of an entry so far, with the record that will tell of it.
type Part<'e, T> = (Exchange<'e>, Result<T, Refused>);

/// An entry, and what it asks for.
struct Asked<'b> {
    entry: &'b Entry<'b>,
    interaction: Interaction,
    replaces: Replaces,
    content: Cow<'b, [u8]>,
}

/// Who asks, what they may, and how they want to be answered.
#[derive(Clone, Copy)]
struct Asking<'a> {
    authenticated: &'a Authenticated,
    enforcer: &'a Enforcer<'a>,
    returns: Returns,
}

pub(super) async fn serve(
    exchange: &mut Exchange<'_>,
    authenticated: &Authenticated,
    enforcer: &Enforcer<'_>,
    sent: Sent<'_>,
) -> Answered {
    let Batch { kind, entries } = Batch::parse(sent.content).map_err(Refused::Batch)?;
    exchange.record.action = Some(kind.name().to_owned());
    let parts: Vec<_> =
        (0_u32..).zip(&entries).map(|(number, entry)| begin(exchange, number, entry)).collect();
    exchange.record.event = Event::Batch;
    exchange.record.response.count = u64::try_from(entries.len()).ok();
    let asking = Asking { authenticated, enforcer, returns: sent.returns };
    let room = &Room { most: exchange.route.max_answer, held: AtomicU64::new(0) };
    let whole = match kind {
        Kind::Batch => Ok(asking.one_by_one(parts, room).await),
        Kind::Transaction => asking.all_or_none(parts, room).await,
    };
    match whole {
        Ok(told) => Ok(written(kind, &told)),
        Err(Undone::Together(refused, parts)) => {
            end_all(parts).await;
            Err(refused)
        }
        Err(Undone::By(first, others)) => {
            let (part, refused) = *first;
            end_all(others).await;
            exchange.record.outcome = refused.outcome();
            exchange.record.decision.reason = Some(Refused::Transaction.reason().1.to_owned());
            let shown = part.end(Err(refused)).await;
            Ok(Withheld::new(shown))
        }
    }
}

/// Begins with an entry as with a request.
fn begin<'e, 'b>(exchange: &Exchange<'e>, number: u32, entry: &'b Entry<'b>) -> Part<'e, Asked<'b>> {
    let mut own = exchange.entry(number, entry.method(), entry.query());
    own.record.action = None;
    match entry.interaction(exchange.upstream.version()) {
        Ok(interaction) => {
            own.describe(&interaction);
            (own, Ok(Asked { entry, interaction, replaces: Replaces::Any, content: entry.content() }))
        }
        Err(refusal) => (own, Err(Refused::Request(refusal))),
    }
}

/// How an entry went: its record is durable.
type Told = (Head, Bytes);

/// How much all entries together may bring, and how much they brought so far.
struct Room {
    most: u64,
    held: AtomicU64,
}

impl Room {
    /// Takes room for what waits elsewhere, before it is brought into memory.
    ///
    /// # Errors
    /// [`Refused::Upstream`] if there was no more.
    fn bring(&self, length: u64) -> Result<(), Refused> {
        match self.held.fetch_add(length, Ordering::Relaxed) > self.most {
            true => Err(Refused::Upstream(UpstreamFault::TooLong)),
            false => Ok(()),
        }
    }

    /// # Errors
    /// [`Refused::Upstream`] if there is no more.
    fn is_left(&self) -> Result<(), Refused> {
        match self.held.load(Ordering::Relaxed) > self.most {
            true => Err(Refused::Upstream(UpstreamFault::TooLong)),
            false => Ok(()),
        }
    }

    fn take(&self, length: usize) {
        self.held.fetch_add(length as u64, Ordering::Relaxed);
    }
}

impl<'a> Asking<'a> {
    /// Each entry by itself.
    async fn one_by_one<'e, 'b>(self, parts: Vec<Part<'e, Asked<'b>>>, room: &Room) -> Vec<Told> {
        let run = |(mut part, asked): Part<'e, Asked<'b>>| {
            let one = async move {
                let ended = match asked {
                    Err(refused) => Err(refused),
                    Ok(asked) => self.carry_out(&mut part, asked, room).await,
                };
                end(part, ended, room).await
            };
            one.boxed()
        };
        several(parts.into_iter().map(run).collect()).await
    }

    /// Decides for one entry, in the account of its record.
    fn enforcer_of(self, part: &Exchange<'_>) -> Enforcer<'a> {
        self.enforcer.entry(Arc::clone(&part.account))
    }

    async fn carry_out(self, part: &mut Exchange<'_>, asked: Asked<'_>, room: &Room) -> Answered {
        part.still_believed()?;
        room.is_left()?;
        let enforcer = self.enforcer_of(part);
        let sent = Sent { content: &asked.content, returns: self.returns };
        part.carry_out(self.authenticated, &enforcer, asked.interaction, sent).await
    }
}

/// Ends an entry, once its record is durable. What it brought is kept apart from what it came with.
async fn end(part: Exchange<'_>, ended: Answered, room: &Room) -> Told {
    let waits = ended.as_ref().is_ok_and(|answer| large::is_aside(answer.inspect()));
    let ended = match ended {
        Ok(answer) if waits => in_memory(&part, answer, room).await,
        ended => ended,
    };
    let (head, body) = part.end(ended).await.into_parts();
    // INVARIANT: by now it is a text in memory, which is there and cannot fail.
    let body = body.collect().await.map(Collected::to_bytes).unwrap_or_default();
    if waits {
        return (head, body);
    }
    room.take(body.len());
    (head, Bytes::copy_from_slice(&body))
}

/// Brings an answer that waits on the disk into memory, before its record says that it left.
async fn in_memory(part: &Exchange<'_>, answer: Withheld<Response<Body>>, room: &Room) -> Answered {
    room.bring(answer.inspect().body().size_hint().lower())?;
    // It ends in the middle for whom was cut off, too.
    read_whole(answer).await.map_err(|unread| part.still_believed().err().unwrap_or(unread))
}

/// Reads the body of an answer.
///
/// # Errors
/// [`Refused::Upstream`] if it cannot be read to its end: what is left of it is no answer.
async fn read_whole(answer: Withheld<Response<Body>>) -> Answered {
    let read = answer
        .then(async |response| {
            let (head, body) = response.into_parts();
            (head, body.collect().await.map(Collected::to_bytes))
        })
        .await;
    if let Err(error) = &read.inspect().1 {
        tracing::error!(%error, "an entry of a batch cannot be read");
        return Err(Refused::Upstream(UpstreamFault::NoRoom));
    }
    // INVARIANT: it was read.
    Ok(read.map(|(head, body)| Response::from_parts(head, Body::from(body.unwrap_or_default()))))
}

/// Ends the parts of what was not done, once the record of each is durable.
async fn end_all<'e>(parts: Vec<Part<'e, Withheld<Response<Body>>>>) {
    let end = |(part, ended): Part<'e, Withheld<Response<Body>>>| part.end(ended).map(drop).boxed();
    let ending: Vec<_> = parts.into_iter().map(end).collect();
    join_all(ending).await;
}

/// Several at once, but not all.
async fn several<T>(all: Vec<BoxFuture<'_, T>>) -> Vec<T> {
    stream::iter(all).buffered(AT_ONCE).collect().await
}

/// The bundle that leaves. What is in it is recorded, entry by entry.
fn written(kind: Kind, answers: &[Told]) -> Withheld<Response<Body>> {
    let entries: Vec<_> = answers.iter().map(entered).collect();
    let mut response = Response::new(Body::from(response::write(kind, &entries)));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(mask::FHIR_JSON));
    Withheld::new(response)
}

/// An answer as the entry of a bundle.
fn entered((head, body): &Told) -> Entered<'_> {
    let text = |name: HeaderName| head.headers.get(name).and_then(|value| value.to_str().ok());
    // INVARIANT: what has a body has one of JSON.
    let body: Option<&RawValue> = serde_json::from_slice(body).ok();
    let went = |outcome| Went {
        status: head.status.as_u16().to_string(),
        location: text(header::LOCATION),
        etag: text(header::ETAG),
        outcome,
    };
    match head.status.is_success() {
        true => Entered { resource: body, response: went(None) },
        false => Entered { resource: None, response: went(body) },
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    fn spooled(pieces: Vec<io::Result<&'static str>>) -> Withheld<Response<Body>> {
        Withheld::new(Response::new(Body::from_stream(stream::iter(pieces))))
    }

    #[tokio::test]
    async fn what_cannot_be_read_to_its_end_is_no_answer() {
        let whole = read_whole(spooled(vec![Ok("{\"a\":"), Ok("1}")])).await.unwrap();
        let whole =
            whole.then(async |response| response.into_body().collect().await.unwrap().to_bytes()).await;
        assert_eq!(whole.inspect().as_ref(), b"{\"a\":1}");
        for pieces in [vec![Err(io::Error::other("gone"))], vec![Ok("{"), Err(io::Error::other("gone"))]] {
            let broken = read_whole(spooled(pieces)).await;
            assert!(matches!(broken, Err(Refused::Upstream(UpstreamFault::NoRoom))));
        }
    }

    #[test]
    fn what_waits_on_the_disk_is_brought_for_as_long_as_there_is_room() {
        let room = Room { most: 10, held: AtomicU64::new(0) };
        assert!(room.bring(8).is_ok() && room.bring(8).is_ok());
        assert!(matches!(room.bring(1), Err(Refused::Upstream(UpstreamFault::TooLong))));
    }
}
