//! Authorization code grant. RFC 6749 section 4.1, RFC 7636, RFC 9449 section 10.

use std::time::Duration;

use chartgate_protocol::fhir::name::ResourceId;
use chartgate_protocol::jose::{Algorithm, Thumbprint};
use chartgate_protocol::oauth::authorization_details::AuthorizationDetail;
use chartgate_protocol::oauth::dpop::{ProofError, check_announced};
use chartgate_protocol::oauth::pkce::{CodeChallenge, VerifierError};
use chartgate_protocol::oauth::purpose_of_use::PurposeOfUse;
use chartgate_protocol::oauth::response_mode::ResponseMode;
use chartgate_protocol::oauth::scope::ScopeSet;
use chartgate_protocol::oidc::claims_request::ClaimsRequest;
use chartgate_values::Timestamp;
use serde::{Deserialize, Serialize};

use super::Grant;
use super::launch::Launch;
use crate::client::Client;
use crate::emergency::{Declared, EmergencyGrant};
use crate::ids::{ClientId, GrantId, PatientId, Subject};
use crate::login::assurance::Assurance;
use crate::login::steps::Approved;

/// How long a code may wait for its client.
pub const CODE_LIFE: Duration = Duration::from_secs(60);
/// How long a pushed request may wait for its browser. RFC 9126 section 2.2.
pub const PUSHED_LIFE: Duration = Duration::from_secs(60);
/// How long a person may take over the pages.
pub const PENDING_LIFE: Duration = Duration::from_secs(600);

/// An authorization request that was checked and waits for its person.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct PendingAuthorization {
    /// Who asks.
    pub client_id: ClientId,
    /// Where the answer goes.
    pub reply_to: ReplyTo,
    /// What the client may have of what it asked for.
    pub scope: ScopeSet,
    /// What it asked for in detail, which the client may have.
    #[serde(default)]
    pub authorization_details: Vec<AuthorizationDetail>,
    /// Why records are to be looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purpose_of_use: Option<PurposeOfUse>,
    /// What its person said and showed, where emergency access is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub emergency: Option<Declared>,
    /// Where the tokens are to be good.
    pub audience: String,
    /// The key that whoever redeems what comes of it has to prove.
    pub dpop_jkt: Option<Thumbprint>,
    /// A sign-in before this point will not do (`prompt=login`, `max_age`).
    pub signed_in_since: Option<Timestamp>,
    /// A weaker sign-in will not do either (`acr_values`, an essential `acr`).
    #[serde(default)]
    pub assurance: Assurance,
    /// And what a stronger one is called in tokens: the strongest word that the request knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub called: Option<Assurance>,
    /// Ask for consent even if it was given before.
    pub ask_again: AskAgain,
    /// Whether anybody may be asked anything.
    pub pages: Pages,
    /// A name to fill in.
    pub login_hint: Option<String>,
    /// The languages that its person reads, as the client says.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub ui_locales: String,
    /// Whom alone the answer may be about: OpenID Connect Core section 3.1.2.1.
    #[serde(default)]
    pub about: Option<Subject>,
    /// What the client asked for by name.
    #[serde(default)]
    pub claims: ClaimsRequest,
    /// What was said on the pages so far; [`PendingAuthorization::said_by`] asks whose word it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub said: Option<Said>,
    /// What an EHR said that launched the client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub launch: Option<Launch>,
    /// When the request came.
    pub created_at: Timestamp,
}

/// What somebody said on the pages of a request. It counts for them alone: a request is one browser's, and browsers are shared.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Said {
    /// Who.
    pub by: Subject,
    /// The patient that they picked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patient: Option<PatientId>,
    /// The encounter that they did.
    #[serde(default)]
    pub encounter: EncounterPick,
    /// What they said to the client's wishes.
    #[serde(default)]
    pub consent: ConsentGiven,
}

/// Where the answer to a request goes.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplyTo {
    /// Back to the client, through the browser.
    Redirect(RedirectReply),
    /// To a device that asks for it.
    Device(DeviceReply),
}

/// A client that waits at its redirect URI.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct RedirectReply {
    /// Where the answer goes; compared already.
    pub redirect_uri: String,
    /// Given back untouched.
    pub state: Option<String>,
    /// PKCE.
    pub code_challenge: CodeChallenge,
    /// For the ID token.
    pub nonce: Option<String>,
    /// How the answer reaches it.
    #[serde(default)]
    pub response_mode: ResponseMode,
    /// What a signed answer is signed with, if not with our own choice.
    pub response_alg: Option<Algorithm>,
}

/// To whom an answer goes, and how. RFC 6749 section 4.1.2.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Addressee {
    /// The client.
    pub client_id: ClientId,
    /// Where it waits.
    pub redirect_uri: String,
    /// Given back untouched.
    pub state: Option<String>,
    /// How the answer reaches it.
    pub response_mode: ResponseMode,
    /// What a signed answer is signed with, if not with our own choice.
    pub response_alg: Option<Algorithm>,
}

