//! Owners and modes: secrets that others may read, that lie where a web server hands them out, or that the daemon's user
//! cannot read; logs that cannot be written.
//!
//! A secret is looked at no further than to see that there is one.

use super::Scene;
use super::finding::Finding;
use super::root::Person;
use super::service;
use crate::config::{DefaultRelay, LogTarget, Place, Relay};
use crate::secret::SecretSource;
use crate::sys::files;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

const AREA: &str = "secrets";

/// What web servers hand out.
pub(super) const WEB_ROOTS: [&str; 9] = [
    "/var/www",
    "/srv/www",
    "/srv/http",
    "/usr/share/nginx",
    "/home/*/public_html",
    "/home/*/www",
    "/home/*/htdocs",
    "/home/*/web",
    "/home/bitrix",
];
/// Users that web servers and PHP run as.
const WEB_USERS: [&str; 9] = ["www-data", "apache", "nginx", "httpd", "http", "wwwrun", "bitrix", "lighttpd", "caddy"];

/// Every account with its place, and how a person calls it.
pub(super) fn relays<'c>(scene: &Scene<'c>) -> Vec<(&'c Relay, &'c Place, String)> {
    let config = scene.config;
    let sender = |name: &str| format!("sender {name}");
    let mut all: Vec<_> = config.senders.iter().map(|one| (&one.relay, &one.place, sender(&one.name))).collect();
    match &config.default {
        DefaultRelay::Server(sender) => all.push((&sender.relay, &sender.place, "default relay".into())),
        DefaultRelay::Msmtprc(msmtprc) => {
            let named = msmtprc.accounts.iter();
            all.extend(named.map(|one| (&one.relay, &one.place, format!("msmtprc account {}", one.name))));
        }
        DefaultRelay::Refuse(_) | DefaultRelay::Missing => {}
    }
    all
}

/// Whose rights matter.
pub(super) struct Users {
    /// Users that web servers run as, of those that there are.
    web: Vec<Person>,
    /// The daemon's, where one is installed.
    service: Option<Person>,
}

impl Users {
    pub(super) fn of(scene: &Scene<'_>) -> Self {
        let people = scene.root.people();
        let service = people.iter().find(|person| person.name == service::USER).cloned();
        Self {
            web: people.into_iter().filter(|person| WEB_USERS.contains(&person.name.as_str())).collect(),
            service: service.filter(|_| service::installed(scene.root)),
        }
    }
}

/// Looks at every secret.
pub(super) fn look(scene: &Scene<'_>, findings: &mut Vec<Finding>) {
    let users = Users::of(scene);
    let before = findings.len();
    let mut count = 0;
    for (relay, place, _) in relays(scene) {
        for (name, source) in [("password", &relay.password), ("client_password", &relay.client_password)] {
            if let Some(SecretSource::File(path)) = source {
                count += 1;
                let found = secret(scene, &users, &scene.root.at(path));
                findings.extend(found.into_iter().map(|one| named(one, name).at(place)));
            }
        }
        if let Some((_, key)) = &relay.tls_options.client {
            count += 1;
            let found = secret(scene, &users, &scene.root.at(key));
            findings.extend(found.into_iter().map(|one| named(one, "client_key").at(place)));
        }
    }
    let files = &scene.config.files;
    findings.extend(files.iter().flat_map(|file| config_file(scene, &users, file)));
    if findings.len() == before {
        let what = match count {
            0 => "no secret is in a file of its own".to_owned(),
            1 => "the file with a secret is closed to others".to_owned(),
            count => format!("{count} files with secrets are closed to others"),
        };
        findings.push(Finding::ok(AREA, what));
    }
}

fn named(finding: Finding, key: &str) -> Finding {
    Finding { what: format!("{key}: {}", finding.what), ..finding }
}

/// What is wrong with a file that holds a secret.
fn secret(scene: &Scene<'_>, users: &Users, path: &Path) -> Vec<Finding> {
    let shown = path.display();
    let (data, guard) = match files::read(path) {
        Ok((data, guard)) => (Zeroizing::new(data), guard),
        Err(error) => {
            let finding = Finding::error(AREA, format!("{shown}: {error}"));
            return vec![finding.fix(format!("install -m 0600 /dev/null {shown} and put the secret into it"))];
        }
    };
    let mut found = Vec::new();
    let owner = users.service.as_ref().map(|service| service.uid).filter(|uid| *uid == guard.uid);
    if let Err(what) = files::check_secret(path, &guard, owner.unwrap_or(scene.around.who.uid)) {
        found.push(Finding::error(AREA, what).split());
    }
    if data.split(|octet| *octet == b'\n').next().unwrap_or_default().trim_ascii().is_empty() {
        found.push(Finding::error(AREA, format!("{shown}: the first line is empty")).fix(format!("nano {shown}")));
    }
    found.extend(in_web_root(scene, path).map(|root| {
        let what = format!("{shown} lies below {}, which a web server hands out", root.display());
        Finding::error(AREA, what).fix(format!("mv {shown} /etc/postrider/ and change its path in the configuration"))
    }));
    if let Some(service) = &users.service {
        found.extend(unreadable(scene, service, path));
        // Without the daemon whoever sends must read it.
        found.extend(users.web.iter().filter(|web| scene.root.may_read(web, path)).map(|web| {
            let what = format!("{shown} may be read by {}, which need not, as the daemon sends", web.name);
            Finding::warning(AREA, what).fix(format!("chown root:{0} {shown} && chmod 0640 {shown}", service.name))
        }));
    }
    found
}

