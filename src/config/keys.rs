//! Every key of postrider.toml: what it takes, what holds without it, what it means.
//!
//! The manual page postrider.toml(5) is made from these tables, and an error about a key that stands in the wrong place
//! finds the right one here. A test holds them to what serde accepts and to the annotated sample. Values only.

mod tables;

pub use tables::{ACCOUNT, TABLES};

/// A key of a table.
#[derive(Debug)]
pub struct Key {
    /// The key.
    pub name: &'static str,
    /// What stands behind the equals sign; one that begins with `table` has a `Table` of its own.
    pub takes: &'static str,
    /// What holds where it is left out.
    pub default: &'static str,
    /// What it means, one or two sentences.
    pub help: &'static str,
}

/// A table of the file.
#[derive(Debug)]
pub struct Table {
    /// How it begins in the file, as in `[queue]`; empty for the top of the file.
    pub head: &'static str,
    /// What it is for, one or two sentences.
    pub help: &'static str,
    /// Its own keys.
    pub keys: &'static [Key],
    /// Whether the keys of `ACCOUNT` stand in it too.
    pub account: bool,
}

/// The keys that stand in a table, the account's included.
pub fn keys_of(table: &Table) -> impl Iterator<Item = &'static Key> {
    let account: &[Key] = if table.account { ACCOUNT } else { &[] };
    table.keys.iter().chain(account)
}

/// The tables in which a key stands, as they begin in a file; the top of the file is `the top of the file`.
#[must_use]
pub fn places(name: &str) -> Vec<&'static str> {
    let holds = |table: &&Table| keys_of(table).any(|key| key.name == name && !key.takes.starts_with("tables"));
    let head = |table: &'static Table| if table.head.is_empty() { "the top of the file" } else { table.head };
    TABLES.iter().filter(holds).map(head).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse::main_file;

    /// A key that is none and near to none, in each table.
    fn unknown(head: &str) -> String {
        let key = "qqqqqqqqqqqqqqqqqqqq";
        let (of, table) = head.split_once(" of ").map_or(("[[sender]]", head), |(table, of)| (of, table));
        match table.split_once(" = ") {
            Some((_, form)) => {
                format!("{of}\n{}\n", table.replace(form, &form.replace("...", &format!("{key} = \"1\""))))
            }
            None => format!("{head}\n{key} = 1\n"),
        }
    }

    /// What serde would take in a table, from its own words.
    fn accepted(head: &str) -> Vec<String> {
        let faults = main_file(&unknown(head));
        let text = faults.first().map(ToString::to_string).unwrap_or_default();
        let (_, known) = text.split_once("; known here: ").unwrap_or_else(|| panic!("{head}: {text}"));
        let mut known: Vec<String> = known.split(", ").map(str::to_owned).collect();
        known.sort();
        known
    }

    #[test]
    fn the_tables_are_what_the_parser_takes() {
        for table in TABLES {
            let mut ours: Vec<&str> = keys_of(table).map(|key| key.name).collect();
            ours.sort_unstable();
            assert_eq!(ours, accepted(table.head), "the keys of {:?} in src/config/keys.rs", table.head);
        }
    }

    #[test]
    fn every_table_of_a_key_is_described() {
        for key in TABLES.iter().flat_map(keys_of) {
            let described = match key.takes {
                "table" => {
                    TABLES.iter().any(|table| table.head.starts_with(&format!("{} = ", key.name)))
                        || TABLES.iter().any(|table| table.head == format!("[{}]", key.name))
                }
                "tables" => TABLES.iter().any(|table| {
                    table.head == format!("[[{}]]", key.name)
                        || table.head.ends_with(&format!(".{}]]", key.name))
                        || table.head.starts_with(&format!("{} = [", key.name))
                }),
                _ => true,
            };
            assert!(described && !key.help.is_empty(), "{}", key.name);
        }
    }

    #[test]
    fn every_key_stands_in_the_sample() {
        let sample = include_str!("../../config/postrider.toml");
        for key in TABLES.iter().flat_map(keys_of).filter(|key| !matches!(key.takes, "table" | "tables")) {
            let stands = sample.match_indices(key.name).any(|(at, _)| {
                let before = sample[..at].chars().next_back().is_none_or(|c| !c.is_ascii_alphanumeric() && c != '_');
                before && sample[at + key.name.len()..].trim_start().starts_with(['=', ',', ' ', ':', '('])
            });
            assert!(stands, "{} in config/postrider.toml", key.name);
        }
    }

    #[test]
    fn a_key_is_found_where_it_belongs() {
        assert_eq!(places("server"), ["[default]", "[[sender]]"]);
        assert_eq!(places("retry"), ["[queue]"]);
        assert_eq!(places("tempfail_exit"), ["the top of the file"]);
        assert!(places("nonsense").is_empty());
    }
}
