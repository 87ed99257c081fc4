//! The host: the name that servers are greeted with, senders whose patterns cross, staging, aliases.

use super::Scene;
use super::finding::Finding;
use super::secrets::relays;
use crate::commands::alias_files;
use crate::config::{Sender, StagingTarget};
use crate::deliver::sorted;
use crate::net::connect;
use crate::report::printable;
use crate::sys::clock::Deadline;
use crate::sys::owners::quoted;
use std::time::Duration;

/// How long the lookup of the host's name may take.
const LOOKUP: Duration = Duration::from_secs(5);
/// The name in EHLO: full, and known to the resolver.
pub(super) fn name(scene: &Scene<'_>, findings: &mut Vec<Finding>) {
    let all = relays(scene);
    if all.is_empty() || all.iter().all(|(relay, ..)| relay.ehlo.is_some()) {
        return;
    }
    let name = match scene.live {
        true => scene.around.hostname.clone(),
        false => scene.root.text("/etc/hostname").unwrap_or_default().trim().to_owned(),
    };
    let fix = "hostnamectl set-hostname mail.example.com, or ehlo = \"mail.example.com\" in the sender";
    let shown = printable(&name);
    if !name.contains('.') || name.starts_with("localhost") {
        let what = format!("servers are greeted with \"{shown}\", which is no full name; some refuse that");
        findings.push(Finding::warning("ehlo", what).fix(fix));
    } else if !scene.live {
        findings.push(Finding::ok("ehlo", format!("servers are greeted with {shown}")));
    } else {
        findings.push(match connect::lookup(&name, Deadline::after(LOOKUP)) {
            Ok(()) => Finding::ok("ehlo", format!("servers are greeted with {shown}")),
            Err(error) => {
                let what = format!("servers are greeted with {shown}, but {error}; some refuse that");
                Finding::warning("ehlo", what).fix(fix)
            }
        });
    }
}

/// Wildcards of two senders that both fit some address, and neither of which is a part of the other: which one counts is
/// the finer rule of specificity, and seldom meant.
pub(super) fn crossings(scene: &Scene<'_>, findings: &mut Vec<Finding>) {
    let senders: Vec<&Sender> = scene.config.senders.iter().filter(|sender| sender.enabled).collect();
    for (number, one) in senders.iter().enumerate() {
        for other in &senders[number + 1..] {
            for (mine, place) in &one.from {
                let Some((theirs, second)) = other.from.iter().find(|(theirs, _)| mine.crosses(theirs)) else {
                    continue;
                };
                let what = format!(
                    "{mine} of sender {} and {theirs} of sender {} ({second}) fit some of the same addresses",
                    one.name, other.name
                );
                let fix = "make one of them more specific; postrider explain shows which one counts";
                findings.push(Finding::warning("senders", what).at(place).fix(fix));
            }
        }
    }
}

/// Staging that is on, and aliases that are not used.
pub(super) fn local(scene: &Scene<'_>, findings: &mut Vec<Finding>) {
    if let Some(staging) = &scene.config.staging {
        let what = format!("[staging] is on: mail goes to {staging}, not to its recipients");
        findings.push(Finding::warning("config", what).fix("remove [staging] where mail is to leave"));
        if let StagingTarget::Maildir(path) | StagingTarget::Mbox(path) = &staging.to
            && let Some(parent) = path.parent().map(|parent| scene.root.at(parent)).filter(|parent| !parent.is_dir())
        {
            let what = format!("[staging] capture: {} is no directory", parent.display());
            findings.push(Finding::error("config", what).run(format!("mkdir -p {}", quoted(&parent))));
        }
    }
    // Whose rights the daemon has only root and the daemon's own user can tell.
    if scene.around.who.uid == 0 {
        let faults = sorted::faults(scene.config, 0, true);
        findings.extend(faults.iter().map(|error| Finding { area: "rules", ..Finding::config(error) }));
    }
    let Some(source) = &scene.config.local.aliases else { return };
    let source = crate::config::AliasSource { path: scene.root.at(&source.path), ..source.clone() };
    match alias_files::read(&source) {
        Err(error) => {
            findings.push(Finding { area: "aliases", ..Finding::config(&error) });
        }
        Ok(None) => {}
        Ok(Some(parsed)) if parsed.faults.is_empty() => {
            findings.push(Finding::ok("aliases", parsed.counted()).at(source.path.display()));
        }
        Ok(Some(parsed)) => {
            findings.extend(parsed.faults.iter().map(|fault| Finding::warning("aliases", fault.to_string())))
        }
    }
}
