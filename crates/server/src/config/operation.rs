//! Operations that a `fhir` route lets through.

use chartgate_protocol::fhir::name::ResourceType;
use chartgate_protocol::fhir::operation::{OperationCall, OperationOn, is_name};
use chartgate_protocol::smart::scope::{Permissions, SmartScope, TypePattern};
use http::Method;

use super::section::{Reading, Section};

/// An operation that is listed.
#[derive(Clone, Debug)]
pub(crate) struct Operation {
    /// Its name, without `$`.
    pub(crate) name: String,
    /// On what it is called.
    pub(crate) level: Level,
    /// By which methods.
    pub(crate) methods: Vec<Method>,
    /// What its caller has to be allowed, type by type.
    pub(crate) scopes: Vec<(ResourceType, Permissions)>,
    /// The parameters that it takes.
    pub(crate) parameters: Vec<String>,
    /// Whether it changes something.
    pub(crate) writes: Writes,
}

/// On what an operation is called.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Level {
    System,
    /// On these types.
    Type(Vec<ResourceType>),
    /// On records of these types.
    Instance(Vec<ResourceType>),
}

/// Whether an operation changes something.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Writes {
    No,
    Yes,
}

/// What the gateway does itself, or nobody may do: GraphQL is another way to ask for everything.
const NOT_LISTED: [&str; 6] = ["everything", "export", "graph", "graphql", "import", "meta-delete"];

impl Operation {
    /// Whether this is the operation that is called.
    pub(crate) fn is(&self, call: &OperationCall) -> bool {
        let on = match (&self.level, &call.on) {
            (Level::System, OperationOn::System) => true,
            (Level::Type(types), OperationOn::Type(own)) => types.contains(own),
            (Level::Instance(types), OperationOn::Record(record)) => types.contains(&record.resource_type),
            (Level::System | Level::Type(_) | Level::Instance(_), _) => false,
        };
        on && self.name == call.name
    }

    /// Reads the operations of a route.
    pub(super) fn read_all(reading: &mut Reading<'_>, section: &mut Section) -> Vec<Self> {
        let tables = section.tables(reading, "operations");
        tables.into_iter().filter_map(|table| Self::read(reading, table)).collect()
    }

    fn read(reading: &mut Reading<'_>, mut section: Section) -> Option<Self> {
        let name_line = section.line_of("name");
        let name = section.required_text(reading, "name");
        if let Some(name) = &name {
            if NOT_LISTED.contains(&name.as_str()) {
                let problem =
                    format!("`{name}` cannot be listed: the gateway does it by itself or not at all");
                reading.error(name_line, section.key("name"), problem);
            } else if !is_name(name) {
                reading.error(
                    name_line,
                    section.key("name"),
                    format!("`{name}` is no name, written without `$`"),
                );
            }
        }
        let types_line = section.line_of("types");
        let mut types = Vec::new();
        for text in section.texts(reading, "types") {
            match text.parse() {
                Ok(one) => types.push(one),
                Err(e) => reading.error(types_line, section.key("types"), format!("`{text}`: {e}")),
            }
        }
        let level_line = section.line_of("level");
        let level = match (section.required_text(reading, "level").as_deref(), types.is_empty()) {
            (Some("system"), true) => Some(Level::System),
            (Some("type"), false) => Some(Level::Type(types)),
            (Some("instance"), false) => Some(Level::Instance(types)),
            (Some("system"), false) => {
                reading.error(types_line, section.key("types"), "is for the levels type and instance");
                None
            }
            (Some("type" | "instance"), true) => {
                reading.error(types_line, section.key("types"), "names no type to call it on");
                None
            }
            (Some(other), _) => {
                let problem = format!("`{other}` is not one of system, type, instance");
                reading.error(level_line, section.key("level"), problem);
                None
            }
            (None, _) => None,
        };
        let writes = section.choice(reading, "writes", [Writes::No, Writes::Yes]);
        let methods_line = section.line_of("methods");
        let mut methods = Vec::new();
        for text in section.texts(reading, "methods") {
            match (text.as_str(), writes) {
                ("GET", Writes::No) => methods.push(Method::GET),
                ("POST", _) => methods.push(Method::POST),
                _ => {
                    let problem = format!("`{text}`: GET or POST, and POST alone for what writes");
                    reading.error(methods_line, section.key("methods"), problem);
                }
            }
        }
        if methods.is_empty() {
            reading.error(methods_line, section.key("methods"), "names no method");
        }
        let scopes_line = section.line_of("scopes");
        let mut scopes = Vec::new();
        for text in section.texts(reading, "scopes") {
            match scope(&text) {
                Some(scope) => scopes.push(scope),
                None => {
                    let problem =
                        format!("`{text}` is no type and what is done with it, such as `Observation.rs`");
                    reading.error(scopes_line, section.key("scopes"), problem);
                }
            }
        }
        if scopes.is_empty() {
            reading.error(
                scopes_line,
                section.key("scopes"),
                "names nothing that its caller has to be allowed",
            );
        }
        let parameters = section.texts(reading, "parameters");
        section.finish(reading);
        Some(Self { name: name?, level: level?, methods, scopes, parameters, writes })
    }
}

fn scope(text: &str) -> Option<(ResourceType, Permissions)> {
    let scope: SmartScope = format!("system/{text}").parse().ok()?;
    match scope {
        SmartScope { types: TypePattern::One(name), permissions, constraints, .. }
            if constraints.is_empty() =>
        {
            Some((name.parse().ok()?, permissions))
        }
        SmartScope { .. } => None,
    }
}
