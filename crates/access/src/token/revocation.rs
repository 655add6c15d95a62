//! Revocation is a cut-off, not a list of tokens.
//!
//! A cut-off says: nothing that was issued for this subject, session, client, grant or key up to this second is
//! believed. Single access tokens are cut by their `jti`, kept until they expire. Every verifier holds all cut-offs in
//! memory; each is one row to write. `iat` counts whole seconds, so a cut-off takes the whole second in which it is
//! made, and whoever issues a token for the same target waits for the next.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use chartgate_values::Timestamp;

use crate::ids::{ClientId, GrantId, Jti, SessionId, Subject};

/// What is cut off.
#[derive(Clone, Debug, Eq, PartialEq, Hash)]
pub enum Target {
    /// All tokens that speak of this subject.
    Subject(Subject),
    /// All tokens of this session.
    Session(SessionId),
    /// All tokens of this client.
    Client(ClientId),
    /// All tokens that came of this grant.
    Grant(GrantId),
    /// All tokens signed with the key of this id, whenever they say they were issued. A key that is cut off signs nothing
    /// of ours any more, so that nobody waits for it.
    Key(String),
}

/// A cut-off, as it is written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum CutOff {
    /// Everything of a target issued up to `not_before`.
    UpTo {
        /// What.
        target: Target,
        /// The second that is cut whole.
        not_before: Timestamp,
    },
    /// One access token.
    Token {
        /// Which.
        jti: Jti,
        /// When it would have ended.
        expires_at: Timestamp,
    },
}

/// What a verifier knows of a token that bears on cut-offs.
#[derive(Clone, Debug)]
pub struct Traits {
    /// `sub`.
    pub subject: Subject,
    /// `sid`.
    pub session: Option<SessionId>,
    /// `client_id`.
    pub client_id: ClientId,
    /// The grant that it came of.
    pub grant: Option<GrantId>,
    /// `kid`.
    pub key: String,
    /// `jti`.
    pub jti: Jti,
    /// `iat`.
    pub issued_at: Timestamp,
}

/// All cut-offs that can still matter: a map for each kind, so that looking up a token copies nothing.
#[derive(Clone, Debug, Default)]
pub struct CutOffs {
    subjects: HashMap<Subject, Timestamp>,
    sessions: HashMap<SessionId, Timestamp>,
    clients: HashMap<ClientId, Timestamp>,
    grants: HashMap<GrantId, Timestamp>,
    keys: HashMap<String, Timestamp>,
    tokens: HashMap<Jti, Timestamp>,
    everything: Option<Timestamp>,
}

/// The longest that tokens live: cut-offs are kept as long.
#[derive(Clone, Copy, Debug)]
pub struct LongestLives {
    /// Ours.
    pub ours: Duration,
    /// Those of trusted issuers.
    pub foreign: Duration,
}

/// The token was cut off.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Revoked {
    /// With everything of its subject.
    #[error("all tokens of the subject were revoked")]
    Subject,
    /// With its session.
    #[error("the session was ended")]
    Session,
    /// With its client.
    #[error("the client was removed")]
    Client,
    /// With its grant.
    #[error("the grant was revoked")]
    Grant,
    /// With its signing key.
    #[error("the signing key was revoked")]
    Key,
    /// By itself.
    #[error("the token was revoked")]
    Token,
    /// With everything that was issued before what runs was restored from a backup.
    #[error("all tokens from before the restore were revoked")]
    Restore,
}

impl Revoked {
    /// The stable code for records.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Subject => "revoked-subject",
            Self::Session => "revoked-session",
            Self::Client => "revoked-client",
            Self::Grant => "revoked-grant",
            Self::Key => "revoked-key",
            Self::Token => "revoked-token",
            Self::Restore => "revoked-restore",
        }
    }
}

