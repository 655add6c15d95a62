//! The authorization request. RFC 6749 section 4.1.1, RFC 7636, OpenID Connect Core section 3.1.2.1, RFC 8707,
//! RFC 9449 section 10, SMART App Launch 2.2.

use std::collections::BTreeSet;

use chartgate_values::Secret;

use super::authorization_details::{AuthorizationDetail, MalformedDetails};
use super::error::ErrorCode;
use super::pkce::CodeChallenge;
use super::purpose_of_use::{PurposeOfUse, UnknownPurpose};
use super::response_mode::ResponseMode;
use super::scope::ScopeSet;
use crate::form::Form;
use crate::jose::Thumbprint;
use crate::jose::jws::MAX_TOKEN_BYTES;
use crate::oidc::claims_request::{ClaimsRequest, Demands, MalformedClaims};

/// Longest `state`, `nonce` or `launch` that we carry.
const MAX_OPAQUE: usize = 2048;
/// Longest `scope`: every type of FHIR by itself, in two ways.
const MAX_SCOPE: usize = 8192;

/// Who asks and where the answer goes: all that must be right before an error may be sent to the client at all.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Addressed {
    /// `client_id`, not looked up yet.
    pub client_id: String,
    /// `redirect_uri`, not compared yet.
    pub redirect_uri: String,
    /// `state`, given back untouched.
    pub state: Option<String>,
}

/// What `prompt` asks for, which is a list. OpenID Connect Core section 3.1.2.1.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Prompt {
    /// No page may be shown. It stands alone.
    None,
    /// Each of these is asked again; the others where they have to be.
    Again(BTreeSet<Again>),
}

/// What is asked again, whatever was shown or said before.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Again {
    /// Sign in.
    Login,
    /// Consent.
    Consent,
}

impl Prompt {
    /// Whether this is asked again.
    #[must_use]
    pub fn asks(&self, again: Again) -> bool {
        match self {
            Self::None => false,
            Self::Again(all) => all.contains(&again),
        }
    }
}

/// A request that makes sense by itself; whether it is allowed is another question.
#[derive(Debug)]
pub struct AuthorizationRequest {
    /// What the client wants to do.
    pub scope: ScopeSet,
    /// What it wants to do in detail: RFC 9396.
    pub authorization_details: Vec<AuthorizationDetail>,
    /// Why records are to be looked at.
    pub purpose_of_use: Option<PurposeOfUse>,
    /// How the answer reaches the client.
    pub response_mode: ResponseMode,
    /// PKCE, method S256.
    pub code_challenge: CodeChallenge,
    /// `resource` or SMART's `aud`, which mean the same.
    pub resource: Option<String>,
    /// OpenID Connect's `nonce`.
    pub nonce: Option<String>,
    /// SMART's `launch` handle.
    pub launch: Option<String>,
    /// What to show.
    pub prompt: Prompt,
    /// The oldest sign-in that will do, in seconds.
    pub max_age: Option<u32>,
    /// Values of `acr` of which one is wished for.
    pub acr_values: Vec<String>,
    /// A name to fill in.
    pub login_hint: Option<String>,
    /// The languages that its person reads: `ui_locales`, which nothing is refused for.
    pub ui_locales: String,
    /// An ID token of the person that the answer has to be about.
    pub id_token_hint: Option<Secret<String>>,
    /// What is asked for by name.
    pub claims: ClaimsRequest,
    /// What it demands of the sign-in.
    pub demands: Demands,
    /// The key to which the code shall be bound: RFC 9449 section 10.
    pub dpop_jkt: Option<Thumbprint>,
}

