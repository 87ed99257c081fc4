//! Rules with a maildir for each recipient (`check`): whether strangers could have them made, and where they would be.

use super::Scene;
use super::finding::Finding;
use crate::message::address::Address;
use crate::rules::path;

const AREA: &str = "rules";

/// Looks at every rule whose maildir hangs on the recipient.
pub(super) fn look(scene: &Scene<'_>, findings: &mut Vec<Finding>) {
    let Ok(somebody) = Address::parse("somebody@example.com") else { return };
    let rules = scene.config.rules.list.iter().chain(&scene.config.rules.otherwise);
    for rule in rules {
        let Some(maildir) = rule.actions.maildir.as_ref().filter(|maildir| path::varies(&maildir.template)) else {
            continue;
        };
        let name = &rule.name;
        if !maildir.existing {
            let what = format!("rule {name} makes a maildir for every name that a stranger invents");
            let fix = "leave existing = false out, and make the maildirs of those who are to get mail";
            findings.push(Finding::warning(AREA, what).at(&rule.place).fix(fix));
            continue;
        }
        let base = path::expand(&maildir.template, &somebody).base;
        if !scene.root.at(&base).is_dir() {
            let what = format!("rule {name}: the directory {} is not there, and its mail waits", base.display());
            let fix = "make it, owned by the daemon's user, and in it a directory for everybody who is to get mail";
            findings.push(Finding::warning(AREA, what).at(&rule.place).fix(fix));
        }
    }
}
