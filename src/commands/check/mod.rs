//! `postrider check`: everything that goes wrong in the field, each finding with its place and what mends it.
//!
//! Reads only: nothing is made, mended, sent or connected to but the daemon's own socket, and with `--dns` a name server;
//! timedatectl is asked how the kernel sees the clock. What it looks at is below `--root` where one is given: a container,
//! an image, a tree of a test.

mod clock;
mod counters;
mod cron;
mod exchange;
pub mod finding;
mod host;
mod logs;
mod mailboxes;
mod php;
mod programs;
mod root;
mod rules;
mod secrets;
mod service;
mod trust;

use super::mailq::Form;
use super::surroundings::Surroundings;
use crate::config::load::{self, Sources};
use crate::config::{Config, ConfigError, DefaultRelay};
use crate::exit::Status;
use crate::report;
use crate::sys::env;
use finding::Finding;
use root::Root;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// What is checked, and how it is shown.
#[derive(Clone, Debug, Default)]
pub struct Check {
    /// `--config`: this file and what it names, without the machine around it.
    pub config: Option<PathBuf>,
    /// The files of the configuration alone, not what they name.
    pub parse_only: bool,
    /// The machine is below this directory.
    pub root: Option<PathBuf>,
    /// `--dns`: whether mail for the domains of the listeners comes here.
    pub dns: bool,
    /// `--resolver`: asked in place of the system's.
    pub resolver: Option<SocketAddr>,
    /// JSON, one object a line.
    pub json: bool,
}

/// What is looked at.
pub(super) struct Scene<'a> {
    /// The machine's files.
    root: &'a Root,
    /// It is the running machine.
    live: bool,
    /// The configuration.
    config: &'a Config,
    /// Who looks, and when.
    around: &'a Surroundings,
}

/// One part of the machine.
type Look = fn(&Scene<'_>, &mut Vec<Finding>);

/// What a configuration says and names.
const NAMED: [Look; 8] = [
    host::crossings,
    host::local,
    secrets::look,
    logs::look,
    counters::look,
    trust::look,
    mailboxes::look,
    service::queue,
];
/// The machine around it.
const MACHINE: [Look; 7] =
    [host::name, clock::look, service::service, rules::look, programs::look, php::look, cron::look];

/// Whether the daemon is installed on this machine.
pub(super) fn installed() -> bool {
    service::installed(&Root::new(None))
}

/// Checks; 0 where all is well, 1 with warnings, 2 where some mail does not go or a secret is open.
#[must_use]
pub fn run(check: &Check) -> Status {
    let findings = findings(check);
    for finding in &findings {
        let line = match Form::of(check.json) {
            Form::Json => finding.json(),
            Form::Table => finding.line(),
        };
        report::stdout(&format!("{line}\n"));
    }
    finding::status(&findings)
}

fn findings(check: &Check) -> Vec<Finding> {
    let around = Surroundings::look();
    let root = Root::new(check.root.clone());
    let named =
        check.config.as_deref().map(absolute).or_else(|| env::path("POSTRIDER_CONFIG").filter(|_| root.is_live()));
    let config = match load(check, &around, &root) {
        Ok(config) => config,
        Err(errors) => {
            let mut findings: Vec<Finding> = errors.iter().map(of_config).collect();
            // What the machine has wrong is worth knowing without a configuration too.
            if named.is_none() && !check.parse_only {
                let nothing = Config::empty();
                let scene = Scene { root: &root, live: root.is_live(), config: &nothing, around: &around };
                [programs::look, php::look].iter().for_each(|look| look(&scene, &mut findings));
            }
            return findings;
        }
    };
    let mut findings = vec![Finding::ok("config", summary(&config))];
    if check.parse_only {
        return findings;
    }
    let scene = Scene { root: &root, live: root.is_live(), config: &config, around: &around };
    NAMED.iter().for_each(|look| look(&scene, &mut findings));
    if named.is_none() || check.root.is_some() {
        MACHINE.iter().for_each(|look| look(&scene, &mut findings));
    }
    if check.dns {
        exchange::look(&scene, check.resolver, &mut findings);
    }
    findings
}

fn load(check: &Check, around: &Surroundings, root: &Root) -> Result<Config, Vec<ConfigError>> {
    if root.is_live() {
        return around.load(check.config.as_deref().map(absolute));
    }
    // Another machine's: its own files alone, never those of who looks.
    let etc = root.at("/etc");
    load::load(&Sources { explicit: check.config.as_deref().map(absolute), home: None, uid: around.who.uid, etc })
}

/// What is advised about a file holds wherever it is run.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

fn of_config(error: &ConfigError) -> Finding {
    let finding = Finding::config(error);
    let hidden = error.place.as_ref().is_some_and(|place| finding::is_hidden(&place.file));
    match finding.what.starts_with("no configuration") {
        true => finding.fix("postrider setup"),
        false if hidden && !finding.command => finding.fix(finding::AS_ROOT),
        false => finding,
    }
}

fn summary(config: &Config) -> String {
    let files: Vec<String> = config.files.iter().map(|file| file.display().to_string()).collect();
    let default = match &config.default {
        DefaultRelay::Server(_) => "default relay: its own server".to_owned(),
        DefaultRelay::Msmtprc(msmtprc) => {
            format!("default relay: msmtprc with {}", report::counted(msmtprc.accounts.len(), "account"))
        }
        DefaultRelay::Refuse(_) => "default relay: refuses".to_owned(),
        DefaultRelay::Missing => "no default relay: mail of unknown senders is refused".to_owned(),
    };
    let senders = report::counted(config.senders.len(), "sender");
    format!("{}; {senders}; {default}", files.join(", "))
}
