//! Clients that register themselves.

use std::collections::BTreeSet;

use chartgate_access::ids::ClientId;
use chartgate_protocol::oauth::scope::ScopeSet;

use super::section::{Reading, Section};

/// Who may, and what they may have.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Registration {
    pub(crate) documents: DocumentHosts,
    /// The most that such clients may have.
    pub(crate) scope: ScopeSet,
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

impl Registration {
    /// Whether somebody with this address may be a client.
    pub(crate) fn admits(&self, id: &ClientId) -> bool {
        match (&self.documents, id.document_host()) {
            (DocumentHosts::None, _) | (_, None) => false,
            (DocumentHosts::Any, Some(_)) => true,
            (DocumentHosts::These(hosts), Some(host)) => hosts.contains(host),
        }
    }

    pub(super) fn read(reading: &mut Reading<'_>, mut section: Section) -> Self {
        let (line, key) = (section.line_of("documents"), section.key("documents"));
        let listed = section.texts(reading, "documents");
        for host in listed.iter().filter(|host| *host != "*" && !is_host(host)) {
            reading.error(
                line,
                key.clone(),
                format!("`{host}` is no host such as \"app.example.org\", and not \"*\""),
            );
        }
        let documents = if listed.is_empty() {
            DocumentHosts::None
        } else if listed.iter().any(|host| host == "*") {
            DocumentHosts::Any
        } else {
            DocumentHosts::These(listed.into_iter().collect())
        };
        let scope: ScopeSet = section.parsed(reading, "scope").unwrap_or_default();
        if documents != DocumentHosts::None && scope.is_empty() {
            let problem = "has to say what clients may have at the most that register themselves";
            reading.error(section.line(), section.key("scope"), problem);
        }
        section.finish(reading);
        Self { documents, scope }
    }
}

fn is_host(text: &str) -> bool {
    let address = format!("https://{text}/");
    address.parse::<ClientId>().is_ok_and(|id| id.document_host() == Some(text))
}
