//! The log over HTTPS, for monitors and auditors: `/audit/checkpoint` and `/audit/tile/…`. C2SP tlog-tiles.
//!
//! Only to holders of an audit role, by a token for the issuer itself. Entries go out as they stand in the log, their
//! protected parts sealed.

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
use chartgate_protocol::jose::ExpectedAudience;
use chartgate_protocol::jose::claims::AccessTokenClaims;
use chartgate_values::{Clock, Phi};
use http::{HeaderMap, HeaderValue, StatusCode, header};

use crate::journal_fs::ObjectFolder;
use crate::live::tokens::OwnTokens;
use crate::net::bearer;
use crate::net::origin::Origin;
use crate::net::throttle::Throttle;

/// Roles that may read the log.
const AUDIT_ROLES: [&str; 2] = ["auditor", "privacy-officer"];

/// What the endpoints work with.
pub(crate) struct LogTiles {
    pub(crate) dir: PathBuf,
    pub(crate) own_tokens: Arc<OwnTokens>,
    pub(crate) journal: Journal,
    pub(crate) throttle: Arc<Throttle>,
    pub(crate) clock: Arc<dyn Clock>,
}

/// Both endpoints.
pub(crate) fn router(tiles: Arc<LogTiles>) -> Router {
    Router::new()
        .route("/audit/checkpoint", get(checkpoint))
        .route("/audit/tile/{*path}", get(tile))
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
    let answer = match reader(tiles, headers) {
        Err(status) => {
            tiles.throttle.count(origin.ip);
            if tiles.throttle.reserve.admit_stranger().is_err() {
                return StatusCode::SERVICE_UNAVAILABLE.into_response();
            }
            record.outcome = Outcome::Deny;
            refused(status)
        }
        Ok(claims) => {
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
            match read {
                Ok(Ok(bytes)) => {
                    let headers = [
                        (header::CONTENT_TYPE, HeaderValue::from_static(content_type)),
                        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
                    ];
                    (headers, bytes).into_response()
                }
                Ok(Err(_)) | Err(_) => StatusCode::NOT_FOUND.into_response(),
            }
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

/// Whoever holds a token of ours, for us, with an audit role.
fn reader(tiles: &LogTiles, headers: &HeaderMap) -> Result<AccessTokenClaims, StatusCode> {
    let token = bearer::token(headers).map_err(|_| StatusCode::UNAUTHORIZED)?;
    let audience = ExpectedAudience::OneOf(vec![tiles.own_tokens.issuer.clone()]);
    let claims = tiles.own_tokens.believed(token, audience).ok_or(StatusCode::UNAUTHORIZED)?;
    if access_token::roles(&claims).iter().any(|role| AUDIT_ROLES.contains(&role.as_str())) {
        Ok(claims)
    } else {
        Err(StatusCode::FORBIDDEN)
    }
}

fn refused(status: StatusCode) -> Response {
    let challenge = match status {
        StatusCode::FORBIDDEN => "Bearer error=\"insufficient_scope\"",
        _ => "Bearer",
    };
    (status, [(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge))]).into_response()
}
