//! Asking a person who sits elsewhere, behind their browser. OpenID Connect CIBA Core; ATTACKS O19, O20.

use std::net::IpAddr;
use std::time::Duration;

use chartgate_protocol::jose::Thumbprint;
use chartgate_protocol::oauth::purpose_of_use::PurposeOfUse;
use chartgate_protocol::oauth::scope::ScopeSet;
use chartgate_protocol::smart::scope::{Level, SmartScope};
use chartgate_values::Timestamp;
use serde::{Deserialize, Serialize};

use super::Grant;
use super::polling::{Answer, Poll, PollError, Polled};
use crate::approval::known::Acquaintance;
use crate::ids::{ClientId, GrantId, Subject};
use crate::login::assurance::Assurance;
use crate::login::steps;
use crate::principal::User;

/// How long a person may take, unless the client wants less.
pub const LONGEST_WAIT: Duration = Duration::from_mins(5);
/// How long at least: a question that is gone at once can be put again and again.
pub const SHORTEST_WAIT: Duration = Duration::from_secs(30);

/// A client's question to a person, as the store keeps it under its `auth_req_id`.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct BackchannelRequest {
    /// Which client asks.
    pub client_id: ClientId,
    /// Whom.
    pub subject: Subject,
    /// Whether they have used it before.
    #[serde(default)]
    pub acquaintance: Acquaintance,
    /// What it may have of what it asked for.
    pub scope: ScopeSet,
    /// Where its tokens are to be good.
    pub audience: String,
    /// Why records are to be looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purpose_of_use: Option<PurposeOfUse>,
    /// What both screens show, so that the person knows which question they answer.
    pub binding_message: Option<String>,
    /// The key that the client proved when it asked, and has to prove when it polls.
    pub dpop_jkt: Option<Thumbprint>,
    /// The client's own secret for being told of the answer, sealed.
    pub notification_token: Option<Vec<u8>>,
    /// From where it asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_from: Option<IpAddr>,
    /// When it asked.
    pub asked_at: Timestamp,
    /// When the question ends.
    pub expires_at: Timestamp,
    /// How far it has come.
    #[serde(flatten)]
    pub polled: Polled,
}

/// A question that cannot be answered any more.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NotToBeAnswered {
    /// Its time is over.
    #[error("the request has expired")]
    Expired,
    /// Somebody answered before.
    #[error("the request was answered before")]
    Answered,
}

impl BackchannelRequest {
    /// Decides what a poll by `by`, who proved `key`, at `now` comes to, and what is kept of it.
    pub fn poll(self, by: &ClientId, key: Option<&Thumbprint>, now: Timestamp) -> (Self, Poll) {
        if self.client_id != *by {
            return (self, Poll::Refuse(PollError::WrongClient));
        }
        if self.dpop_jkt.is_some() && self.dpop_jkt.as_ref() != key {
            return (self, Poll::Refuse(PollError::WrongKey));
        }
        if now >= self.expires_at {
            return (self, Poll::Refuse(PollError::Expired));
        }
        let (polled, poll) = self.polled.poll(now);
        (Self { polled, ..self }, poll)
    }

    /// Whether it waits for an answer.
    ///
    /// # Errors
    /// [`NotToBeAnswered`].
    pub fn check_waiting(&self, now: Timestamp) -> Result<(), NotToBeAnswered> {
        match self.polled.answer {
            Answer::Waiting if now < self.expires_at => Ok(()),
            Answer::Waiting => Err(NotToBeAnswered::Expired),
            Answer::Approved(_) | Answer::Denied | Answer::Redeemed(_) => Err(NotToBeAnswered::Answered),
        }
    }

    /// What the client gets if the person says yes. It has no session: nobody signed in here for it.
    #[must_use]
    pub fn grant(&self, id: GrantId, user: &User, now: Timestamp) -> Grant {
        Grant {
            id,
            client_id: self.client_id.clone(),
            subject: self.subject.clone(),
            session: None,
            scope: self.scope.clone(),
            authorization_details: Vec::new(),
            purpose_of_use: self.purpose_of_use,
            emergency: None,
            claims: chartgate_protocol::oidc::claims_request::ClaimsRequest::default(),
            audience: self.audience.clone(),
            patient: user.fhir_user.as_ref().and_then(|own| own.patient()),
            launch: None,
            nonce: None,
            auth_time: None,
            provider: None,
            began_at: Some(now),
            approved_at: Some(now),
            amr: Vec::new(),
            assurance: Assurance::OneFactor,
        }
    }
}

