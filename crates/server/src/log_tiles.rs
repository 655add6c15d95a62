//! The log over HTTPS, for monitors, mirrors and auditors: `/audit/checkpoint` and `/audit/tile/…`. C2SP tlog-tiles. Besides,
//! `/audit/blob/…`: the files with sealed parts that entries name.
//!
//! Only to holders of an audit role, by a token for the issuer itself. Entries go out as they stand in the log, their
//! protected parts sealed.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Extension, Path, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use chartgate_access::permit::Withheld;
use chartgate_access::token::access_token;
use chartgate_audit::journal::Journal;
use chartgate_audit::record::{Actor, ActorKind, Event, Outcome};
use chartgate_audit::storage::Objects as _;
use chartgate_audit::tile::TilePath;
use chartgate_audit::tree::Hash;
use chartgate_protocol::jose::ExpectedAudience;
use chartgate_protocol::oauth::dpop::CredentialsError;
use chartgate_values::{Clock, Phi, Timestamp};
use http::{HeaderMap, HeaderValue, StatusCode, header};

use crate::journal_fs::ObjectFolder;
use crate::live::proofs::{self, Place, Proofs};
use crate::live::tokens::{Believed, NotBelieved, OwnTokens, Showing};
use crate::net::access_token::{DPOP_NONCE, Scheme};
use crate::net::origin::Origin;
use crate::net::throttle::Throttle;

/// Roles that may read the log.
pub(crate) const AUDIT_ROLES: [&str; 2] = ["auditor", "privacy-officer"];

/// What the endpoints work with.
pub(crate) struct LogTiles {
    pub(crate) dir: PathBuf,
    pub(crate) own_tokens: Arc<OwnTokens>,
    pub(crate) journal: Journal,
    pub(crate) throttle: Arc<Throttle>,
    pub(crate) clock: Arc<dyn Clock>,
}

/// Its endpoints.
pub(crate) fn router(tiles: Arc<LogTiles>) -> Router {
    Router::new()
        .route("/audit/checkpoint", get(checkpoint))
        .route("/audit/tile/{*path}", get(tile))
        .route("/audit/blob/{hash}", get(blob))
        .with_state(tiles)
}

async fn checkpoint(
    State(tiles): State<Arc<LogTiles>>,
    Extension(origin): Extension<Origin>,
    headers: HeaderMap,
) -> Response {
    serve(&tiles, &origin, &headers, "checkpoint".to_owned(), "text/plain; charset=utf-8").await
}

async fn tile(
    State(tiles): State<Arc<LogTiles>>,
    Extension(origin): Extension<Origin>,
    Path(path): Path<String>,
    headers: HeaderMap,
) -> Response {
    let path = format!("tile/{path}");
    // Only a tile's one spelling is looked up on disk.
    if path.parse::<TilePath>().is_err() {
        return StatusCode::NOT_FOUND.into_response();
    }
    serve(&tiles, &origin, &headers, path, "application/octet-stream").await
}

async fn blob(
    State(tiles): State<Arc<LogTiles>>,
    Extension(origin): Extension<Origin>,
    Path(hash): Path<String>,
    headers: HeaderMap,
) -> Response {
    // Only a hash's one spelling is looked up on disk.
    if Hash::from_hex(&hash).is_err() {
        return StatusCode::NOT_FOUND.into_response();
    }
    serve(&tiles, &origin, &headers, format!("blob/{hash}"), "application/octet-stream").await
}

