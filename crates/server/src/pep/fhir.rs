//! FHIR routes.

mod batch;
mod binary;
mod capabilities;
mod care;
mod consents;
mod everything;
mod export;
mod family_names;
mod history;
mod large;
mod mask;
mod minors;
mod names;
mod now;
mod operation;
mod pages;
mod read;
mod search;
mod session;
mod upstream;
mod write;
mod written;

pub(super) use care::{Looking, Relations};
pub(super) use consents::{Restrictions, Said, act, asker};
pub(super) use minors::{Age, MINOR, MINOR_UNKNOWN};
pub(super) use names::{Picking, encounters, names};
pub(super) use session::handle;
pub(super) use upstream::FhirUpstream;
pub(crate) use written::Written;
