//! What a rule lets through once another person has said yes to it, or, of an agent, the person for whom it acts
//! (`chartgate_access::approval::deed`).
//!
//! Whoever needs a yes asks for it by the request itself, with the reason in a header, and sends the request again once it is
//! there: so what is approved is what is done, byte by byte, and it is asked for by whoever could do it otherwise.

use chartgate_access::approval::deed::{Act, Approver, Content, Deed, LONGEST_REASON, SHORTEST_REASON};
use chartgate_access::permit::Withheld;
use chartgate_audit::record::{Event, Outcome, Record};
use chartgate_values::Phi;
use http::{HeaderMap, HeaderName, header};

use super::session::Exchange;
use super::upstream::{Call, REQUEST_HEADERS};
use crate::config::{Agents, HttpRule};
use crate::live::approvals::deeds::{Standing, describe};
use crate::net::origin::Origin;
use crate::pep::authenticate::Authenticated;
use crate::pep::respond::Refused;
use crate::store::StoreError;
use crate::store::sign_in_approvals::Asked;

/// Why another should say yes.
pub(super) const REASON: HeaderName = HeaderName::from_static("approval-reason");

/// Why a request goes no further without another's yes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::pep) enum NoYes {
    /// It takes one, and none was asked for.
    Needed,
    /// It waits, since now or before.
    Waits,
    /// Somebody said no.
    Denied,
    /// The asker asks too often, by the code of this limit.
    TooOften(&'static str),
    /// There is nobody who could say yes.
    Nobody,
}

impl NoYes {
    /// The stable code for the record.
    pub(in crate::pep) fn code(self) -> &'static str {
        match self {
            Self::Needed => "approval-needed",
            Self::Waits => "approval-waits",
            Self::Denied => "approval-denied",
            Self::TooOften(_) => "approval-flood",
            Self::Nobody => "approval-by-nobody",
        }
    }

    /// In words for whoever asks.
    pub(in crate::pep) fn words(self) -> &'static str {
        match self {
            Self::Needed => {
                "this has to be approved first: send it again with the header Approval-Reason, which says why"
            }
            Self::Waits => "it waits to be approved: send it again, just as it is",
            Self::Denied => "this was not approved",
            Self::TooOften(_) => "you ask for approvals too often: wait a while",
            Self::Nobody => "there is nobody who could approve this",
        }
    }
}

