//! Batches and transactions.
//!
//! An entry is a request like any other: it becomes the same closed type, is decided on and answered by the same code, and
//! has a record of its own; one `batch` record ends them. The entries of a batch go upstream one by one. Those of a
//! transaction that write are all decided on before any goes, and go as one; those that read are looked at before, for
//! whatever is refused is the whole, and answered after.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::body::Body;
use chartgate_access::permit::{Permit, Withheld};
use chartgate_audit::record::{Event, Response as AuditResponse};
use chartgate_protocol::fhir::batch::response::{self, Answered as Entered, Went};
use chartgate_protocol::fhir::batch::{self, Batch, Entry, Kind};
use chartgate_protocol::fhir::interaction::Interaction;
use chartgate_protocol::fhir::write::Pending;
use futures_util::future::{BoxFuture, FutureExt as _, join_all};
use futures_util::stream::{self, StreamExt as _};
use http::response::Parts as Head;
use http::{HeaderName, HeaderValue, Response, header};
use http_body_util::{BodyExt as _, Collected};
use hyper::body::Bytes;
use serde_json::value::RawValue;

use super::mask;
use super::session::{Answered, Exchange};
use super::upstream::Change;
use super::write::{self, Leaves, Prepared};
use crate::pep::authenticate::Authenticated;
use crate::pep::enforce::Enforcer;
use crate::pep::respond::{Refused, UpstreamFault};

/// How many entries are under way at once.
const AT_ONCE: usize = 8;

/// What came of an entry so far, with the record that will tell of it.
type Part<'e, T> = (Exchange<'e>, Result<T, Refused>);

/// An entry, and what it asks for.
type Asked<'b> = (&'b Entry<'b>, Interaction);

/// Who asks, and what they may.
#[derive(Clone, Copy)]
struct Asking<'a> {
    authenticated: &'a Authenticated,
    enforcer: &'a Enforcer<'a>,
}

pub(super) async fn serve(
    exchange: &mut Exchange<'_>,
    authenticated: &Authenticated,
    enforcer: &Enforcer<'_>,
    content: &[u8],
) -> Answered {
    let Batch { kind, entries } = Batch::parse(content).map_err(Refused::Batch)?;
    exchange.record.action = Some(kind.name().to_owned());
    let parts: Vec<_> =
        (0_u32..).zip(&entries).map(|(number, entry)| begin(exchange, number, entry)).collect();
    exchange.record.event = Event::Batch;
    exchange.record.response.count = u64::try_from(entries.len()).ok();
    let asking = Asking { authenticated, enforcer };
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
    match entry.interaction() {
        Ok(asked) => {
            own.describe(&asked);
            (own, Ok((entry, asked)))
        }
        Err(refusal) => (own, Err(Refused::Request(refusal))),
    }
}

