//! The one place where refusals become answers. RFC 6750 section 3, RFC 9449 section 7.1, RFC 9728 section 5.1, HL7 FHIR
//! 4.0.1 http.html.

use axum::body::Body;
use chartgate_audit::record::Outcome;
use chartgate_protocol::fhir::batch::BatchError;
use chartgate_protocol::fhir::outcome::{IssueType, NOT_FOUND, OperationOutcome};
use chartgate_protocol::fhir::patch::PatchError;
use chartgate_protocol::fhir::refusal::Refusal;
use chartgate_protocol::fhir::write::WriteError;
use chartgate_protocol::smart::scope::Permission;
use http::{HeaderValue, Response, StatusCode, header};

use chartgate_protocol::jose::Rejection;
use chartgate_protocol::oauth::dpop::ProofError;

use super::authenticate::NotAuthenticated;
use super::enforce::{RecordDenied, TypeDenied};
use super::http::second::NoYes;
use crate::config::Route;
use crate::live::proofs;
use crate::net::access_token::Scheme;
use crate::net::body::BodyError;
use crate::net::client::CallError;
use crate::net::credential::FetchError;

/// Why a request to a route is not answered with what it asked for.
#[derive(Debug)]
pub(super) enum Refused {
    /// Nobody, or a token that does not hold.
    NotAuthenticated(NotAuthenticated),
    /// Not a request that is offered.
    Request(Refusal),
    /// The body did not come as it should.
    Body(BodyError),
    /// A path that has two readings.
    AmbiguousPath,
    /// The type is out of reach.
    Type(TypeDenied, Option<(Permission, String)>),
    /// The record is out of reach: answered as if it did not exist.
    Record(RecordDenied),
    /// It does not exist.
    NotFound,
    /// No rule of the route allows it.
    NoRule,
    /// A rule asks for this scope.
    Scope(String),
    /// A rule asks for another role, or policy says no.
    Forbidden(Vec<String>, &'static str),
    /// A rule asks for another person's yes, which is not there.
    NoYes(NoYes),
    /// The caller's own body names what it may not.
    Content(&'static str),
    /// A body that is no draft of a record.
    Draft(WriteError),
    /// A batch that is none.
    Batch(BatchError),
    /// Another entry of the same transaction was refused.
    Transaction,
    /// A patch that is none, or does not go with the record.
    Patch(PatchError),
    /// A link to a further page that is not good for this caller now.
    PageLink,
    /// A search that finds too much that is withheld before anything that is not.
    TooWide,
    /// As many exports of the client's are running as may be.
    TooManyExports,
    /// A condition that several records meet.
    Several,
    /// The caller does not see all of the record that they would change.
    Masked,
    /// The record is another version than the caller thinks.
    Version,
    /// A record that did not meet the condition has the id of the one that is to be made.
    IdTaken,
    /// The upstream gave no good answer.
    Upstream(UpstreamFault),
    /// As much is under way as we have room for.
    Busy,
    /// The log cannot be written.
    Unrecorded,
}

/// What the upstream did.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum UpstreamFault {
    #[error("cannot be reached")]
    Unreachable,
    #[error("did not answer in time")]
    TooSlow,
    #[error("answered with more than is taken")]
    TooLong,
    #[error("answered with something else than was asked for")]
    Wrong,
    #[error("answered with an error")]
    Failed,
    #[error("refused the request")]
    Rejected,
    #[error("answered with more than there is room for just now")]
    NoRoom,
    #[error("cannot be called: the gateway has no credential for it now")]
    NoCredential,
    #[error("does not believe the gateway's credential for it")]
    NotBelieved,
    #[error("is of another version of FHIR than this route, so nothing of it can be read")]
    OtherVersion,
    #[error("has not said of which version of FHIR it is, so nothing of it can be read")]
    NoVersion,
}

impl From<CallError> for UpstreamFault {
    fn from(error: CallError) -> Self {
        tracing::warn!(%error, "upstream");
        match error {
            CallError::Unreachable(error) if error.kind() == std::io::ErrorKind::TimedOut => Self::TooSlow,
            CallError::Unreachable(_) | CallError::Broken(_) => Self::Unreachable,
            CallError::TooSlow => Self::TooSlow,
        }
    }
}

impl From<FetchError> for UpstreamFault {
    /// Whoever fetches has said why.
    fn from(_: FetchError) -> Self {
        Self::NoCredential
    }
}

impl From<BodyError> for UpstreamFault {
    /// What is wrong with the body of an answer.
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::TooLong(_) => Self::TooLong,
            BodyError::TooSlow => Self::TooSlow,
            BodyError::Broken => Self::Unreachable,
        }
    }
}

