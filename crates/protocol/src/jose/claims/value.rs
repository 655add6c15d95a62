//! The types of claims, and how each is read. RFC 7519 section 2, RFC 6749 section 3.3, RFC 8693, RFC 7800.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use chartgate_values::Timestamp;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value};

use super::super::rejection::Rejection;
use super::super::thumbprint::Thumbprint;
use crate::json::{self, Object};
use crate::oauth::scope::ScopeSet;

/// A type that a claim can be read as.
pub(crate) trait FromClaim: Sized {
    /// Reads the JSON text of a value.
    fn from_claim(name: &'static str, text: &str) -> Result<Self, Rejection>;
}

/// A claim that has to be there.
pub(crate) fn required<T: FromClaim>(claims: &Object<'_>, name: &'static str) -> Result<T, Rejection> {
    optional(claims, name)?.ok_or(Rejection::MissingClaim(name))
}

/// A claim that may be absent; `null` is not absent.
pub(crate) fn optional<T: FromClaim>(
    claims: &Object<'_>,
    name: &'static str,
) -> Result<Option<T>, Rejection> {
    claims.get(name).map(|text| T::from_claim(name, text)).transpose()
}

fn read<'a, T: Deserialize<'a>>(name: &'static str, text: &'a str) -> Result<T, Rejection> {
    json::read(text).map_err(|_| Rejection::ClaimType(name))
}

impl FromClaim for String {
    fn from_claim(name: &'static str, text: &str) -> Result<Self, Rejection> {
        json::read_string(text).map(Cow::into_owned).map_err(|_| Rejection::ClaimType(name))
    }
}

/// The name of something: not empty, and without control characters or bidi controls, so that it can be shown
/// and compared.
#[derive(Clone, Debug, Eq, PartialEq, Ord, PartialOrd, Hash, Serialize)]
#[serde(transparent)]
pub struct Identifier(String);

/// The text is empty or has characters that do not belong into a name.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("empty, or with control characters")]
pub struct NotAnIdentifier;

impl Identifier {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Identifier {
    type Err = NotAnIdentifier;

    fn from_str(text: &str) -> Result<Self, NotAnIdentifier> {
        let is_plain = || text.bytes().all(|b| matches!(b, b' '..=b'~'));
        if text.is_empty() || (!is_plain() && text.chars().any(is_control)) {
            return Err(NotAnIdentifier);
        }
        Ok(Self(text.to_owned()))
    }
}

impl FromClaim for Identifier {
    fn from_claim(name: &'static str, text: &str) -> Result<Self, Rejection> {
        let text = json::read_string(text).map_err(|_| Rejection::ClaimType(name))?;
        if text.is_empty() {
            return Err(Rejection::ClaimType(name));
        }
        text.parse().map_err(|NotAnIdentifier| Rejection::ClaimCharacters(name))
    }
}

impl FromClaim for Vec<Identifier> {
    fn from_claim(name: &'static str, text: &str) -> Result<Self, Rejection> {
        json::read_strings(text)
            .map_err(|_| Rejection::ClaimType(name))?
            .iter()
            .map(|text| text.parse().map_err(|NotAnIdentifier| Rejection::ClaimCharacters(name)))
            .collect()
    }
}

/// Unicode's `Cc`, and the `Bidi_Control` property: UAX 9 section 2.
pub(crate) fn is_control(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Where a token may be used: one place or several. RFC 7519 section 4.1.3.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Audience(Vec<String>);

impl Audience {
    /// One place.
    #[must_use]
    pub fn one(place: impl Into<String>) -> Self {
        Self(vec![place.into()])
    }

    /// Several places.
    #[must_use]
    pub fn several(places: Vec<String>) -> Self {
        Self(places)
    }

    /// Whether this place is among them, character by character.
    #[must_use]
    pub fn contains(&self, place: &str) -> bool {
        self.0.iter().any(|own| own == place)
    }

    /// The places.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

impl Serialize for Audience {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.as_slice() {
            [place] => place.serialize(serializer),
            places => places.serialize(serializer),
        }
    }
}

impl FromClaim for Audience {
    fn from_claim(_: &'static str, text: &str) -> Result<Self, Rejection> {
        let places = match text.as_bytes() {
            [b'"', ..] => json::read_string(text).map(|place| vec![place.into_owned()]),
            _ => json::read(text),
        };
        places.map(Self).map_err(|_| Rejection::Audience)
    }
}

/// Seconds since 1970, fractions included, within the years 0 to 9999: RFC 7519 section 2.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct NumericDate(f64);

/// The number is no time between the years 0 and 9999.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a time between the years 0 and 9999")]
pub struct OutOfRange;

impl NumericDate {
    /// From seconds since 1970.
    ///
    /// # Errors
    /// [`OutOfRange`] outside the years 0 to 9999.
    pub fn from_seconds(seconds: f64) -> Result<Self, OutOfRange> {
        match seconds {
            FIRST_SECOND..END_OF_TIME => Ok(Self(seconds)),
            _ => Err(OutOfRange),
        }
    }

    /// Whether this is later than `time`. A fraction of a second counts.
    #[must_use]
    pub fn is_after(self, time: Timestamp) -> bool {
        self.0 > seconds(time)
    }

    /// The microsecond that this lies in.
    #[must_use]
    pub fn timestamp(self) -> Timestamp {
        #[expect(clippy::cast_possible_truncation, reason = "the product is below 2^58 in either direction")]
        // INVARIANT: held within the years 0 to 9999 by `from_seconds`.
        let micros = (self.0 * MICROS).floor() as i64;
        Timestamp::from_micros(micros)
    }
}

impl From<Timestamp> for NumericDate {
    /// The second that `time` lies in: what RFC 7519 asks for at the least, and what every reader
    /// understands.
    fn from(time: Timestamp) -> Self {
        Self(seconds(time.floor_to_second()))
    }
}

/// A double holds whole seconds exactly, and microseconds until the year 2255.
fn seconds(time: Timestamp) -> f64 {
    time.as_micros() as f64 / MICROS
}

impl Serialize for NumericDate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.fract() == 0.0 {
            self.timestamp().as_unix().serialize(serializer)
        } else {
            self.0.serialize(serializer)
        }
    }
}

impl FromClaim for NumericDate {
    fn from_claim(name: &'static str, text: &str) -> Result<Self, Rejection> {
        // A JSON number is a Rust number too, read here to the last bit; no other JSON value is.
        let seconds = text.parse().map_err(|_| Rejection::ClaimType(name))?;
        Self::from_seconds(seconds).map_err(|OutOfRange| Rejection::ClaimRange(name))
    }
}

impl FromClaim for ScopeSet {
    /// RFC 6749 section 3.3: one token at the least, where there is a scope at all.
    fn from_claim(name: &'static str, text: &str) -> Result<Self, Rejection> {
        let text = json::read_string(text).map_err(|_| Rejection::ClaimType(name))?;
        text.parse().ok().filter(|scope: &Self| !scope.is_empty()).ok_or(Rejection::Scope)
    }
}

/// Who acts for the subject, and for whom they act in turn: RFC 8693 section 4.1.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Actor {
    /// The one who acts. Nobody acts unnamed: the record would have nobody to name.
    pub sub: Identifier,
    /// Who vouches for that name, if not the issuer of the token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iss: Option<Identifier>,
    /// The client by which they act.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<Identifier>,
    /// Who acted before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub act: Option<Box<Actor>>,
}

