//! The journal's segments: files that are filled with zeros first, so that a sync later writes content alone.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use chartgate_audit::storage::{Segment, Segments};

use super::{Unnamed, create_folder, names, open_regular, sync_folder, unless_absent};

/// The folder `journal` within the log's folder.
#[derive(Debug)]
pub(crate) struct SegmentFolder {
    folder: PathBuf,
    /// The segment that was read last: reading goes on in it.
    recent: Mutex<Option<(u64, Arc<File>)>>,
}

impl SegmentFolder {
    /// The segments of the log in `root`, which must be there.
    ///
    /// # Errors
    /// What the disk says.
    pub(crate) fn open(root: &Path) -> io::Result<Self> {
        let folder = root.join("journal");
        create_folder(root, &folder)?;
        remove_unnamed(&folder)?;
        Ok(Self { folder, recent: Mutex::default() })
    }

    /// The segments of a log that is only read, and may have none.
    pub(crate) fn of_copy(root: &Path) -> Self {
        Self { folder: root.join("journal"), recent: Mutex::default() }
    }

    fn path(&self, number: u64) -> PathBuf {
        self.folder.join(format!("{number:020}"))
    }

    fn open_to_read(&self, number: u64) -> io::Result<Arc<File>> {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        match &*recent {
            Some((of, file)) if *of == number => Ok(Arc::clone(file)),
            _ => {
                let file = Arc::new(open_regular(&self.path(number))?);
                *recent = Some((number, Arc::clone(&file)));
                Ok(file)
            }
        }
    }
}

/// Removes what a crash left half made: its number may never come again.
fn remove_unnamed(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            unless_absent(fs::remove_file(entry.path()))?;
        }
    }
    Ok(())
}

impl Segments for SegmentFolder {
    fn numbers(&self) -> io::Result<Vec<u64>> {
        let names = names(&self.folder)?;
        let mut numbers: Vec<u64> = names.iter().filter_map(|name| name.parse().ok()).collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    fn create(&self, number: u64, length: u64) -> io::Result<Box<dyn Segment>> {
        let path = self.path(number);
        if path.try_exists()? {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let mut unnamed = Unnamed::create(path.clone())?;
        let mut left = length;
        while left > 0 {
            let step = ZEROS.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            unnamed.file.write_all(ZEROS.get(..step).unwrap_or(&ZEROS))?;
            left = left.saturating_sub(step as u64);
        }
        unnamed.file.sync_all()?;
        unnamed.name()?;
        sync_folder(&self.folder)?;
        let file = OpenOptions::new().write(true).open(&path)?;
        Ok(Box::new(SegmentFile(file)))
    }

    fn read_at(&self, number: u64, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let file = self.open_to_read(number)?;
        // A length that was read from a damaged file is not believed.
        let length = match length > LONGEST_BATCH {
            true => length
                .min(usize::try_from(file.metadata()?.len().saturating_sub(offset)).unwrap_or(usize::MAX)),
            false => length,
        };
        let mut bytes = vec![0; length];
        let mut filled = 0;
        while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match file.read_at(rest, offset.saturating_add(filled as u64)) {
                Ok(0) => break,
                Ok(read) => filled = filled.saturating_add(read),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        bytes.truncate(filled);
        Ok(bytes)
    }

    fn discard(&self, number: u64) -> io::Result<()> {
        unless_absent(fs::remove_file(self.path(number)))?;
        sync_folder(&self.folder)
    }
}

struct SegmentFile(File);

impl Segment for SegmentFile {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.sync_data()
    }
}

/// A batch is hardly ever longer, in bytes.
const LONGEST_BATCH: usize = 2 << 20;

static ZEROS: [u8; 256 * 1024] = [0; 256 * 1024];
