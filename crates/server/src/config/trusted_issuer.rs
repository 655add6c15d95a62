//! Identity providers whose access tokens are believed at routes beside our own.

use std::collections::BTreeMap;
use std::path::PathBuf;

use chartgate_access::ids::{Role, Subject};
use chartgate_protocol::jose::TokenType;
use chartgate_protocol::jose::foreign_token::{ClaimPath, ClaimPaths, Mapped, Names};
use http::Uri;

use super::route::upstream_url;
use super::section::{Reading, Section};

/// One of them.
#[derive(Clone, Debug)]
pub(crate) struct TrustedIssuer {
    /// `iss` of its tokens, character by character.
    pub(crate) issuer: String,
    pub(crate) keys: IssuerKeys,
    /// One of these has to stand in `aud`.
    pub(crate) audiences: Vec<String>,
    /// How its access tokens say what they are.
    pub(crate) token_type: TokenType,
    /// Where its claims are.
    pub(crate) claims: ClaimPaths,
    /// What its roles are called here.
    pub(crate) roles: Names,
    /// What its scopes are called here.
    pub(crate) scopes: Names,
    /// What its ways to sign in (`amr`) are called here: none that is not named.
    pub(crate) methods: Names,
    /// What its strengths of a sign-in (`acr`) are called here.
    pub(crate) strengths: Names,
    /// Where its assertions name people of ours, if it may speak for them (RFC 7523).
    pub(crate) jwt_bearer: Option<ClaimPath>,
}

/// Where its public keys are.
#[derive(Clone, Debug)]
pub(crate) enum IssuerKeys {
    /// Under an address, whose certificate this CA signs or the system's do.
    At { url: Uri, ca: Option<PathBuf> },
    /// In a file.
    In(PathBuf),
}

impl TrustedIssuer {
    /// Reads one `[[trusted_issuer]]`.
    pub(super) fn read(reading: &mut Reading<'_>, mut section: Section, ours: &str) -> Option<Self> {
        let line = section.line_of("issuer");
        let issuer = section.required_text(reading, "issuer").filter(|issuer| {
            let problem = match Subject::foreign(issuer, "x") {
                Err(_) => "has to be an https URL without a fragment, as `iss` of its tokens has it",
                Ok(_) if issuer == ours => "is ourselves",
                Ok(_) => return true,
            };
            reading.error(line, section.key("issuer"), problem);
            false
        });
        let keys = keys(reading, &mut section);
        let audiences = section.texts(reading, "audiences");
        if audiences.is_empty() {
            reading.error(section.line(), section.key("audiences"), "has to name at least one audience");
        }
        let token_type = token_type(reading, &mut section);
        let claims = section.table(reading, "claims");
        let claims = claim_paths(reading, claims, token_type);
        let roles = section.optional_table(reading, "roles").map(|table| {
            names(reading, table, |role| role.parse::<Role>().map(drop).map_err(|e| e.to_string()))
        });
        let scopes = section.optional_table(reading, "scopes").map(|table| names(reading, table, |_| Ok(())));
        let methods = section.table(reading, "amr");
        let methods = names(reading, methods, |_| Ok(()));
        let strengths = section.table(reading, "acr");
        let strengths = names(reading, strengths, |_| Ok(()));
        let jwt_bearer = section.optional_table(reading, "jwt_bearer").and_then(|mut table| {
            let user = table.required_text(reading, "user").and_then(|text| match text.parse() {
                Ok(path) => Some(path),
                Err(e) => {
                    reading.error(table.line(), table.key("user"), format!("`{text}`: {e}"));
                    None
                }
            });
            table.finish(reading);
            user
        });
        section.finish(reading);
        Some(Self {
            issuer: issuer?,
            keys: keys?,
            audiences,
            token_type,
            claims,
            roles: roles.unwrap_or_default(),
            scopes: scopes.unwrap_or_default(),
            methods,
            strengths,
            jwt_bearer,
        })
    }
}

/// Refuses what makes no sense together.
pub(super) fn check_together(reading: &mut Reading<'_>, all: &[TrustedIssuer]) {
    let mut names = std::collections::BTreeSet::new();
    for one in all {
        if !names.insert(&one.issuer) {
            reading.error(0, "[[trusted_issuer]]", format!("`{}` is named twice", one.issuer));
        }
    }
}

fn keys(reading: &mut Reading<'_>, section: &mut Section) -> Option<IssuerKeys> {
    let file = section.path(reading, "jwks_file");
    let ca = section.path(reading, "jwks_ca");
    let url = if section.has("jwks_url") { upstream_url(reading, "jwks_url", section) } else { None };
    match (url, file) {
        (Some(url), None) => Some(IssuerKeys::At { url, ca }),
        (None, Some(file)) => Some(IssuerKeys::In(file)),
        (Some(_), Some(_)) | (None, None) => {
            let problem = "needs one of jwks_url and jwks_file";
            reading.error(section.line(), section.key("jwks_url"), problem);
            None
        }
    }
}

fn token_type(reading: &mut Reading<'_>, section: &mut Section) -> TokenType {
    let line = section.line_of("typ");
    match section.text(reading, "typ").as_deref() {
        None | Some("at+jwt") => TokenType::AccessToken,
        Some("jwt") => TokenType::PlainJwt,
        Some(other) => {
            reading.error(line, section.key("typ"), format!("`{other}` is not one of at+jwt, jwt"));
            TokenType::AccessToken
        }
    }
}

fn claim_paths(reading: &mut Reading<'_>, mut section: Section, token_type: TokenType) -> ClaimPaths {
    let mut paths = ClaimPaths::new();
    for (name, mapped) in Mapped::ALL {
        let line = section.line_of(name);
        let Some(path) = section.parsed::<ClaimPath>(reading, name) else { continue };
        if token_type == TokenType::AccessToken && mapped.is_fixed_by_rfc_9068() {
            let problem = "stands where RFC 9068 says; only with typ = \"jwt\" may it stand elsewhere";
            reading.error(line, section.key(name), problem);
        }
        paths.insert(mapped, path);
    }
    section.finish(reading);
    paths
}

/// A table of names there and here.
fn names(
    reading: &mut Reading<'_>,
    mut section: Section,
    check: impl Fn(&str) -> Result<(), String>,
) -> Names {
    let mut called = BTreeMap::new();
    for theirs in section.keys() {
        let line = section.line_of(&theirs);
        let Some(ours) = section.text(reading, &theirs) else { continue };
        if let Err(problem) = check(&ours) {
            reading.error(line, section.key(&theirs), problem);
        }
        called.insert(theirs, ours);
    }
    Names::Called(called)
}