impl FromClaim for Actor {
    fn from_claim(name: &'static str, text: &str) -> Result<Self, Rejection> {
        let actor: Object<'_> = read(name, text)?;
        Ok(Self {
            sub: required(&actor, "sub")?,
            iss: optional(&actor, "iss")?,
            client_id: optional(&actor, "client_id")?,
            act: optional::<Self>(&actor, "act")?.map(Box::new),
        })
    }
}

/// The key that a token is bound to: RFC 7800 section 3.1. With neither method that we know it is bound all
/// the same, to a key that nobody here can check.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Confirmation {
    /// Thumbprint of a DPoP key: RFC 9449 section 6.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jkt: Option<String>,
    /// Thumbprint of a client certificate: RFC 8705 section 3.1.
    #[serde(rename = "x5t#S256", skip_serializing_if = "Option::is_none")]
    pub x5t_s256: Option<String>,
}

impl Confirmation {
    /// The claim of a token that is bound to what its client proved when it was issued; `None` where that is
    /// nothing. Tokens of both kinds are bound by it: an access token says so itself, of a refresh token the store
    /// keeps it.
    #[must_use]
    pub fn to(key: Option<&Thumbprint>, certificate: Option<&Thumbprint>) -> Option<Self> {
        let text = |thumbprint: Option<&Thumbprint>| thumbprint.map(|own| own.as_str().to_owned());
        let cnf = Self { jkt: text(key), x5t_s256: text(certificate) };
        (key.is_some() || certificate.is_some()).then_some(cnf)
    }

    /// Whether this proves at least what `other` asks for: the same keys, in each way that `other` is bound in.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        let same = |own: &Option<String>, asked: &Option<String>| asked.is_none() || own == asked;
        same(&self.jkt, &other.jkt) && same(&self.x5t_s256, &other.x5t_s256)
    }
}

impl FromClaim for Confirmation {
    fn from_claim(name: &'static str, text: &str) -> Result<Self, Rejection> {
        let methods: Object<'_> = read(name, text)?;
        Ok(Self { jkt: optional(&methods, "jkt")?, x5t_s256: optional(&methods, "x5t#S256")? })
    }
}

impl FromClaim for Vec<Map<String, Value>> {
    fn from_claim(name: &'static str, text: &str) -> Result<Self, Rejection> {
        read(name, text)
    }
}

const MICROS: f64 = 1e6;

/// 0000-01-01T00:00:00Z.
const FIRST_SECOND: f64 = -62_167_219_200.0;

/// 10000-01-01T00:00:00Z.
const END_OF_TIME: f64 = 253_402_300_800.0;
