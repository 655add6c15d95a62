//! Where the log is and what an acknowledged record survives.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::export::{self, Export};
use super::section::{Reading, Section};
use super::witness::{self, Witness};

/// The log.
#[derive(Debug)]
pub(crate) struct Audit {
    pub(crate) dir: PathBuf,
    /// Where the index is, which is beside the log and no part of it.
    pub(crate) index: PathBuf,
    pub(crate) durability: Durability,
    /// How long what it says of patients is kept at the least.
    pub(crate) retention: Duration,
    /// While less disk than this is free, requests that did not show who makes them are turned away.
    pub(crate) reserve: u64,
    /// Tools of others that get it.
    pub(crate) exports: Arc<[Export]>,
    /// Who cosigns it.
    pub(crate) witnesses: Arc<[Witness]>,
    /// How many of them have to, before a later checkpoint takes the place of one that as many have cosigned.
    pub(crate) witness_quorum: usize,
}

/// What an acknowledged record survives.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Durability {
    /// A power cut: `fdatasync` returned.
    Fsync,
    /// The end of the process: the operating system has it.
    Os,
}

impl Audit {
    pub(super) fn read(reading: &mut Reading<'_>, mut section: Section, data_dir: &Path) -> Self {
        let dir = dir(reading, &mut section, data_dir);
        let line = section.line_of("durability");
        let durability = match section.text(reading, "durability").as_deref() {
            None | Some("fsync") => Durability::Fsync,
            Some("os") => Durability::Os,
            Some(other) => {
                let problem = format!("`{other}` is not one of fsync, os");
                reading.error(line, section.key("durability"), problem);
                Durability::Fsync
            }
        };
        let reserve = section.size(reading, "reserve", RESERVE);
        let retention =
            section.duration(reading, "retention", years(6), Duration::from_hours(1)..=years(100));
        let sections = section.tables(reading, "export");
        let exports: Vec<Export> =
            sections.into_iter().filter_map(|section| Export::read(reading, section)).collect();
        export::check_together(reading, &exports);
        let sections = section.tables(reading, "witness");
        let witnesses: Vec<Witness> =
            sections.into_iter().filter_map(|section| Witness::read(reading, section)).collect();
        witness::check_together(reading, &witnesses);
        let all = witnesses.len();
        let witness_quorum = section.number(reading, "witness_quorum", all, all.min(1)..=all);
        section.finish(reading);
        let (exports, witnesses) = (exports.into(), witnesses.into());
        Self {
            dir,
            index: data_dir.join("audit-index.db"),
            durability,
            retention,
            reserve,
            exports,
            witnesses,
            witness_quorum,
        }
    }
}

/// Where the log is.
pub(super) fn dir(reading: &mut Reading<'_>, section: &mut Section, data_dir: &Path) -> PathBuf {
    section.path(reading, "dir").unwrap_or_else(|| data_dir.join("audit"))
}

/// Some dozen segments of the journal.
const RESERVE: u64 = 256 << 20;

/// As `y` counts them: 365.25 days.
const fn years(count: u64) -> Duration {
    Duration::from_secs(count.saturating_mul(31_557_600))
}