/// How a refusal is shown.
pub(super) struct Shown {
    pub(super) status: StatusCode,
    issue: IssueType,
    text: String,
    challenges: Vec<HeaderValue>,
    allow: Option<&'static str>,
    /// For programs, where they go on by it.
    code: Option<&'static str>,
    /// Where whoever may have emergency access reads of it.
    pub(super) hint: Option<String>,
}

impl Refused {
    /// Whether the record says denied or failed.
    pub(super) fn outcome(&self) -> Outcome {
        match self {
            Self::Upstream(_) | Self::Busy | Self::Unrecorded => Outcome::Error,
            Self::NotAuthenticated(_)
            | Self::Request(_)
            | Self::Body(_)
            | Self::AmbiguousPath
            | Self::Type(..)
            | Self::Record(_)
            | Self::NotFound
            | Self::NoRule
            | Self::Scope(_)
            | Self::Forbidden(..)
            | Self::NoYes(_)
            | Self::Content(_)
            | Self::Draft(_)
            | Self::Batch(_)
            | Self::Transaction
            | Self::Patch(_)
            | Self::PageLink
            | Self::TooWide
            | Self::Masked
            | Self::TooManyExports
            | Self::Several
            | Self::Version
            | Self::IdTaken => Outcome::Deny,
        }
    }

    /// The policies that decided, and the stable code for the record.
    pub(super) fn reason(&self) -> (Vec<String>, &'static str) {
        match self {
            Self::NotAuthenticated(cause) => (Vec::new(), cause.reason()),
            Self::Request(_) => (Vec::new(), "bad-request"),
            Self::Body(_) => (Vec::new(), "bad-body"),
            Self::AmbiguousPath => (Vec::new(), "ambiguous-path"),
            Self::Type(denied, _) => denied.reason(),
            Self::Record(denied) => denied.reason(),
            Self::NotFound => (Vec::new(), "not-found"),
            Self::NoRule => (Vec::new(), "no-rule"),
            Self::Scope(_) => (Vec::new(), "insufficient-scope"),
            Self::Forbidden(policies, reason) => (policies.clone(), reason),
            Self::NoYes(why) => (Vec::new(), why.code()),
            Self::Content(reason) => (Vec::new(), reason),
            Self::Draft(_) => (Vec::new(), "bad-content"),
            Self::Batch(_) => (Vec::new(), "bad-batch"),
            Self::Transaction => (Vec::new(), "transaction-refused"),
            Self::Patch(PatchError::Malformed(_)) => (Vec::new(), "bad-patch"),
            Self::Patch(PatchError::Conflict(_)) => (Vec::new(), "patch-conflict"),
            Self::Patch(PatchError::Result(_) | PatchError::Meta) => (Vec::new(), "bad-content"),
            Self::PageLink => (Vec::new(), "bad-page-link"),
            Self::TooWide => (Vec::new(), "search-too-wide"),
            Self::Masked => (Vec::new(), "masked"),
            Self::TooManyExports => (Vec::new(), "too-many-exports"),
            Self::Several => (Vec::new(), "several-matches"),
            Self::Version => (Vec::new(), "version-conflict"),
            Self::IdTaken => (Vec::new(), "id-taken"),
            Self::Upstream(fault) => (
                Vec::new(),
                match fault {
                    UpstreamFault::Unreachable => "upstream-unreachable",
                    UpstreamFault::TooSlow => "upstream-too-slow",
                    UpstreamFault::TooLong => "upstream-too-long",
                    UpstreamFault::Wrong => "upstream-wrong",
                    UpstreamFault::Failed => "upstream-failed",
                    UpstreamFault::Rejected => "upstream-rejected",
                    UpstreamFault::NoRoom => "no-room",
                    UpstreamFault::NoCredential => "no-upstream-credential",
                    UpstreamFault::NotBelieved => "upstream-credential-refused",
                    UpstreamFault::OtherVersion => "upstream-other-version",
                    UpstreamFault::NoVersion => "upstream-no-version",
                },
            ),
            Self::Busy => (Vec::new(), "busy"),
            Self::Unrecorded => (Vec::new(), "unrecorded"),
        }
    }