impl CutOff {
    /// Whether it concerns tokens of a trusted issuer alone.
    #[must_use]
    pub fn is_foreign(&self) -> bool {
        match self {
            Self::UpTo { target: Target::Subject(id), .. } => id.is_foreign(),
            Self::UpTo { target: Target::Session(id), .. } => id.is_foreign(),
            Self::UpTo { target: Target::Client(id), .. } => id.is_foreign(),
            Self::UpTo { target: Target::Grant(_) | Target::Key(_), .. } => false,
            Self::Token { jti, .. } => jti.is_foreign(),
        }
    }

    /// When it can concern no token that is still good: `longest_life` is the longest that any lives.
    #[must_use]
    pub fn over_at(&self, longest_life: Duration) -> Timestamp {
        match self {
            Self::UpTo { not_before, .. } => not_before.plus(longest_life),
            Self::Token { expires_at, .. } => *expires_at,
        }
    }

    /// The same cut-off, at this time at the earliest; that of a single token has none.
    #[must_use]
    pub fn at(self, now: Timestamp) -> Self {
        match self {
            Self::UpTo { target, not_before } => Self::UpTo { target, not_before: not_before.max(now) },
            token @ Self::Token { .. } => token,
        }
    }
}

impl CutOffs {
    /// Adds a cut-off; one that is already there only moves forward.
    pub fn add(&mut self, cut_off: CutOff) {
        match cut_off {
            CutOff::UpTo { target, not_before } => match target {
                Target::Subject(id) => raise(&mut self.subjects, id, not_before),
                Target::Session(id) => raise(&mut self.sessions, id, not_before),
                Target::Client(id) => raise(&mut self.clients, id, not_before),
                Target::Grant(id) => raise(&mut self.grants, id, not_before),
                Target::Key(kid) => raise(&mut self.keys, kid, not_before),
            },
            CutOff::Token { jti, expires_at } => raise(&mut self.tokens, jti, expires_at),
        }
    }

    /// From now on nothing is believed that was issued up to this second, by whomever: cut-offs were lost.
    pub fn add_everything(&mut self, up_to: Timestamp) {
        self.everything = self.everything.max(Some(up_to));
    }

    /// Lets a cut-off of a subject without end reach up to here: what was issued before stays cut off.
    pub fn lift(&mut self, subject: &Subject, now: Timestamp) {
        if let Some(at) = self.subjects.get_mut(subject) {
            *at = now.min(*at);
        }
    }

    /// Whether a token is still believed.
    ///
    /// # Errors
    /// [`Revoked`], by the widest cause.
    pub fn check(&self, token: &Traits) -> Result<(), Revoked> {
        let is_cut = |at: Option<&Timestamp>| at.is_some_and(|at| token.issued_at <= *at);
        if is_cut(self.everything.as_ref()) {
            return Err(Revoked::Restore);
        }
        if is_cut(self.subjects.get(&token.subject)) {
            return Err(Revoked::Subject);
        }
        if is_cut(token.session.as_ref().and_then(|id| self.sessions.get(id))) {
            return Err(Revoked::Session);
        }
        if is_cut(self.clients.get(&token.client_id)) {
            return Err(Revoked::Client);
        }
        if is_cut(token.grant.as_ref().and_then(|id| self.grants.get(id))) {
            return Err(Revoked::Grant);
        }
        // Whoever has a key writes any `iat`.
        if self.keys.contains_key(&token.key) {
            return Err(Revoked::Key);
        }
        if self.tokens.contains_key(&token.jti) {
            return Err(Revoked::Token);
        }
        Ok(())
    }

    /// How long issuing has to wait so that a token that looks like this one would be believed.
    #[must_use]
    pub fn wait_before_issuing(&self, targets: &[Target], now: Timestamp) -> Duration {
        match targets.iter().filter_map(|target| self.at(target)).chain(self.everything).max() {
            Some(at) if now.floor_to_second() <= at => at.plus(Duration::from_secs(1)).since(now),
            Some(_) | None => Duration::ZERO,
        }
    }

    /// Up to when everything was cut off, by whomever it was issued.
    #[must_use]
    pub fn everything(&self) -> Option<Timestamp> {
        self.everything
    }

