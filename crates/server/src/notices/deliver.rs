//! Handing over what somebody is told.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use bytes::Bytes;
use chartgate_access::ids::Jti;
use chartgate_protocol::jose::jws;
use chartgate_protocol::oauth::https_uri::HttpsUri;
use chartgate_protocol::oauth::security_event::{SECURITY_EVENT_TYPE, SecurityEvent, SecurityEventClaims};
use chartgate_values::Timestamp;
use http::{Request, header};
use http_body_util::Full;

use super::Notices;
use crate::config::Mail;
use crate::entropy::SystemEntropy;

/// How long a program may take over a message.
const MAIL_TIME: Duration = Duration::from_secs(30);

impl Notices {
    /// Tells a program. RFC 8935 section 2.
    pub(super) async fn push(
        &self,
        event: SecurityEvent,
        happened: Timestamp,
        address: &HttpsUri,
    ) -> Result<(), String> {
        let claims = SecurityEventClaims::new(
            self.issuer.clone(),
            address.as_str().to_owned(),
            Jti::random(&mut SystemEntropy).to_string(),
            (self.clock.now(), happened),
            event,
        );
        let ring = self.keys.current();
        let token = jws::sign(ring.asked_for(None).ok_or("no-key")?, SECURITY_EVENT_TYPE, &claims)
            .map_err(|_| "signing-failed")?;
        let request = Request::post(address.as_str())
            .header(header::CONTENT_TYPE, format!("application/{SECURITY_EVENT_TYPE}"))
            .header(header::ACCEPT, "application/json")
            .body(Full::new(Bytes::from(token)))
            .map_err(|_| "bad-address")?;
        match self.egress.send(request).await {
            Ok(answer) if answer.status.is_success() => Ok(()),
            Ok(answer) => Err(format!("status-{}", answer.status.as_u16())),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// Tells a person. The subject is one line, and has nothing in it that begins another.
pub(super) async fn send(mail: &Mail, subject: &str, text: &str) -> Result<(), String> {
    let Mail { command, to, from } = mail;
    let (program, words) = command.split_first().ok_or("not-configured")?;
    let text = format!(
        "From: {from}\nTo: {to}\nSubject: {subject}\nAuto-Submitted: auto-generated\n\
         MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n\n{text}"
    );
    // The gateway's own surroundings have the master key and more; a mail program needs none of it.
    let mut command = Command::new(program);
    command.args(words).env_clear();
    let kept = ["PATH", "LANG"].map(|name| std::env::var_os(name).map(|value| (name, value)));
    command.envs(kept.into_iter().flatten());
    let sent = tokio::task::spawn_blocking(move || hand_over(command, &text)).await;
    sent.map_err(|_| "the mail program failed")?.map_err(str::to_owned)
}

/// Gives a program a message on its standard input, and waits until it has taken it.
fn hand_over(mut command: Command, text: &str) -> Result<(), &'static str> {
    let spawned = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn();
    let mut child = spawned.map_err(|_| "the mail program cannot be run")?;
    // INVARIANT: the message is shorter than a pipe holds, so that a program that reads nothing blocks nobody.
    let written = child.stdin.take().map(|mut input| input.write_all(text.as_bytes()));
    let (step, mut waited) = (Duration::from_millis(20), Duration::ZERO);
    let ended = loop {
        match child.try_wait() {
            Ok(Some(status)) => break Some(status.success()),
            Ok(None) if waited < MAIL_TIME => std::thread::sleep(step),
            Ok(None) | Err(_) => break None,
        }
        waited = waited.saturating_add(step);
    };
    if ended.is_none() {
        let _ = child.kill();
        let _ = child.wait();
    }
    match (written, ended) {
        (Some(Ok(())), Some(true)) => Ok(()),
        (_, None) => Err("the mail program took too long"),
        (_, Some(_)) => Err("the mail program failed"),
    }
}