    /// The refusal as the caller of this route sees it.
    pub(super) fn shown(&self, route: &Route, issuer: &str, scheme: Scheme) -> Shown {
        let plain = |status, issue, text: &str| Shown {
            status,
            issue,
            text: text.to_owned(),
            challenges: Vec::new(),
            allow: None,
            code: None,
            hint: None,
        };
        match self {
            Self::NotAuthenticated(cause) => not_authenticated(*cause, scheme, route, issuer),
            Self::Request(refusal) => Shown {
                status: StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::BAD_REQUEST),
                issue: refusal.issue(),
                text: refusal.to_string(),
                challenges: Vec::new(),
                allow: refusal.allow(),
                code: None,
                hint: None,
            },
            Self::Body(BodyError::TooLong(_)) => {
                plain(StatusCode::PAYLOAD_TOO_LARGE, IssueType::TooLong, "the body is too long")
            }
            Self::Body(BodyError::TooSlow) => {
                plain(StatusCode::REQUEST_TIMEOUT, IssueType::Invalid, "the body did not come in time")
            }
            Self::Body(BodyError::Broken) => {
                plain(StatusCode::BAD_REQUEST, IssueType::Invalid, "the body broke off")
            }
            Self::AmbiguousPath => {
                plain(StatusCode::BAD_REQUEST, IssueType::Invalid, "the path is ambiguous")
            }
            Self::Type(TypeDenied::Scope, wanted) => {
                let scope =
                    wanted.as_ref().map(|(permission, name)| format!("{name}.{}", letter(*permission)));
                let scope = scope.map(|s| format!("user/{s} patient/{s} system/{s}"));
                insufficient_scope(scope.as_deref(), scheme, route, issuer)
            }
            Self::Scope(scope) => insufficient_scope(Some(scope), scheme, route, issuer),
            Self::Type(TypeDenied::Policy(_), _) | Self::Forbidden(..) => {
                plain(StatusCode::FORBIDDEN, IssueType::Forbidden, "not allowed for you")
            }
            Self::NoYes(why) => Shown {
                code: Some(why.code()),
                ..plain(StatusCode::FORBIDDEN, IssueType::Forbidden, why.words())
            },
            Self::NoRule => plain(StatusCode::FORBIDDEN, IssueType::Forbidden, "no rule allows this request"),
            Self::Content(_) => plain(
                StatusCode::FORBIDDEN,
                IssueType::Forbidden,
                "the content is not one that you may write",
            ),
            Self::Batch(error) => plain(StatusCode::BAD_REQUEST, error.issue(), &error.to_string()),
            Self::Transaction => plain(
                StatusCode::FAILED_DEPENDENCY,
                IssueType::Conflict,
                "another entry of the transaction was refused",
            ),
            Self::Draft(error) => plain(StatusCode::BAD_REQUEST, error.issue(), &error.to_string()),
            Self::Patch(error) => {
                let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::UNPROCESSABLE_ENTITY);
                plain(status, error.issue(), &error.to_string())
            }
            Self::PageLink => plain(
                StatusCode::FORBIDDEN,
                IssueType::Forbidden,
                "the link to the next page is not good for you now; search again",
            ),
            Self::TooWide => plain(
                StatusCode::UNPROCESSABLE_ENTITY,
                IssueType::NotSupported,
                "the search is too wide for what you may see; name a patient",
            ),
            Self::Record(_) | Self::NotFound => {
                plain(StatusCode::NOT_FOUND, IssueType::NotFound, "no such resource")
            }
            Self::TooManyExports => plain(
                StatusCode::TOO_MANY_REQUESTS,
                IssueType::Throttled,
                "as many exports of yours are running as may be; wait for one, or give one up",
            ),
            Self::Several => plain(
                StatusCode::PRECONDITION_FAILED,
                IssueType::MultipleMatches,
                "the condition is met by more than one resource",
            ),
            Self::Masked => plain(
                StatusCode::UNPROCESSABLE_ENTITY,
                IssueType::BusinessRule,
                "you do not see all of this resource, so you cannot replace or delete it, nor patch what is kept from you",
            ),
            Self::Version => plain(
                StatusCode::PRECONDITION_FAILED,
                IssueType::Conflict,
                "the resource has another version",
            ),
            Self::IdTaken => plain(
                StatusCode::CONFLICT,
                IssueType::Conflict,
                "the resource with this id does not meet the condition",
            ),
            Self::Upstream(fault) => {
                let (status, issue) = match fault {
                    UpstreamFault::TooSlow => (StatusCode::GATEWAY_TIMEOUT, IssueType::Transient),
                    UpstreamFault::Rejected => (StatusCode::UNPROCESSABLE_ENTITY, IssueType::Invalid),
                    UpstreamFault::NoRoom => (StatusCode::SERVICE_UNAVAILABLE, IssueType::Transient),
                    UpstreamFault::OtherVersion | UpstreamFault::NoVersion => {
                        (StatusCode::BAD_GATEWAY, IssueType::Exception)
                    }
                    UpstreamFault::Unreachable
                    | UpstreamFault::TooLong
                    | UpstreamFault::Wrong
                    | UpstreamFault::NoCredential
                    | UpstreamFault::NotBelieved
                    | UpstreamFault::Failed => (StatusCode::BAD_GATEWAY, IssueType::Transient),
                };
                plain(status, issue, &format!("the server behind this gateway {fault}"))
            }
            Self::Busy | Self::Unrecorded => {
                plain(StatusCode::SERVICE_UNAVAILABLE, IssueType::Transient, "try again later")
            }
        }
    }
}

