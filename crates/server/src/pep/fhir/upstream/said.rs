//! What the FHIR server behind a route says of itself, and whether it is of the version whose tables the route reads by.
//!
//! One that calls itself another version, or has not said its own, is asked for nothing more until it says otherwise: its
//! records would be read by the wrong tables (ADR 31). It is asked before a new configuration comes into force, every minute,
//! when somebody asks for `/metadata`, and before the first question of all; what it said last holds under the new
//! configuration too.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use chartgate_protocol::fhir::version::FhirVersion;
use chartgate_values::Timestamp;
use http::StatusCode;
use serde_json::Value;
use tokio::sync::Mutex as AsyncMutex;

use super::{BODY_TIME, FhirUpstream};
use crate::pep::fhir::large;
use crate::pep::respond::UpstreamFault;

/// How long what the server said of itself is good.
pub(in crate::pep::fhir) const SAID_LIFE: Duration = Duration::from_secs(60);

/// What the server said of itself of late: anybody may ask, and must not make it work each time.
#[derive(Default)]
pub(super) struct Said {
    kept: Mutex<Option<(Timestamp, Bytes)>>,
    /// As which version of FHIR it calls itself, once it has said one.
    version: RwLock<Option<Version>>,
    /// How often it was asked what it is.
    begun: AtomicU64,
    /// How often it was asked because it had not said any, one at a time, and why it did not say one then.
    looks: AtomicU64,
    looking: AsyncMutex<Option<UpstreamFault>>,
    /// That it has not said was told.
    is_missed: AtomicBool,
}

/// What it said of its version.
struct Version {
    called: String,
    is: Is,
    /// By which of the looks at it, in the order in which they began.
    look: Look,
}

/// Whether it is the version of the route.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Is {
    This,
    Another,
}

/// A look at what it is. Of two at once, what the later one saw counts, whichever ends first.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Look(u64);

impl Said {
    /// # Errors
    /// [`UpstreamFault::OtherVersion`] if that is what it last said, [`UpstreamFault::NoVersion`] if it said none.
    fn is_of_this_version(&self) -> Result<(), UpstreamFault> {
        let version = self.version.read().unwrap_or_else(PoisonError::into_inner);
        match version.as_ref().map(|version| version.is) {
            None => Err(UpstreamFault::NoVersion),
            Some(Is::Another) => Err(UpstreamFault::OtherVersion),
            Some(Is::This) => Ok(()),
        }
    }

    fn is_known(&self) -> bool {
        self.version.read().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Begins a look.
    fn look(&self) -> Look {
        // What another look at the same server under another configuration said counts less than any.
        Look(self.begun.fetch_add(1, Ordering::Relaxed).saturating_add(1))
    }

    /// Begins with what the same server said under another configuration.
    fn follow(&self, old: &Self, version: FhirVersion) {
        let old = old.version.read().unwrap_or_else(PoisonError::into_inner);
        let Some(called) = old.as_ref().map(|old| old.called.clone()) else { return };
        drop(old);
        let _ = self.take(called, version, Look(0));
    }

    /// Whether it never said its version, and that was not told yet.
    fn is_to_be_missed(&self) -> bool {
        !self.is_known() && !self.is_missed.swap(true, Ordering::Relaxed)
    }

    fn within(&self, now: Timestamp) -> Option<Bytes> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.as_ref().filter(|(at, _)| now < at.plus(SAID_LIFE)).map(|(_, said)| said.clone())
    }

    /// Keeps what it says, to say it again.
    fn keep(&self, now: Timestamp, said: &Bytes) {
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = Some((now, Bytes::clone(said)));
    }

    /// Notes its version, as a look saw it; whether it has changed.
    fn note(&self, said: &Bytes, version: FhirVersion, look: Look) -> Changed {
        let said = serde_json::from_slice::<Value>(said).ok();
        let is_its_own =
            |said: &Value| said.get("resourceType").and_then(Value::as_str) == Some("CapabilityStatement");
        let said = said.filter(is_its_own);
        // What it does not say it does not change.
        match said.as_ref().and_then(|said| said.get("fhirVersion")?.as_str()) {
            Some(of) => self.take(of.to_owned(), version, look),
            None => Changed::Nothing,
        }
    }

