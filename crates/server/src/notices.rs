//! Telling privacy officers of emergency access: a program by a Security Event Token (RFC 8417, RFC 8935), a person by a
//! message. Neither says whose record was opened, or why.
//!
//! Whom to tell is written with the grant, so that nobody is forgotten, and care does not wait for it. That somebody was told
//! is recorded once they were; so are the first attempt that fails, and giving up. What fails is tried again, ever less often.
//!
//! CRASH: who was told, and is still noted, is told again.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chartgate_access::ids::Jti;
use chartgate_audit::journal::Journal;
use chartgate_audit::record::{Actor, ActorKind, Event, Outcome, Record};
use chartgate_protocol::jose::jws;
use chartgate_protocol::oauth::https_uri::HttpsUri;
use chartgate_protocol::oauth::security_event::{
    EmergencyAccessBegan, SECURITY_EVENT_TYPE, SecurityEventClaims,
};
use chartgate_values::{Clock, Phi};
use http::{Request, header};
use http_body_util::Full;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::config::Mail;
use crate::entropy::SystemEntropy;
use crate::live::emergency::{Emergencies, MAIL, WEBHOOK};
use crate::live::keys::KeyRing;
use crate::net::client::egress::Egress;
use crate::pages;
use crate::store::emergency::{EmergencyNotice, EmergencyUse};
use crate::store::{Store, StoreError};

/// How often it is looked who is to be told.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How many are told at the same time.
const AT_ONCE: i64 = 16;
/// How long after the first failure it is tried again; twice as long after each one more.
const FIRST_PAUSE: Duration = Duration::from_secs(2);
const LONGEST_PAUSE: Duration = Duration::from_secs(1800);
/// How often it is tried: for some two days in all.
const ATTEMPTS: u32 = 108;
/// How long a program may take over a message.
const MAIL_TIME: Duration = Duration::from_secs(30);

/// Tells privacy officers.
pub(crate) struct Notices {
    pub(crate) issuer: String,
    pub(crate) emergencies: Arc<Emergencies>,
    pub(crate) store: Arc<Store>,
    pub(crate) keys: Arc<KeyRing>,
    pub(crate) journal: Journal,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) egress: Arc<Egress>,
}