fn not_authenticated(cause: NotAuthenticated, scheme: Scheme, route: &Route, issuer: &str) -> Shown {
    let metadata = resource_metadata(route, issuer);
    let (status, error, issue) = match cause {
        NotAuthenticated::Missing => (StatusCode::UNAUTHORIZED, None, IssueType::Login),
        NotAuthenticated::Malformed => (StatusCode::BAD_REQUEST, Some("invalid_request"), IssueType::Invalid),
        NotAuthenticated::Rejected(_)
        | NotAuthenticated::ForeignClaims
        | NotAuthenticated::Revoked(_)
        | NotAuthenticated::Purpose
        | NotAuthenticated::SessionOver => {
            (StatusCode::UNAUTHORIZED, Some("invalid_token"), IssueType::Login)
        }
        NotAuthenticated::SignIn => {
            (StatusCode::UNAUTHORIZED, Some("insufficient_user_authentication"), IssueType::Login)
        }
        NotAuthenticated::Proof(ProofError::TooMany) => {
            (StatusCode::SERVICE_UNAVAILABLE, None, IssueType::Transient)
        }
        NotAuthenticated::Proof(cause) => {
            (StatusCode::UNAUTHORIZED, Some(cause.code().as_str()), IssueType::Login)
        }
    };
    let demand = &route.sign_in;
    let max_age = demand.max_age.map(|age| age.as_secs().to_string());
    let acr_values = (!demand.acr_values.is_empty()).then(|| demand.acr_values.join(" "));
    let mut error: Vec<_> = error.into_iter().map(|error| ("error", error)).collect();
    if cause == NotAuthenticated::Rejected(Rejection::Audience) {
        // Known only of a token whose signature holds, and whoever has it can read it there.
        error.push(("error_description", "the token is for another resource: its aud is not this one's"));
    }
    if cause == NotAuthenticated::SignIn {
        error.extend(max_age.as_deref().map(|age| ("max_age", age)));
        error.extend(acr_values.as_deref().map(|values| ("acr_values", values)));
    }
    let challenges = proofs::challenges(scheme, &error, &[("resource_metadata", &metadata)]);
    Shown {
        status,
        issue,
        text: "sign in and present an access token for this resource".to_owned(),
        challenges,
        allow: None,
        code: None,
        hint: None,
    }
}

fn insufficient_scope(scope: Option<&str>, scheme: Scheme, route: &Route, issuer: &str) -> Shown {
    let metadata = resource_metadata(route, issuer);
    let scope = scope.map(|scope| ("scope", scope));
    let error: Vec<_> = [("error", "insufficient_scope")].into_iter().chain(scope).collect();
    let challenges = proofs::challenges(scheme, &error, &[("resource_metadata", &metadata)]);
    Shown {
        status: StatusCode::FORBIDDEN,
        issue: IssueType::Forbidden,
        text: "the token's scope does not reach this".to_owned(),
        challenges,
        allow: None,
        code: None,
        hint: None,
    }
}

fn resource_metadata(route: &Route, issuer: &str) -> String {
    format!("{issuer}/.well-known/oauth-protected-resource{}", route.path)
}

fn letter(permission: Permission) -> char {
    match permission {
        Permission::Create => 'c',
        Permission::Read => 'r',
        Permission::Update => 'u',
        Permission::Delete => 'd',
        Permission::Search => 's',
    }
}

impl Shown {
    /// As an answer of a FHIR route.
    pub(super) fn as_fhir(&self) -> Response<Body> {
        let body = match &self.hint {
            _ if self.status != StatusCode::NOT_FOUND || self.issue != IssueType::NotFound => {
                OperationOutcome::new(self.issue, &self.text).to_json()
            }
            Some(place) => OperationOutcome::not_found_or_emergency(place).to_json(),
            None => NOT_FOUND.to_owned(),
        };
        self.finish(body, "application/fhir+json")
    }

    /// As an answer of an `http` route. RFC 9457.
    pub(super) fn as_problem(&self) -> Response<Body> {
        let mut body = serde_json::json!({ "status": self.status.as_u16(), "title": self.text });
        if let (Some(code), Some(body)) = (self.code, body.as_object_mut()) {
            body.insert("code".to_owned(), code.into());
        }
        self.finish(body.to_string(), "application/problem+json")
    }

    fn finish(&self, body: String, content_type: &'static str) -> Response<Body> {
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        for challenge in &self.challenges {
            headers.append(header::WWW_AUTHENTICATE, challenge.clone());
        }
        if let Some(allow) = self.allow {
            headers.insert(header::ALLOW, HeaderValue::from_static(allow));
        }
        response
    }
}

/// Nothing stands behind this path.
pub(super) fn no_route() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NOT_FOUND;
    response
}
