//! Clients that register themselves.

use std::collections::BTreeSet;
use std::time::Duration;

use chartgate_access::client::{AuthMethod, GrantType};
use chartgate_access::ids::ClientId;
use chartgate_access::profile::Profile;
use chartgate_protocol::oauth::redirect::RedirectUri;
use chartgate_protocol::oauth::scope::ScopeSet;

use super::section::{Reading, Section};
use crate::registration::policy::{Policy, RedirectHost};

/// Who may, and what they may have.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Registration {
    pub(crate) documents: DocumentHosts,
    pub(crate) dynamic: Dynamic,
    /// The most that such clients may have.
    pub(crate) scope: ScopeSet,
    /// Where browsers may be sent for them; nothing: nobody said.
    redirect_hosts: BTreeSet<RedirectHost>,
    /// Which grants those may use that register as anybody can.
    grants: BTreeSet<GrantType>,
    /// By whose rules they have to go.
    profile: Profile,
    /// So many registrations an hour from one address, of those that anybody can make.
    pub(crate) per_hour: u32,
    /// So many of them that were never used, at the most.
    pub(crate) max_unused: usize,
    /// How long one of them stays that is not used.
    pub(crate) unused_ttl: Duration,
}

/// Whose metadata documents are believed.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) enum DocumentHosts {
    /// Nobody's.
    #[default]
    None,
    /// Those of these hosts, each with its port if it has one.
    These(BTreeSet<String>),
    /// Everybody's.
    Any,
}

/// Who may register dynamically. RFC 7591 section 3.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Dynamic {
    /// Nobody.
    #[default]
    Off,
    /// Who has an invitation: an initial access token.
    Invited,
    /// Anybody; who has an invitation, by that.
    Open,
}

impl Registration {
    /// Whether somebody with this address may be a client.
    pub(crate) fn admits(&self, id: &ClientId) -> bool {
        match (&self.documents, id.document_host()) {
            (DocumentHosts::None, _) | (_, None) => false,
            (DocumentHosts::Any, Some(_)) => true,
            (DocumentHosts::These(hosts), Some(host)) => hosts.contains(host),
        }
    }

    /// Whether a page of this origin may register clients: one to which browsers may be sent for such clients. So a page
    /// from elsewhere makes no browser that can reach us register something, where the network is all that keeps others out.
    pub(crate) fn admits_origin(&self, origin: &str) -> bool {
        let page = || format!("{origin}/").parse::<RedirectUri>().ok();
        match self.dynamic {
            Dynamic::Off => false,
            Dynamic::Invited | Dynamic::Open => page().is_some_and(|page| {
                page.origin().as_deref() == Some(origin)
                    && self.redirect_hosts().iter().any(|host| host.admits(&page))
            }),
        }
    }

    /// What a document may make of a client.
    pub(crate) fn of_documents(&self) -> Policy {
        Policy { grant_types: BTreeSet::from(CODE_AND_REFRESH), ..self.of_anybody() }
    }

    /// What anybody may make of themselves: nothing that has a secret, or acts without a person.
    pub(crate) fn of_anybody(&self) -> Policy {
        Policy {
            scope: self.scope.clone(),
            redirect_hosts: self.redirect_hosts(),
            grant_types: self.grants.clone(),
            auth_methods: BTreeSet::from([AuthMethod::None, AuthMethod::PrivateKeyJwt]),
            audience: None,
            profile: self.profile,
        }
    }

    /// What an invitation lets its bearer be, where it does not say it.
    pub(crate) fn of_invited(&self) -> Policy {
        let methods = [
            AuthMethod::None,
            AuthMethod::ClientSecretBasic,
            AuthMethod::ClientSecretPost,
            AuthMethod::PrivateKeyJwt,
        ];
        Policy {
            grant_types: BTreeSet::from(CODE_AND_REFRESH),
            auth_methods: BTreeSet::from(methods),
            ..self.of_anybody()
        }
    }

    fn redirect_hosts(&self) -> BTreeSet<RedirectHost> {
        if self.redirect_hosts.is_empty() {
            return BTreeSet::from([RedirectHost::Any]);
        }
        self.redirect_hosts.clone()
    }