fn unreadable(scene: &Scene<'_>, service: &Person, path: &Path) -> Option<Finding> {
    let shown = path.display();
    let finding = Finding::error(AREA, format!("{shown} cannot be read by {}, as which the daemon runs", service.name));
    let fix = format!("chgrp {0} {shown} && chmod g+r {shown} (and chmod a+x the directories above)", service.name);
    (!scene.root.may_read(service, path)).then(|| finding.fix(fix))
}

fn in_web_root(scene: &Scene<'_>, path: &Path) -> Option<PathBuf> {
    let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let roots = WEB_ROOTS.iter().flat_map(|pattern| scene.root.fitting(pattern));
    roots
        .into_iter()
        .find(|root| path.starts_with(root) || root.canonicalize().is_ok_and(|root| real.starts_with(root)))
}

/// A configuration file may be read by everybody, but not changed, and not be handed out.
fn config_file(scene: &Scene<'_>, users: &Users, path: &Path) -> Vec<Finding> {
    let shown = path.display();
    let mut found = Vec::new();
    if let Ok((_, guard)) = files::read(path)
        && guard.mode & 0o022 != 0
        && guard.mode & 0o002 != 0
    {
        let what = format!("everybody may change it (mode {:04o})", guard.mode);
        found.push(Finding::error(AREA, what).at(path.display()).fix(format!("chmod go-w {shown}")));
    }
    if let Some(root) = in_web_root(scene, path) {
        let what = format!("the configuration lies below {}, which a web server hands out", root.display());
        found.push(Finding::warning(AREA, what).at(path.display()).fix(format!("mv {shown} /etc/postrider/")));
    }
    if let Some(service) = users.service.as_ref().filter(|_| path.starts_with(scene.root.at("/etc"))) {
        found.extend(unreadable(scene, service, path));
    }
    found
}

/// Whether the logs can be written; nothing is made that is not there, as it would belong to whoever checks.
pub(super) fn logs(scene: &Scene<'_>, findings: &mut Vec<Finding>) {
    let users = Users::of(scene);
    let mut all: Vec<(PathBuf, String)> = Vec::new();
    if let LogTarget::File(path) = &scene.config.log.to {
        all.push((path.clone(), "log".into()));
    }
    for sender in &scene.config.senders {
        all.extend(sender.log_file.clone().map(|file| (file, format!("{}: log_file", sender.place))));
    }
    if let DefaultRelay::Msmtprc(msmtprc) = &scene.config.default {
        let files = msmtprc.accounts.iter().filter_map(|one| Some((one.logfile.clone()?, &one.place)));
        all.extend(files.filter(|(file, _)| file != Path::new("-")).map(|(file, at)| (file, format!("{at}: logfile"))));
    }
    for (path, name) in all {
        let path = scene.root.at(path);
        let (shown, parent) = (path.display(), path.parent().unwrap_or(Path::new("/")).display());
        let place = if path.exists() { &path } else { path.parent().unwrap_or(&path) };
        findings.push(match rustix::fs::access(place, rustix::fs::Access::WRITE_OK) {
            Err(error) => Finding::error("log", format!("{name} {shown}: {}", std::io::Error::from(error)))
                .fix(format!("install -d -m 0750 {parent}")),
            Ok(()) if path.is_dir() => Finding::error("log", format!("{name} {shown} is a directory"))
                .fix(format!("give a file in it: {shown}/postrider.log")),
            Ok(()) => match users.service.as_ref().filter(|service| !scene.root.may_write(service, &path)) {
                Some(service) => Finding::error("log", format!("{name} {shown} cannot be written by {}", service.name))
                    .fix(format!("install -d -m 0750 -o {0} -g {0} {parent}", service.name)),
                None => Finding::ok("log", format!("{name} {shown} can be written")),
            },
        });
    }
}