    fn take(&self, called: String, version: FhirVersion, look: Look) -> Changed {
        let is = if version.is_of(&called) { Is::This } else { Is::Another };
        let mut known = self.version.write().unwrap_or_else(PoisonError::into_inner);
        let before = known.as_ref().map(|before| (before.look, before.is));
        if before.is_some_and(|(later, _)| later > look) {
            return Changed::Nothing;
        }
        *known = Some(Version { called, is, look });
        match (before.map(|(_, is)| is), is) {
            (None | Some(Is::This), Is::Another) => Changed::ToAnother,
            (Some(Is::Another), Is::This) => Changed::ToThis,
            (None | Some(Is::This), Is::This) | (Some(Is::Another), Is::Another) => Changed::Nothing,
        }
    }
}

/// What became of a server's version.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Changed {
    Nothing,
    ToAnother,
    ToThis,
}

impl FhirUpstream {
    /// What the server says that it can do, as it said it within the last minute: the one question that touches no
    /// record.
    ///
    /// # Errors
    /// [`UpstreamFault`], also where it calls itself another version of FHIR.
    pub(in crate::pep::fhir) async fn capabilities(&self, now: Timestamp) -> Result<Bytes, UpstreamFault> {
        let said = match self.said.within(now) {
            Some(said) => said,
            None => self.ask_for_capabilities(now).await?,
        };
        self.said.is_of_this_version()?;
        Ok(said)
    }

    /// Finds that the server is of the route's version. Where it has not said any yet it is asked, once for all who wait.
    ///
    /// # Errors
    /// [`UpstreamFault`].
    pub(super) async fn is_of_this_version(&self) -> Result<(), UpstreamFault> {
        if !self.said.is_known() {
            // In a box, for it is rare and what is common should be small.
            Box::pin(self.look_first()).await?;
        }
        self.said.is_of_this_version()
    }

    async fn look_first(&self) -> Result<(), UpstreamFault> {
        let before = self.said.looks.load(Ordering::Relaxed);
        let mut failed = self.said.looking.lock().await;
        if self.said.is_known() {
            return Ok(());
        }
        // What somebody else has found while one waited is found.
        if self.said.looks.load(Ordering::Relaxed) == before {
            *failed = self.ask().await.err();
            self.said.looks.fetch_add(1, Ordering::Relaxed);
        }
        failed.map_or(Ok(()), Err)
    }

    /// Asks the server which version it is of, whatever it said before.
    pub(in crate::pep) async fn look_at_version(&self, now: Timestamp) {
        let fault = self.ask_for_capabilities(now).await.err();
        let why = || fault.map(|fault| fault.to_string()).unwrap_or_default();
        if self.said.is_to_be_missed() {
            let (route, version) = (self.bases.public.to_string(), self.version());
            tracing::warn!(route, %version, why = why(), "the server behind has not said its version of FHIR: nothing of it is read until it has");
        } else if fault.is_some() {
            tracing::debug!(why = why(), "the server behind does not say which version of FHIR it is of");
        }
    }

    /// Begins with what another knows of the same server.
    pub(in crate::pep) fn follow(&self, old: &Self) {
        if self.bases.upstream == old.bases.upstream {
            self.said.follow(&old.said, self.version());
        }
    }

    async fn ask_for_capabilities(&self, now: Timestamp) -> Result<Bytes, UpstreamFault> {
        let said = self.ask().await?;
        self.said.keep(now, &said);
        Ok(said)
    }

