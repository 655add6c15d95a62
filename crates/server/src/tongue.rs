//! The languages that pages speak, and what they say in them. RFC 9110 section 12.5.4, OpenID Connect Core section 3.1.2.1.
//!
//! Messages are Fluent's, in `locales`, one folder a language. They hold text alone: what is written into a page is escaped, and
//! what stands out in a sentence (a name, a time, a link) is marked by whoever gives it, never by a message.

use std::fmt;
use std::ops::RangeInclusive;
use std::sync::LazyLock;

use askama::filters::{Escaper as _, Html, HtmlSafe};
use chartgate_protocol::language::Languages;
use fluent_bundle::concurrent::FluentBundle;
use fluent_bundle::{FluentArgs, FluentResource, FluentValue};
use http::{HeaderMap, HeaderValue, header};

use crate::net::cookie;

/// A language that pages speak.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Tongue {
    #[default]
    English,
    Spanish,
}

/// All of them.
pub(crate) const ALL: [Tongue; 2] = [Tongue::English, Tongue::Spanish];
/// What they are called in `lang`, `ui_locales` and cookies.
pub(crate) const TAGS: [&str; 2] = ["en", "es"];
const OFFERED: [(&str, Tongue); 2] = [("en", Tongue::English), ("es", Tongue::Spanish)];

impl Tongue {
    /// The language of a browser: the one that its sign-in asked for, else the one that it says its person reads.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let asked = cookie::read(headers, cookie::LANGUAGE)
            .and_then(|tag| OFFERED.iter().find(|(own, _)| *own == tag))
            .map(|(_, tongue)| *tongue);
        asked.or_else(|| Self::best(&said(headers))).unwrap_or_default()
    }

    /// Whether a browser says that its person reads it, or says nothing.
    pub(crate) fn is_read(self, headers: &HeaderMap) -> bool {
        !headers.contains_key(header::ACCEPT_LANGUAGE) || said(headers).best(&[(self.tag(), ())]).is_some()
    }

    /// The best of these that there is.
    pub(crate) fn best(languages: &Languages) -> Option<Self> {
        languages.best(&OFFERED)
    }

    /// Its tag. RFC 5646.
    pub(crate) fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Spanish => "es",
        }
    }

    /// The same as a header.
    pub(crate) fn header(self) -> HeaderValue {
        HeaderValue::from_static(self.tag())
    }

    /// A message by its name.
    pub(crate) fn say(self, id: &'static str) -> Said {
        self.tell(Id::of(id))
    }

    /// What somebody else has the words for.
    pub(crate) fn tell(self, what: impl Tells) -> Said {
        Said { tongue: self, words: what.words() }
    }

    fn bundle(self) -> &'static FluentBundle<FluentResource> {
        match self {
            Self::English => &ENGLISH,
            Self::Spanish => &SPANISH,
        }
    }

    /// A message with a sign in the place of each thing that is given with it.
    fn format(self, words: &Words) -> String {
        let mut args = FluentArgs::new();
        for (given, sign) in words.given.iter().zip(SIGNS) {
            let value = match &given.what {
                What::Number(number) => FluentValue::from(*number),
                What::Choice(choice) => FluentValue::from(*choice),
                What::Text(_) | What::Strong(_) | What::Code(_) | What::Time { .. } | What::Link { .. } => {
                    FluentValue::from(sign.to_string())
                }
            };
            args.set(given.name, value);
        }
        // INVARIANT: each language has each message, with these variables: that is tested.
        let message = |tongue: Self| tongue.bundle().get_message(words.id.0).and_then(|found| found.value());
        let Some(pattern) = message(self) else { return words.id.0.to_owned() };
        self.bundle().format_pattern(pattern, Some(&args), &mut Vec::new()).into_owned()
    }
}

/// What a browser says that its person reads. What cannot be read says nothing.
fn said(headers: &HeaderMap) -> Languages {
    let said: Vec<&str> =
        headers.get_all(header::ACCEPT_LANGUAGE).iter().filter_map(|value| value.to_str().ok()).collect();
    Languages::accepted(&said.join(",")).unwrap_or_default()
}

