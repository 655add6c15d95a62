//! Routes: what stands behind the gateway.

use std::path::PathBuf;
use std::time::Duration;

use chartgate_access::ids::Role;
use chartgate_access::login::assurance::Offered;
use chartgate_protocol::fhir::content::MediaType;
use chartgate_protocol::fhir::version::FhirVersion;
use chartgate_protocol::oauth::scope::ScopeSet;
use http::{Method, Uri};

use super::care::CareFrom;
use super::consent::ConsentCheck;
use super::minors::MinorLabels;
use super::operation::Operation;
use super::section::{Reading, Section};
use super::upstream_auth::UpstreamAuth;

/// Something behind the gateway.
#[derive(Debug)]
pub(crate) struct Route {
    /// For records and messages; unique.
    pub(crate) name: String,
    /// What kind of traffic.
    pub(crate) kind: RouteKind,
    /// The prefix of its paths, without a slash at the end.
    pub(crate) path: String,
    /// The base of the upstream's paths, without a slash at the end.
    pub(crate) upstream: Uri,
    /// The CA that signs the upstream's certificate, in place of the system's.
    pub(crate) upstream_ca: Option<PathBuf>,
    /// What the upstream gets in place of the caller's token.
    pub(crate) upstream_auth: UpstreamAuth,
    /// The audience that tokens must have.
    pub(crate) audience: String,
    /// What tokens for it look like.
    pub(crate) tokens: TokenForm,
    /// How a person has to have signed in.
    pub(crate) sign_in: SignInDemand,
    /// The longest answer that is taken from the upstream, in bytes.
    pub(crate) max_answer: u64,
    /// The longest request body, in bytes.
    pub(crate) max_body: u64,
}

/// How a person has to have signed in for a token of theirs to be good at a route. RFC 9470.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct SignInDemand {
    /// At most so long ago.
    pub(crate) max_age: Option<Duration>,
    /// In one of these ways (`acr`), if any are listed.
    pub(crate) acr_values: Vec<String>,
}

/// What kind of traffic a route carries.
#[derive(Debug)]
pub(crate) enum RouteKind {
    /// FHIR's REST.
    Fhir {
        /// Of which version.
        version: FhirVersion,
        /// Whether PUT may create.
        update_create: UpdateCreate,
        /// As which media types the content of a Binary leaves by itself.
        content_types: Vec<String>,
        /// From what it is known who is in whose care.
        care: Box<CareFrom>,
        /// What becomes of bulk exports.
        exports: Exports,
        /// Which operations there are besides.
        operations: Vec<Operation>,
        /// Whether what patients have forbidden is looked at.
        consent: ConsentCheck,
        /// Whether records of minors are labelled.
        minors: MinorLabels,
    },
    /// Plain HTTP, by rules.
    Http {
        /// What is allowed; everything else is not.
        allow: Vec<HttpRule>,
    },
}

/// What tokens for a route look like; there is no either.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum TokenForm {
    /// Signed: whoever holds one reads it.
    Signed,
    /// Signed, and encrypted to us.
    Encrypted,
}

/// What becomes of bulk exports.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Exports {
    /// So many of one client run at once; none means that there are no exports.
    pub(crate) at_once: usize,
    /// How long one is kept.
    pub(crate) life: Duration,
    /// The longest file that is taken from the upstream, in bytes.
    pub(crate) longest_file: u64,
}

/// Whether PUT to an id that does not exist creates it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum UpdateCreate {
    /// It does not.
    Off,
    /// It does, for other than patient-scoped tokens.
    On,
}

/// A rule of an `http` route.
#[derive(Clone, Debug)]
pub(crate) struct HttpRule {
    /// Which methods.
    pub(crate) methods: Vec<Method>,
    /// Which path, the route's in front: literal segments and `{name}` for one segment.
    pub(crate) path: String,
    /// The scope that the token must have.
    pub(crate) scope: Option<String>,
    /// One of these roles, if any are listed.
    pub(crate) roles: Vec<Role>,
    /// Whose yes each request takes, of one of these roles, if any are listed.
    pub(crate) approved_by: Vec<Role>,
    /// What agents that act for a person need.
    pub(crate) agents: Agents,
}

/// What an agent that acts for a person needs besides what the person does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Agents {
    /// Nothing.
    Act,
    /// Their yes to each request.
    Ask,
}

