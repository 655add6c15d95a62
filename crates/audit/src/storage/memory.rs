//! A disk in memory that can break and crash as disks do. For tests.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chartgate_values::Entropy;

use super::{CheckpointKeeper, Object, Objects, Segment, Segments};
use crate::checkpoint::SignedCheckpoint;

/// All three kinds of storage, in memory. Clones are the same disk.
#[derive(Clone, Debug, Default)]
pub struct MemoryDisk(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    objects: BTreeMap<String, Vec<u8>>,
    segments: BTreeMap<u64, SegmentFile>,
    kept: Option<String>,
    operations: u64,
    plan: Plan,
}

/// A segment as programs see it, and as it would be found after a power cut.
#[derive(Clone, Debug, Default)]
struct SegmentFile {
    cached: Vec<u8>,
    durable: Vec<u8>,
    dirty: BTreeSet<usize>,
}

/// How an operation breaks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fault {
    /// Nothing was done, and an error says so. A sync that breaks this way also forgets what it should have
    /// written, as Linux does.
    Lost,
    /// It was done, and reported as an error all the same.
    DoneButReportedLost,
}

#[derive(Clone, Copy, Debug, Default)]
enum Plan {
    #[default]
    Sound,
    Once(u64, Fault),
    BrokenFrom(u64),
}

const SECTOR: usize = 512;

impl MemoryDisk {
    /// An empty disk without faults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Breaks one changing operation: the next if `after` is zero.
    pub fn break_once(&self, after: u64, fault: Fault) {
        let mut state = self.state();
        state.plan = Plan::Once(state.operations.saturating_add(after), fault);
    }

    /// Lets every changing operation fail once `after` more were done, until [`mend`](Self::mend). What was
    /// written before may still reach the disk.
    pub fn break_down(&self, after: u64) {
        let mut state = self.state();
        state.plan = Plan::BrokenFrom(state.operations.saturating_add(after));
    }

    /// Ends all faults.
    pub fn mend(&self) {
        self.state().plan = Plan::Sound;
    }

