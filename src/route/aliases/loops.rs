//! Finds aliases that lead back to themselves. One that leads to itself directly is the local mailbox of that name, and
//! no loop. One pass over all names, without recursion.

use super::{Aliases, Entry, Fault, Problem, Target};
use std::collections::HashMap;

/// How many names of a loop are shown.
const SHOWN: usize = 10;

/// A fault for each loop, at one alias of it: the one on the first line.
pub(super) fn find(aliases: &Aliases) -> Vec<Fault> {
    let mut names: Vec<&String> = aliases.entries.keys().collect();
    names.sort_by_key(|name| aliases.entries[*name].place.line);
    // The step at which a name was first seen; `None` once all behind it is known.
    let mut seen: HashMap<String, bool> = HashMap::new();
    let mut faults = Vec::new();
    for name in names {
        let mut path: Vec<(String, std::vec::IntoIter<String>)> = Vec::new();
        enter(aliases, name.clone(), &mut seen, &mut path);
        while let Some((own, next)) = path.last_mut() {
            let Some(target) = next.next() else {
                seen.insert(own.clone(), true);
                path.pop();
                continue;
            };
            match seen.get(&target) {
                _ if target == *own => {}
                Some(true) => {}
                Some(false) => {
                    let from = path.iter().position(|(name, _)| *name == target).unwrap_or_default();
                    let around = path[from..].iter().map(|(name, _)| name.clone()).take(SHOWN);
                    let names: Vec<String> = around.chain([target.clone()]).collect();
                    if let Some(Entry { place, .. }) = aliases.entries.get(&target) {
                        faults.push(Fault { place: place.clone(), name: target, problem: Problem::Loop(names) });
                    }
                }
                None => enter(aliases, target, &mut seen, &mut path),
            }
        }
    }
    faults
}

fn enter(
    aliases: &Aliases,
    name: String,
    seen: &mut HashMap<String, bool>,
    path: &mut Vec<(String, std::vec::IntoIter<String>)>,
) {
    let Some(entry) = aliases.entries.get(&name).filter(|_| !seen.contains_key(&name)) else { return };
    let next = entry.targets.iter().filter_map(|target| match target {
        Target::Name(name) => Some(aliases.key(name)),
        _ => None,
    });
    let next: Vec<String> = next.filter(|name| aliases.entries.contains_key(name)).collect();
    seen.insert(name.clone(), false);
    path.push((name, next.into_iter()));
}
