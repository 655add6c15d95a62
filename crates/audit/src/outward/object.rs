//! JSON objects that are made member by member.

use serde_json::Value;

/// An object that takes members.
pub(super) trait Put {
    /// Sets a member.
    fn put(&mut self, name: &str, value: Value);

    /// Sets a member if there is a value for it.
    fn put_some(&mut self, name: &str, value: Option<Value>);
}

impl Put for Value {
    fn put(&mut self, name: &str, value: Value) {
        if let Some(object) = self.as_object_mut() {
            object.insert(name.to_owned(), value);
        }
    }

    fn put_some(&mut self, name: &str, value: Option<Value>) {
        if let Some(value) = value {
            self.put(name, value);
        }
    }
}