    /// How many changing operations there have been.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.state().operations
    }

    /// Cuts the power: each sector that was not synced is lost or kept as `entropy` has it.
    pub fn crash(&self, entropy: &mut dyn Entropy) {
        for file in self.state().segments.values_mut() {
            let dirty = std::mem::take(&mut file.dirty);
            for sector in dirty {
                let [coin] = entropy.bytes::<1>();
                if coin & 1 == 1 {
                    file.settle(sector);
                }
            }
            file.cached = file.durable.clone();
        }
    }

    /// Changes the bytes of an object or a segment (`journal/<number>`) behind the log's back.
    pub fn tamper(&self, path: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.state();
        let segment = path.strip_prefix("journal/").and_then(|number| number.parse().ok());
        if let Some(file) = segment.and_then(|number: u64| state.segments.get_mut(&number)) {
            change(&mut file.durable);
            file.cached = file.durable.clone();
        } else if let Some(object) = state.objects.get_mut(path) {
            change(object);
        }
    }

    /// The paths of everything on it, segments as `journal/<number>`.
    #[must_use]
    pub fn paths(&self) -> Vec<String> {
        let state = self.state();
        let segments = state.segments.keys().map(|number| format!("journal/{number}"));
        state.objects.keys().cloned().chain(segments).collect()
    }

    /// Another disk with the same content and no faults.
    #[must_use]
    pub fn copy(&self) -> Self {
        let state = self.state();
        Self(Arc::new(Mutex::new(State {
            objects: state.objects.clone(),
            segments: state.segments.clone(),
            kept: state.kept.clone(),
            operations: 0,
            plan: Plan::Sound,
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does `change` as the plan has it.
    fn attempt<T>(&self, change: impl FnOnce(&mut State) -> io::Result<T>) -> io::Result<T> {
        let mut state = self.state();
        let number = state.operations;
        state.operations = number.saturating_add(1);
        match state.plan {
            Plan::Once(planned, Fault::Lost) if planned == number => Err(broken()),
            Plan::Once(planned, Fault::DoneButReportedLost) if planned == number => {
                change(&mut state)?;
                Err(broken())
            }
            Plan::BrokenFrom(planned) if planned <= number => Err(broken()),
            Plan::Sound | Plan::Once(..) | Plan::BrokenFrom(_) => change(&mut state),
        }
    }
}

fn broken() -> io::Error {
    io::Error::other("the disk is broken, as planned")
}

fn absent() -> io::Error {
    io::ErrorKind::NotFound.into()
}

impl SegmentFile {
    fn settle(&mut self, sector: usize) {
        let start = sector.saturating_mul(SECTOR);
        let end = start.saturating_add(SECTOR).min(self.cached.len());
        if let (Some(to), Some(from)) = (self.durable.get_mut(start..end), self.cached.get(start..end)) {
            to.copy_from_slice(from);
        }
    }
}

impl Objects for MemoryDisk {
    fn put(&self, objects: &[Object]) -> io::Result<()> {
        for Object { path, bytes } in objects {
            self.attempt(|state| {
                state.objects.insert(path.clone(), bytes.clone());
                Ok(())
            })?;
        }
        Ok(())
    }

    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        self.state().objects.get(path).cloned().ok_or_else(absent)
    }

    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        let state = self.state();
        let below = state.objects.keys().filter_map(|path| path.strip_prefix(folder)?.strip_prefix('/'));
        let names: BTreeSet<_> = below.filter_map(|rest| rest.split('/').next()).collect();
        Ok(names.into_iter().map(str::to_owned).collect())
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        self.attempt(|state| {
            let within = |other: &str| other.strip_prefix(path).is_some_and(|rest| rest.starts_with('/'));
            state.objects.retain(|other, _| other != path && !within(other));
            Ok(())
        })
    }
}

impl Segments for MemoryDisk {
    fn numbers(&self) -> io::Result<Vec<u64>> {
        Ok(self.state().segments.keys().copied().collect())
    }

    fn create(&self, number: u64, length: u64) -> io::Result<Box<dyn Segment>> {
        let length = usize::try_from(length).map_err(io::Error::other)?;
        self.attempt(|state| {
            if state.segments.contains_key(&number) {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            let zeros = vec![0; length];
            let file = SegmentFile { cached: zeros.clone(), durable: zeros, dirty: BTreeSet::new() };
            state.segments.insert(number, file);
            Ok(())
        })?;
        Ok(Box::new(OpenSegment { disk: self.clone(), number }))
    }

    fn read_at(&self, number: u64, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let state = self.state();
        let file = state.segments.get(&number).ok_or_else(absent)?;
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(file.cached.len());
        let end = start.saturating_add(length).min(file.cached.len());
        Ok(file.cached.get(start..end).unwrap_or_default().to_vec())
    }

    fn discard(&self, number: u64) -> io::Result<()> {
        self.attempt(|state| {
            state.segments.remove(&number);
            Ok(())
        })
    }
}

struct OpenSegment {
    disk: MemoryDisk,
    number: u64,
}

impl Segment for OpenSegment {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let start = usize::try_from(offset).map_err(io::Error::other)?;
        let end = start.saturating_add(bytes.len());
        self.disk.attempt(|state| {
            let file = state.segments.get_mut(&self.number).ok_or_else(absent)?;
            let place = file.cached.get_mut(start..end).ok_or(io::ErrorKind::InvalidInput)?;
            place.copy_from_slice(bytes);
            file.dirty.extend((start / SECTOR)..=(end.saturating_sub(1) / SECTOR));
            Ok(())
        })
    }

    fn sync(&mut self) -> io::Result<()> {
        let planned = self.disk.state().plan;
        let synced = self.disk.attempt(|state| {
            let file = state.segments.get_mut(&self.number).ok_or_else(absent)?;
            for sector in std::mem::take(&mut file.dirty) {
                file.settle(sector);
            }
            Ok(())
        });
        if synced.is_err() && matches!(planned, Plan::Once(..)) {
            // What a failed sync did not write is taken for clean from then on.
            if let Some(file) = self.disk.state().segments.get_mut(&self.number) {
                file.dirty.clear();
            }
        }
        synced
    }
}

impl CheckpointKeeper for MemoryDisk {
    fn last(&self) -> io::Result<Option<String>> {
        Ok(self.state().kept.clone())
    }

    fn advance(&self, old: Option<&SignedCheckpoint>, new: &SignedCheckpoint) -> io::Result<()> {
        self.attempt(|state| {
            if state.kept.as_deref() != old.map(SignedCheckpoint::note) {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            state.kept = Some(new.note().to_owned());
            Ok(())
        })
    }
}
