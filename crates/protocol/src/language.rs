//! Languages that people read: `Accept-Language` (RFC 9110 section 12.5.4) and `ui_locales` (OpenID Connect Core section
//! 3.1.2.1), looked up among those that there are as RFC 4647 section 3.4 says.

/// Longest list that is read, in bytes.
const LONGEST: usize = 1000;
/// Most languages that a list names.
const MOST: usize = 50;

/// Languages that somebody reads, the best first.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Languages {
    /// Ranges in lower case.
    wanted: Vec<String>,
    /// Those that will not do at all.
    refused: Vec<String>,
}

/// Why a list says nothing.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum LanguagesError {
    /// A limit of ours.
    #[error("list of languages is too long")]
    TooLong,
    /// RFC 4647 section 2.1.
    #[error("not a language range")]
    Range,
    /// RFC 9110 section 12.4.2.
    #[error("not a weight")]
    Weight,
}

impl Languages {
    /// What a browser says in `Accept-Language`.
    ///
    /// # Errors
    /// [`LanguagesError`]: of a list that is wrong somewhere nothing counts.
    pub fn accepted(header: &str) -> Result<Self, LanguagesError> {
        if header.len() > LONGEST {
            return Err(LanguagesError::TooLong);
        }
        let (mut wanted, mut refused) = (Vec::new(), Vec::new());
        // RFC 9110 section 5.6.1.2: empty members count for nothing.
        for member in header.split(',').map(trim).filter(|member| !member.is_empty()) {
            let (text, weight) = match member.split_once(';') {
                Some((text, parameter)) => (trim(text), weight(trim(parameter))?),
                None => (member, 1000),
            };
            match (range(text).ok_or(LanguagesError::Range)?, weight) {
                (text, 0) => refused.push(text),
                (text, weight) => wanted.push((weight, text)),
            }
        }
        if wanted.len().saturating_add(refused.len()) > MOST {
            return Err(LanguagesError::TooLong);
        }
        // Of two that weigh the same, the first.
        wanted.sort_by_key(|(weight, _)| std::cmp::Reverse(*weight));
        Ok(Self { wanted: wanted.into_iter().map(|(_, text)| text).collect(), refused })
    }

    /// What a client says in `ui_locales`: tags with spaces between them, the best first.
    ///
    /// # Errors
    /// [`LanguagesError`].
    pub fn locales(text: &str) -> Result<Self, LanguagesError> {
        if text.len() > LONGEST {
            return Err(LanguagesError::TooLong);
        }
        let tags: Vec<_> = text.split(' ').filter(|tag| !tag.is_empty()).collect();
        if tags.len() > MOST {
            return Err(LanguagesError::TooLong);
        }
        // What cannot be had is no error (OpenID Connect Core section 3.1.2.1), so what is no tag keeps none from counting that is.
        Ok(Self { wanted: tags.into_iter().filter_map(range).collect(), refused: Vec::new() })
    }

    /// The best of what there is, named by tags in lower case; none where nothing fits, or anything would.
    pub fn best<T: Copy>(&self, offered: &[(&str, T)]) -> Option<T> {
        self.wanted.iter().find_map(|range| self.lookup(range, offered))
    }

    /// RFC 4647 section 3.4: a range is shortened from its end until something fits.
    fn lookup<T: Copy>(&self, range: &str, offered: &[(&str, T)]) -> Option<T> {
        let mut rest = range;
        loop {
            if let Some((tag, value)) = offered.iter().find(|(tag, _)| *tag == rest) {
                return (!self.refused.iter().any(|refused| refused == tag)).then_some(*value);
            }
            (rest, _) = rest.rsplit_once('-')?;
            // A letter alone says that more comes.
            if let Some((before, letter)) = rest.rsplit_once('-')
                && letter.len() == 1
            {
                rest = before;
            }
        }
    }
}

/// Optional white space. RFC 9110 section 5.6.3.
fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

/// A basic language range in lower case. RFC 4647 section 2.1.
fn range(text: &str) -> Option<String> {
    let is_subtag = |subtag: &str| (1..=8).contains(&subtag.len());
    let mut subtags = text.split('-');
    let first = subtags.next()?;
    let is_language = is_subtag(first) && first.bytes().all(|byte| byte.is_ascii_alphabetic());
    let good = text == "*"
        || is_language
            && subtags.all(|rest| is_subtag(rest) && rest.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    good.then(|| text.to_ascii_lowercase())
}

/// A weight in thousandths: `q=` and a number from 0 to 1 of at most three decimals. RFC 9110 section 12.4.2.
fn weight(parameter: &str) -> Result<u16, LanguagesError> {
    let (name, value) = parameter.split_once('=').ok_or(LanguagesError::Weight)?;
    let (whole, decimals) = value.split_once('.').unwrap_or((value, ""));
    let is_number = decimals.len() <= 3 && decimals.bytes().all(|byte| byte.is_ascii_digit());
    let thousandths = format!("{decimals:0<3}").parse::<u16>();
    match (whole, thousandths) {
        _ if !name.eq_ignore_ascii_case("q") || !is_number => Err(LanguagesError::Weight),
        ("0", Ok(thousandths)) => Ok(thousandths),
        ("1", Ok(0)) => Ok(1000),
        (_, Ok(_) | Err(_)) => Err(LanguagesError::Weight),
    }
}

#[cfg(test)]
mod tests;
