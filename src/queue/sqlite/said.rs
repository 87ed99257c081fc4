//! What was said of a message or a lane, by a server or an operator: as much of it as is kept.

/// Most octets of it.
const SAID: usize = 2000;

/// At most `SAID` octets of a text, cut between characters.
pub(super) fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(SAID)]
}
