//! msmtp's alias format: `local: a, b # comment`, names to the letter, `default:` for every name without a line.

use super::{Entry, Fault, Problem, Target, address, name, refused};
use crate::config::Place;
use std::collections::HashMap;
use std::path::Path;

const FORM: &str = "an alias line is `name: address, address`, none of them empty";

/// Reads a text.
pub(super) fn parse(text: &str, file: &Path) -> (HashMap<String, Entry>, Vec<Fault>) {
    let (mut entries, mut faults) = (HashMap::new(), Vec::new());
    for (number, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        let place = Place::new(file, number + 1);
        let own = line.split_once(':').map_or("", |(name, _)| name.trim()).to_owned();
        let mut fault = |problem| faults.push(Fault { place: place.clone(), name: own.clone(), problem });
        match entry(line) {
            Ok((key, _)) if entries.contains_key(&key) => fault(Problem::Syntax("it stands twice".into())),
            Ok((key, targets)) => drop(entries.insert(key, Entry { place, targets })),
            Err(problem) => fault(problem),
        }
    }
    (entries, faults)
}

fn entry(line: &str) -> Result<(String, Vec<Target>), Problem> {
    let (key, targets) = line.split_once(':').ok_or_else(|| Problem::Syntax(FORM.into()))?;
    let key = name(key.trim()).map_err(Problem::Syntax)?;
    let targets = targets.split(',').map(|target| target_of(target.trim())).collect::<Result<_, _>>()?;
    Ok((key, targets))
}

fn target_of(text: &str) -> Result<Target, Problem> {
    match refused(text) {
        Some(Target::Refused(problem)) => Err(problem),
        _ if text.is_empty() => Err(Problem::Syntax(FORM.into())),
        _ => address(text).map_err(Problem::Syntax),
    }
}
