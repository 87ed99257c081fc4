//! The known name that somebody may have meant, for errors.

/// The name that is nearest, however far that is; `None` where none is known.
pub(crate) fn name<'n>(wanted: &str, known: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    known.into_iter().min_by_key(|known| distance(wanted, known))
}

/// The nearest name, where what was written can be a slip of it: few letters differ, or its end is missing.
pub(crate) fn slip<'n>(wanted: &str, known: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let near = |known: &&'n str| {
        let cut = wanted.len() >= 3 && known.starts_with(wanted);
        (if cut { 0 } else { distance(wanted, known) }, distance(wanted, known))
    };
    let close = known.into_iter().min_by_key(near)?;
    (near(&close).0 <= 1 + close.len() / 4).then_some(close)
}

fn distance(wanted: &str, known: &str) -> usize {
    strsim::damerau_levenshtein(&wanted.to_lowercase(), &known.to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_have_been_meant() {
        let keys = ["expire_after", "warn_after", "retry", "history"];
        assert_eq!(slip("expire", keys), Some("expire_after"));
        assert_eq!(slip("retyr", keys), Some("retry"));
        assert_eq!(slip("WARN_AFTER", keys), Some("warn_after"));
        assert_eq!(slip("colour", keys), None);
        assert_eq!(slip("re", keys), None);
        assert_eq!(name("colour", keys), Some("retry"));
        assert_eq!((name("x", []), slip("x", [])), (None, None));
    }
}
