//! A From pattern of a sender: exact address, wildcard or whole domain, and which of two is the more specific.
//!
//! Matching ignores case in both parts: senders are people's addresses.

/// One pattern of a sender's `from`, in lower case.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Pattern {
    /// `shop@example.com`.
    Exact(String),
    /// `*@*.example.com`, `shop-*@example.com`: `*` any run, `?` one character.
    Wildcard(String),
    /// `@example.com` or `*@example.com`: every address of the domain.
    Domain(String),
}

impl Pattern {
    /// The address, where the pattern is one.
    #[must_use]
    pub fn exact(&self) -> Option<&str> {
        match self {
            Self::Exact(address) => Some(address),
            _ => None,
        }
    }
}
