//! JSON Patch. RFC 6902.
//!
//! A patch is applied whole or not at all, to a text, and gives a text: of what it does not name, every letter stays.

use serde_json::value::RawValue;

use super::pointer::Pointer;
use super::tree::{NoPlace, Tree};
use super::{DEEPEST, JsonError, Object, check, read, read_string};

/// The most operations that a patch may have.
pub const MAX_OPERATIONS: usize = 256;

/// A patch that is well formed. It has no `Debug`: what it puts into a record is PHI.
pub struct JsonPatch<'a>(Vec<Operation<'a>>);

/// Section 4.
enum Operation<'a> {
    Add(Pointer, &'a RawValue),
    Remove(Pointer),
    Replace(Pointer, &'a RawValue),
    Move { from: Pointer, path: Pointer },
    Copy { from: Pointer, path: Pointer },
    Test(Pointer, &'a RawValue),
}

/// Why bytes are no patch.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum MalformedPatch {
    /// RFC 8259, RFC 7493.
    #[error("the patch is {0}")]
    Json(#[from] JsonError),
    /// Section 3: an array of objects.
    #[error("the patch is not an array of operations")]
    NotOperations,
    /// Section 4: an `op` that there is, `path`, and the `value` or `from` that it needs.
    #[error("operation {0} of the patch is none of RFC 6902")]
    Operation(usize),
    /// More than [`MAX_OPERATIONS`].
    #[error("the patch has more than {MAX_OPERATIONS} operations")]
    TooMany,
}

/// Why a patch does not go with a text. It names an operation by its position, the first being 0, and never a value.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum PatchConflict {
    /// There is nothing at the place that it names, or nothing can be put there.
    #[error("operation {0} of the patch names a place that there is not")]
    Place(usize),
    /// Section 4.6.
    #[error("the test of operation {0} of the patch fails")]
    Test(usize),
    /// What comes of it would be larger, or nested more deeply, than is taken.
    #[error("what comes of operation {0} of the patch is too large")]
    TooLarge(usize),
}

impl<'a> JsonPatch<'a> {
    /// Reads a patch. Members that an operation does not have are ignored, as section 4 wants.
    ///
    /// # Errors
    /// [`MalformedPatch`], by the first fault.
    pub fn parse(bytes: &'a [u8], max_depth: usize) -> Result<Self, MalformedPatch> {
        let text = check(bytes, max_depth)?;
        let items: Vec<&RawValue> = read(text).map_err(|_| MalformedPatch::NotOperations)?;
        if items.len() > MAX_OPERATIONS {
            return Err(MalformedPatch::TooMany);
        }
        let operation = |(number, item): (usize, &&'a RawValue)| {
            let object = read::<Object<'a>>(item.get()).map_err(|_| MalformedPatch::NotOperations)?;
            Operation::read(&object).ok_or(MalformedPatch::Operation(number))
        };
        items.iter().enumerate().map(operation).collect::<Result<_, _>>().map(Self)
    }

    /// Every place that it looks at or changes.
    pub fn ways(&self) -> impl Iterator<Item = &Pointer> {
        self.0.iter().flat_map(|operation| {
            let (from, path) = match operation {
                Operation::Add(path, _)
                | Operation::Remove(path)
                | Operation::Replace(path, _)
                | Operation::Test(path, _) => (None, path),
                Operation::Move { from, path } | Operation::Copy { from, path } => (Some(from), path),
            };
            from.into_iter().chain(std::iter::once(path))
        })
    }

    /// Applies it to a text that was checked before, of which no more than `max_bytes` may come.
    ///
    /// # Errors
    /// [`PatchConflict`], by the first operation that does not go.
    pub fn apply(&self, text: &str, max_bytes: usize) -> Result<String, PatchConflict> {
        // INVARIANT: what was checked is one value; were it none, nothing would have a place.
        let Ok(raw) = read::<&RawValue>(text) else { return Err(PatchConflict::Place(0)) };
        let mut tree = Tree::Text(raw);
        let mut room = max_bytes;
        for (number, operation) in self.0.iter().enumerate() {
            operation.apply(&mut tree, &mut room).map_err(|fault| match fault {
                Fault::Place => PatchConflict::Place(number),
                Fault::Test => PatchConflict::Test(number),
                Fault::TooLarge => PatchConflict::TooLarge(number),
            })?;
        }
        // INVARIANT: names and text that was JSON before are always written.
        let written = serde_json::to_string(&tree).unwrap_or_default();
        if written.len() > max_bytes {
            return Err(PatchConflict::TooLarge(self.0.len().saturating_sub(1)));
        }
        Ok(written)
    }
}

impl<'a> Operation<'a> {
    fn read(object: &Object<'a>) -> Option<Self> {
        let pointer = |name| Pointer::parse(&read_string_member(object, name)?).ok();
        let value = || object.iter().find(|(name, _)| *name == "value").map(|(_, value)| value);
        let path = pointer("path")?;
        Some(match read_string_member(object, "op")?.as_str() {
            "add" => Self::Add(path, value()?),
            "remove" => Self::Remove(path),
            "replace" => Self::Replace(path, value()?),
            "move" => Self::Move { from: pointer("from")?, path },
            "copy" => Self::Copy { from: pointer("from")?, path },
            "test" => Self::Test(path, value()?),
            _ => return None,
        })
    }

    fn apply(&self, tree: &mut Tree<'a>, room: &mut usize) -> Result<(), Fault> {
        match self {
            Self::Add(path, value) => put(tree, path, Tree::Text(value)),
            Self::Remove(path) => tree.remove(path.steps()).map(drop).map_err(Fault::from),
            Self::Replace(path, value) => {
                *tree.at(path.steps())? = Tree::Text(value);
                Ok(())
            }
            // Section 4.4: nothing is moved into itself.
            Self::Move { from, path } if path.is_within(from) => Err(Fault::Place),
            Self::Move { from, path } if path == from => tree.at(from.steps()).map(drop).map_err(Fault::from),
            Self::Move { from, path } => {
                let value = tree.remove(from.steps())?;
                put(tree, path, value)
            }
            Self::Copy { from, path } => {
                let value = tree.at(from.steps())?;
                // Copies of copies double each time; together they have no more room than the whole.
                *room = room.checked_sub(value.weight()).ok_or(Fault::TooLarge)?;
                let value = value.clone();
                put(tree, path, value)
            }
            Self::Test(path, value) => {
                let same = tree.at(path.steps())?.is_same(&mut Tree::Text(value));
                if same { Ok(()) } else { Err(Fault::Test) }
            }
        }
    }
}

fn read_string_member(object: &Object<'_>, name: &str) -> Option<String> {
    read_string(object.get(name).filter(|text| text.starts_with('"'))?).ok().map(std::borrow::Cow::into_owned)
}

/// Puts a value at a place, no deeper than a walk can follow.
fn put<'a>(tree: &mut Tree<'a>, path: &Pointer, value: Tree<'a>) -> Result<(), Fault> {
    if path.steps().len().saturating_add(value.levels()) > DEEPEST {
        return Err(Fault::TooLarge);
    }
    tree.add(path.steps(), value).map_err(Fault::from)
}

enum Fault {
    Place,
    Test,
    TooLarge,
}

impl From<NoPlace> for Fault {
    fn from(_: NoPlace) -> Self {
        Self::Place
    }
}

#[cfg(test)]
mod tests;