async fn serve(
    tiles: &Arc<LogTiles>,
    origin: &Origin,
    headers: &HeaderMap,
    path: String,
    content_type: &'static str,
) -> Response {
    let mut record = origin.record(Event::AuditRead, Outcome::Allow, tiles.clock.now());
    record.action = Some(Event::AuditRead.as_str().to_owned());
    record.resource = Some(Phi::new(path.clone()));
    let answer = match reader(tiles, origin, headers, &path) {
        Err(cause) => {
            tiles.throttle.count(origin.ip);
            if tiles.throttle.reserve.admit_stranger().is_err() {
                return StatusCode::SERVICE_UNAVAILABLE.into_response();
            }
            record.outcome = Outcome::Deny;
            record.decision.reason = Some(cause.reason().to_owned());
            cause.answer(&tiles.own_tokens.proofs, tiles.clock.now())
        }
        Ok(Believed { claims, next_nonce, .. }) => {
            record.actor = Actor {
                sub: Some(claims.sub.to_string()),
                client_id: Some(claims.client_id.to_string()),
                kind: if claims.sub == claims.client_id { ActorKind::Workload } else { ActorKind::Human },
                ..Actor::default()
            };
            record.session = claims.sid.as_ref().map(ToString::to_string);
            record.jti = Some(claims.jti.to_string());
            let dir = tiles.dir.clone();
            let read = tokio::task::spawn_blocking(move || ObjectFolder::of_copy(&dir).read(&path)).await;
            let mut answer = match read {
                Ok(Ok(bytes)) => {
                    let headers = [
                        (header::CONTENT_TYPE, HeaderValue::from_static(content_type)),
                        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
                    ];
                    (headers, bytes).into_response()
                }
                Ok(Err(error)) if error.kind() == io::ErrorKind::NotFound => {
                    StatusCode::NOT_FOUND.into_response()
                }
                // What the disk does not give is not gone.
                Ok(Err(_)) | Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
            };
            if let Some(nonce) = next_nonce {
                answer.headers_mut().insert(DPOP_NONCE, nonce);
            }
            answer
        }
    };
    record.response.status = Some(answer.status().as_u16());
    match tiles.journal.append(&record, Withheld::new(answer)).await {
        Ok(recorded) => Withheld::release(recorded),
        Err(error) => {
            tracing::error!(%error, "audit");
            StatusCode::SERVICE_UNAVAILABLE.into_response()
        }
    }
}

/// Why somebody does not read the log.
enum NotAReader {
    Nobody(NotBelieved),
    WrongRole,
}

/// Whoever holds a token of ours, for us, with an audit role.
fn reader(
    tiles: &LogTiles,
    origin: &Origin,
    headers: &HeaderMap,
    path: &str,
) -> Result<Believed, NotAReader> {
    let audience = ExpectedAudience::OneOf(vec![tiles.own_tokens.issuer.clone()]);
    let path = format!("/audit/{path}");
    let showing = Showing { headers, place: Place { door: &origin.door, method: "GET", path: &path } };
    let believed = tiles.own_tokens.shown(showing, audience).map_err(NotAReader::Nobody)?;
    if access_token::roles(&believed.claims).iter().any(|role| AUDIT_ROLES.contains(&role.as_str())) {
        Ok(believed)
    } else {
        Err(NotAReader::WrongRole)
    }
}

impl NotAReader {
    fn reason(&self) -> &'static str {
        match self {
            Self::Nobody(cause) => cause.reason(),
            Self::WrongRole => "wrong-role",
        }
    }

    fn answer(&self, proofs: &Proofs, now: Timestamp) -> Response {
        let (status, scheme, error, proof) = match self {
            Self::WrongRole => {
                (StatusCode::FORBIDDEN, Scheme::Bearer, Some(("error", "insufficient_scope")), None)
            }
            Self::Nobody(
                NotBelieved::Proof(cause) | NotBelieved::NotShown(CredentialsError::Proof(cause)),
            ) => {
                let error = Some(("error", cause.code().as_str()));
                (StatusCode::UNAUTHORIZED, Scheme::Dpop, error, Some(*cause))
            }
            Self::Nobody(_) => (StatusCode::UNAUTHORIZED, Scheme::Bearer, None, None),
        };
        let mut response = status.into_response();
        let headers = response.headers_mut();
        for challenge in proofs::challenges(scheme, error.as_slice(), &[]) {
            headers.append(header::WWW_AUTHENTICATE, challenge);
        }
        if let Some(nonce) = proof.and_then(|cause| proofs.next_nonce(Err(cause), now)) {
            headers.insert(DPOP_NONCE, nonce);
        }
        response
    }
}
