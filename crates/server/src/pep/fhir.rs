//! FHIR routes.

mod capabilities;
mod mask;
mod session;
mod upstream;

pub(super) use session::handle;
pub(super) use upstream::FhirUpstream;
