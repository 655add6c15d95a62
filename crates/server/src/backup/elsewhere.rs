//! Whether a restored configuration means what was restored: one with the absolute paths of the machine that was lost would run
//! whatever lies there.

use std::path::{Path, PathBuf};

use chartgate_audit::backup::{Label, Place};

use crate::config::Places;

/// What it means instead.
#[derive(Debug)]
pub(crate) enum Elsewhere {
    /// It cannot be read, for this reason.
    Unknown(String),
    /// These parts, where it looks for them and where they are; none, if all is well.
    Known(Vec<(Place, PathBuf, PathBuf)>),
}

/// Holds the places in a configuration, and in the environment, against those in `dir`.
pub(super) fn elsewhere(config: &Path, dir: &Path, label: &Label) -> Elsewhere {
    let places = match Places::load(config) {
        Ok(places) => places,
        Err(errors) => {
            let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
            return Elsewhere::Unknown(lines.join("; "));
        }
    };
    let moved = by_place(places).filter_map(|(place, path)| {
        let own = dir.join(label.place(place).map_or("", |path| path.as_str()));
        (path != own).then_some((place, path, own))
    });
    Elsewhere::Known(moved.collect())
}

/// The parts that a configuration names by paths that do not go with it when it is moved.
pub(super) fn fixed(config: &Path) -> Vec<Place> {
    let moved = Path::new("/somewhere/else");
    let places = Places::load_as_if_in(config, moved).ok();
    let fixed = places.into_iter().flat_map(by_place).filter(|(_, path)| !path.starts_with(moved));
    fixed.map(|(place, _)| place).collect()
}

fn by_place(places: Places) -> impl Iterator<Item = (Place, PathBuf)> {
    let Places { data_dir, store, log, policy_dir, shadow_dir } = places;
    let always =
        [(Place::Keys, data_dir), (Place::Store, store), (Place::Log, log), (Place::Policies, policy_dir)];
    always.into_iter().chain(shadow_dir.map(|dir| (Place::Trial, dir)))
}
