//! Cut-offs in the order in which they came into force, for those who follow them.
//!
//! A position is good for this run of the gateway alone: whoever comes with another, or from before what is remembered,
//! gets everything anew, also after a store was put back to what it was yesterday.

use std::collections::VecDeque;

use chartgate_access::token::revocation::CutOff;

/// How many of the last are remembered.
const REMEMBERED: usize = 10_000;

/// The last cut-offs, numbered.
pub(super) struct Feed {
    /// Names this run.
    run: String,
    last: VecDeque<CutOff>,
    /// How many came before those.
    before: u64,
}

impl Feed {
    pub(super) fn new(run: String) -> Self {
        Self { run, last: VecDeque::new(), before: 0 }
    }

    pub(super) fn push(&mut self, cut_off: CutOff) {
        if self.last.len() >= REMEMBERED {
            self.last.pop_front();
            self.before = self.before.saturating_add(1);
        }
        self.last.push_back(cut_off);
    }

    /// Where one stands who knows all.
    pub(super) fn position(&self) -> String {
        format!("{}.{}", self.run, self.before.saturating_add(self.last.len() as u64))
    }

    /// What came after a position, if that is known.
    pub(super) fn after(&self, position: &str) -> Option<Vec<CutOff>> {
        let (run, number) = position.rsplit_once('.')?;
        if run != self.run {
            return None;
        }
        let known = usize::try_from(number.parse::<u64>().ok()?.checked_sub(self.before)?).ok()?;
        (known <= self.last.len()).then(|| self.last.iter().skip(known).cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use chartgate_values::Timestamp;

    use super::*;

    fn cut_off(number: usize) -> CutOff {
        let jti = format!("token-{number}").parse().unwrap();
        CutOff::Token { jti, expires_at: Timestamp::from_unix(1000) }
    }

    #[test]
    fn a_follower_gets_what_came_after_it_and_everything_anew_where_that_is_not_known() {
        let mut feed = Feed::new("run".to_owned());
        let start = feed.position();
        assert_eq!(feed.after(&start), Some(vec![]));
        feed.push(cut_off(0));
        let one = feed.position();
        feed.push(cut_off(1));
        assert_eq!(feed.after(&start), Some(vec![cut_off(0), cut_off(1)]));
        assert_eq!(feed.after(&one), Some(vec![cut_off(1)]));
        for strange in
            ["", "run", "run.", "run.3", "run.-1", "other.1", "run.1.1", "run.18446744073709551616"]
        {
            assert_eq!(feed.after(strange), None, "{strange}");
        }
        for number in 2..REMEMBERED + 2 {
            feed.push(cut_off(number));
        }
        assert_eq!(feed.after(&one), None, "it is behind what is remembered");
        let oldest = feed.after("run.2").unwrap();
        assert_eq!((oldest.len(), &oldest[0]), (REMEMBERED, &cut_off(2)));
    }
}