/// The name of a message that needs nothing with it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Id(&'static str);

impl Id {
    pub(crate) const fn of(name: &'static str) -> Self {
        Self(name)
    }
}

/// What is to be said, whatever the language.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Words {
    id: Id,
    given: Vec<Given>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
struct Given {
    name: &'static str,
    what: What,
}

/// What is given with a message, and how it stands out.
#[derive(Clone, Debug, Eq, PartialEq)]
enum What {
    Text(String),
    Number(u64),
    /// One of those that the message tells apart.
    Choice(&'static str),
    Strong(String),
    Code(String),
    Time {
        at: String,
        shown: String,
    },
    Link {
        to: String,
        text: String,
    },
}

impl Words {
    pub(crate) fn of(name: &'static str) -> Self {
        Self { id: Id::of(name), given: Vec::new() }
    }

    /// With this in it.
    pub(crate) fn with(self, name: &'static str, text: impl fmt::Display) -> Self {
        self.given(name, What::Text(text.to_string()))
    }

    /// With a number, which words may have to agree with.
    pub(crate) fn number(self, name: &'static str, number: impl Into<u64>) -> Self {
        self.given(name, What::Number(number.into()))
    }

    fn given(mut self, name: &'static str, what: What) -> Self {
        self.given.push(Given { name, what });
        self
    }
}

/// Whatever has words for people.
pub(crate) trait Tells {
    fn words(&self) -> Words;
}

impl Tells for Id {
    fn words(&self) -> Words {
        Words { id: *self, given: Vec::new() }
    }
}

impl Tells for Words {
    fn words(&self) -> Words {
        self.clone()
    }
}

impl<T: Tells> Tells for &T {
    fn words(&self) -> Words {
        (**self).words()
    }
}

/// Words in a language. Written out, it is HTML.
#[derive(Clone, Debug)]
pub(crate) struct Said {
    tongue: Tongue,
    words: Words,
}

impl HtmlSafe for Said {}

impl From<Said> for String {
    fn from(said: Said) -> Self {
        said.plain()
    }
}

impl Said {
    /// With this in it.
    pub(crate) fn with(self, name: &'static str, text: impl fmt::Display) -> Self {
        self.given(name, What::Text(text.to_string()))
    }

    /// With a number, which words may have to agree with.
    pub(crate) fn number(self, name: &'static str, number: &u64) -> Self {
        self.given(name, What::Number(*number))
    }

    /// With one of those that the message tells apart.
    pub(crate) fn choose(self, name: &'static str, choice: &&'static str) -> Self {
        self.given(name, What::Choice(choice))
    }

    /// With something that stands out.
    pub(crate) fn strong(self, name: &'static str, text: impl fmt::Display) -> Self {
        self.given(name, What::Strong(text.to_string()))
    }

    /// With something that is typed as it stands.
    pub(crate) fn code(self, name: &'static str, text: impl fmt::Display) -> Self {
        self.given(name, What::Code(text.to_string()))
    }

    /// With a time, for machines and for people.
    pub(crate) fn time(self, name: &'static str, at: impl fmt::Display, shown: impl fmt::Display) -> Self {
        self.given(name, What::Time { at: at.to_string(), shown: shown.to_string() })
    }

    /// With a link.
    pub(crate) fn link(self, name: &'static str, to: impl fmt::Display, text: impl Into<String>) -> Self {
        self.given(name, What::Link { to: to.to_string(), text: text.into() })
    }

    fn given(self, name: &'static str, what: What) -> Self {
        Self { words: self.words.given(name, what), ..self }
    }

    /// As text, without what makes anything stand out.
    pub(crate) fn plain(&self) -> String {
        self.parts(|part, out: &mut String| match part {
            Part::Letter(letter) => out.push(letter),
            Part::Given(What::Number(number)) => out.push_str(&number.to_string()),
            Part::Given(What::Choice(choice)) => out.push_str(choice),
            Part::Given(
                What::Text(text)
                | What::Strong(text)
                | What::Code(text)
                | What::Time { shown: text, .. }
                | What::Link { text, .. },
            ) => out.push_str(text),
        })
    }

