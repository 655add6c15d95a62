//! Codes to keep in a drawer for the day when the phone is lost. NIST SP 800-63B-4 sections 3.1.2 (look-up secrets) and 4.2:
//! at least 64 bits each, good once.
//!
//! Twenty decimal digits in groups of five: 66 bits, which the keypad that a phone shows for codes can type.

use chartgate_values::{Entropy, Secret};

/// How many a person gets at once.
pub const AT_ONCE: usize = 10;
const DIGITS: usize = 20;
const GROUP: usize = 5;
/// Of a byte's values these many are as many for each digit; the rest are drawn again.
const EVEN: u8 = 250;

/// One code.
pub struct RecoveryCode(Secret<[u8; DIGITS]>);

/// It is none: another number of digits, or something else.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a recovery code has {DIGITS} digits")]
pub struct NotARecoveryCode;

impl RecoveryCode {
    /// A new one.
    #[must_use]
    pub fn generate(entropy: &mut dyn Entropy) -> Self {
        let mut digits = [0_u8; DIGITS];
        for place in &mut digits {
            let [mut byte] = entropy.bytes::<1>();
            while byte >= EVEN {
                [byte] = entropy.bytes::<1>();
            }
            *place = b'0'.saturating_add(byte % 10);
        }
        Self(Secret::new(digits))
    }

    /// Its one spelling, without the groups: what is digested.
    #[must_use]
    pub fn expose(&self) -> &[u8; DIGITS] {
        self.0.expose()
    }

    /// As it is shown and printed.
    #[must_use]
    pub fn grouped(&self) -> Secret<String> {
        let groups: Vec<String> = self
            .0
            .expose()
            .chunks(GROUP)
            .map(|group| group.iter().copied().map(char::from).collect())
            .collect();
        Secret::new(groups.join("-"))
    }
}

impl std::str::FromStr for RecoveryCode {
    type Err = NotARecoveryCode;

    /// With or without hyphens and spaces.
    fn from_str(text: &str) -> Result<Self, NotARecoveryCode> {
        let mut digits = [0_u8; DIGITS];
        let mut places = digits.iter_mut();
        for byte in text.bytes().filter(|byte| !matches!(byte, b'-' | b' ')) {
            let place = places.next().filter(|_| byte.is_ascii_digit()).ok_or(NotARecoveryCode)?;
            *place = byte;
        }
        places.next().is_none().then_some(Self(Secret::new(digits))).ok_or(NotARecoveryCode)
    }
}

impl std::fmt::Debug for RecoveryCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("<recovery code>")
    }
}

#[cfg(test)]
mod tests {
    use chartgate_values::SeededEntropy;
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Option<String> {
        text.parse().ok().map(|code: RecoveryCode| code.grouped().expose().clone())
    }

    #[test]
    fn however_it_is_typed_it_is_one_code() {
        let code = "01234-56789-98765-43210";
        for same in [code, "01234567899876543210", " 01234 56789--98765 43210"] {
            assert_eq!(read(same).unwrap(), code, "{same}");
        }
        let wide = "０１２３４-56789-98765-43210";
        for bad in [
            "",
            "123456",
            "01234-56789-98765-4321",
            "01234-56789-98765-432100",
            "01234_56789_98765_43210",
            wide,
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
        assert_eq!(format!("{:?}", code.parse::<RecoveryCode>()), "Ok(<recovery code>)");
    }

    #[test]
    fn every_digit_is_as_likely() {
        let mut entropy = SeededEntropy::new(1);
        let mut counts = [0_u32; 10];
        for _ in 0..1000 {
            for digit in RecoveryCode::generate(&mut entropy).expose() {
                counts[usize::from(digit - b'0')] += 1;
            }
        }
        assert!(counts.iter().all(|count| (1800..2200).contains(count)), "{counts:?}");
    }

    proptest! {
        #[test]
        fn what_is_made_reads_back_and_two_are_never_the_same(seed in any::<u64>()) {
            let mut entropy = SeededEntropy::new(seed);
            let codes = [RecoveryCode::generate(&mut entropy), RecoveryCode::generate(&mut entropy)];
            prop_assert_ne!(codes[0].expose(), codes[1].expose());
            for code in codes {
                let shown = code.grouped();
                let again: RecoveryCode = shown.expose().parse().unwrap();
                prop_assert_eq!(again.expose(), code.expose());
            }
        }

        #[test]
        fn any_text_is_one_code_or_none(text in "[0-9 -]{0,28}") {
            if let Some(code) = read(&text) {
                prop_assert_eq!(read(&code), Some(code));
            }
        }
    }
}