impl Exchange<'_> {
    /// Uses another's yes to exactly this request up, where its rule wants one; asks for it where there is none. Gives the name of
    /// the one that was used.
    ///
    /// # Errors
    /// [`Refused`].
    pub(super) async fn second_person(
        &mut self,
        origin: &Origin,
        by: &Authenticated,
        rule: &HttpRule,
        call: &Call,
    ) -> Result<Option<String>, Refused> {
        let agents = self.record.on_behalf_of.iter().map(|agent| agent.sub.clone()).collect::<Vec<_>>();
        let Some(approver) = approver(rule, &agents) else { return Ok(None) };
        let act = self.act(by, call, (approver, agents));
        let approvals = &self.gateway.approvals;
        match approvals.use_deed(act.digest()).await.map_err(|error| not_stored(&error))? {
            Standing::Approved(kept) => {
                self.note(&kept.id);
                let by = kept.decided_by.map(|by| by.to_string()).unwrap_or_default();
                self.record.detail.insert("approved_by".to_owned(), Phi::new(by));
                Ok(Some(kept.id))
            }
            Standing::Waits(kept) => {
                self.note(&kept.id);
                Err(Refused::NoYes(NoYes::Waits))
            }
            Standing::Denied(kept) => {
                self.note(&kept.id);
                Err(Refused::NoYes(NoYes::Denied))
            }
            Standing::Unasked => {
                let reason = reason(&call.headers).ok_or(Refused::NoYes(NoYes::Needed))?;
                let now = self.gateway.clock.now();
                Err(self.ask(&Deed { act, reason, from: origin.ip, asked_at: now }).await?)
            }
        }
    }

    /// Asks those who may say yes, and says how that stands.
    async fn ask(&mut self, deed: &Deed) -> Result<Refused, Refused> {
        let approvals = &self.gateway.approvals;
        let approvers = approvals.approvers(deed).map_err(|error| not_stored(&error))?;
        if approvers.is_empty() {
            return Ok(Refused::NoYes(NoYes::Nobody));
        }
        let (id, asked) = approvals.ask_deed(deed).await.map_err(|error| not_stored(&error))?;
        let mut record = Record { event: Event::ApprovalRequested, ..Record::clone(&self.record) };
        record.action = Some(Event::ApprovalRequested.as_str().to_owned());
        record.resource = Some(Phi::new(id.clone()));
        describe(&mut record, deed);
        if let Asked::No(flood) = asked {
            record.outcome = Outcome::Deny;
            record.detail.insert("flood".to_owned(), Phi::new(flood.code().to_owned()));
        }
        // The text is the same for whoever is asked.
        let question = deed.question(&id, &deed.act.asker);
        record.detail.extend(question.told().map(|(name, value)| (name.to_owned(), Phi::new(value))));
        let recorded = self.gateway.journal.append(&record, Withheld::new(())).await;
        if let Err(error) = recorded {
            tracing::error!(%error, "audit");
            return Err(Refused::Unrecorded);
        }
        if let Asked::No(flood) = asked {
            return Ok(Refused::NoYes(NoYes::TooOften(flood.code())));
        }
        self.note(&id);
        let approvals = &self.gateway.approvals;
        approvals.put_deed(&approvers, &id).await.map_err(|error| not_stored(&error))?;
        Ok(Refused::NoYes(NoYes::Waits))
    }

    /// All records of one deed have its name.
    fn note(&mut self, id: &str) {
        self.record.detail.insert("approval".to_owned(), Phi::new(id.to_owned()));
    }

    fn act(&self, by: &Authenticated, call: &Call, (approver, agents): (Approver, Vec<String>)) -> Act {
        let facts = &by.caller.facts;
        let headers = REQUEST_HEADERS.iter().flat_map(|name| {
            let values = call.headers.get_all(name).iter();
            values.map(|value| (name.as_str().to_owned(), latin_1(value.as_bytes())))
        });
        let media_type = call.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        Act {
            asker: facts.subject.clone(),
            client_id: facts.client_id.clone(),
            agents,
            session: by.traits().session.clone(),
            fhir_user: by.caller.fhir_user.clone(),
            purpose_of_use: facts.purpose_of_use.clone(),
            approver,
            route: self.route.name.clone(),
            method: call.method.to_string(),
            target: call.path_and_query.clone(),
            headers: headers.collect(),
            content: Content::of(media_type, &call.body),
        }
    }
}

/// Whose yes a rule wants to what these ask in somebody's name, or nobody, if any. Where it wants another's, whom they act for is
/// not enough.
fn approver(rule: &HttpRule, agents: &[String]) -> Option<Approver> {
    match rule.agents {
        _ if !rule.approved_by.is_empty() => {
            Some(Approver::Another(rule.approved_by.iter().cloned().collect()))
        }
        Agents::Ask if !agents.is_empty() => Some(Approver::WhomItActsFor),
        Agents::Ask | Agents::Act => None,
    }
}

/// The reason that a request gives, if that says anything.
fn reason(headers: &HeaderMap) -> Option<String> {
    let bytes = headers.get(&REASON)?.as_bytes();
    // What browsers send of a text in a header is Latin-1; others send UTF-8.
    let text = std::str::from_utf8(bytes).map_or_else(|_| latin_1(bytes), str::to_owned);
    let text = text.trim();
    (SHORTEST_REASON..=LONGEST_REASON).contains(&text.chars().count()).then(|| text.to_owned())
}

/// Each byte as the character of its number: no two values alike.
fn latin_1(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

fn not_stored(error: &StoreError) -> Refused {
    tracing::error!(%error, "approvals");
    Refused::Busy
}
