//! Reading a table key by key: each value has its type, what is wrong is collected, and what is left over is unknown.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chartgate_values::Secret;

use super::listen::Network;
use super::source::{self, ConfigError, Node, Value};

/// What all sections share: the folder of the file, the environment for secrets, and the errors so far.
pub(crate) struct Reading<'r> {
    /// Relative paths start here.
    pub(crate) folder: &'r Path,
    /// Looks up an environment variable.
    pub(crate) environment: &'r dyn Fn(&str) -> Option<String>,
    /// Everything wrong so far.
    pub(crate) errors: Vec<ConfigError>,
    /// Every path that a key has named, with that key.
    pub(crate) paths: Vec<(String, PathBuf)>,
    /// Every variable from which a key has its secret.
    pub(crate) variables: Vec<String>,
}

/// A table that is being read.
pub(crate) struct Section {
    path: String,
    line: usize,
    table: BTreeMap<String, Node>,
}

impl Section {
    /// The whole file.
    pub(crate) fn root(table: BTreeMap<String, Node>) -> Self {
        Self { path: String::new(), line: 0, table }
    }

    /// A table within this one; an empty one if it is absent.
    pub(crate) fn table(&mut self, reading: &mut Reading<'_>, key: &str) -> Self {
        self.optional_table(reading, key).unwrap_or_else(|| Self {
            path: self.key(key),
            line: 0,
            table: BTreeMap::new(),
        })
    }

    /// A table within this one, if it is there.
    pub(crate) fn optional_table(&mut self, reading: &mut Reading<'_>, key: &str) -> Option<Self> {
        let node = self.table.remove(key)?;
        match node.value {
            Value::Table(table) => Some(Self { path: self.key(key), line: node.line, table }),
            _ => {
                reading.error(node.line, self.key(key), "has to be a table");
                None
            }
        }
    }

    /// The tables of an array of tables.
    pub(crate) fn tables(&mut self, reading: &mut Reading<'_>, key: &str) -> Vec<Self> {
        let Some(node) = self.table.remove(key) else { return Vec::new() };
        let Value::List(items) = node.value else {
            reading.error(node.line, self.key(key), format!("has to be written as [[{}]]", self.key(key)));
            return Vec::new();
        };
        let mut out = Vec::new();
        for (index, item) in (1_usize..).zip(items) {
            let path = format!("{}[{index}]", self.key(key));
            match item.value {
                Value::Table(table) => out.push(Self { path, line: item.line, table }),
                _ => reading.error(item.line, path, "has to be a table"),
            }
        }
        out
    }

    /// A text, if it is there.
    pub(crate) fn text(&mut self, reading: &mut Reading<'_>, key: &str) -> Option<String> {
        let node = self.table.remove(key)?;
        match node.value {
            Value::Text(text) => Some(text),
            _ => {
                reading.error(node.line, self.key(key), "has to be a text in quotes");
                None
            }
        }
    }

    /// A name that has to be there, and that can stand in metrics and commands as it is: 1 to 40 of a-z, 0-9 and -.
    pub(crate) fn plain_name(&mut self, reading: &mut Reading<'_>, key: &str) -> Option<String> {
        self.required_text(reading, key).filter(|name| {
            let plain = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
            let good = plain && (1..=40).contains(&name.len());
            if !good {
                let problem = format!("`{name}` has to be 1 to 40 of a-z, 0-9 and -");
                reading.error(self.line, self.key(key), problem);
            }
            good
        })
    }

    /// A text that has to be there.
    pub(crate) fn required_text(&mut self, reading: &mut Reading<'_>, key: &str) -> Option<String> {
        if !self.table.contains_key(key) {
            reading.error(self.line, self.key(key), "is missing");
        }
        self.text(reading, key)
    }

