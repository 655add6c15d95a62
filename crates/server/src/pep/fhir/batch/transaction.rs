//! Transactions. HL7 FHIR 4.0.1, http.html#transaction.
//!
//! Conditions are tried first, so that each write is one of a record that is named. Entries that write are all decided on
//! before any goes, and go as one; those that read are looked at before, for whatever is refused is the whole, and answered
//! after, for reads come last.

use std::collections::BTreeSet;

use axum::body::Body;
use chartgate_access::permit::{Permit, Withheld};
use chartgate_audit::record::Response as AuditResponse;
use chartgate_protocol::fhir::batch::{self, BatchError, Entry, Planned};
use chartgate_protocol::fhir::interaction::{ConditionalWrite, Interaction};
use chartgate_protocol::fhir::reference::Reference;
use chartgate_protocol::fhir::write::Pending;
use futures_util::future::{FutureExt as _, join_all};
use http::Response;

use super::{Asked, Asking, Part, Room, Told, end, several};
use crate::pep::fhir::session::{Answered, Exchange};
use crate::pep::fhir::upstream::Change;
use crate::pep::fhir::write::condition::{self, Resolved};
use crate::pep::fhir::write::{self, Leaves, Prepared};
use crate::pep::respond::Refused;

/// Why nothing of a transaction was done.
pub(super) enum Undone<'e> {
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

/// An entry of which it is known what is to be done.
enum Plan<'b> {
    Asked(Asked<'b>),
    /// What it was to create is there.
    There(&'b Entry<'b>, Reference),
}

/// What is to be done for an entry of a transaction.
enum Step<'b> {
    Write(&'b Entry<'b>, Prepared),
    /// It was allowed before anything was written.
    Read(Asked<'b>),
    /// Likewise.
    There(Reference),
}