/// A device whose code was typed. RFC 8628 section 3.3.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct DeviceReply {
    /// The digest of its own code.
    pub digest: String,
    /// The address that it asked from.
    pub asked_from: String,
    /// When it asked.
    pub asked_at: Timestamp,
}

/// What an approved request becomes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Approval {
    /// A code, for its client.
    Code(Box<Code>, Addressee),
    /// A grant, for the device whose code has this digest.
    Device(Box<Grant>, String),
}

impl ReplyTo {
    /// Whether the answer would go to this client, as it is registered now.
    #[must_use]
    pub fn leads_to(&self, client: &Client) -> bool {
        match self {
            Self::Redirect(reply) => client.redirects_to(&reply.redirect_uri),
            Self::Device(_) => true,
        }
    }

    /// Where a form of our pages may lead to in the end, beside ourselves.
    #[must_use]
    pub fn form_target(&self) -> Option<&str> {
        match self {
            Self::Redirect(reply) => Some(&reply.redirect_uri),
            Self::Device(_) => None,
        }
    }
}

/// What a person said when they were asked for an encounter.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EncounterPick {
    /// Nothing yet.
    #[default]
    NotYet,
    /// This one.
    One(ResourceId),
    /// That it is about none.
    None,
}

/// Whether an earlier consent counts.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AskAgain {
    /// It does.
    No,
    /// `prompt=consent`.
    Consent,
}

/// Whether pages may be shown. OpenID Connect Core section 3.1.2.1.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pages {
    /// They may.
    Allowed,
    /// `prompt=none`.
    Forbidden,
}

/// What the person said on the consent page.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConsentGiven {
    /// Nothing yet.
    #[default]
    NotYet,
    /// Yes, to this request.
    Approved,
}

