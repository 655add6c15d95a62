//! Telling of findings: how many there are of which rule, and where to look. Those that come together are told together, and
//! after one message there is no other for a while, so that one who reads all night is no reason to read mail all night.

use std::collections::BTreeMap;
use std::sync::PoisonError;
use std::time::Duration;

use chartgate_audit::record::{Actor, ActorKind, Event, Outcome, Record};
use chartgate_protocol::oauth::security_event::{FindingsMade, SecurityEvent};
use chartgate_values::{Phi, Timestamp};

use super::{Notices, again_at, deliver};
use crate::live::emergency::{MAIL, WEBHOOK};
use crate::store::StoreError;
use crate::store::watch::WatchNotice;

/// How many findings are told together.
const TOGETHER: i64 = 1000;
/// How long there is no other message.
const QUIET: Duration = Duration::from_mins(1);

impl Notices {
    /// Tells of whatever is to be told of.
    pub(super) async fn tell_of_findings(&self) {
        let now = self.clock.now();
        let due = self.store.read(|sql| sql.due_watch_notices(now, TOGETHER));
        let due = due.unwrap_or_else(|error: StoreError| {
            tracing::warn!(%error, "who is to be told of findings cannot be read");
            Vec::new()
        });
        let mut by_way = BTreeMap::<String, Vec<WatchNotice>>::new();
        for notice in due {
            by_way.entry(notice.way.clone()).or_default().push(notice);
        }
        for (way, notices) in by_way {
            let last = self.told.lock().unwrap_or_else(PoisonError::into_inner).get(&way).copied();
            if last.is_some_and(|last| last <= now && now.since(last) < QUIET) {
                continue;
            }
            self.settle_findings(&way, notices, now).await;
        }
    }

    async fn settle_findings(&self, way: &str, notices: Vec<WatchNotice>, now: Timestamp) {
        let mut findings = BTreeMap::<String, usize>::new();
        for notice in &notices {
            let count = findings.entry(notice.rule.to_string()).or_default();
            *count = count.saturating_add(1);
        }
        let failure = self.tell_how_many(way, findings, now).await.err();
        // What cannot be recorded is not noted either, and is done again.
        let is_first = notices.iter().any(|notice| notice.attempts == 0);
        let is_last = notices.iter().any(|notice| again_at(notice.attempts, now).is_none());
        let is_told_of = failure.is_none() || is_first || is_last;
        if is_told_of && !self.is_telling_recorded(way, &notices, failure.as_deref()).await {
            return;
        }
        match &failure {
            None => {
                let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
                let _ = told.insert(way.to_owned(), now);
            }
            Some(failure) => tracing::warn!(way, failure, "a privacy officer was not told of findings"),
        }
        let noted = self.store.write(move |sql| {
            for notice in notices {
                let again = again_at(notice.attempts, now).filter(|_| failure.is_some());
                let attempts = notice.attempts.saturating_add(1);
                let told_at = failure.is_none().then_some(now);
                let noted = WatchNotice { attempts, told_at, ..notice };
                sql.note_watch_attempt(&noted, failure.as_deref(), again)?;
            }
            Ok(())
        });
        if let Err::<_, StoreError>(error) = noted.await {
            tracing::warn!(%error, "an attempt to tell of findings was not noted");
        }
    }

    async fn tell_how_many(
        &self,
        way: &str,
        findings: BTreeMap<String, usize>,
        now: Timestamp,
    ) -> Result<(), String> {
        let config = &self.emergencies.config;
        let link = format!("{}/watch/findings", self.issuer);
        match (way, &config.webhook, &config.mail) {
            (WEBHOOK, Some(address), _) => {
                self.push(SecurityEvent::Findings(FindingsMade { findings, link }), now, address).await
            }
            (MAIL, _, Some(mail)) => {
                let all = findings.values().fold(0_usize, |all, count| all.saturating_add(*count));
                let subject = format!("{all} new finding{}", if all == 1 { "" } else { "s" });
                let lines: String =
                    findings.iter().map(|(rule, count)| format!("{rule}: {count}\n")).collect();
                let text = format!(
                    "The log shows what somebody should look at:\n\n{lines}\nThey are here:\n{link}\n"
                );
                deliver::send(mail, &subject, &text).await
            }
            (_, _, _) => Err("not-configured".to_owned()),
        }
    }

    async fn is_telling_recorded(&self, way: &str, notices: &[WatchNotice], failure: Option<&str>) -> bool {
        let outcome = if failure.is_none() { Outcome::Allow } else { Outcome::Error };
        let mut record = Record::new(Event::WatchTold, outcome, self.clock.now());
        record.actor = Actor { kind: ActorKind::Local, ..Actor::default() };
        record.action = Some(Event::WatchTold.as_str().to_owned());
        record.decision.reason = failure.map(str::to_owned);
        let ids = notices.iter().map(|notice| notice.finding.as_str()).collect::<Vec<_>>().join(",");
        for (name, value) in [("way", way.to_owned()), ("findings", ids)] {
            record.detail.insert(name.to_owned(), Phi::new(value));
        }
        let recorded = self.journal.append(&record, ()).await;
        if let Err(error) = &recorded {
            tracing::error!(%error, "audit");
        }
        recorded.is_ok()
    }
}