impl Notices {
    /// Tells whoever is to be told, until the gateway goes down.
    pub(crate) async fn run(self: Arc<Self>, mut stopped: watch::Receiver<bool>) {
        loop {
            tokio::select! {
                _ = stopped.wait_for(|stopped| *stopped) => return,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            let now = self.clock.now();
            let due = self.store.read(|sql| sql.due_emergency_notices(now, AT_ONCE));
            let due = due.unwrap_or_else(|error: StoreError| {
                tracing::warn!(%error, "who is to be told of emergency access cannot be read");
                Vec::new()
            });
            let mut telling = JoinSet::new();
            for notice in due {
                let own = Arc::clone(&self);
                telling.spawn(async move { own.settle(notice).await });
            }
            while telling.join_next().await.is_some() {}
        }
    }

    async fn settle(&self, notice: EmergencyNotice) {
        let used = match self.store.read(|sql| sql.emergency(&notice.use_id)) {
            Ok(Some(used)) => used,
            Ok(None) => return,
            Err::<_, StoreError>(error) => {
                tracing::warn!(%error, "emergency access of which somebody is to be told cannot be read");
                return;
            }
        };
        let outcome = self.tell(&used, &notice.way).await;
        let attempts = notice.attempts.saturating_add(1);
        let now = self.clock.now();
        let (noted, due_at) = match outcome {
            // What cannot be recorded is not noted either, and is done again.
            Ok(()) if !self.is_recorded(&used, &notice, Outcome::Allow, None).await => return,
            Ok(()) => (EmergencyNotice { attempts, told_at: Some(now), failure: None, ..notice }, None),
            Err(failure) => {
                tracing::warn!(
                    way = notice.way,
                    failure,
                    attempts,
                    "a privacy officer was not told of emergency access"
                );
                let pause = FIRST_PAUSE.saturating_mul(1 << notice.attempts.min(16)).min(LONGEST_PAUSE);
                let again = (attempts < ATTEMPTS).then(|| now.plus(pause));
                let is_told_of = notice.attempts == 0 || again.is_none();
                if is_told_of && !self.is_recorded(&used, &notice, Outcome::Error, Some(&failure)).await {
                    return;
                }
                (EmergencyNotice { attempts, told_at: None, failure: Some(failure), ..notice }, again)
            }
        };
        let noted = self.store.write(move |sql| sql.note_emergency_attempt(&noted, due_at)).await;
        if let Err::<_, StoreError>(error) = noted {
            tracing::warn!(%error, "an attempt to tell of emergency access was not noted");
        }
    }

    async fn tell(&self, used: &EmergencyUse, way: &str) -> Result<(), String> {
        let config = &self.emergencies.config;
        match (way, &config.webhook, &config.mail) {
            (WEBHOOK, Some(address), _) => self.push(used, address).await,
            (MAIL, _, Some(mail)) => self.send(used, mail).await,
            (_, _, _) => Err("not-configured".to_owned()),
        }
    }

    fn link(&self, used: &EmergencyUse) -> String {
        format!("{}/emergency/review?id={}", self.issuer, used.id)
    }

    async fn push(&self, used: &EmergencyUse, address: &HttpsUri) -> Result<(), String> {
        let event = EmergencyAccessBegan {
            id: used.id.to_string(),
            user: used.subject.to_string(),
            until: used.until.into(),
            link: self.link(used),
        };
        let claims = SecurityEventClaims::new(
            self.issuer.clone(),
            address.as_str().to_owned(),
            Jti::random(&mut SystemEntropy).to_string(),
            (self.clock.now(), used.began_at),
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

    async fn send(&self, used: &EmergencyUse, mail: &Mail) -> Result<(), String> {
        let Mail { command, to, from } = mail;
        let (program, words) = command.split_first().ok_or("not-configured")?;
        // The user's name is letters, digits and `._-@`; nothing here can begin another header.
        let text = format!(
            "From: {from}\nTo: {to}\nSubject: Emergency access by {user}\nAuto-Submitted: auto-generated\n\
             MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n\n\
             {user} opened a record in an emergency at {at}.\n\nIt waits for your review:\n{link}\n",
            user = used.subject,
            at = pages::minutes(used.began_at),
            link = self.link(used),
        );
        // The gateway's own surroundings have the master key and more; a mail program needs none of it.
        let mut command = Command::new(program);
        command.args(words).env_clear();
        let kept = ["PATH", "LANG"].map(|name| std::env::var_os(name).map(|value| (name, value)));
        command.envs(kept.into_iter().flatten());
        let sent = tokio::task::spawn_blocking(move || hand_over(command, &text)).await;
        sent.map_err(|_| "the mail program failed")?.map_err(str::to_owned)
    }

    async fn is_recorded(
        &self,
        used: &EmergencyUse,
        notice: &EmergencyNotice,
        outcome: Outcome,
        failure: Option<&str>,
    ) -> bool {
        let mut record = Record::new(Event::EmergencyTold, outcome, self.clock.now());
        record.actor = Actor { kind: ActorKind::Local, ..Actor::default() };
        record.action = Some(Event::EmergencyTold.as_str().to_owned());
        record.resource = Some(Phi::new(used.id.to_string()));
        record.grant = Some(used.grant.to_string());
        record.decision.reason = failure.map(str::to_owned);
        for (name, value) in [
            ("emergency", used.id.to_string()),
            ("user", used.subject.to_string()),
            ("way", notice.way.clone()),
        ] {
            record.detail.insert(name.to_owned(), Phi::new(value));
        }
        let recorded = self.journal.append(&record, ()).await;
        if let Err(error) = &recorded {
            tracing::error!(%error, "audit");
        }
        recorded.is_ok()
    }
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
