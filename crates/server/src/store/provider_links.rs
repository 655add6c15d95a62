//! Accounts at identity providers: whose they are here, and sign-ins that are under way there.

use std::time::Duration;

use chartgate_access::ids::Subject;
use chartgate_values::Timestamp;

use super::{Sql, StoreError};

/// How long somebody may take at their provider.
pub(crate) const AWAY: Duration = Duration::from_secs(600);

/// A sign-in that went to a provider.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct ProviderSignIn {
    /// Which.
    pub(crate) issuer: String,
    /// How strongly the person was asked to sign in there.
    pub(crate) effort: Effort,
    /// What the person goes on with: a hidden field of our forms.
    pub(crate) then: Option<(String, String)>,
    /// The digest of the link by which the account is to be linked.
    pub(crate) enrolment: Option<String>,
}

/// What a provider is asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Effort {
    /// What it does by itself.
    AsUsual,
    /// Two factors.
    TwoFactors,
}

/// An account at a provider that is somebody's here.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct ProviderLink {
    pub(crate) issuer: String,
    /// What the provider calls them.
    pub(crate) subject: String,
    pub(crate) linked_at: Timestamp,
    pub(crate) last_used_at: Option<Timestamp>,
}

/// Whether an account could be linked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use = "the account may be somebody's"]
pub(crate) enum Linked {
    Yes,
    /// It is somebody's already.
    Taken,
}

impl Sql<'_> {
    /// Keeps a sign-in that goes to a provider, for one browser.
    pub(crate) fn add_provider_sign_in(
        &self,
        digest: &str,
        browser: &str,
        begun: &ProviderSignIn,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let text = "INSERT INTO provider_sign_ins \
                    (digest, browser, issuer, two_factors, then_name, then_value, enrolment, expires_at) \
                    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
        let (name, value) = begun.then.clone().unzip();
        let values = [
            digest.into(),
            browser.into(),
            begun.issuer.as_str().into(),
            i64::from(begun.effort == Effort::TwoFactors).into(),
            name.as_ref().into(),
            value.as_ref().into(),
            begun.enrolment.as_ref().into(),
            now.plus(AWAY).into(),
        ];
        self.execute(text, &values).map(drop)
    }

    /// Whether there is such a sign-in, for this browser.
    pub(crate) fn is_provider_sign_in(
        &self,
        digest: &str,
        browser: &str,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let text = "SELECT issuer FROM provider_sign_ins \
                    WHERE digest = ?1 AND browser = ?2 AND expires_at > ?3";
        let values = [digest.into(), browser.into(), now.into()];
        Ok(self.first("provider_sign_ins", text, &values, |row| row.get::<String>("issuer"))?.is_some())
    }

    /// Takes up a sign-in that comes back, in its browser and once.
    pub(crate) fn take_provider_sign_in(
        &self,
        digest: &str,
        browser: &str,
        now: Timestamp,
    ) -> Result<Option<ProviderSignIn>, StoreError> {
        let text = "DELETE FROM provider_sign_ins WHERE digest = ?1 AND browser = ?2 AND expires_at > ?3 \
                    RETURNING issuer, two_factors, then_name, then_value, enrolment";
        self.first("provider_sign_ins", text, &[digest.into(), browser.into(), now.into()], |row| {
            let (name, value): (Option<String>, Option<String>) =
                (row.get("then_name")?, row.get("then_value")?);
            Ok(ProviderSignIn {
                issuer: row.get("issuer")?,
                effort: if row.get::<i64>("two_factors")? == 0 {
                    Effort::AsUsual
                } else {
                    Effort::TwoFactors
                },
                then: name.zip(value),
                enrolment: row.get("enrolment")?,
            })
        })
    }

    /// Forgets those that never came back.
    pub(super) fn forget_provider_sign_ins(&self, now: Timestamp) -> Result<(), StoreError> {
        self.execute("DELETE FROM provider_sign_ins WHERE expires_at < ?1", &[now.into()]).map(drop)
    }

    /// Whose account at a provider it is.
    pub(crate) fn linked_user(&self, issuer: &str, subject: &str) -> Result<Option<Subject>, StoreError> {
        let text = "SELECT user_name FROM provider_links WHERE issuer = ?1 AND subject = ?2";
        self.first("provider_links", text, &[issuer.into(), subject.into()], |row| row.parse("user_name"))
    }

    /// Makes an account at a provider somebody's.
    pub(crate) fn link_provider(
        &self,
        (issuer, subject): (&str, &str),
        user: &Subject,
        now: Timestamp,
    ) -> Result<Linked, StoreError> {
        let text = "INSERT INTO provider_links (issuer, subject, user_name, linked_at) VALUES (?1, ?2, ?3, ?4) \
                    ON CONFLICT DO NOTHING";
        let values = [issuer.into(), subject.into(), user.as_str().into(), now.into()];
        Ok(if self.execute(text, &values)? == 1 { Linked::Yes } else { Linked::Taken })
    }

    /// Notes that somebody signed in with an account.
    pub(crate) fn provider_link_used(
        &self,
        (issuer, subject): (&str, &str),
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let text = "UPDATE provider_links SET last_used_at = ?3 WHERE issuer = ?1 AND subject = ?2";
        self.execute(text, &[issuer.into(), subject.into(), now.into()]).map(drop)
    }

    /// The accounts of a person.
    pub(crate) fn provider_links(&self, of: &Subject) -> Result<Vec<ProviderLink>, StoreError> {
        let text = "SELECT issuer, subject, linked_at, last_used_at FROM provider_links \
                    WHERE user_name = ?1 ORDER BY linked_at, issuer";
        self.query("provider_links", text, &[of.as_str().into()], |row| {
            Ok(ProviderLink {
                issuer: row.get("issuer")?,
                subject: row.get("subject")?,
                linked_at: row.time("linked_at")?,
                last_used_at: row.time_optional("last_used_at")?,
            })
        })
    }

    /// Takes the accounts at one provider away from a person, and says how many there were.
    pub(crate) fn unlink_provider(&self, of: &Subject, issuer: &str) -> Result<usize, StoreError> {
        let text = "DELETE FROM provider_links WHERE user_name = ?1 AND issuer = ?2";
        self.execute(text, &[of.as_str().into(), issuer.into()])
    }
}