/// Why a request that reached us is refused, with the code that its client gets.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum RequestError {
    /// RFC 6749 section 3.1.1.
    #[error("response_type is missing")]
    NoResponseType,
    /// Code alone is offered.
    #[error("response_type is not `code`")]
    ResponseType,
    /// JARM section 2.3, OAuth 2.0 Form Post Response Mode.
    #[error("response_mode is not `query`, `form_post` or a signed one of these")]
    ResponseMode,
    /// RFC 6749 section 3.3.
    #[error("scope is malformed")]
    Scope,
    /// What waits for its person is kept.
    #[error("scope is longer than {MAX_SCOPE} bytes")]
    LongScope,
    /// RFC 9700 section 2.1.1: PKCE is required.
    #[error("code_challenge is missing")]
    NoChallenge,
    /// RFC 7636 section 4.3: the default method would be `plain`.
    #[error("code_challenge_method is not `S256`")]
    ChallengeMethod,
    /// RFC 7636 section 4.2.
    #[error("code_challenge is not a base64url SHA-256 digest")]
    Challenge,
    /// RFC 8707 and SMART both name the audience, differently.
    #[error("resource and aud differ")]
    TwoResources,
    /// OpenID Connect Core section 3.1.2.1.
    #[error("prompt is neither `none` nor a list of `login` and `consent`")]
    Prompt,
    /// OpenID Connect Core section 3.1.2.1.
    #[error("max_age is not a number of seconds")]
    MaxAge,
    /// SMART: `launch` goes with the scope `launch`, and only with it.
    #[error("the launch parameter and the launch scope go together")]
    Launch,
    /// RFC 9396 section 5.
    #[error(transparent)]
    Details(#[from] MalformedDetails),
    /// OpenID Connect Core section 5.5.
    #[error(transparent)]
    Claims(#[from] MalformedClaims),
    /// There is no such purpose.
    #[error(transparent)]
    Purpose(#[from] UnknownPurpose),
    /// RFC 9449 section 10.
    #[error("dpop_jkt is not a base64url SHA-256 digest")]
    DpopJkt,
    /// A value longer than 2048 bytes.
    #[error("state, nonce, launch, login_hint, ui_locales or id_token_hint is too long")]
    TooLong,
    /// RFC 9101 section 6: an object is opened first, and holds no other.
    #[error("a request object within a request")]
    RequestObject,
    /// OpenID Connect Core section 6.2.
    #[error("request URIs are not supported")]
    RequestUri,
}

impl RequestError {
    /// The code for the client.
    #[must_use]
    pub fn code(self) -> ErrorCode {
        match self {
            Self::ResponseType => ErrorCode::UnsupportedResponseType,
            Self::Scope | Self::LongScope => ErrorCode::InvalidScope,
            Self::Details(_) => ErrorCode::InvalidAuthorizationDetails,
            Self::RequestObject => ErrorCode::InvalidRequestObject,
            Self::RequestUri => ErrorCode::RequestUriNotSupported,
            Self::NoResponseType
            | Self::ResponseMode
            | Self::NoChallenge
            | Self::ChallengeMethod
            | Self::Challenge
            | Self::TwoResources
            | Self::Prompt
            | Self::MaxAge
            | Self::Launch
            | Self::Claims(_)
            | Self::Purpose(_)
            | Self::DpopJkt
            | Self::TooLong => ErrorCode::InvalidRequest,
        }
    }
}

impl Addressed {
    /// Reads the sender and the return address.
    ///
    /// Returns `None` where either is missing: then there is nobody whom an error could be sent to.
    #[must_use]
    pub fn read(form: &Form) -> Option<Self> {
        Some(Self {
            client_id: form.get("client_id")?.to_owned(),
            redirect_uri: form.get("redirect_uri")?.to_owned(),
            state: form.get("state").map(str::to_owned),
        })
    }
}

impl AuthorizationRequest {
    /// Reads the rest of the request.
    ///
    /// # Errors
    /// [`RequestError`], by the first cause.
    pub fn read(form: &Form) -> Result<Self, RequestError> {
        let text = |name| form.get(name).map(str::to_owned);
        if form.get("request").is_some() {
            return Err(RequestError::RequestObject);
        }
        if form.get("request_uri").is_some() {
            return Err(RequestError::RequestUri);
        }
        for name in ["state", "nonce", "launch", "login_hint", "ui_locales", "aud", "resource", "acr_values"]
        {
            if form.get(name).is_some_and(|value| value.len() > MAX_OPAQUE) {
                return Err(RequestError::TooLong);
            }
        }
        match form.get("response_type") {
            Some("code") => {}
            Some(_) => return Err(RequestError::ResponseType),
            None => return Err(RequestError::NoResponseType),
        }
        let response_mode = ResponseMode::of(form).map_err(|_| RequestError::ResponseMode)?;
        let scope = form.get("scope").unwrap_or_default();
        if scope.len() > MAX_SCOPE {
            return Err(RequestError::LongScope);
        }
        let scope: ScopeSet = scope.parse().map_err(|_| RequestError::Scope)?;
        let launch = text("launch");
        if launch.is_some() != scope.contains("launch") {
            return Err(RequestError::Launch);
        }
        if form.get("id_token_hint").is_some_and(|hint| hint.len() > MAX_TOKEN_BYTES) {
            return Err(RequestError::TooLong);
        }
        let (claims, demands) = form.get("claims").map(ClaimsRequest::read).transpose()?.unwrap_or_default();
        let details = form.get("authorization_details").map(AuthorizationDetail::read).transpose()?;
        Ok(Self {
            authorization_details: details.unwrap_or_default(),
            purpose_of_use: form.get("purpose_of_use").map(str::parse).transpose()?,
            response_mode,
            code_challenge: challenge(form)?,
            resource: resource(form)?,
            nonce: text("nonce"),
            launch,
            prompt: prompt(form.get("prompt"))?,
            max_age: form.get("max_age").map(str::parse).transpose().map_err(|_| RequestError::MaxAge)?,
            acr_values: form.get("acr_values").unwrap_or_default().split(' ').map(str::to_owned).collect(),
            login_hint: text("login_hint"),
            ui_locales: text("ui_locales").unwrap_or_default(),
            id_token_hint: text("id_token_hint").map(Secret::new),
            claims,
            demands,
            dpop_jkt: form.get("dpop_jkt").map(str::parse).transpose().map_err(|_| RequestError::DpopJkt)?,
            scope,
        })
    }
}

fn challenge(form: &Form) -> Result<CodeChallenge, RequestError> {
    let challenge = form.get("code_challenge").ok_or(RequestError::NoChallenge)?;
    if form.get("code_challenge_method") != Some("S256") {
        return Err(RequestError::ChallengeMethod);
    }
    challenge.parse().map_err(|_| RequestError::Challenge)
}

fn resource(form: &Form) -> Result<Option<String>, RequestError> {
    match (form.get("resource"), form.get("aud")) {
        (Some(resource), Some(aud)) if resource != aud => Err(RequestError::TwoResources),
        (resource, aud) => Ok(resource.or(aud).map(str::to_owned)),
    }
}

fn prompt(value: Option<&str>) -> Result<Prompt, RequestError> {
    match value {
        None => Ok(Prompt::Again(BTreeSet::new())),
        Some("none") => Ok(Prompt::None),
        Some(list) => list.split(' ').map(again).collect::<Result<_, _>>().map(Prompt::Again),
    }
}

fn again(value: &str) -> Result<Again, RequestError> {
    match value {
        "login" => Ok(Again::Login),
        "consent" => Ok(Again::Consent),
        _ => Err(RequestError::Prompt),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "response_type=code&client_id=app&redirect_uri=https://a/cb&scope=openid&state=s\
        &code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256";

    fn request(query: &str) -> Result<AuthorizationRequest, RequestError> {
        AuthorizationRequest::read(&Form::parse(query).unwrap())
    }

    fn read(query: &str) -> Result<(), RequestError> {
        request(query).map(drop)
    }

    #[test]
    fn a_plain_request_is_read() {
        let request = request(&format!("{GOOD}&aud=https://g/fhir&prompt=login&max_age=60")).unwrap();
        assert_eq!(request.resource.as_deref(), Some("https://g/fhir"));
        assert_eq!(request.prompt, Prompt::Again([Again::Login].into()));
        assert_eq!(request.max_age, Some(60));
        let addressed = Addressed::read(&Form::parse(GOOD).unwrap()).unwrap();
        assert_eq!(addressed.state.as_deref(), Some("s"));
    }

    #[test]
    fn a_prompt_is_a_list_of_which_each_counts_and_none_stands_alone() {
        let asked = |value: &str| request(&format!("{GOOD}&prompt={value}")).map(|request| request.prompt);
        let again = |all: &[Again]| Prompt::Again(all.iter().copied().collect());
        let both = again(&[Again::Login, Again::Consent]);
        for (value, prompt) in [
            ("none", Prompt::None),
            ("consent", again(&[Again::Consent])),
            ("login+consent", both.clone()),
            ("consent+login", both),
            ("login+login", again(&[Again::Login])),
        ] {
            assert_eq!(asked(value).ok(), Some(prompt), "{value}");
        }
        for odd in [
            "none+login",
            "login+none",
            "none+none",
            "select_account",
            "login+select_account",
            "login++consent",
        ] {
            assert_eq!(asked(odd).err(), Some(RequestError::Prompt), "{odd}");
        }
        assert_eq!(request(GOOD).unwrap().prompt, Prompt::Again(BTreeSet::new()));
    }

    #[test]
    fn o04_pkce_is_required_and_plain_is_not_offered() {
        let without = GOOD.split("&code_challenge=").next().unwrap();
        assert_eq!(read(without), Err(RequestError::NoChallenge));
        assert_eq!(read(&GOOD.replace("S256", "plain")), Err(RequestError::ChallengeMethod));
        assert_eq!(
            read(&GOOD.replace("&code_challenge_method=S256", "")),
            Err(RequestError::ChallengeMethod)
        );
        assert_eq!(read(&GOOD.replace("E9Me", "E9")), Err(RequestError::Challenge));
    }

    #[test]
    fn a_code_may_be_bound_to_a_key_that_has_a_name() {
        let jkt = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I";
        let request = request(&format!("{GOOD}&dpop_jkt={jkt}")).unwrap();
        assert_eq!(request.dpop_jkt.as_ref().map(Thumbprint::as_str), Some(jkt));
        assert_eq!(super::tests::request(GOOD).unwrap().dpop_jkt, None);
        for other in ["x", "0ZcO", &format!("{jkt}%3D")] {
            assert_eq!(read(&format!("{GOOD}&dpop_jkt={other}")), Err(RequestError::DpopJkt), "{other}");
        }
    }

    #[test]
    fn what_is_not_offered_is_named() {
        assert_eq!(read(&GOOD.replace("=code&", "=token&")), Err(RequestError::ResponseType));
        assert_eq!(read(&format!("{GOOD}&response_mode=fragment")), Err(RequestError::ResponseMode));
        assert_eq!(read(&format!("{GOOD}&request=x")), Err(RequestError::RequestObject));
        assert_eq!(read(&format!("{GOOD}&request_uri=x")), Err(RequestError::RequestUri));
        assert_eq!(read(&format!("{GOOD}&aud=a&resource=b")), Err(RequestError::TwoResources));
        assert_eq!(read(&format!("{GOOD}&launch=x")), Err(RequestError::Launch));
        assert_eq!(read(&format!("{GOOD}&nonce={}", "n".repeat(2049))), Err(RequestError::TooLong));
        let scope = |length| GOOD.replace("scope=openid", &format!("scope=openid+{}", "s".repeat(length)));
        assert_eq!(read(&scope(MAX_SCOPE - 7)), Ok(()));
        assert_eq!(read(&scope(MAX_SCOPE - 6)), Err(RequestError::LongScope));
        assert_eq!(RequestError::LongScope.code(), ErrorCode::InvalidScope);
        assert_eq!(read(&format!("{GOOD}&claims=x")), Err(RequestError::Claims(MalformedClaims)));
    }
}