    pub(super) fn read(reading: &mut Reading<'_>, mut section: Section) -> Self {
        let documents = documents(reading, &mut section);
        let dynamic = dynamic(reading, &mut section);
        let redirect_hosts = redirect_hosts(reading, &mut section);
        let grants = grants(reading, &mut section);
        let profile = section.parsed(reading, "profile").unwrap_or_default();
        let scope: ScopeSet = section.parsed(reading, "scope").unwrap_or_default();
        let per_hour = section.number(reading, "per_hour", 20, 1..=100_000);
        let max_unused = section.number(reading, "max_unused", 1000, 1..=1_000_000);
        let unused_ttl =
            section.duration(reading, "unused_ttl", DAY, Duration::from_secs(3600)..=DAY.saturating_mul(365));
        if (documents != DocumentHosts::None || dynamic == Dynamic::Open) && scope.is_empty() {
            let problem = "has to say what clients may have at the most that register themselves";
            reading.error(section.line(), section.key("scope"), problem);
        }
        if dynamic == Dynamic::Open && redirect_hosts.is_empty() {
            let problem = "has to say where anybody may have browsers sent: hosts, \"loopback\", or \"*\"";
            reading.error(section.line(), section.key("redirect_hosts"), problem);
        }
        section.finish(reading);
        let per_hour = u32::try_from(per_hour).unwrap_or(u32::MAX);
        Self { documents, dynamic, scope, redirect_hosts, grants, profile, per_hour, max_unused, unused_ttl }
    }
}

fn documents(reading: &mut Reading<'_>, section: &mut Section) -> DocumentHosts {
    let (line, key) = (section.line_of("documents"), section.key("documents"));
    let listed = section.texts(reading, "documents");
    for host in listed.iter().filter(|host| *host != "*" && !is_host(host)) {
        reading.error(
            line,
            key.clone(),
            format!("`{host}` is no host such as \"app.example.org\", and not \"*\""),
        );
    }
    if listed.is_empty() {
        DocumentHosts::None
    } else if listed.iter().any(|host| host == "*") {
        DocumentHosts::Any
    } else {
        DocumentHosts::These(listed.into_iter().collect())
    }
}

fn dynamic(reading: &mut Reading<'_>, section: &mut Section) -> Dynamic {
    let line = section.line_of("dynamic");
    match section.text(reading, "dynamic").as_deref() {
        None | Some("off") => Dynamic::Off,
        Some("invited") => Dynamic::Invited,
        Some("open") => Dynamic::Open,
        Some(other) => {
            let problem = format!("`{other}` is not \"off\", \"invited\" or \"open\"");
            reading.error(line, section.key("dynamic"), problem);
            Dynamic::Off
        }
    }
}

fn redirect_hosts(reading: &mut Reading<'_>, section: &mut Section) -> BTreeSet<RedirectHost> {
    let (line, key) = (section.line_of("redirect_hosts"), section.key("redirect_hosts"));
    let mut hosts = BTreeSet::new();
    for text in section.texts(reading, "redirect_hosts") {
        match text.parse() {
            Ok(host) => {
                hosts.insert(host);
            }
            Err(error) => reading.error(line, key.clone(), format!("{error}")),
        }
    }
    hosts
}

/// Grants that need a person: whoever acts without one is registered by somebody, or invited.
fn grants(reading: &mut Reading<'_>, section: &mut Section) -> BTreeSet<GrantType> {
    let (line, key) = (section.line_of("grants"), section.key("grants"));
    let mut grants = BTreeSet::new();
    for text in section.texts(reading, "grants") {
        match text.parse() {
            Ok(grant @ (GrantType::AuthorizationCode | GrantType::RefreshToken | GrantType::DeviceCode)) => {
                grants.insert(grant);
            }
            Ok(other) => {
                let problem = format!("`{other}` is not for clients that anybody can register");
                reading.error(line, key.clone(), problem);
            }
            Err(error) => reading.error(line, key.clone(), format!("{error}")),
        }
    }
    if grants.is_empty() { BTreeSet::from(CODE_AND_REFRESH) } else { grants }
}

fn is_host(text: &str) -> bool {
    let address = format!("https://{text}/");
    address.parse::<ClientId>().is_ok_and(|id| id.document_host() == Some(text))
}

const CODE_AND_REFRESH: [GrantType; 2] = [GrantType::AuthorizationCode, GrantType::RefreshToken];
const DAY: Duration = Duration::from_secs(24 * 3600);