    /// A text that has to parse.
    pub(crate) fn parsed<T>(&mut self, reading: &mut Reading<'_>, key: &str) -> Option<T>
    where
        T: std::str::FromStr,
        T::Err: std::fmt::Display,
    {
        let line = self.line_of(key);
        let text = self.text(reading, key)?;
        match text.parse() {
            Ok(value) => Some(value),
            Err(e) => {
                reading.error(line, self.key(key), format!("`{text}`: {e}"));
                None
            }
        }
    }

    /// A list of texts, if it is there.
    pub(crate) fn texts(&mut self, reading: &mut Reading<'_>, key: &str) -> Vec<String> {
        let Some(node) = self.table.remove(key) else { return Vec::new() };
        let Value::List(items) = node.value else {
            reading.error(node.line, self.key(key), "has to be a list of texts");
            return Vec::new();
        };
        let mut out = Vec::new();
        for item in items {
            match item.value {
                Value::Text(text) => out.push(text),
                _ => reading.error(item.line, self.key(key), "has to be a list of texts"),
            }
        }
        out
    }

    /// A list of address blocks.
    pub(crate) fn networks(&mut self, reading: &mut Reading<'_>, key: &str) -> Vec<Network> {
        let line = self.line_of(key);
        let mut found = Vec::new();
        for text in self.texts(reading, key) {
            match Network::parse(&text) {
                Some(network) => found.push(network),
                None => {
                    let problem = format!("`{text}` is no address block such as \"10.0.0.0/8\"");
                    reading.error(line, self.key(key), problem);
                }
            }
        }
        found
    }

    /// `true` or `false`, as one of two values.
    pub(crate) fn choice<T>(&mut self, reading: &mut Reading<'_>, key: &str, [no, yes]: [T; 2]) -> T {
        match self.table.remove(key).map(|node| (node.line, node.value)) {
            None | Some((_, Value::Boolean(false))) => no,
            Some((_, Value::Boolean(true))) => yes,
            Some((line, _)) => {
                reading.error(line, self.key(key), "has to be true or false");
                no
            }
        }
    }

    /// A path, relative to the file's folder.
    pub(crate) fn path(&mut self, reading: &mut Reading<'_>, key: &str) -> Option<PathBuf> {
        let path = self.text(reading, key).map(|text| reading.folder.join(text))?;
        reading.paths.push((self.key(key), path.clone()));
        Some(path)
    }

    /// A duration such as `15m`, within bounds, or the default.
    pub(crate) fn duration(
        &mut self,
        reading: &mut Reading<'_>,
        key: &str,
        default: Duration,
        bounds: std::ops::RangeInclusive<Duration>,
    ) -> Duration {
        let line = self.line_of(key);
        let Some(text) = self.text(reading, key) else { return default };
        match parse_duration(&text) {
            Some(duration) if bounds.contains(&duration) => duration,
            Some(_) => {
                let (low, high) = (bounds.start().as_secs(), bounds.end().as_secs());
                reading.error(line, self.key(key), format!("`{text}` is not between {low}s and {high}s"));
                default
            }
            None => {
                let problem =
                    format!("`{text}` is no duration: a number and s, m, h, d or y, such as \"15m\"");
                reading.error(line, self.key(key), problem);
                default
            }
        }
    }

    /// A duration such as `15m`, within bounds, if it is there.
    pub(crate) fn optional_duration(
        &mut self,
        reading: &mut Reading<'_>,
        key: &str,
        bounds: std::ops::RangeInclusive<Duration>,
    ) -> Option<Duration> {
        let longest = *bounds.end();
        self.has(key).then(|| self.duration(reading, key, longest, bounds))
    }

    /// A number within bounds, or the default.
    pub(crate) fn number(
        &mut self,
        reading: &mut Reading<'_>,
        key: &str,
        default: usize,
        bounds: std::ops::RangeInclusive<usize>,
    ) -> usize {
        let Some(node) = self.table.remove(key) else { return default };
        let number = match node.value {
            Value::Integer(number) => usize::try_from(number).ok().filter(|number| bounds.contains(number)),
            Value::Text(_) | Value::Boolean(_) | Value::List(_) | Value::Table(_) | Value::Other => None,
        };
        number.unwrap_or_else(|| {
            let problem = format!("has to be a number from {} to {}", bounds.start(), bounds.end());
            reading.error(node.line, self.key(key), problem);
            default
        })
    }

    /// A size such as `64KiB`, or the default.
    pub(crate) fn size(&mut self, reading: &mut Reading<'_>, key: &str, default: u64) -> u64 {
        let line = self.line_of(key);
        let Some(text) = self.text(reading, key) else { return default };
        parse_size(&text).unwrap_or_else(|| {
            let problem = format!("`{text}` is no size: a number and B, KiB, MiB or GiB, such as \"64KiB\"");
            reading.error(line, self.key(key), problem);
            default
        })
    }

    /// Whether a key is there.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// The keys that were not read yet, for a table whose keys are names of others'.
    pub(crate) fn keys(&self) -> Vec<String> {
        self.table.keys().cloned().collect()
    }

    /// A secret: a text, `{ file = "…" }` or `{ env = "…" }`.
    pub(crate) fn secret(&mut self, reading: &mut Reading<'_>, key: &str) -> Option<Secret<String>> {
        let node = self.table.remove(key)?;
        let name = self.key(key);
        let mut from = match node.value {
            Value::Text(text) => return Some(Secret::new(text)),
            Value::Table(table) => Self { path: name.clone(), line: node.line, table },
            _ => {
                reading.error(node.line, name, "has to be a text, { file = \"…\" } or { env = \"…\" }");
                return None;
            }
        };
        let file = from.path(reading, "file");
        let variable = from.text(reading, "env");
        reading.variables.extend(variable.clone());
        from.finish(reading);
        let found = match (file, variable) {
            (Some(file), None) => std::fs::read_to_string(&file)
                .map(|text| text.trim_end_matches(['\r', '\n']).to_owned())
                .map_err(|e| format!("cannot read {}: {e}", file.display())),
            (None, Some(variable)) => (reading.environment)(&variable)
                .ok_or_else(|| format!("the environment variable `{variable}` is not set")),
            (Some(_), Some(_)) | (None, None) => Err("needs exactly one of `file` and `env`".to_owned()),
        };
        match found {
            Ok(text) => Some(Secret::new(text)),
            Err(problem) => {
                reading.error(node.line, name, problem);
                None
            }
        }
    }

    /// Reports what nobody asked for.
    pub(crate) fn finish(self, reading: &mut Reading<'_>) {
        for (key, node) in &self.table {
            let key = self.key(key);
            // What has no line comes from the environment.
            let by =
                if node.line == 0 { format!("; {} sets it", source::variable(&key)) } else { String::new() };
            reading.error(node.line, key, format!("is not a key of ours{by}"));
        }
    }

    /// The line of a key, for messages about its value.
    pub(crate) fn line_of(&self, key: &str) -> usize {
        self.table.get(key).map_or(self.line, |node| node.line)
    }

    /// The line on which the table begins.
    pub(crate) fn line(&self) -> usize {
        self.line
    }

    /// The dotted name of a key of this table.
    pub(crate) fn key(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }
}

impl Reading<'_> {
    /// Notes something wrong.
    pub(crate) fn error(&mut self, line: usize, key: impl Into<String>, problem: impl Into<String>) {
        self.errors.push(ConfigError { line, key: key.into(), problem: problem.into() });
    }
}

fn parse_duration(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at_checked(digits)?;
    let seconds: u64 = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        "y" => 31_557_600,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(seconds).map(Duration::from_secs)
}

fn parse_size(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at_checked(digits)?;
    let bytes: u64 = match unit {
        "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes_need_a_number_and_a_unit() {
        assert_eq!(parse_duration("15m"), Some(Duration::from_secs(900)));
        assert_eq!(parse_duration("6y"), Some(Duration::from_secs(189_345_600)));
        assert_eq!(parse_size("64KiB"), Some(65_536));
        for bad in ["", "m", "15", "15 m", "-1m", "1.5h", "99999999999999999999s"] {
            assert_eq!(parse_duration(bad), None, "{bad}");
            assert_eq!(parse_size(bad), None, "{bad}");
        }
    }
}