impl Asking<'_> {
    /// All entries or none.
    pub(super) async fn all_or_none<'e, 'b>(
        self,
        parts: Vec<Part<'e, Asked<'b>>>,
        room: &Room,
    ) -> Result<Vec<Told>, Undone<'e>> {
        let parts = all(parts)?;
        if creates_twice(&parts) {
            return Err(Undone::Together(Refused::Batch(BatchError::Twice), refuse_all(parts)));
        }
        // Held until all is written, so that what is made by a condition is made once.
        let turns = match parts.first() {
            Some((part, _)) => {
                let upstream = part.upstream;
                let conditions = parts.iter().filter_map(|(_, asked)| match &asked.interaction {
                    Interaction::Conditional { query, .. } => Some(query),
                    _ => None,
                });
                upstream.turns_of(conditions).await
            }
            None => Ok(Vec::new()),
        };
        let turns = match turns {
            Ok(turns) => turns,
            Err(busy) => return Err(Undone::Together(busy, refuse_all(parts))),
        };
        let resolve = |(mut part, asked): (Exchange<'e>, Asked<'b>)| {
            let one = async move {
                let plan = self.resolve(&mut part, asked, room).await;
                (part, plan)
            };
            one.boxed()
        };
        let parts = all(several(parts.into_iter().map(resolve).collect()).await)?;
        let plans: Vec<_> = parts.iter().map(|(_, plan)| plan.planned()).collect();
        let pending = &match batch::pending(&plans) {
            Ok(pending) => pending,
            Err(error) => return Err(Undone::Together(Refused::Batch(error), refuse_all(parts))),
        };
        let prepare = |(mut part, plan): (Exchange<'e>, Plan<'b>)| {
            let one = async move {
                let step = self.prepare(&mut part, plan, pending, room).await;
                (part, step)
            };
            one.boxed()
        };
        let parts = all(several(parts.into_iter().map(prepare).collect()).await)?;
        let parts = self.write(parts).await?;
        drop(turns);
        // What was written is told of before anything is read: http.html#trules.
        let (mut written, mut reading) = (Vec::new(), Vec::new());
        for (place, (part, after)) in parts.into_iter().enumerate() {
            match after {
                After::Written(ended) => {
                    written.push(async move { (place, end(part, ended, room).await) }.boxed());
                }
                After::Read(read) => reading.push((place, part, read)),
            }
        }
        let read = |(place, mut part, read): (usize, Exchange<'e>, Reading<'b>)| {
            let one = async move {
                let ended = self.read(&mut part, read, room).await;
                (place, end(part, ended, room).await)
            };
            one.boxed()
        };
        let mut told = join_all(written).await;
        told.extend(several(reading.into_iter().map(read).collect()).await);
        told.sort_unstable_by_key(|(place, _)| *place);
        Ok(told.into_iter().map(|(_, told)| told).collect())
    }

    /// Tries the condition of an entry, if it has one.
    async fn resolve<'b>(
        self,
        part: &mut Exchange<'_>,
        asked: Asked<'b>,
        room: &Room,
    ) -> Result<Plan<'b>, Refused> {
        let Asked { entry, interaction, replaces, content } = asked;
        let (query, write) = match interaction {
            Interaction::Conditional { query, write } => (query, write),
            interaction => return Ok(Plan::Asked(Asked { entry, interaction, replaces, content })),
        };
        part.still_believed()?;
        room.is_left()?;
        let enforcer = self.enforcer_of(part);
        Ok(match condition::resolve(part, &enforcer, query, write, &content).await? {
            Resolved::There(record) => Plan::There(entry, record),
            Resolved::Named(interaction, body, replaces) => {
                part.describe(&interaction);
                let content = body.map_or(content, |body| body.into_bytes().into());
                Plan::Asked(Asked { entry, interaction, replaces, content })
            }
        })
    }

    async fn prepare<'b>(
        self,
        part: &mut Exchange<'_>,
        plan: Plan<'b>,
        pending: &Pending,
        room: &Room,
    ) -> Result<Step<'b>, Refused> {
        let asked = match plan {
            Plan::There(_, record) => return Ok(Step::There(record)),
            Plan::Asked(asked) => asked,
        };
        if !asked.interaction.writes() {
            let again =
                Asked { interaction: asked.interaction.clone(), content: asked.content.clone(), ..asked };
            self.carry_out(part, asked, room).await.map(drop)?;
            // Nothing left: what leaves is what is read after the writing.
            part.record.response = AuditResponse::default();
            return Ok(Step::Read(again));
        }
        part.still_believed()?;
        room.is_left()?;
        let enforcer = self.enforcer_of(part);
        let Asked { entry, interaction, replaces, content } = asked;
        let asked = write::Asked { interaction, replaces, content: &content };
        let prepared = write::prepare(part, &enforcer, asked, pending).await?;
        room.take(prepared.allowed.action().body.as_ref().map_or(0, String::len));
        Ok(Step::Write(entry, prepared))
    }

    /// Reads, once all was written.
    async fn read(self, part: &mut Exchange<'_>, read: Reading<'_>, room: &Room) -> Answered {
        match read {
            Reading::Asked(asked) => self.carry_out(part, asked, room).await,
            Reading::There(record) => {
                part.still_believed()?;
                room.is_left()?;
                let enforcer = self.enforcer_of(part);
                condition::there(part, &enforcer, record, self.returns).await
            }
        }
    }

    /// Makes the intents durable, then writes, all at once.
    async fn write<'e, 'b>(
        self,
        parts: Vec<(Exchange<'e>, Step<'b>)>,
    ) -> Result<Vec<(Exchange<'e>, After<'b>)>, Undone<'e>> {
        let intend = |(mut part, step): (Exchange<'e>, Step<'b>)| {
            let one = async move {
                let intended = match step {
                    Step::Read(asked) => Ok(Intended::Read(Reading::Asked(asked))),
                    Step::There(record) => Ok(Intended::Read(Reading::There(record))),
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
                Intended::Read(read) => after.push((place, (part, After::Read(read)))),
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
                        let ended = write::finish(&mut part, &enforcer, leaves, answer, self.returns);
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
    Read(Reading<'b>),
}

/// An entry of a transaction after the writing.
enum After<'b> {
    Written(Answered),
    Read(Reading<'b>),
}

/// What is read after the writing.
enum Reading<'b> {
    Asked(Asked<'b>),
    There(Reference),
}

impl Plan<'_> {
    fn planned(&self) -> (Option<&str>, Planned<'_>) {
        match self {
            Self::Asked(asked) => (asked.entry.name(), Planned::Asked(&asked.interaction)),
            Self::There(entry, record) => (entry.name(), Planned::There(record)),
        }
    }
}

/// Whether two entries are to create what meets one condition.
fn creates_twice(parts: &[(Exchange<'_>, Asked<'_>)]) -> bool {
    let mut conditions = BTreeSet::new();
    let created = parts.iter().filter_map(|(_, asked)| match &asked.interaction {
        Interaction::Conditional { query, write: ConditionalWrite::Create | ConditionalWrite::Update(_) } => {
            Some(query.in_one_order())
        }
        _ => None,
    });
    created.into_iter().any(|condition| !conditions.insert(condition))
}

fn refuse_all<'e, T, U>(parts: Vec<(Exchange<'e>, T)>) -> Vec<Part<'e, U>> {
    parts.into_iter().map(|(part, _)| (part, Err(Refused::Transaction))).collect()
}
