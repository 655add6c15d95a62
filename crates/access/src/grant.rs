//! Grants: what a client was allowed, by whom, for how long.

pub mod authorization_code;
pub mod backchannel;
pub mod device;
pub mod launch;
pub mod polling;
pub mod refresh;
pub mod token_exchange;

use chartgate_protocol::oauth::authorization_details::AuthorizationDetail;
use chartgate_protocol::oauth::purpose_of_use::PurposeOfUse;
use chartgate_protocol::oauth::scope::ScopeSet;
use chartgate_protocol::oidc::claims_request::ClaimsRequest;
use chartgate_protocol::smart::launch::LaunchContext;
use chartgate_values::Timestamp;
use serde::{Deserialize, Serialize};

use self::launch::Launch;
use crate::client::Client;
use crate::emergency::EmergencyGrant;
use crate::ids::{ClientId, GrantId, PatientId, SessionId, Subject};
use crate::login::assurance::Assurance;

/// The scope that lets a grant outlive its session. OpenID Connect Core section 11.
pub const OFFLINE_ACCESS: &str = "offline_access";

/// One approval, from which codes, refresh tokens and access tokens come.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Grant {
    /// Its name: cutting it off ends all that came of it.
    pub id: GrantId,
    /// To whom it was given.
    pub client_id: ClientId,
    /// Who gave it.
    pub subject: Subject,
    /// The session that it lives and dies with; `None` with `offline_access`.
    pub session: Option<SessionId>,
    /// What was granted.
    pub scope: ScopeSet,
    /// What was granted in detail.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub authorization_details: Vec<AuthorizationDetail>,
    /// Why records are looked at. What was asked for until its first token; from then on what its tokens say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purpose_of_use: Option<PurposeOfUse>,
    /// That it is emergency access.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub emergency: Option<EmergencyGrant>,
    /// What the client asked for by name of the person. OpenID Connect Core section 5.5.
    #[serde(default, skip_serializing_if = "ClaimsRequest::is_empty")]
    pub claims: ClaimsRequest,
    /// Where its tokens are good.
    pub audience: String,
    /// SMART launch context.
    pub patient: Option<PatientId>,
    /// What else an EHR said that launched the client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub launch: Option<Launch>,
    /// For the ID token.
    pub nonce: Option<String>,
    /// When the person signed in; `None` where nobody can say, for they did not do so on our pages.
    pub auth_time: Option<Timestamp>,
    /// With the word of which identity provider its person signed in, by its issuer, if not here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// Since when this stands, where that is not the sign-in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub began_at: Option<Timestamp>,
    /// When it was approved, where that is known; a sign-in may have been long before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved_at: Option<Timestamp>,
    /// How.
    pub amr: Vec<String>,
    /// How strongly, where that was here, as tokens call it: the strongest that their client named.
    #[serde(default)]
    pub assurance: Assurance,
}

/// What a grant rested on was taken from its client.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum TakenAway {
    /// It outlives its session, which the client may not ask for any more.
    #[error("the client may not ask for offline_access any more")]
    Offline,
    /// It has details of a type that the client may not ask for any more. RFC 9396 section 10.
    #[error("the client may not ask for such details any more")]
    Details,
}

impl TakenAway {
    /// The stable code for records.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Offline => "offline-not-allowed",
            Self::Details => "details-not-allowed",
        }
    }
}

impl Grant {
    /// How strongly the person signed in for it, where that was here: what they showed, whatever tokens call it.
    #[must_use]
    pub fn strength(&self) -> Assurance {
        match self.assurance {
            // What others say of how somebody signed in with them is not looked at.
            Assurance::OneFactor => Assurance::OneFactor,
            Assurance::TwoFactors | Assurance::PhishingResistant | Assurance::HardwareKey => {
                Assurance::of(&self.amr)
            }
        }
    }

    /// Since when this stands: how long it may is counted from there. If nothing says so, it has stood for ever.
    #[must_use]
    pub fn stands_since(&self) -> Timestamp {
        self.began_at.or(self.auth_time).unwrap_or(Timestamp::EPOCH)
    }

    /// Whether its client may still ask for what it rests on. Scopes are narrowed, and the rest stays what it was; a grant
    /// that outlives its session, or opens what scopes do not say, is nothing without that.
    ///
    /// # Errors
    /// [`TakenAway`].
    pub fn rests_on(&self, client: &Client) -> Result<(), TakenAway> {
        if self.session.is_none()
            && self.scope.contains(OFFLINE_ACCESS)
            && !client.scope.contains(OFFLINE_ACCESS)
        {
            return Err(TakenAway::Offline);
        }
        let types = &client.options.authorization_details_types;
        if self.authorization_details.iter().any(|detail| !types.contains(&detail.kind())) {
            return Err(TakenAway::Details);
        }
        Ok(())
    }

    /// Since when it was given: whatever cut the person off later cut this off too. What cut them off before, and left the session
    /// in which they approved it, says nothing of it.
    #[must_use]
    pub fn given_since(&self) -> Timestamp {
        self.approved_at.unwrap_or_else(|| self.stands_since())
    }

    /// What stands beside its tokens. With a patient in context the application shows whose record is open, unless the EHR
    /// that launched it does.
    #[must_use]
    pub fn context(&self) -> LaunchContext {
        let context = self.launch.as_ref().map(|launch| launch.context.clone()).unwrap_or_default();
        let need_patient_banner = self.patient.as_ref().map(|_| context.need_patient_banner.unwrap_or(true));
        LaunchContext { need_patient_banner, ..context }
    }
}
