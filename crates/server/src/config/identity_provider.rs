//! Identity providers at which people may sign in here.

use std::collections::BTreeSet;
use std::path::PathBuf;

use chartgate_access::login::provider::{Groups, Newcomers, TwoFactorsThere};
use chartgate_protocol::jose::foreign_token::ClaimPath;
use chartgate_protocol::oauth::https_uri::HttpsUri;
use chartgate_values::Secret;

use super::section::{Reading, Section};

/// One of them.
#[derive(Debug)]
pub(crate) struct IdentityProvider {
    /// Its name in addresses of ours and in the log.
    pub(crate) name: String,
    /// What people call it.
    pub(crate) title: String,
    /// `iss` of its tokens, character by character; its metadata lies below.
    pub(crate) issuer: HttpsUri,
    /// Who signs its certificate, if not one of the system's.
    pub(crate) ca: Option<PathBuf>,
    /// What we are called there.
    pub(crate) client_id: String,
    pub(crate) client_secret: Secret<String>,
    /// What we ask for, `openid` among it.
    pub(crate) scopes: Vec<String>,
    pub(crate) two_factors: TwoFactorsThere,
    /// Where its groups are and what they are here, if it says who has which role.
    pub(crate) groups: Option<(ClaimPath, Groups)>,
    pub(crate) newcomers: Newcomers,
    /// Where the names of those are who are added.
    pub(crate) names: ClaimPath,
    pub(crate) sign_out: SignOutThere,
}

/// Whether people who sign out here sign out there too.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum SignOutThere {
    /// They do: a screen may be anybody's next, and what is left open there opens this again by one click.
    #[default]
    Always,
    /// They are asked.
    Offered,
    Never,
}

impl IdentityProvider {
    /// Reads one `[[identity_provider]]`.
    pub(super) fn read(reading: &mut Reading<'_>, mut section: Section, ours: &str) -> Option<Self> {
        let name = section.plain_name(reading, "name");
        let title = section.text(reading, "title").or_else(|| name.clone());
        let (line, key) = (section.line_of("issuer"), section.key("issuer"));
        if !section.has("issuer") {
            reading.error(section.line(), &key, "is missing");
        }
        let issuer = section.parsed::<HttpsUri>(reading, "issuer");
        if issuer.as_ref().is_some_and(|issuer| issuer.as_str() == ours) {
            reading.error(line, &key, "is ourselves");
        }
        let ca = section.path(reading, "ca");
        let client_id = section.required_text(reading, "client_id");
        if !section.has("client_secret") {
            reading.error(section.line(), section.key("client_secret"), "is missing");
        }
        let client_secret = section.secret(reading, "client_secret");
        let mut scopes = section.texts(reading, "scopes");
        if !scopes.iter().any(|scope| scope == "openid") {
            scopes.insert(0, "openid".to_owned());
        }
        let two_factors = section.optional_table(reading, "two_factors").map(|mut table| {
            let acr = table.texts(reading, "acr").into_iter().collect();
            let amr = table.texts(reading, "amr").into_iter().collect();
            table.finish(reading);
            TwoFactorsThere { acr, amr }
        });
        let groups = groups(reading, &mut section);
        let newcomers = section.choice(reading, "add_newcomers", [Newcomers::Refused, Newcomers::Added]);
        let names = section.parsed(reading, "names");
        let sign_out = sign_out(reading, &mut section);
        section.finish(reading);
        Some(Self {
            name: name?,
            title: title?,
            issuer: issuer?,
            ca,
            client_id: client_id?,
            client_secret: client_secret?,
            scopes,
            two_factors: two_factors.unwrap_or_default(),
            groups,
            newcomers,
            names: names.or_else(|| "preferred_username".parse().ok())?,
            sign_out,
        })
    }
}

fn sign_out(reading: &mut Reading<'_>, section: &mut Section) -> SignOutThere {
    let line = section.line_of("sign_out");
    match section.text(reading, "sign_out").as_deref() {
        None | Some("always") => SignOutThere::Always,
        Some("offered") => SignOutThere::Offered,
        Some("never") => SignOutThere::Never,
        Some(other) => {
            let problem = format!("`{other}` is not one of always, offered, never");
            reading.error(line, section.key("sign_out"), problem);
            SignOutThere::default()
        }
    }
}

/// Where groups are, and which roles they are.
fn groups(reading: &mut Reading<'_>, section: &mut Section) -> Option<(ClaimPath, Groups)> {
    let (line, key) = (section.line_of("groups"), section.key("groups"));
    let path = section.parsed(reading, "groups");
    let table = section.optional_table(reading, "roles");
    match (path, table) {
        (None, None) => None,
        (Some(path), Some(mut table)) => {
            let mut roles = Groups::new();
            for group in table.keys() {
                let Some(role) = table.parsed(reading, &group) else { continue };
                roles.insert(group, role);
            }
            Some((path, roles))
        }
        (Some(_), None) | (None, Some(_)) => {
            reading.error(line, key, "`groups` and `roles` go together");
            None
        }
    }
}

/// Refuses what makes no sense together.
pub(super) fn check_together(reading: &mut Reading<'_>, all: &[IdentityProvider]) {
    let (mut names, mut issuers) = (BTreeSet::new(), BTreeSet::new());
    for one in all {
        if !names.insert(one.name.as_str()) || !issuers.insert(one.issuer.as_str()) {
            reading.error(0, "[[identity_provider]]", format!("`{}` is named twice", one.name));
        }
    }
}