/// What of a scope a person can give who is not asked on our pages: no patient is picked there, so that `patient/` scopes
/// are for those who are the patient themselves.
#[must_use]
pub fn grantable_without_pages(scope: &ScopeSet, user: &User) -> ScopeSet {
    let is_patient = user.fhir_user.as_ref().is_some_and(|own| own.patient().is_some());
    let fits = |token: &str| match token.parse::<SmartScope>().map(|smart| smart.level) {
        Ok(Level::Patient) => is_patient,
        Ok(Level::User | Level::System) => true,
        Err(_) => !["launch", "launch/patient", "launch/encounter"].contains(&token),
    };
    steps::grantable_by_a_person(scope).iter().filter(|token| fits(token)).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::principal::UserState;

    fn request(answer: Answer) -> BackchannelRequest {
        BackchannelRequest {
            client_id: "desk".parse().unwrap(),
            subject: "dana".parse().unwrap(),
            acquaintance: Acquaintance::Used,
            scope: "openid".parse().unwrap(),
            audience: "https://g/fhir".into(),
            purpose_of_use: None,
            binding_message: None,
            dpop_jkt: None,
            notification_token: None,
            asked_from: None,
            asked_at: Timestamp::from_unix(1000),
            expires_at: Timestamp::from_unix(1300),
            polled: Polled { answer, ..Polled::default() },
        }
    }

    fn user(fhir_user: &str) -> User {
        User {
            name: "dana".parse().unwrap(),
            state: UserState::Enabled,
            roles: BTreeSet::new(),
            fhir_user: Some(fhir_user.parse().unwrap()),
            email: None,
            created_at: Timestamp::EPOCH,
        }
    }

    #[test]
    fn o19_a_request_is_its_own_clients_and_ends_with_its_time() {
        let approved = || {
            let waiting = request(Answer::Waiting);
            let grant = waiting.grant(
                "abcdefghijklmnopqrstuv".parse().unwrap(),
                &user("Patient/p"),
                waiting.asked_at,
            );
            request(Answer::Approved(Box::new(grant)))
        };
        let poll = |by: &str, at| approved().poll(&by.parse().unwrap(), None, Timestamp::from_unix(at));
        assert_eq!(poll("other", 1001), (approved(), Poll::Refuse(PollError::WrongClient)));
        assert_eq!(poll("desk", 1300).1, Poll::Refuse(PollError::Expired));
        let (kept, poll) = poll("desk", 1299);
        assert!(matches!(poll, Poll::Redeem(grant) if grant.patient.as_ref().unwrap().as_str() == "p"));
        assert_eq!(
            kept.poll(&"desk".parse().unwrap(), None, Timestamp::from_unix(1299)).1,
            Poll::Refuse(PollError::Redeemed)
        );
    }

    #[test]
    fn a_question_is_answered_once_and_in_time() {
        let at = Timestamp::from_unix;
        assert_eq!(request(Answer::Waiting).check_waiting(at(1299)), Ok(()));
        assert_eq!(request(Answer::Waiting).check_waiting(at(1300)), Err(NotToBeAnswered::Expired));
        assert_eq!(request(Answer::Denied).check_waiting(at(1001)), Err(NotToBeAnswered::Answered));
    }

    #[test]
    fn patients_scopes_are_for_the_patient_where_nobody_can_pick_one() {
        let scope = "openid launch/patient patient/*.rs user/*.rs system/*.rs".parse().unwrap();
        assert_eq!(grantable_without_pages(&scope, &user("Practitioner/d")).to_string(), "openid user/*.rs");
        assert_eq!(
            grantable_without_pages(&scope, &user("Patient/p")).to_string(),
            "openid patient/*.rs user/*.rs"
        );
    }
}
