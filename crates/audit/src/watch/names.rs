//! Family names as they are compared.

use std::collections::BTreeSet;

use chartgate_values::Phi;

/// A family name, or several that somebody has joined by hyphens: without case, accents, spaces and apostrophes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FamilyName(BTreeSet<Phi<String>>);

impl FamilyName {
    /// The name that a text is; none, if nothing in it is a letter.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let plain =
            |part: &str| part.to_lowercase().chars().filter(|c| c.is_alphanumeric()).flat_map(fold).collect();
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

/// A small letter without what stands above or below it, of those that Latin scripts of Europe have; others as they are.
fn fold(letter: char) -> impl Iterator<Item = char> {
    let plain = match letter {
        'à' | 'á' | 'â' | 'ã' | 'ä' | 'å' | 'ā' | 'ă' | 'ą' => "a",
        'æ' => "ae",
        'ç' | 'ć' | 'ĉ' | 'ċ' | 'č' => "c",
        'ď' | 'đ' | 'ð' => "d",
        'è' | 'é' | 'ê' | 'ë' | 'ē' | 'ĕ' | 'ė' | 'ę' | 'ě' => "e",
        'ĝ' | 'ğ' | 'ġ' | 'ģ' => "g",
        'ĥ' | 'ħ' => "h",
        'ì' | 'í' | 'î' | 'ï' | 'ĩ' | 'ī' | 'ĭ' | 'į' | 'ı' => "i",
        'ĵ' => "j",
        'ķ' => "k",
        'ĺ' | 'ļ' | 'ľ' | 'ŀ' | 'ł' => "l",
        'ñ' | 'ń' | 'ņ' | 'ň' => "n",
        'ò' | 'ó' | 'ô' | 'õ' | 'ö' | 'ø' | 'ō' | 'ŏ' | 'ő' => "o",
        'œ' => "oe",
        'ŕ' | 'ŗ' | 'ř' => "r",
        'ś' | 'ŝ' | 'ş' | 'š' | 'ș' => "s",
        'ß' => "ss",
        'ţ' | 'ť' | 'ŧ' | 'ț' => "t",
        'ù' | 'ú' | 'û' | 'ü' | 'ũ' | 'ū' | 'ŭ' | 'ů' | 'ű' | 'ų' => "u",
        'ŵ' => "w",
        'ý' | 'ÿ' | 'ŷ' => "y",
        'ź' | 'ż' | 'ž' => "z",
        _ => "",
    };
    plain.chars().chain(plain.is_empty().then_some(letter))
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
            ("王", "王"),
        ] {
            assert!(is_same(one, other) && is_same(other, one), "{one} {other}");
        }
        for (one, other) in [("van Dyk", "van Houten"), ("Smith", "Smithers"), ("Smith-Jones", "Brown")] {
            assert!(!is_same(one, other), "{one} {other}");
        }
        assert!(FamilyName::new(" -'- ").is_none());
        assert_eq!(format!("{:?}", FamilyName::new("Costa").unwrap()), "FamilyName({<phi>})");
    }
}
