//! Family names as they are compared.

use std::collections::BTreeSet;

use chartgate_values::Phi;
use unicode_normalization::UnicodeNormalization as _;

/// A family name, or several that somebody has joined by hyphens: without case, accents, spaces and apostrophes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FamilyName(BTreeSet<Phi<String>>);

impl FamilyName {
    /// The name that a text is; none, if nothing in it is a letter.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let plain =
            |part: &str| part.to_lowercase().nfc().filter(|c| c.is_alphanumeric()).flat_map(fold).collect();
        let parts: BTreeSet<Phi<String>> = text
            .split(['-', '\u{2010}', '\u{2011}', '\u{2013}'])
            .map(plain)
            .filter(|part: &String| !part.is_empty())
            .map(Phi::new)
            .collect();
        (!parts.is_empty()).then_some(Self(parts))
    }

    /// Whether they have a name in common.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        !self.0.is_disjoint(&other.0)
    }
}

/// A small Latin letter without what stands above, below or across it; others as they are, for elsewhere that makes another
/// letter.
fn fold(letter: char) -> impl Iterator<Item = char> {
    let plain = match letter {
        'æ' => "ae",
        'đ' | 'ð' => "d",
        'ħ' => "h",
        'ı' => "i",
        'ŀ' | 'ł' => "l",
        'ø' => "o",
        'œ' => "oe",
        'ß' => "ss",
        'ŧ' => "t",
        _ => "",
    };
    let base = std::iter::once(letter).nfd().next().filter(char::is_ascii_lowercase).unwrap_or(letter);
    plain.chars().chain(plain.is_empty().then_some(base))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_same(one: &str, other: &str) -> bool {
        FamilyName::new(one).unwrap().is_same(&FamilyName::new(other).unwrap())
    }

    #[test]
    fn a_name_is_the_same_however_it_is_written() {
        for (one, other) in [
            ("García", "GARCIA"),
            ("O'Neill", "ONeill"),
            ("van Dyk", "Van  Dyk"),
            ("Smith-Jones", "jones"),
            ("Łukasiewicz", "Lukasiewicz"),
            ("Groß", "Gross"),
            ("Nguyễn", "NGUYEN"),
            ("Øvergård", "Overgard"),
            ("Garci\u{301}a", "garcía"),
            ("İnce", "Ince"),
            ("王", "王"),
        ] {
            assert!(is_same(one, other) && is_same(other, one), "{one} {other}");
        }
        for (one, other) in
            [("van Dyk", "van Houten"), ("Smith", "Smithers"), ("Smith-Jones", "Brown"), ("が", "か")]
        {
            assert!(!is_same(one, other), "{one} {other}");
        }
        assert!(FamilyName::new(" -'- ").is_none());
        assert_eq!(format!("{:?}", FamilyName::new("Costa").unwrap()), "FamilyName({<phi>})");
    }
}