/// A code that was sent to a client, as the store keeps it under the code's digest.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Code {
    /// What redeeming it gives.
    pub grant: Grant,
    /// RFC 6749 section 4.1.3: has to be named again.
    pub redirect_uri: String,
    /// RFC 7636.
    pub code_challenge: CodeChallenge,
    /// RFC 9449 section 10: the key that has to be proved.
    pub dpop_jkt: Option<Thumbprint>,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// Why a code is not redeemed. All are `invalid_grant` on the wire.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ExchangeError {
    /// RFC 6749 section 4.1.3: codes are bound to a client.
    #[error("code was issued to another client")]
    WrongClient,
    /// RFC 6749 section 4.1.3.
    #[error("redirect_uri is not that of the authorization request")]
    WrongRedirectUri,
    /// RFC 6749 section 4.1.2.
    #[error("code has expired")]
    Expired,
    /// RFC 7636 section 4.6.
    #[error(transparent)]
    Verifier(#[from] VerifierError),
    /// RFC 9449 section 10.
    #[error(transparent)]
    Key(#[from] ProofError),
}

impl Said {
    /// What somebody has said who was not asked yet.
    #[must_use]
    pub fn nothing(by: Subject) -> Self {
        Self { by, patient: None, encounter: EncounterPick::NotYet, consent: ConsentGiven::NotYet }
    }
}

impl PendingAuthorization {
    /// What this person has said so far: of what somebody else said who sat at the browser before, nothing.
    #[must_use]
    pub fn said_by(&self, who: &Subject) -> Said {
        let said = self.said.as_ref().filter(|said| said.by == *who);
        said.cloned().unwrap_or_else(|| Said::nothing(who.clone()))
    }

    /// Whether the person took too long.
    #[must_use]
    pub fn has_expired(&self, now: Timestamp) -> bool {
        now >= self.created_at.plus(PENDING_LIFE)
    }

    /// To whom the answer goes; a device asks for it.
    #[must_use]
    pub fn addressee(&self) -> Option<Addressee> {
        let ReplyTo::Redirect(reply) = &self.reply_to else { return None };
        Some(Addressee {
            client_id: self.client_id.clone(),
            redirect_uri: reply.redirect_uri.clone(),
            state: reply.state.clone(),
            response_mode: reply.response_mode,
            response_alg: reply.response_alg,
        })
    }

    /// What an approved request becomes.
    #[must_use]
    pub fn into_approval(
        mut self,
        approved: Approved,
        id: GrantId,
        emergency_for: Duration,
        now: Timestamp,
    ) -> Approval {
        let Approved {
            subject,
            session,
            auth_time,
            stands_since,
            provider,
            amr,
            assurance,
            scope,
            patient,
            encounter,
        } = approved;
        let emergency = self.emergency.map(|declared| {
            for detail in &mut self.authorization_details {
                if let AuthorizationDetail::EmergencyAccess(access) = detail {
                    access.identifier = Some(declared.id.to_string());
                    access.reason = Some(declared.reason);
                }
            }
            self.purpose_of_use = Some(declared.reason.purpose());
            EmergencyGrant { id: declared.id, until: now.plus(emergency_for) }
        });
        let picked = encounter.map(Launch::of_encounter);
        let offline = scope.contains(super::OFFLINE_ACCESS);
        let grant = Grant {
            id,
            client_id: self.client_id,
            subject,
            session: (!offline).then_some(session),
            scope,
            authorization_details: self.authorization_details,
            purpose_of_use: self.purpose_of_use,
            emergency,
            claims: self.claims,
            audience: self.audience,
            patient,
            launch: self.launch.or(picked),
            nonce: None,
            auth_time,
            provider,
            began_at: auth_time.is_none().then_some(stands_since),
            approved_at: Some(now),
            amr,
            assurance,
        };
        match self.reply_to {
            ReplyTo::Redirect(reply) => {
                let RedirectReply { redirect_uri, state, code_challenge, nonce, response_mode, response_alg } =
                    reply;
                let client_id = grant.client_id.clone();
                let to = Addressee {
                    client_id,
                    redirect_uri: redirect_uri.clone(),
                    state,
                    response_mode,
                    response_alg,
                };
                let grant = Grant { nonce, ..grant };
                let (dpop_jkt, expires_at) = (self.dpop_jkt, now.plus(CODE_LIFE));
                let code = Code { grant, redirect_uri, code_challenge, dpop_jkt, expires_at };
                Approval::Code(Box::new(code), to)
            }
            ReplyTo::Device(device) => Approval::Device(Box::new(grant), device.digest),
        }
    }
}

impl Code {
    /// Redeems the code, which the store has already marked as used. `key` is what its sender proved.
    ///
    /// # Errors
    /// [`ExchangeError`] with the first cause.
    pub fn exchange(
        self,
        by: &ClientId,
        redirect_uri: &str,
        verifier: &str,
        key: Option<&Thumbprint>,
        now: Timestamp,
    ) -> Result<Grant, ExchangeError> {
        if self.grant.client_id != *by {
            return Err(ExchangeError::WrongClient);
        }
        if now >= self.expires_at {
            return Err(ExchangeError::Expired);
        }
        if self.redirect_uri != redirect_uri {
            return Err(ExchangeError::WrongRedirectUri);
        }
        self.code_challenge.check(verifier)?;
        check_announced(self.dpop_jkt.as_ref(), key)?;
        Ok(self.grant)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VERIFIER: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

    fn code() -> Code {
        Code {
            grant: Grant {
                id: "abcdefghijklmnopqrstuv".parse().unwrap(),
                client_id: "app".parse().unwrap(),
                subject: "dana".parse().unwrap(),
                session: None,
                scope: "openid".parse().unwrap(),
                authorization_details: Vec::new(),
                purpose_of_use: None,
                emergency: None,
                claims: ClaimsRequest::default(),
                audience: "https://g/fhir".into(),
                patient: None,
                launch: None,
                nonce: None,
                auth_time: Some(Timestamp::from_unix(1000)),
                provider: None,
                began_at: None,
                approved_at: None,
                amr: vec!["pwd".into()],
                assurance: Assurance::OneFactor,
            },
            redirect_uri: "https://a/cb".into(),
            code_challenge: CodeChallenge::of(VERIFIER),
            dpop_jkt: None,
            expires_at: Timestamp::from_unix(1060),
        }
    }

    fn exchange(by: &str, uri: &str, verifier: &str, now: i64) -> Result<Grant, ExchangeError> {
        code().exchange(&by.parse().unwrap(), uri, verifier, None, Timestamp::from_unix(now))
    }

    #[test]
    fn a_code_expires_at_its_deadline_not_after_it() {
        assert!(exchange("app", "https://a/cb", VERIFIER, 1059).is_ok());
        assert_eq!(exchange("app", "https://a/cb", VERIFIER, 1060), Err(ExchangeError::Expired));
    }

    #[test]
    fn o06_a_code_is_bound_to_client_redirect_uri_and_verifier() {
        assert_eq!(exchange("other", "https://a/cb", VERIFIER, 1000), Err(ExchangeError::WrongClient));
        assert_eq!(exchange("app", "https://a/cb/", VERIFIER, 1000), Err(ExchangeError::WrongRedirectUri));
        let other = "b".repeat(43);
        let mismatch = Err(ExchangeError::Verifier(VerifierError::Mismatch));
        assert_eq!(exchange("app", "https://a/cb", &other, 1000), mismatch);
    }

    #[test]
    fn o06_a_code_is_bound_to_the_key_that_was_announced() {
        let [own, other] =
            ["0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I", "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo"]
                .map(|jkt| jkt.parse::<Thumbprint>().unwrap());
        let redeem = |key| {
            let code = Code { dpop_jkt: Some(own.clone()), ..code() };
            let now = Timestamp::from_unix(1000);
            code.exchange(&"app".parse().unwrap(), "https://a/cb", VERIFIER, key, now).map(|_| ())
        };
        assert_eq!(redeem(Some(&own)), Ok(()));
        assert_eq!(redeem(Some(&other)), Err(ExchangeError::Key(ProofError::OtherKey)));
        assert_eq!(redeem(None), Err(ExchangeError::Key(ProofError::Missing)));
    }
}
