//! `chartgate demo`: everything on one machine, with real parts: a CA, people, clients, policies, a sample FHIR R4
//! server with invented patients, and the gateway in front of it.

mod batch;
mod bundles;
mod certificates;
mod everything;
mod export;
mod fhir_server;
mod guide;
mod history;
mod include;
mod last;
mod patients;
mod people;
mod search;
mod setup;
mod stored;

use std::net::SocketAddr;
use std::path::PathBuf;

use chartgate_access::ids::Subject;

pub(crate) use certificates::self_signed;
pub(crate) use setup::run;

/// What `chartgate demo` was asked for.
#[derive(Debug)]
pub(crate) struct Options {
    /// Where everything is kept.
    pub(crate) dir: PathBuf,
    /// Where the gateway listens; port 0 takes a free one and keeps it.
    pub(crate) listen: SocketAddr,
    /// Where to write what scripts need, once the gateway answers.
    pub(crate) ready_file: Option<PathBuf>,
    /// FHIR R4 bundles to load in place of the invented patients.
    pub(crate) data: Option<PathBuf>,
    /// Who gets an authenticator application, the first time.
    pub(crate) second_factors: Vec<Subject>,
}
