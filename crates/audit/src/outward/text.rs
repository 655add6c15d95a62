//! Texts within others' syntax.

/// Stands where the rest of a text is missing.
pub(super) const MARK: &str = "…";

/// What must not stand in a line: control characters (C0, DEL, C1) and the separators that some readers break lines at.
/// Each becomes U+FFFD.
pub(super) fn printable(text: &str) -> String {
    text.chars().map(shown).collect()
}

/// The same of one character.
pub(super) fn shown(c: char) -> char {
    if is_printable(c) { c } else { char::REPLACEMENT_CHARACTER }
}

/// Whether a character may stand in a line.
pub(super) fn is_printable(c: char) -> bool {
    !c.is_control() && !matches!(c, '\u{2028}' | '\u{2029}')
}

/// Visible ASCII of at most `limit` characters; `-` if nothing is left. RFC 5424 section 6.
pub(super) fn visible_ascii(text: &str, limit: usize) -> String {
    let visible: String = text.chars().filter(char::is_ascii_graphic).take(limit).collect();
    if visible.is_empty() { "-".to_owned() } else { visible }
}
