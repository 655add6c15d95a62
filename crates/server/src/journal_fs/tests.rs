use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;

use chartgate_audit::storage::{Objects as _, Segments as _};

use super::*;

#[test]
fn what_is_no_regular_file_is_refused_and_keeps_nobody_waiting() {
    let folder = std::env::temp_dir().join(format!("chartgate-pipes-{}", std::process::id()));
    fs::create_dir_all(folder.join("journal")).unwrap();
    for name in ["checkpoint", "journal/00000000000000000001"] {
        assert!(Command::new("mkfifo").arg(folder.join(name)).status().unwrap().success());
    }
    let (answer, answered) = mpsc::channel();
    let reading = folder.clone();
    std::thread::spawn(move || {
        let object = ObjectFolder::of_copy(&reading).read("checkpoint").unwrap_err();
        let segment = SegmentFolder::of_copy(&reading).read_at(1, 0, 8).unwrap_err();
        answer.send([object.kind(), segment.kind()]).unwrap();
    });
    // Only whoever waits for ever is waited for so long.
    let found = answered.recv_timeout(Duration::from_secs(60));
    fs::remove_dir_all(&folder).unwrap();
    assert_eq!(found, Ok([io::ErrorKind::InvalidData; 2]));
}
