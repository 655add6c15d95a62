//! Calls to addresses that others chose: those that clients are registered with.

use std::path::PathBuf;

use super::listen::Network;
use super::section::{Reading, Section};

/// Where such calls may go.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Egress {
    /// Address blocks that may be called although they are not public.
    pub(crate) allow: Vec<Network>,
    /// CAs that are believed beside the system's.
    pub(crate) ca: Option<PathBuf>,
}

impl Egress {
    pub(super) fn read(reading: &mut Reading<'_>, mut section: Section) -> Self {
        let allow = section.networks(reading, "allow");
        let ca = section.path(reading, "ca");
        section.finish(reading);
        Self { allow, ca }
    }
}
