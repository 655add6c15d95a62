//! Storage that speaks S3: a stretch of the log is an object, which the storage keeps from being changed or removed for as long as
//! its retention says (object lock).

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chartgate_audit::outward::{Shown, Source};
use chartgate_protocol::sigv4::{self, S3Credential, ToSign};
use chartgate_values::{Clock, Secret};
use http::Request;
use http_body_util::Full;
use serde_json::json;

use super::Failure;
use super::http::HttpSender;
use super::run::Stretch;
use crate::config::{self, HttpReceiver, ObjectLock, S3Receiver, UpstreamAuth};

/// A bucket.
pub(crate) struct S3Sender {
    http: HttpSender,
    credential: S3Credential,
    host: String,
    /// The path of the bucket and the prefix in it, encoded.
    path: String,
    lock: Option<(ObjectLock, Duration)>,
    segment: (u64, Duration),
    source: Source,
    clock: Arc<dyn Clock>,
}

impl S3Sender {
    pub(super) fn new(
        to: &S3Receiver,
        export: &config::Export,
        source: Source,
        clock: Arc<dyn Clock>,
    ) -> anyhow::Result<Self> {
        let server = HttpReceiver { url: to.url.clone(), auth: UpstreamAuth::None };
        let credential = S3Credential {
            access_key_id: to.access_key_id.clone(),
            secret_access_key: Secret::new(to.secret_access_key.expose().clone()),
            region: to.region.clone(),
        };
        Ok(Self {
            http: HttpSender::new(&server, export)?,
            credential,
            host: to.url.authority().map(ToString::to_string).unwrap_or_default(),
            path: format!("{}/{}", to.url.path().trim_end_matches('/'), to.prefix),
            lock: to.lock,
            segment: to.segment,
            source,
            clock,
        })
    }

    pub(super) const fn at_once(&self) -> u64 {
        self.segment.0
    }

    pub(super) const fn gathers_for(&self) -> Duration {
        self.segment.1
    }

    pub(super) async fn deliver(&mut self, entries: &[Shown], stretch: &Stretch) -> Result<(), Failure> {
        let Stretch { first, next, checkpoint } = stretch;
        let head = json!({
            "chartgate": "audit log", "v": 1, "origin": self.source.origin, "first": first, "next": next,
            "checkpoint": checkpoint,
        });
        let mut text = format!("{head}\n");
        for entry in entries {
            text.push_str(&entry.entry().to_exposed_json());
            text.push('\n');
        }
        let body = text.into_bytes();
        let now = self.clock.now();
        let payload = sigv4::sha256_hex(&body);
        let path = format!("{}{first:020}-{next:020}.ndjson", self.path);
        let mut headers = vec![
            ("content-type", "application/x-ndjson".to_owned()),
            ("host", self.host.clone()),
            // A put under a lock has to say by itself what it puts.
            ("x-amz-checksum-sha256", STANDARD.encode(hex_bytes(&payload))),
            ("x-amz-content-sha256", payload.clone()),
            ("x-amz-date", sigv4::amz_date(now)),
        ];
        if let Some((lock, retention)) = self.lock {
            let until = now.plus(retention).floor_to_second().to_string();
            let until = format!("{}Z", until.split('.').next().unwrap_or_default());
            headers.push(("x-amz-object-lock-mode", lock.as_str().to_owned()));
            headers.push(("x-amz-object-lock-retain-until-date", until));
        }
        headers.push(("x-amz-sdk-checksum-algorithm", "SHA256".to_owned()));
        let signed = ToSign { method: "PUT", path: &path, headers: &headers, payload: &payload, at: now };
        let authorization = self.credential.authorize(&signed);
        let mut request = Request::put(path.as_str());
        for (name, value) in &headers {
            request = request.header(*name, value);
        }
        let request = request.header("authorization", authorization);
        let request = request.body(Full::new(body.into())).map_err(|_| Failure::away("bad-address"))?;
        let taken = self.http.send(request).await?.taken();
        // Its way to say that it does not know us by our credential: less would not help, and objects stay as they are.
        taken.map_err(|failure| if failure.code == FORBIDDEN { Failure::away(failure.code) } else { failure })
    }
}

const FORBIDDEN: &str = "status-403";

fn hex_bytes(hex: &str) -> Vec<u8> {
    let digit =
        |c: u8| char::from(c).to_digit(16).and_then(|digit| u8::try_from(digit).ok()).unwrap_or_default();
    let pairs = hex.as_bytes().chunks_exact(2);
    pairs.map(|pair| pair.iter().fold(0_u8, |byte, c| (byte << 4) | digit(*c))).collect()
}
