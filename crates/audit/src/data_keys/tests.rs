use chartgate_values::SeededEntropy;

use super::*;
use crate::storage::memory::{Fault, MemoryDisk};
use crate::tree::Hash;

fn keys(disk: &MemoryDisk, master: u8) -> DataKeys {
    DataKeys::new(Arc::new(disk.clone()), &MasterKey::from_bytes([master; 32])).unwrap()
}

fn november() -> Month {
    "2026-11".parse().unwrap()
}

#[test]
fn months_have_one_spelling() {
    assert_eq!(november().to_string(), "2026-11");
    for text in ["", "2026", "2026-13", "2026-1", "26-11", "2026-11-01", "../2026-11", "2026-11/"] {
        assert_eq!(text.parse::<Month>(), Err(ParseMonthError), "{text}");
    }
}

#[test]
fn a_saved_key_is_the_same_after_a_restart() {
    let disk = MemoryDisk::new();
    let mut entropy = SeededEntropy::new(1);
    let clear = Hash::of(&[b"clear"]);
    let first = keys(&disk, 7);
    let key = first.for_sealing(&november(), &mut entropy).unwrap();
    let sealed = key.seal(&mut entropy, &clear, 1, |out| out.push(b'x')).unwrap();
    first.save_new().unwrap();
    let again = keys(&disk, 7).for_opening(&november()).unwrap().unwrap();
    assert_eq!(again.open(&clear, &sealed).unwrap().expose(), b"x");
    assert!(again.open(&Hash::of(&[b"other"]), &sealed).is_err());
    let stored = disk.read("keys/2026-11.json").unwrap();
    assert!(String::from_utf8(stored).unwrap().starts_with(r#"{"key":""#));
}

#[test]
fn a_key_that_could_not_be_saved_is_saved_later() {
    let disk = MemoryDisk::new();
    let keys = keys(&disk, 7);
    keys.for_sealing(&november(), &mut SeededEntropy::new(1)).unwrap();
    disk.break_once(0, Fault::Lost);
    assert!(keys.save_new().is_err());
    assert!(disk.read("keys/2026-11.json").is_err());
    keys.save_new().unwrap();
    assert!(disk.read("keys/2026-11.json").is_ok());
}

#[test]
fn a_key_that_does_not_open_is_never_replaced() {
    let disk = MemoryDisk::new();
    let mut entropy = SeededEntropy::new(1);
    let first = keys(&disk, 7);
    first.for_sealing(&november(), &mut entropy).unwrap();
    first.save_new().unwrap();
    let before = disk.read("keys/2026-11.json").unwrap();
    let other = keys(&disk, 8);
    assert!(matches!(other.for_sealing(&november(), &mut entropy), Err(DataKeyError::DoesNotOpen(_))));
    assert!(matches!(other.for_opening(&november()), Err(DataKeyError::DoesNotOpen(_))));
    other.save_new().unwrap();
    assert_eq!(disk.read("keys/2026-11.json").unwrap(), before);
    disk.tamper("keys/2026-11.json", |file| file[10] ^= 1);
    assert!(matches!(keys(&disk, 7).for_opening(&november()), Err(DataKeyError::DoesNotOpen(_))));
}

#[test]
fn a_shredded_key_is_gone() {
    let disk = MemoryDisk::new();
    let keys = keys(&disk, 7);
    keys.for_sealing(&november(), &mut SeededEntropy::new(1)).unwrap();
    keys.save_new().unwrap();
    keys.shred(&november()).unwrap();
    assert!(keys.for_opening(&november()).unwrap().is_none());
    assert!(disk.read("keys/2026-11.json").is_err());
}

#[test]
fn a_month_ends_where_the_next_one_begins() {
    for (month, end) in [
        ("2026-11", "2026-12-01T00:00:00Z"),
        ("2026-12", "2027-01-01T00:00:00Z"),
        ("2024-02", "2024-03-01T00:00:00Z"),
    ] {
        let [start, end] = [&format!("{month}-01T00:00:00Z"), end].map(|time| time.parse().unwrap());
        let month: Month = month.parse().unwrap();
        assert_eq!((month.start(), month.end()), (start, end), "{month}");
    }
}

#[test]
fn a_time_is_sealed_under_the_key_of_its_month() {
    let keys = keys(&MemoryDisk::new(), 7);
    let mut entropy = SeededEntropy::new(1);
    let end = november().end();
    let last = end.minus(std::time::Duration::from_micros(1));
    for (time, month) in [(last, "2026-11"), (end, "2026-12"), (last, "2026-11"), (Timestamp::MAX, "9999-12")]
    {
        let key = keys.for_sealing_at(time, &mut entropy).unwrap();
        assert_eq!(key.month().as_str(), month);
        assert!(Arc::ptr_eq(&key, &keys.for_sealing(&Month::of(time), &mut entropy).unwrap()));
    }
    let before = keys.for_sealing_at(last, &mut entropy).unwrap();
    keys.shred(&november()).unwrap();
    let after = keys.for_sealing_at(last, &mut entropy).unwrap();
    assert!(!Arc::ptr_eq(&before, &after), "a shredded key seals nothing more");
}
