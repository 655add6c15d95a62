//! Where the shared test vectors lie.

use std::path::PathBuf;

use serde_json::Value;

/// The folder of vectors for the log; none where they are not at hand, which is said in one line.
pub(crate) fn tlog() -> Option<PathBuf> {
    let shared = std::env::var_os("CHARTGATE_SHARED").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared")),
        PathBuf::from,
    );
    let folder = shared.join("vectors/tlog");
    if folder.is_dir() {
        return Some(folder);
    }
    println!("skipped: no vectors at {}", folder.display());
    None
}

/// A file of vectors in JSON.
pub(crate) fn json(path: &str) -> Option<Value> {
    let bytes = std::fs::read(tlog()?.join(path)).unwrap();
    Some(serde_json::from_slice(&bytes).unwrap())
}

/// Loads a log as it would be served onto a disk in memory.
pub(crate) fn load(folder: &str) -> Option<crate::storage::memory::MemoryDisk> {
    use crate::storage::Objects as _;
    let root = tlog()?.join(folder);
    let disk = crate::storage::memory::MemoryDisk::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for file in std::fs::read_dir(folder).unwrap() {
            let path = file.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
            disk.put(&[crate::storage::Object { path: name, bytes: std::fs::read(path).unwrap() }]).unwrap();
        }
    }
    Some(disk)
}