/// Why nothing of a transaction was done.
enum Undone<'e> {
    /// One entry was refused, and with it the others.
    By(Box<(Exchange<'e>, Refused)>, Vec<Part<'e, Withheld<Response<Body>>>>),
    /// It was refused, or failed, as one.
    Together(Refused, Vec<Part<'e, Withheld<Response<Body>>>>),
}

/// What came of all parts, or by which first they are refused.
fn all<'e, T>(parts: Vec<Part<'e, T>>) -> Result<Vec<(Exchange<'e>, T)>, Undone<'e>> {
    let first = parts.iter().position(|(_, ended)| ended.is_err());
    let Some(first) = first else {
        return Ok(parts.into_iter().filter_map(|(part, ended)| Some((part, ended.ok()?))).collect());
    };
    let (mut by, mut others) = (None, Vec::with_capacity(parts.len()));
    for (at, (part, ended)) in parts.into_iter().enumerate() {
        match ended {
            Err(refused) if at == first => by = Some(Box::new((part, refused))),
            Err(refused) => others.push((part, Err(refused))),
            Ok(_) => others.push((part, Err(Refused::Transaction))),
        }
    }
    Err(match by {
        Some(by) => Undone::By(by, others),
        None => Undone::Together(Refused::Transaction, others),
    })
}

/// What is to be done for an entry of a transaction.
enum Step<'b> {
    Write(&'b Entry<'b>, Prepared),
    /// It was allowed before anything was written.
    Read(Asked<'b>),
}

/// How an entry went: its record is durable.
type Told = (Head, Bytes);

/// How much all entries together may bring, and how much they brought so far.
struct Room {
    most: u64,
    held: AtomicU64,
}

impl Room {
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

    async fn carry_out(self, part: &mut Exchange<'_>, (entry, asked): Asked<'_>, room: &Room) -> Answered {
        part.still_believed()?;
        room.is_left()?;
        let enforcer = self.enforcer_of(part);
        part.carry_out(self.authenticated, &enforcer, asked, &entry.content()).await
    }

    /// All entries or none.
    async fn all_or_none<'e, 'b>(
        self,
        parts: Vec<Part<'e, Asked<'b>>>,
        room: &Room,
    ) -> Result<Vec<Told>, Undone<'e>> {
        let parts = all(parts)?;
        let asked: Vec<_> = parts.iter().map(|(_, (entry, asked))| (*entry, asked)).collect();
        let pending = &match batch::pending(&asked) {
            Ok(pending) => pending,
            Err(error) => return Err(Undone::Together(Refused::Batch(error), refuse_all(parts))),
        };
        let prepare = |(mut part, asked): (Exchange<'e>, Asked<'b>)| {
            let one = async move {
                let step = self.prepare(&mut part, asked, pending, room).await;
                (part, step)
            };
            one.boxed()
        };
        let parts = all(several(parts.into_iter().map(prepare).collect()).await)?;
        let parts = self.write(parts).await?;
        // What was written is told of before anything is read: reads come last, http.html#trules.
        let (mut written, mut reading) = (Vec::new(), Vec::new());
        for (place, (part, after)) in parts.into_iter().enumerate() {
            match after {
                After::Written(ended) => {
                    written.push(async move { (place, end(part, ended, room).await) }.boxed());
                }
                After::Read(asked) => reading.push((place, part, asked)),
            }
        }
        let read = |(place, mut part, asked): (usize, Exchange<'e>, Asked<'b>)| {
            let one = async move {
                let ended = self.carry_out(&mut part, asked, room).await;
                (place, end(part, ended, room).await)
            };
            one.boxed()
        };
        let mut told = join_all(written).await;
        told.extend(several(reading.into_iter().map(read).collect()).await);
        told.sort_unstable_by_key(|(place, _)| *place);
        Ok(told.into_iter().map(|(_, told)| told).collect())
    }

    async fn prepare<'b>(
        self,
        part: &mut Exchange<'_>,
        (entry, asked): Asked<'b>,
        pending: &Pending,
        room: &Room,
    ) -> Result<Step<'b>, Refused> {
        if let Interaction::Read { .. } | Interaction::VRead { .. } = asked {
            self.carry_out(part, (entry, asked.clone()), room).await.map(drop)?;
            // Nothing left: what leaves is what is read after the writing.
            part.record.response = AuditResponse::default();
            return Ok(Step::Read((entry, asked)));
        }
        part.still_believed()?;
        room.is_left()?;
        let enforcer = self.enforcer_of(part);
        let prepared = write::prepare(part, &enforcer, asked, &entry.content(), pending).await?;
        room.take(prepared.allowed.action().body.as_ref().map_or(0, String::len));
        Ok(Step::Write(entry, prepared))
    }

    /// Makes the intents durable, then writes, all at once.
    async fn write<'e, 'b>(
        self,
        parts: Vec<(Exchange<'e>, Step<'b>)>,
    ) -> Result<Vec<(Exchange<'e>, After<'b>)>, Undone<'e>> {
        let intend = |(part, step): (Exchange<'e>, Step<'b>)| {
            let one = async move {
                let intended = match step {
                    Step::Read(asked) => Ok(Intended::Read(asked)),
                    Step::Write(entry, Prepared { allowed, leaves }) => {
                        part.intend(allowed).await.map(|permit| Intended::Write(entry, permit, leaves))
                    }
                };
                (part, intended)
            };
            one.boxed()
        };
        let intending: Vec<_> = parts.into_iter().map(intend).collect();
        let parts = all(join_all(intending).await)?;
        let (mut permits, mut writing, mut after) = (Vec::new(), Vec::new(), Vec::new());
        for (place, (part, intended)) in parts.into_iter().enumerate() {
            match intended {
                Intended::Read(asked) => after.push((place, (part, After::Read(asked)))),
                Intended::Write(entry, permit, leaves) => {
                    permits.push((entry.name(), permit));
                    writing.push((place, part, leaves));
                }
            }
        }
        if let Some((_, part, _)) = writing.first() {
            let upstream = part.upstream;
            match upstream.change_all(permits).await {
                Ok(answers) => {
                    for ((place, mut part, leaves), answer) in writing.into_iter().zip(answers) {
                        let enforcer = self.enforcer_of(&part);
                        let ended = write::finish(&mut part, &enforcer, leaves, answer);
                        after.push((place, (part, After::Written(ended))));
                    }
                }
                Err(not_done) => {
                    let written = writing.into_iter().map(|(_, part, _)| (part, Err(not_done.refused())));
                    let read = after.into_iter().map(|(_, (part, _))| (part, Err(Refused::Transaction)));
                    return Err(Undone::Together(not_done.refused(), written.chain(read).collect()));
                }
            }
        }
        after.sort_unstable_by_key(|(place, _)| *place);
        Ok(after.into_iter().map(|(_, part)| part).collect())
    }
}

/// An entry of a transaction whose intent is durable.
enum Intended<'b> {
    Write(&'b Entry<'b>, Permit<Change>, Leaves),
    Read(Asked<'b>),
}

/// An entry of a transaction after the writing.
enum After<'b> {
    Written(Answered),
    Read(Asked<'b>),
}

fn refuse_all<'e, T, U>(parts: Vec<(Exchange<'e>, T)>) -> Vec<Part<'e, U>> {
    parts.into_iter().map(|(part, _)| (part, Err(Refused::Transaction))).collect()
}

/// Ends an entry, once its record is durable. What it brought is kept apart from what it came with.
async fn end(part: Exchange<'_>, ended: Answered, room: &Room) -> Told {
    let (head, body) = part.end(ended).await.into_parts();
    // INVARIANT: a body of our own making is a text, which is there and cannot fail.
    let body = body.collect().await.map(Collected::to_bytes).unwrap_or_default();
    room.take(body.len());
    (head, Bytes::copy_from_slice(&body))
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
