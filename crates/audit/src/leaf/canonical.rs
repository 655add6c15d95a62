//! Writing canonical JSON: JCS, RFC 8785. Whoever writes an object gives its members in the order of their names.

/// An object that is being written behind what `json` holds.
pub(super) struct Members<'a> {
    json: &'a mut Vec<u8>,
    /// What comes before the next member.
    before: u8,
}

impl<'a> Members<'a> {
    pub(super) fn of(json: &'a mut Vec<u8>) -> Self {
        Self { json, before: b'{' }
    }

    pub(super) fn end(self) {
        if self.before == b'{' {
            self.json.push(b'{');
        }
        self.json.push(b'}');
    }

    pub(super) fn text(&mut self, name: &str, text: &str) {
        push_text(self.member(name), text);
    }

    /// A text, if there is one.
    pub(super) fn text_if_any(&mut self, name: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.text(name, text);
        }
    }

    /// A number, if there is one.
    pub(super) fn number_if_any(&mut self, name: &str, number: Option<impl Into<u64>>) {
        if let Some(number) = number {
            push_number(self.member(name), number.into());
        }
    }

    /// An array of texts, if there are any.
    pub(super) fn texts_if_any<'t>(&mut self, name: &str, texts: impl IntoIterator<Item = &'t str>) {
        let mut texts = texts.into_iter();
        let Some(first) = texts.next() else { return };
        let json = self.member(name);
        json.push(b'[');
        push_text(json, first);
        for text in texts {
            json.push(b',');
            push_text(json, text);
        }
        json.push(b']');
    }

    /// An object, if anything is put into it.
    pub(super) fn object_if_any(&mut self, name: &str, fill: impl FnOnce(&mut Members<'_>)) {
        let (length, before) = (self.json.len(), self.before);
        let mut members = Members::of(self.member(name));
        fill(&mut members);
        if members.before == b'{' {
            self.json.truncate(length);
            self.before = before;
        } else {
            members.end();
        }
    }

    /// Begins a member whose name is a field's, which needs no escape. What is its value comes next.
    pub(super) fn member(&mut self, name: &str) -> &mut Vec<u8> {
        self.json.extend_from_slice(&[self.before, b'"']);
        self.json.extend_from_slice(name.as_bytes());
        self.json.extend_from_slice(b"\":");
        self.before = b',';
        self.json
    }

    /// A member of any name.
    pub(super) fn named(&mut self, name: &str, text: &str) {
        self.json.push(self.before);
        push_text(self.json, name);
        self.json.push(b':');
        push_text(self.json, text);
        self.before = b',';
    }
}

/// RFC 8785 section 3.2.2.2.
pub(super) fn push_text(json: &mut Vec<u8>, text: &str) {
    json.push(b'"');
    // Without a branch for each byte, so that many are looked at together.
    if text.bytes().fold(false, |any, byte| any | needs_escape(byte)) {
        text.bytes().for_each(|byte| push_escaped(json, byte));
    } else {
        json.extend_from_slice(text.as_bytes());
    }
    json.push(b'"');
}

fn needs_escape(byte: u8) -> bool {
    (byte < 0x20) | (byte == b'"') | (byte == b'\\')
}

fn push_escaped(json: &mut Vec<u8>, byte: u8) {
    let short = match byte {
        b'"' | b'\\' => byte,
        0x08 => b'b',
        b'\t' => b't',
        b'\n' => b'n',
        0x0c => b'f',
        b'\r' => b'r',
        0..0x20 => {
            let [high, low] = [byte >> 4, byte & 0xf].map(|digit| char::from_digit(digit.into(), 16));
            json.extend_from_slice(br"\u00");
            json.extend([high, low].into_iter().flatten().filter_map(|digit| u8::try_from(digit).ok()));
            return;
        }
        other => return json.push(other),
    };
    json.extend_from_slice(&[b'\\', short]);
}

/// RFC 8785 section 3.2.2.3, for whole numbers that have an exact form.
pub(super) fn push_number(json: &mut Vec<u8>, number: u64) {
    let mut digits = [0; 20];
    let (mut rest, mut first) = (number, digits.len());
    for (place, digit) in digits.iter_mut().enumerate().rev() {
        *digit = b'0' | u8::try_from(rest % 10).unwrap_or_default();
        (rest, first) = (rest / 10, place);
        if rest == 0 {
            break;
        }
    }
    json.extend_from_slice(digits.get(first..).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn texts_and_numbers_are_as_serde_json_writes_them(text in "(?s).{0,20}|[\u{0}-\u{7f}]{0,40}", number: u64, bits in 0..64_u32) {
            let number = number >> bits;
            let mut json = Vec::new();
            push_text(&mut json, &text);
            push_number(&mut json, number);
            let mut expected = serde_json::to_vec(&text).unwrap();
            expected.extend(serde_json::to_vec(&number).unwrap());
            prop_assert_eq!(json, expected);
        }
    }

    #[test]
    fn what_is_empty_is_left_out() {
        let mut json = Vec::new();
        let mut members = Members::of(&mut json);
        members.object_if_any("a", |within| within.text_if_any("b", None));
        members.texts_if_any("c", []);
        members.number_if_any("d", Some(7_u32));
        members.object_if_any("e", |within| within.texts_if_any("f", ["g", "h"]));
        members.object_if_any("i", |_| {});
        members.end();
        assert_eq!(json, br#"{"d":7,"e":{"f":["g","h"]}}"#);
        json.clear();
        Members::of(&mut json).end();
        assert_eq!(json, b"{}");
    }
}