    fn parts<T: Default>(&self, mut take: impl FnMut(Part<'_>, &mut T)) -> T {
        let mut out = T::default();
        for letter in self.tongue.format(&self.words).chars() {
            let given = SIGNS
                .into_iter()
                .position(|sign| sign == letter)
                .and_then(|place| self.words.given.get(place));
            take(given.map_or(Part::Letter(letter), |given| Part::Given(&given.what)), &mut out);
        }
        out
    }
}

/// What a message consists of once it is said.
#[derive(Clone, Copy)]
enum Part<'a> {
    Letter(char),
    Given(&'a What),
}

/// What stands in a message for what is given with it, the first for the first: for private use, and in no message itself.
const SIGNS: RangeInclusive<char> = '\u{e000}'..='\u{e00f}';

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let html: String = self.parts(|part, out: &mut String| {
            // INVARIANT: a string takes whatever is written to it.
            let _ = write_html(part, out);
        });
        f.write_str(&html)
    }
}

fn write_html(part: Part<'_>, out: &mut String) -> fmt::Result {
    let mut within = |before: &str, text: &str, after: &str| {
        out.push_str(before);
        Html.write_escaped_str(&mut *out, text)?;
        out.push_str(after);
        Ok(())
    };
    match part {
        Part::Letter(letter) => within("", letter.encode_utf8(&mut [0; 4]), ""),
        Part::Given(What::Text(text)) => within("", text, ""),
        Part::Given(What::Choice(choice)) => within("", choice, ""),
        Part::Given(What::Number(number)) => within("", &number.to_string(), ""),
        Part::Given(What::Strong(text)) => within("<strong>", text, "</strong>"),
        Part::Given(What::Code(text)) => within("<code>", text, "</code>"),
        Part::Given(What::Time { at, shown }) => {
            within("<time datetime=\"", at, "\">")?;
            within("", shown, "</time>")
        }
        Part::Given(What::Link { to, text }) => {
            within("<a href=\"", to, "\">")?;
            within("", text, "</a>")
        }
    }
}

static ENGLISH: LazyLock<FluentBundle<FluentResource>> =
    LazyLock::new(|| bundle(Tongue::English, &texts::ENGLISH));
static SPANISH: LazyLock<FluentBundle<FluentResource>> =
    LazyLock::new(|| bundle(Tongue::Spanish, &texts::SPANISH));

/// Reads all messages, so that no visitor waits for it.
pub(crate) fn prepare() {
    LazyLock::force(&ENGLISH);
    LazyLock::force(&SPANISH);
}

fn bundle(tongue: Tongue, texts: &[&str]) -> FluentBundle<FluentResource> {
    let mut bundle = FluentBundle::new_concurrent(vec![tongue.tag().parse().unwrap_or_default()]);
    // What is shown is compared and copied: no marks that nobody sees.
    bundle.set_use_isolating(false);
    for text in texts {
        // INVARIANT: these are our own files, which parse and clash nowhere: that is tested.
        let (Ok(resource) | Err((resource, _))) = FluentResource::try_new((*text).to_owned());
        let _ = bundle.add_resource(resource);
    }
    bundle
}

/// The messages, a file for each room.
mod texts {
    pub(super) const ENGLISH: [&str; 6] = [
        include_str!("../locales/en/frame.ftl"),
        include_str!("../locales/en/sign-in.ftl"),
        include_str!("../locales/en/access.ftl"),
        include_str!("../locales/en/account.ftl"),
        include_str!("../locales/en/approvals.ftl"),
        include_str!("../locales/en/mail.ftl"),
    ];
    pub(super) const SPANISH: [&str; 6] = [
        include_str!("../locales/es/frame.ftl"),
        include_str!("../locales/es/sign-in.ftl"),
        include_str!("../locales/es/access.ftl"),
        include_str!("../locales/es/account.ftl"),
        include_str!("../locales/es/approvals.ftl"),
        include_str!("../locales/es/mail.ftl"),
    ];
}

#[cfg(test)]
mod tests;