const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);
const WEEK: Duration = Duration::from_hours(7 * 24);
const EXPORTS: usize = 2;
const LONGEST_FILE: u64 = 1 << 30;
const MAX_ANSWER: u64 = 64 << 20;
const MAX_BODY: u64 = 8 << 20;
const CONTENT_TYPES: [&str; 12] = [
    "application/dicom",
    "application/hl7-cda+xml",
    "application/hl7-v3+xml",
    "application/octet-stream",
    "application/pdf",
    "application/rtf",
    "application/xml",
    "image/jpeg",
    "image/png",
    "image/tiff",
    "text/plain",
    "text/xml",
];

impl Route {
    /// Whether FHIR scopes mean something here.
    pub(crate) fn is_fhir(&self) -> bool {
        matches!(self.kind, RouteKind::Fhir { .. })
    }

    /// Reads one `[[route]]`.
    pub(crate) fn read(
        reading: &mut Reading<'_>,
        mut section: Section,
        issuer: &str,
        offered: Offered,
    ) -> Option<Self> {
        let name = section.required_text(reading, "name");
        let line = section.line_of("path");
        let path = section.required_text(reading, "path").and_then(|path| {
            let plain = path.starts_with('/')
                && !path.ends_with('/')
                && path.split('/').skip(1).all(|part| {
                    !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
                });
            if plain {
                return Some(path);
            }
            let problem =
                format!("`{path}` has to start with a slash and have plain parts, such as \"/fhir\"");
            reading.error(line, section.key("path"), problem);
            None
        });
        let upstream = upstream_url(reading, "upstream", &mut section);
        let audience = section.text(reading, "audience");
        let upstream_auth = UpstreamAuth::read(reading, &mut section);
        let upstream_ca = section.path(reading, "upstream_ca");
        let forms = [TokenForm::Signed, TokenForm::Encrypted];
        let tokens = section.choice(reading, "encrypted_tokens", forms);
        let max_body = section.size(reading, "max_body", MAX_BODY);
        let kind_line = section.line_of("kind");
        let kind = match section.required_text(reading, "kind").as_deref() {
            Some("fhir") => {
                let version = fhir_version(reading, &mut section);
                let choices = [UpdateCreate::Off, UpdateCreate::On];
                let update_create = section.choice(reading, "update_create", choices);
                let content_types = content_types(reading, &mut section);
                let exports = Exports {
                    at_once: section.number(reading, "exports", EXPORTS, 0..=100),
                    life: section.duration(reading, "export_life", DAY, HOUR..=WEEK),
                    longest_file: section.size(reading, "max_export_file", LONGEST_FILE),
                };
                let care = Box::new(CareFrom::read(reading, &mut section));
                let consent = ConsentCheck::read(reading, &mut section);
                let minors = MinorLabels::read(reading, &mut section);
                let operations = Operation::read_all(reading, &mut section);
                Some(RouteKind::Fhir {
                    version,
                    update_create,
                    content_types,
                    care,
                    consent,
                    minors,
                    exports,
                    operations,
                })
            }
            Some("http") => {
                let rules = section.tables(reading, "allow").into_iter();
                let below = path.as_deref();
                Some(RouteKind::Http {
                    allow: rules.filter_map(|rule| http_rule(reading, rule, below, offered)).collect(),
                })
            }
            Some("mcp") => {
                reading.error(kind_line, section.key("kind"), "`mcp` is not built yet");
                None
            }
            Some(other) => {
                let problem = format!("`{other}` is not one of fhir, http, mcp");
                reading.error(kind_line, section.key("kind"), problem);
                None
            }
            None => None,
        };
        let longest = match kind {
            // What is long is handed on as it comes.
            Some(RouteKind::Http { .. }) => u64::MAX,
            Some(RouteKind::Fhir { .. }) | None => MAX_ANSWER,
        };
        let sign_in = SignInDemand {
            max_age: section.optional_duration(reading, "max_auth_age", MINUTE..=DAY),
            acr_values: section.texts(reading, "acr_values"),
        };
        let max_answer = section.size(reading, "max_answer", longest);
        section.finish(reading);
        let path = path?;
        Some(Self {
            name: name?,
            kind: kind?,
            audience: audience.unwrap_or_else(|| format!("{issuer}{path}")),
            path,
            upstream: upstream?,
            upstream_ca,
            upstream_auth,
            tokens,
            sign_in,
            max_answer,
            max_body,
        })
    }
}

