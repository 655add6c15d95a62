//! `/metrics`, `/healthz`, `/readyz`, on a port of their own. Prometheus text format 0.0.4.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use chartgate_audit::journal::{Journal, Writability};
use chartgate_audit::reader::Reader;
use chartgate_values::Clock;
use http::StatusCode;
use tokio::net::TcpListener;

use crate::front_door::requests::Requests;
use crate::net::throttle::Throttle;
use crate::net::tls::Certificate;
use crate::outward::Exports;
use crate::store::{Store, StoreError};
use crate::watch::Watcher;
use crate::witnesses::Witnesses;

/// What metrics are about.
pub(super) struct Measured {
    pub(super) journal: Journal,
    pub(super) indexed: Arc<AtomicU64>,
    pub(super) store: Arc<Store>,
    pub(super) requests: Arc<Requests>,
    pub(super) certificate: Arc<Certificate>,
    pub(super) throttle: Arc<Throttle>,
    pub(super) exports: Arc<Exports>,
    pub(super) reader: Reader,
    pub(super) witnesses: Arc<Witnesses>,
    pub(super) watcher: Arc<Watcher>,
    pub(super) clock: Arc<dyn Clock>,
}

/// Answers until the gateway ends.
pub(super) async fn serve(listener: TcpListener, measured: Arc<Measured>) {
    let router = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(measured);
    if let Err(error) = axum::serve(listener, router).await {
        tracing::error!(%error, "metrics");
    }
}

async fn ready(State(measured): State<Arc<Measured>>) -> (StatusCode, &'static str) {
    match measured.journal.writability() {
        Writability::Writable => (StatusCode::OK, "ready\n"),
        Writability::Unwritable => (StatusCode::SERVICE_UNAVAILABLE, "the audit log cannot be written\n"),
    }
}

async fn metrics(State(measured): State<Arc<Measured>>) -> String {
    let Measured { journal, reader, clock, .. } = &*measured;
    let (now, size) = (clock.now(), reader.checkpoint().ok().map(|checkpoint| checkpoint.size()));
    [
        one("audit_records_total", "counter", "Durable records in the audit log.", journal.durable()),
        one(
            "audit_writable",
            "gauge",
            "Whether the audit log could be written at the last attempt.",
            u64::from(journal.writability() == Writability::Writable),
        ),
        one(
            "audit_indexed_records",
            "gauge",
            "Records that the index of the audit log covers.",
            measured.indexed.load(Ordering::Relaxed),
        ),
        outbox(&measured.store),
        one(
            "disk_reserve_touched",
            "gauge",
            "Whether less disk is free than is kept for authenticated requests.",
            u64::from(measured.throttle.reserve.is_touched()),
        ),
        one(
            "disk_reserve_refused_total",
            "counter",
            "Requests without a record of their own: the disk is kept for others.",
            measured.throttle.reserve.total(),
        ),
        certificate(&measured.certificate),
        measured.exports.metrics(now, size),
        measured.witnesses.metrics(),
        measured.watcher.metrics(now),
        measured.requests.metrics(),
    ]
    .concat()
}

/// What waits to be told in the log. Where the store does not say, nothing is said of it here.
fn outbox(store: &Store) -> String {
    let (waiting, refused) = match store.read(|sql| sql.count_kept_records()) {
        Ok(counts) => counts,
        Err::<_, StoreError>(error) => {
            tracing::warn!(%error, "what waits in the outbox cannot be told");
            return String::new();
        }
    };
    [
        one("audit_outbox_waiting", "gauge", "Changes that are in force and wait to be on record.", waiting),
        one(
            "audit_outbox_refused",
            "gauge",
            "Rows that somebody else wrote among those that wait, and that are no record.",
            refused,
        ),
    ]
    .concat()
}

/// Of a certificate that cannot be read nothing is said.
fn certificate(certificate: &Certificate) -> String {
    let ends = certificate.ends().map(|ends| ends.as_unix());
    ends.map(|ends| {
        one(
            "tls_certificate_expires_timestamp_seconds",
            "gauge",
            "When the certificate that is shown ends, in seconds since 1970.",
            ends,
        )
    })
    .unwrap_or_default()
}

fn one(name: &str, kind: &str, help: &str, value: impl std::fmt::Display) -> String {
    format!("# HELP chartgate_{name} {help}\n# TYPE chartgate_{name} {kind}\nchartgate_{name} {value}\n")
}
