//! Fields that have to fit a message together: of what is too long the beginning stands, with `…` behind it, and which fields
//! those are is told.

use super::text::MARK;

/// Writes what stands for a character.
pub(super) type Escape = fn(char, &mut String);

/// Fields that are to fit.
pub(super) struct Fields {
    escape: Escape,
    /// How many bytes stand around a name and its value.
    around: usize,
    fields: Vec<(String, String)>,
}

/// Fields that fit.
pub(super) struct Fitted {
    /// Names, and what stands for their values.
    pub(super) fields: Vec<(String, String)>,
    /// The names of those of which something is missing.
    pub(super) cut: Vec<String>,
}

/// The least that is left of a value.
const SHORTEST: usize = 16;

impl Fields {
    pub(super) const fn new(escape: Escape, around: usize) -> Self {
        Self { escape, around, fields: Vec::new() }
    }

    pub(super) fn add(&mut self, name: impl Into<String>, value: Option<String>) {
        self.fields.extend(value.map(|value| (name.into(), value)));
    }

    /// As much of them as has room: the longest lose first. Where even little of each is too much, the last are missing.
    pub(super) fn fitted(mut self, room: usize) -> Fitted {
        let mut limit = room.max(SHORTEST);
        let mut left_out = Vec::new();
        loop {
            let mut fitted = self.cut_at(limit);
            let lengths = fitted
                .fields
                .iter()
                .map(|(name, value)| name.len().saturating_add(value.len()).saturating_add(self.around));
            if lengths.fold(0, usize::saturating_add) <= room || self.fields.is_empty() {
                fitted.cut.extend(left_out.into_iter().rev());
                return fitted;
            }
            if limit > SHORTEST {
                limit = (limit / 2).max(SHORTEST);
            } else {
                left_out.extend(self.fields.pop().map(|(name, _)| name));
            }
        }
    }

    fn cut_at(&self, limit: usize) -> Fitted {
        let mut fitted = Fitted { fields: Vec::new(), cut: Vec::new() };
        for (name, value) in &self.fields {
            let (value, is_whole) = within(value, limit, self.escape);
            if !is_whole {
                fitted.cut.push(name.clone());
            }
            fitted.fields.push((name.clone(), value));
        }
        fitted
    }
}

/// What stands for a text, at most so many bytes, and whether it is all of it.
pub(super) fn within(text: &str, limit: usize, escape: Escape) -> (String, bool) {
    let (mut out, mut end) = (String::new(), 0);
    for c in text.chars() {
        escape(c, &mut out);
        if out.len().saturating_add(MARK.len()) <= limit {
            end = out.len();
        }
        if out.len() > limit {
            out.truncate(end);
            out.push_str(MARK);
            return (out, false);
        }
    }
    (out, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn twice(c: char, out: &mut String) {
        if c == '"' {
            out.push('\\');
        }
        out.push(c);
    }

    /// How many bytes it has.
    fn length(of: &Fitted) -> usize {
        of.fields.iter().map(|(name, value)| format!("{name}{value}  ").len()).sum()
    }

    #[test]
    fn the_longest_lose_first_and_are_named() {
        let mut fields = Fields::new(twice, 2);
        fields.add("short", Some("17".to_owned()));
        fields.add("none", None);
        fields.add("long", Some("\"".repeat(100)));
        let fitted = fields.fitted(64);
        assert_eq!(fitted.fields[0], ("short".to_owned(), "17".to_owned()));
        assert_eq!(fitted.fields[1].1, format!("{}…", "\\\"".repeat(14)));
        assert_eq!(fitted.cut, ["long"]);
        assert!(length(&fitted) <= 64);
        let mut fields = Fields::new(twice, 2);
        for number in 0..9 {
            fields.add(format!("name-{number}"), Some("é".repeat(40)));
        }
        let fitted = fields.fitted(60);
        assert_eq!((fitted.fields.len(), fitted.cut.len()), (2, 9));
        assert!(length(&fitted) <= 60);
    }
}