    /// All others.
    pub fn all(&self) -> impl Iterator<Item = CutOff> {
        let up_to = |(target, at): (Target, &Timestamp)| CutOff::UpTo { target, not_before: *at };
        let subjects = self.subjects.iter().map(|(id, at)| (Target::Subject(id.clone()), at));
        let sessions = self.sessions.iter().map(|(id, at)| (Target::Session(id.clone()), at));
        let clients = self.clients.iter().map(|(id, at)| (Target::Client(id.clone()), at));
        let grants = self.grants.iter().map(|(id, at)| (Target::Grant(id.clone()), at));
        let keys = self.keys.iter().map(|(kid, at)| (Target::Key(kid.clone()), at));
        let tokens = self.tokens.iter().map(|(jti, at)| CutOff::Token { jti: jti.clone(), expires_at: *at });
        subjects.chain(sessions).chain(clients).chain(grants).chain(keys).map(up_to).chain(tokens)
    }

    fn at(&self, target: &Target) -> Option<Timestamp> {
        match target {
            Target::Subject(id) => self.subjects.get(id),
            Target::Session(id) => self.sessions.get(id),
            Target::Client(id) => self.clients.get(id),
            Target::Grant(id) => self.grants.get(id),
            Target::Key(kid) => self.keys.get(kid),
        }
        .copied()
    }

    /// Forgets what can concern no token that is still good.
    pub fn forget(&mut self, longest: LongestLives, now: Timestamp) {
        let ours = |at: &Timestamp| at.plus(longest.ours) >= now;
        let matters = |is_foreign: bool, at: &Timestamp| match is_foreign {
            true => at.plus(longest.foreign) >= now,
            false => ours(at),
        };
        self.subjects.retain(|id, at| matters(id.is_foreign(), at));
        self.sessions.retain(|id, at| matters(id.is_foreign(), at));
        self.clients.retain(|id, at| matters(id.is_foreign(), at));
        self.grants.retain(|_, at| ours(at));
        self.keys.retain(|_, at| ours(at));
        self.tokens.retain(|_, expires_at| *expires_at > now);
    }
}

