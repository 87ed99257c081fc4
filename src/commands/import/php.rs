//! A PHP value as a configuration has it: scalars and arrays. Values only; nothing is ever evaluated.

use zeroize::Zeroizing;

/// The deepest nesting of arrays that is read.
pub const DEPTH: usize = 32;
/// The most values of one document.
pub const VALUES: usize = 100_000;

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `null`.
    Null,
    /// `true`, `false`.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A number with a point or an exponent.
    Float(f64),
    /// Octets, which may be a password: wiped when dropped.
    Text(Zeroizing<Vec<u8>>),
    /// Keys and values in order; a later value of the same key stands in the place of the first.
    Array(Vec<(Key, Value)>),
    /// Something that is not a literal (a function call, a concatenation, an object): the line that it stands in.
    Opaque(usize),
}

/// A key of an array.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Key {
    /// A number.
    Int(i64),
    /// Octets.
    Text(Vec<u8>),
}

impl Key {
    /// A text as a key: decimal integers are numbers, as in PHP.
    #[must_use]
    pub fn of(text: &[u8]) -> Self {
        let number = std::str::from_utf8(text).ok().and_then(|text| text.parse::<i64>().ok());
        match number.filter(|number| number.to_string().as_bytes() == text) {
            Some(number) => Self::Int(number),
            None => Self::Text(text.to_vec()),
        }
    }
}

impl Value {
    /// The value of a key, where this is an array that has it.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Self> {
        let Self::Array(pairs) = self else { return None };
        let key = Key::of(key.as_bytes());
        pairs.iter().find(|(own, _)| *own == key).map(|(_, value)| value)
    }

    /// A text or a number as text, where it is UTF-8; `None` for anything else, and for an empty text.
    #[must_use]
    pub fn text(&self) -> Option<Zeroizing<String>> {
        let text = match self {
            Self::Text(octets) => std::str::from_utf8(octets).ok()?.to_owned(),
            Self::Int(number) => number.to_string(),
            _ => return None,
        };
        Some(Zeroizing::new(text)).filter(|text| !text.is_empty())
    }

    /// Whether PHP takes it for true; `Y` and `N`, as tables have them, for what they mean.
    #[must_use]
    pub fn truth(&self) -> bool {
        match self {
            Self::Null => false,
            Self::Bool(is) => *is,
            Self::Int(number) => *number != 0,
            Self::Float(number) => *number != 0.0,
            Self::Text(octets) => !matches!(octets.as_slice(), b"" | b"0" | b"N" | b"n" | b"false" | b"no" | b"off"),
            Self::Array(pairs) => !pairs.is_empty(),
            Self::Opaque(_) => true,
        }
    }

    /// A whole number, also one that is written as text.
    #[must_use]
    pub fn int(&self) -> Option<i64> {
        match self {
            Self::Int(number) => Some(*number),
            Self::Text(octets) => std::str::from_utf8(octets).ok()?.trim().parse().ok(),
            _ => None,
        }
    }

    /// The line of the first part that is no literal.
    #[must_use]
    pub fn opaque(&self) -> Option<usize> {
        match self {
            Self::Opaque(line) => Some(*line),
            Self::Array(pairs) => pairs.iter().find_map(|(_, value)| value.opaque()),
            _ => None,
        }
    }
}

/// Builds an array as PHP does: a key that is there keeps its place and gets the new value.
#[derive(Debug, Default)]
pub(super) struct Array {
    pairs: Vec<(Key, Value)>,
    known: std::collections::HashMap<Key, usize>,
    next: i64,
}

impl Array {
    /// Adds a value, without a key at the next number.
    pub fn add(&mut self, key: Option<Key>, value: Value) {
        let key = key.unwrap_or(Key::Int(self.next));
        if let Key::Int(number) = key {
            self.next = self.next.max(number.saturating_add(1));
        }
        match self.known.get(&key) {
            Some(at) => self.pairs[*at].1 = value,
            None => {
                self.known.insert(key.clone(), self.pairs.len());
                self.pairs.push((key, value));
            }
        }
    }

    /// The array.
    pub fn finish(self) -> Value {
        Value::Array(self.pairs)
    }
}
