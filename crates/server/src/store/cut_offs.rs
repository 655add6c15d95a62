//! Cut-offs: one row each.

use chartgate_access::grant::Grant;
use chartgate_access::ids::Subject;
use chartgate_access::token::revocation::{CutOff, CutOffs, LongestLives, Target};
use chartgate_values::Timestamp;

use super::sql::Row;
use super::{Sql, StoreError};

impl Sql<'_> {
    /// Writes a cut-off; one that is there already only moves forward.
    pub(crate) fn add_cut_off(&self, cut_off: &CutOff, now: Timestamp) -> Result<(), StoreError> {
        let (kind, target, at) = match cut_off {
            CutOff::UpTo { target, not_before } => {
                let (kind, name) = match target {
                    Target::Subject(id) => ("subject", id.as_str()),
                    Target::Session(id) => ("session", id.as_str()),
                    Target::Client(id) => ("client", id.as_str()),
                    Target::Grant(id) => ("grant", id.as_str()),
                    Target::Key(kid) => ("key", kid.as_str()),
                };
                (kind, name, *not_before)
            }
            CutOff::Token { jti, expires_at } => ("token", jti.as_str(), *expires_at),
        };
        let text = "INSERT INTO cut_offs (kind, target, at, created_at) VALUES (?1, ?2, ?3, ?4) \
                    ON CONFLICT (kind, target) DO UPDATE SET \
                    at = CASE WHEN cut_offs.at < ?3 THEN ?3 ELSE cut_offs.at END";
        self.execute(text, &[kind.into(), target.into(), at.into(), now.into()]).map(drop)
    }

    /// Whether a grant was cut off before it began: by itself, or with its person since they gave it.
    pub(crate) fn is_cut_off_before_it_began(&self, grant: &Grant) -> Result<bool, StoreError> {
        let text = "SELECT at FROM cut_offs WHERE (kind = 'grant' AND target = ?1) \
                    OR (kind = 'subject' AND target = ?2 AND at >= ?3)";
        let values = [grant.id.as_str().into(), grant.subject.as_str().into(), grant.given_since().into()];
        let found: Option<Timestamp> = self.first("cut_offs", text, &values, |row| row.time("at"))?;
        Ok(found.is_some())
    }

    /// All cut-offs that are kept.
    pub(crate) fn cut_offs(&self) -> Result<CutOffs, StoreError> {
        let mut all = CutOffs::default();
        for cut_off in self.query("cut_offs", "SELECT kind, target, at FROM cut_offs", &[], read)? {
            all.add(cut_off);
        }
        Ok(all)
    }

    /// Removes what can concern no token that is still good.
    pub(crate) fn forget_cut_offs(&self, longest: LongestLives, now: Timestamp) -> Result<(), StoreError> {
        let text = "DELETE FROM cut_offs WHERE (kind = 'token' AND at <= ?1) OR (kind <> 'token' AND \
                    at < CASE WHEN target LIKE 'https://%#%' THEN ?3 ELSE ?2 END)";
        let (ours, foreign) = (now.minus(longest.ours), now.minus(longest.foreign));
        self.execute(text, &[now.into(), ours.into(), foreign.into()]).map(drop)
    }

    /// Lets a cut-off of a subject without end reach up to here.
    pub(crate) fn lift_cut_off(&self, subject: &Subject, now: Timestamp) -> Result<(), StoreError> {
        let text = "UPDATE cut_offs SET at = ?2 WHERE kind = 'subject' AND target = ?1 AND at > ?2";
        self.execute(text, &[subject.as_str().into(), now.into()]).map(drop)
    }

    /// Up to when nothing of a subject is believed.
    pub(crate) fn cut_off_of(&self, subject: &Subject) -> Result<Option<Timestamp>, StoreError> {
        let text = "SELECT at FROM cut_offs WHERE kind = 'subject' AND target = ?1";
        self.first("cut_offs", text, &[subject.as_str().into()], |row| row.time("at"))
    }
}

fn read(row: &Row<'_, '_>) -> Result<CutOff, StoreError> {
    let at = row.time("at")?;
    let target = match row.get::<String>("kind")?.as_str() {
        "subject" => Target::Subject(row.parse("target")?),
        "session" => Target::Session(row.parse("target")?),
        "client" => Target::Client(row.parse("target")?),
        "grant" => Target::Grant(row.parse("target")?),
        "key" => Target::Key(row.get("target")?),
        "token" => return Ok(CutOff::Token { jti: row.parse("target")?, expires_at: at }),
        _ => return Err(row.inconsistent("kind")),
    };
    Ok(CutOff::UpTo { target, not_before: at })
}
