//! Postfix's lookup tables (postmap(1)) as their source texts: `key value` lines. Pure but for what `Context::read` gives.

use super::model::{Context, Findings, Refusal, Source};
use crate::config::Place;
use zeroize::Zeroizing;

/// The most entries of all tables of a parameter.
const ENTRIES: usize = 100_000;

/// One entry.
pub(super) struct Entry {
    /// Where it stands.
    pub place: Place,
    /// The key in lower case, as tables of addresses and hosts are looked up.
    pub key: String,
    /// The value; of a password table, login and password.
    pub value: Zeroizing<String>,
}

/// The entries of all tables that a parameter names, first ones first.
pub(super) struct Map(Vec<Entry>);

impl Map {
    /// Reads the tables. A type whose source is no text is a finding.
    pub fn load(spec: &str, place: &Place, context: &Context<'_>, findings: &mut Findings) -> Result<Self, Refusal> {
        let mut entries = Vec::new();
        for one in specs(spec) {
            let one = one.strip_prefix("proxy:").unwrap_or(one);
            let Some((kind, name)) = one.split_once(':') else {
                findings.lost(place, "a table without a type (hash:/path); it was left out");
                continue;
            };
            match kind {
                "hash" | "texthash" | "lmdb" | "btree" | "cdb" | "dbm" | "sdbm" => {
                    let name = name.strip_suffix(".db").or_else(|| name.strip_suffix(".lmdb")).unwrap_or(name);
                    let path = super::beside(place, name);
                    match (context.read)(&path).map_err(|what| Refusal(place.clone(), what))? {
                        Some(source) => entries.extend(text(&source, findings)),
                        None => findings
                            .lost(place, format!("{} is not there: the text that postmap was given", path.display())),
                    }
                }
                "inline" => entries.extend(inline(name, place)),
                "static" => {
                    entries.push(Entry {
                        place: place.clone(),
                        key: String::new(),
                        value: Zeroizing::new(unbraced(name).to_owned()),
                    });
                }
                kind => findings.lost(place, format!("tables of type {kind} cannot be read; give its entries by hand")),
            }
        }
        entries.truncate(ENTRIES);
        Ok(Self(entries))
    }

    /// The first entry of a key; `static:` has every key.
    pub fn get(&self, key: &str) -> Option<&Entry> {
        let key = key.to_lowercase();
        self.0.iter().find(|entry| entry.key == key || entry.key.is_empty())
    }

    /// All entries.
    pub fn entries(&self) -> &[Entry] {
        &self.0
    }
}

/// Names of tables, between commas or blanks, braces kept together.
fn specs(text: &str) -> Vec<&str> {
    let (mut depth, mut from, mut found) = (0_usize, 0, Vec::new());
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            ',' | ' ' | '\t' if depth == 0 => {
                found.push(&text[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    found.push(&text[from..]);
    found.retain(|spec| !spec.is_empty());
    found
}

/// `key value` lines; a line that begins with a blank goes on with the one before.
fn text(source: &Source, findings: &mut Findings) -> Vec<Entry> {
    let mut lines: Vec<(Place, Zeroizing<String>)> = Vec::new();
    for (place, line) in source.lines(findings) {
        if line.trim().is_empty() || line.trim_start().starts_with('#') {
            continue;
        }
        match lines.last_mut().filter(|_| line.starts_with([' ', '\t'])) {
            Some((_, last)) => {
                last.push(' ');
                last.push_str(line.trim());
            }
            None => lines.push((place, Zeroizing::new(line.trim().to_owned()))),
        }
    }
    let mut entries = Vec::new();
    for (place, line) in lines {
        match line.split_once([' ', '\t']) {
            Some((key, value)) => entries.push(Entry {
                place,
                key: key.trim_matches('"').to_lowercase(),
                value: Zeroizing::new(value.trim().to_owned()),
            }),
            None => findings.lost(&place, "a key without a value; it was left out"),
        }
    }
    entries
}

fn unbraced(text: &str) -> &str {
    let text = text.trim();
    text.strip_prefix('{').and_then(|text| text.strip_suffix('}')).map_or(text, str::trim)
}

/// `{ key=value, { key = value with blanks } }`.
fn inline(text: &str, place: &Place) -> Vec<Entry> {
    let pairs = specs(unbraced(text)).into_iter().filter_map(|pair| unbraced(pair).split_once('='));
    pairs
        .map(|(key, value)| Entry {
            place: place.clone(),
            key: key.trim().to_lowercase(),
            value: Zeroizing::new(value.trim().to_owned()),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::path::Path;

    #[test]
    fn tables_of_every_kind() {
        let no_owners = std::collections::BTreeMap::new();
        let read = |path: &Path| {
            let data = b"# x\n[smtp.example.com]:587 user:pa:ss\n  word\nA@Example.com\tu2:p2\nlonely\n".to_vec();
            Ok((path == Path::new("/a")).then(|| Source { path: path.to_owned(), data: Zeroizing::new(data) }))
        };
        let context =
            Context { home: None, hostname: "h", canonical: "h", mailname: None, owners: &no_owners, read: &read };
        let mut findings = Findings::default();
        let spec = "proxy:hash:/a.db, inline:{ x=y, { z = a b } } lmdb:/none mysql:/etc/x";
        let map = Map::load(spec, &Place::new("main.cf", 3), &context, &mut findings).unwrap_or_else(|_| panic!());
        let get = |key: &str| map.get(key).map(|entry| (entry.value.to_string(), entry.place.to_string()));
        assert_eq!(get("[SMTP.example.com]:587"), Some(("user:pa:ss word".into(), "/a:2".into())));
        assert_eq!(get("a@example.com").unwrap().0, "u2:p2");
        assert_eq!((get("x").unwrap().0, get("z").unwrap().0), ("y".into(), "a b".into()));
        assert!(get("other").is_none());
        let found: Vec<String> = findings.all().iter().map(|finding| finding.place.to_string()).collect();
        assert_eq!(found, ["/a:5", "main.cf:3", "main.cf:3"]);
        let map =
            Map::load("static:{u:p}", &Place::new("main.cf", 3), &context, &mut findings).unwrap_or_else(|_| panic!());
        assert_eq!(map.get("anything").unwrap().value.as_str(), "u:p");
    }

    proptest! {
        #[test]
        fn any_list_is_split(text in "[a:{}, \t=]{0,40}") {
            prop_assert!(specs(&text).iter().all(|spec| !spec.is_empty()));
            inline(&text, &Place::new("f", 1));
        }
    }
}