fn raise<K: Eq + Hash>(map: &mut HashMap<K, Timestamp>, key: K, at: Timestamp) {
    let entry = map.entry(key).or_insert(at);
    *entry = (*entry).max(at);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(issued_at: i64) -> Traits {
        Traits {
            subject: "dana".parse().unwrap(),
            session: Some("abcdefghijklmnopqrstuv".parse().unwrap()),
            client_id: "app".parse().unwrap(),
            grant: Some("ghijklmnopqrstuvwxyzab".parse().unwrap()),
            key: "k1".into(),
            jti: "j1".parse().unwrap(),
            issued_at: Timestamp::from_unix(issued_at),
        }
    }

    fn targets() -> [(Target, Revoked); 5] {
        [
            (Target::Subject("dana".parse().unwrap()), Revoked::Subject),
            (Target::Session("abcdefghijklmnopqrstuv".parse().unwrap()), Revoked::Session),
            (Target::Client("app".parse().unwrap()), Revoked::Client),
            (Target::Grant("ghijklmnopqrstuvwxyzab".parse().unwrap()), Revoked::Grant),
            (Target::Key("k1".into()), Revoked::Key),
        ]
    }

    #[test]
    fn o09_a_cut_off_takes_its_own_second_and_leaves_the_next() {
        for (target, cause) in targets() {
            let mut cut_offs = CutOffs::default();
            cut_offs.add(CutOff::UpTo { target, not_before: Timestamp::from_unix(1000) });
            assert_eq!(cut_offs.check(&token(999)), Err(cause));
            assert_eq!(cut_offs.check(&token(1000)), Err(cause));
            let after = if cause == Revoked::Key { Err(cause) } else { Ok(()) };
            assert_eq!(cut_offs.check(&token(1001)), after);
        }
    }

    #[test]
    fn after_a_restore_nothing_from_before_is_believed_and_nothing_is_issued_in_its_second() {
        let mut cut_offs = CutOffs::default();
        cut_offs.add_everything(Timestamp::from_unix(1000));
        cut_offs.add_everything(Timestamp::from_unix(900));
        assert_eq!(cut_offs.check(&token(1000)), Err(Revoked::Restore));
        assert_eq!(cut_offs.check(&token(1001)), Ok(()));
        let wait = |now| cut_offs.wait_before_issuing(&[], Timestamp::from_unix(now));
        assert_eq!((wait(1000), wait(1001)), (Duration::from_secs(1), Duration::ZERO));
    }

    #[test]
    fn a_cut_off_concerns_its_target_alone() {
        let mut cut_offs = CutOffs::default();
        for target in [
            Target::Subject("nils".parse().unwrap()),
            Target::Session("zzzzzzzzzzzzzzzzzzzzzz".parse().unwrap()),
            Target::Client("other".parse().unwrap()),
            Target::Grant("zzzzzzzzzzzzzzzzzzzzzz".parse().unwrap()),
            Target::Key("k2".into()),
        ] {
            cut_offs.add(CutOff::UpTo { target, not_before: Timestamp::from_unix(2000) });
        }
        let other = CutOff::Token { jti: "j2".parse().unwrap(), expires_at: Timestamp::from_unix(3000) };
        cut_offs.add(other);
        assert_eq!(cut_offs.check(&token(1000)), Ok(()));
        let own = CutOff::Token { jti: "j1".parse().unwrap(), expires_at: Timestamp::from_unix(3000) };
        cut_offs.add(own);
        assert_eq!(cut_offs.check(&token(1000)), Err(Revoked::Token));
    }

    #[test]
    fn issuing_waits_for_the_second_after_the_cut_off() {
        let target = Target::Subject("dana".parse().unwrap());
        let mut cut_offs = CutOffs::default();
        cut_offs.add(CutOff::UpTo { target: target.clone(), not_before: Timestamp::from_unix(1000) });
        let wait = |micros| {
            cut_offs.wait_before_issuing(std::slice::from_ref(&target), Timestamp::from_micros(micros))
        };
        assert_eq!(wait(1_000_400_000), Duration::from_millis(600));
        assert_eq!(wait(1_001_000_000), Duration::ZERO);
        assert_eq!(wait(999_900_000), Duration::from_millis(1100), "a clock that went back");
    }

    #[test]
    fn a_cut_off_is_kept_as_long_as_a_token_could_live_and_never_moves_back() {
        let target = Target::Subject("dana".parse().unwrap());
        let mut cut_offs = CutOffs::default();
        for at in [1000, 900] {
            cut_offs.add(CutOff::UpTo { target: target.clone(), not_before: Timestamp::from_unix(at) });
        }
        assert_eq!(cut_offs.check(&token(1000)), Err(Revoked::Subject));
        let longest = LongestLives { ours: Duration::from_secs(3600), foreign: Duration::from_secs(7200) };
        cut_offs.forget(longest, Timestamp::from_unix(4600));
        assert_eq!(cut_offs.check(&token(1000)), Err(Revoked::Subject));
        cut_offs.forget(longest, Timestamp::from_unix(4601));
        assert_eq!(cut_offs.check(&token(1000)), Ok(()));

        let subject = Subject::foreign("https://login.example.org", "dana").unwrap();
        let theirs = Traits { subject: subject.clone(), ..token(1000) };
        let not_before = Timestamp::from_unix(1000);
        cut_offs.add(CutOff::UpTo { target: Target::Subject(subject), not_before });
        cut_offs.forget(longest, Timestamp::from_unix(8200));
        assert_eq!(cut_offs.check(&theirs), Err(Revoked::Subject), "another issuer's live longer");
        cut_offs.forget(longest, Timestamp::from_unix(8201));
        assert_eq!(cut_offs.check(&theirs), Ok(()));
    }
}