/// Which FHIR the server behind speaks. It is not asked: a table has to be there before the first request.
fn fhir_version(reading: &mut Reading<'_>, section: &mut Section) -> FhirVersion {
    let line = section.line_of("fhir_version");
    let Some(text) = section.text(reading, "fhir_version") else { return FhirVersion::default() };
    text.parse().unwrap_or_else(|e| {
        reading.error(line, section.key("fhir_version"), format!("`{text}` is {e}"));
        FhirVersion::default()
    })
}

/// As which media types content leaves by itself, and not within a resource.
fn content_types(reading: &mut Reading<'_>, section: &mut Section) -> Vec<String> {
    if !section.has("content_types") {
        return CONTENT_TYPES.map(str::to_owned).into();
    }
    let line = section.line_of("content_types");
    let listed = section.texts(reading, "content_types");
    for text in &listed {
        let name = MediaType::of(text).filter(|read| read.name() == text);
        let problem = match name {
            None => "is no media type in lower case, such as \"application/pdf\"",
            // What a browser would run.
            Some(read) if read.is_active() => {
                "is one that browsers run; such content leaves within its resource alone"
            }
            Some(_) => continue,
        };
        reading.error(line, section.key("content_types"), format!("`{text}` {problem}"));
    }
    listed
}

/// A URL that we call: over TLS, or on this machine.
pub(super) fn upstream_url(reading: &mut Reading<'_>, name: &str, section: &mut Section) -> Option<Uri> {
    let line = section.line_of(name);
    let text = section.required_text(reading, name)?;
    let key = section.key(name);
    let uri: Uri = match text.trim_end_matches('/').parse() {
        Ok(uri) => uri,
        Err(e) => {
            reading.error(line, key, format!("`{text}`: {e}"));
            return None;
        }
    };
    let loopback = matches!(uri.host(), Some("127.0.0.1" | "[::1]" | "localhost"));
    match uri.scheme_str() {
        _ if uri.query().is_some() => reading.error(line, key, "has a query; it has to be a plain URL"),
        _ if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) => {
            reading.error(line, key, "has a name in front of its host; credentials belong into `upstream_auth`");
        }
        Some("https") => return Some(uri),
        Some("http") if loopback => return Some(uri),
        Some("http") => reading.error(
            line,
            key,
            "is plain http to another machine: patient records and secrets would travel unencrypted; use https",
        ),
        Some(_) | None => reading.error(line, key, format!("`{text}` has to be an https URL")),
    }
    None
}

/// Whether a rule's path can match anything below a route's: segment by segment, where `{…}` is any, and what is escaped may be
/// what it reads as.
fn may_be_within(path: &str, route: &str) -> bool {
    let is_any = |segment: &str| segment.starts_with('{') && segment.ends_with('}');
    let mut segments = path.split('/');
    route.split('/').all(|wanted| {
        segments.next().is_some_and(|segment| segment == wanted || is_any(segment) || segment.contains('%'))
    })
}