    async fn ask(&self) -> Result<Bytes, UpstreamFault> {
        let look = self.said.look();
        let (head, content) = self.reach(self.question("GET", "/metadata", None)?).await?.into_parts();
        let body = large::take(&self.spools, content, self.max_answer, BODY_TIME).await?;
        if head.status != StatusCode::OK {
            return Err(UpstreamFault::Failed);
        }
        // A copy: what is kept does not hold the room of a large answer.
        let (said, version) = (Bytes::copy_from_slice(&body), self.version());
        let route = self.bases.public.to_string();
        match self.said.note(&said, version, look) {
            Changed::Nothing => {}
            Changed::ToAnother => {
                tracing::error!(route, %version, "the server behind speaks another version of FHIR: all is refused");
            }
            Changed::ToThis => {
                tracing::info!(route, %version, "the server behind speaks this version of FHIR again")
            }
        }
        Ok(said)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_of_another_version_is_refused_until_it_says_otherwise() {
        let said = Said::default();
        let says = |text: &'static str| said.note(&Bytes::from(text), FhirVersion::R4, said.look());
        for silent in [
            "{}",
            "no JSON",
            r#"{"resourceType":"CapabilityStatement","fhirVersion":4}"#,
            r#"{"fhirVersion":"4.0.1"}"#,
        ] {
            assert_eq!(says(silent), Changed::Nothing, "{silent}");
            assert_eq!(said.is_of_this_version(), Err(UpstreamFault::NoVersion), "{silent}");
        }
        assert_eq!(says(r#"{"resourceType":"CapabilityStatement","fhirVersion":"4.0.1"}"#), Changed::Nothing);
        assert_eq!(said.is_of_this_version(), Ok(()));
        assert_eq!(
            says(r#"{"resourceType":"CapabilityStatement","fhirVersion":"5.0.0"}"#),
            Changed::ToAnother
        );
        for silent in ["{}", "no JSON", r#"{"fhirVersion":4}"#, r#"{"fhirVersion":"5.0.0"}"#] {
            assert_eq!(says(silent), Changed::Nothing, "{silent}");
            assert_eq!(said.is_of_this_version(), Err(UpstreamFault::OtherVersion), "{silent}");
        }
        assert_eq!(says(r#"{"resourceType":"CapabilityStatement","fhirVersion":"4.0.0"}"#), Changed::ToThis);
        assert_eq!(said.is_of_this_version(), Ok(()));
    }

    #[test]
    fn what_was_said_holds_under_another_configuration() {
        let old = Said::default();
        assert!(old.is_to_be_missed() && !old.is_to_be_missed(), "it is told once");
        let says = Bytes::from(r#"{"resourceType":"CapabilityStatement","fhirVersion":"5.0.0"}"#);
        old.keep(Timestamp::from_unix(1_000), &says);
        let _ = old.note(&says, FhirVersion::R4, old.look());
        for (version, is_of_this) in [(FhirVersion::R4, false), (FhirVersion::R5, true)] {
            let new = Said::default();
            new.follow(&old, version);
            assert_eq!(new.is_of_this_version().is_ok(), is_of_this, "{version}");
            assert!(!new.is_to_be_missed());
            assert!(new.within(Timestamp::from_unix(1_000)).is_none(), "it is asked anew");
        }
    }

    #[test]
    fn of_two_looks_at_once_what_the_later_one_saw_counts() {
        let said = Said::default();
        let (first, second) = (said.look(), said.look());
        let says = |of: &str, look| {
            let text = format!(r#"{{"resourceType":"CapabilityStatement","fhirVersion":"{of}"}}"#);
            said.note(&Bytes::from(text), FhirVersion::R4, look)
        };
        assert_eq!(says("5.0.0", second), Changed::ToAnother);
        assert_eq!(says("4.0.1", first), Changed::Nothing, "it ended late");
        assert_eq!(said.is_of_this_version(), Err(UpstreamFault::OtherVersion));
        assert_eq!(says("4.0.1", said.look()), Changed::ToThis);
    }

    #[test]
    fn what_was_said_is_good_for_a_minute_and_no_longer() {
        let said = Said::default();
        let at = Timestamp::from_unix;
        said.keep(at(1_000), &Bytes::from("{}"));
        assert!(said.within(at(1_059)).is_some());
        assert!(said.within(at(1_060)).is_none());
    }
}