/// Reads one `[[route.allow]]` of a route with this path, if that is known.
fn http_rule(
    reading: &mut Reading<'_>,
    mut section: Section,
    route: Option<&str>,
    offered: Offered,
) -> Option<HttpRule> {
    let line = section.line_of("methods");
    let mut methods = Vec::new();
    for name in section.texts(reading, "methods") {
        match Method::from_bytes(name.as_bytes()) {
            Ok(method) if name.bytes().all(|b| b.is_ascii_uppercase()) => methods.push(method),
            Ok(_) | Err(_) => {
                reading.error(line, section.key("methods"), format!("`{name}` is no HTTP method"))
            }
        }
    }
    if methods.is_empty() {
        reading.error(line, section.key("methods"), "names no method");
    }
    let path_line = section.line_of("path");
    let path = section.required_text(reading, "path");
    match (path.as_deref(), route) {
        (Some(path), _) if !path.starts_with('/') => {
            reading.error(path_line, section.key("path"), "has to start with a slash");
        }
        // It would match nothing: what is matched has the route's path in front.
        (Some(path), Some(route)) if !may_be_within(path, route) => {
            let problem = format!(
                "`{path}` is not below `{route}`; rules have the whole path, such as `{route}{path}`"
            );
            reading.error(path_line, section.key("path"), problem);
        }
        (Some(_) | None, _) => {}
    }
    let scope_line = section.line_of("scope");
    let scope = section.text(reading, "scope");
    // Two of them in one text are a scope that no token has.
    if let Some(scope) = scope.as_ref().filter(|scope| ScopeSet::default().insert(scope).is_err()) {
        let problem = format!("`{scope}` has to be one scope, without spaces");
        reading.error(scope_line, section.key("scope"), problem);
    }
    let roles = (section.line_of("roles"), section.texts(reading, "roles"));
    let roles = roles_of(reading, &section.key("roles"), roles);
    let approved_line = section.line_of("approved_by");
    let approved_by = (approved_line, section.texts(reading, "approved_by"));
    let approved_by = roles_of(reading, &section.key("approved_by"), approved_by);
    let asked_line = section.line_of("agents_ask");
    let agents = section.choice(reading, "agents_ask", [Agents::Act, Agents::Ask]);
    if offered == Offered::CodesAlone {
        let without = "takes passkeys, which are not offered: nobody could say yes";
        if !approved_by.is_empty() {
            reading.error(approved_line, section.key("approved_by"), without);
        }
        if agents == Agents::Ask {
            reading.error(asked_line, section.key("agents_ask"), without);
        }
    }
    section.finish(reading);
    Some(HttpRule { methods, path: path?, scope, roles, approved_by, agents })
}

/// Roles, as a list in this line names them.
fn roles_of(reading: &mut Reading<'_>, key: &str, (line, names): (usize, Vec<String>)) -> Vec<Role> {
    let mut roles = Vec::new();
    for name in names {
        match name.parse() {
            Ok(role) => roles.push(role),
            Err(e) => reading.error(line, key.to_owned(), format!("`{name}`: {e}")),
        }
    }
    roles
}

/// What routes must not be together: under a path of our own, of one name, or one within another.
pub(super) fn check_together(reading: &mut Reading<'_>, routes: &[Route]) {
    const OURS: &[&str] = &[
        "/.well-known",
        "/account",
        "/admin",
        "/approve",
        "/assets",
        "/audit",
        "/authorize",
        "/device",
        "/device-authorization",
        "/backchannel-authentication",
        "/end-session",
        "/introspect",
        "/jwks",
        "/launch",
        "/login",
        "/logout",
        "/par",
        "/revocations",
        "/revoke",
        "/status-lists",
        "/token",
        "/userinfo",
    ];
    for (index, route) in routes.iter().enumerate() {
        let first = route.path.split('/').nth(1).unwrap_or_default();
        if OURS.iter().any(|ours| ours.strip_prefix('/') == Some(first)) {
            let problem = format!("`{}` is the gateway's own path", route.path);
            reading.error(0, format!("route.{}.path", route.name), problem);
        }
        for other in routes.iter().skip(index.saturating_add(1)) {
            if other.name == route.name {
                reading.error(0, format!("route.{}.name", route.name), "is used by two routes");
            }
            if let (Some(own), Some(others)) = (asked_for_care(route), asked_for_care(other))
                && own != others
            {
                let problem = format!(
                    "asks another server than route `{}` does: a person is known by one id, which may be somebody else's there",
                    other.name
                );
                reading.error(0, format!("route.{}.care_from", route.name), problem);
            }
            if is_within(&route.path, &other.path) || is_within(&other.path, &route.path) {
                let problem =
                    format!("`{}` overlaps with `{}` of route `{}`", route.path, other.path, other.name);
                reading.error(0, format!("route.{}.path", route.name), problem);
            }
        }
    }
}

/// Whether a path is this one or below it.
fn is_within(path: &str, above: &str) -> bool {
    path.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The server that is asked who is in whose care on a route, if one is.
fn asked_for_care(route: &Route) -> Option<String> {
    match &route.kind {
        RouteKind::Fhir { care, .. } if !care.sources.is_empty() => {
            Some(route.upstream.to_string().trim_end_matches('/').to_owned())
        }
        RouteKind::Fhir { .. } | RouteKind::Http { .. } => None,
    }
}
