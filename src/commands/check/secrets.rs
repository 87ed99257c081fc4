//! Owners and modes: secrets that others may read, that lie where a web server hands them out, or that the daemon's user
//! cannot read.
//!
//! A secret is looked at no further than to see that there is one.

use super::Scene;
use super::finding::{AS_ROOT, Finding};
use super::root::Person;
use super::service;
use crate::config::{DefaultRelay, Place, Relay};
use crate::secret::SecretSource;
use crate::sys::owners::quoted;
use crate::sys::{files, owners, users};
use std::ffi::OsStr;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
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
    pub(super) web: Vec<Person>,
    /// The daemon's, where one is installed.
    pub(super) service: Option<Person>,
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
    findings.extend(programs(scene, &users));
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

/// Programs that print passwords, and those of rules, that somebody else may change. Of another machine's tree nobody can say
/// which program a name stands for.
fn programs(scene: &Scene<'_>, users: &Users) -> Vec<Finding> {
    let own = users.service.as_ref().map_or(scene.around.who.uid, |service| service.uid);
    let check = |argv: &[&str], user: Option<u32>, place: &Place| {
        let argv: Vec<&OsStr> = argv.iter().map(OsStr::new).collect();
        let users: Vec<u32> = std::iter::once(own).chain(user).collect();
        let foreign = owners::check_program(&argv, &users).err()?;
        let what = format!("is not run: {}", foreign.advice("who may change a program decides what is run"));
        Some(Finding::error(AREA, what).split().at(place))
    };
    let secrets = relays(scene).into_iter().flat_map(|(relay, place, _)| {
        [&relay.password, &relay.client_password].into_iter().flatten().filter_map(move |source| match source {
            SecretSource::Command(argv) => check(&argv.iter().map(String::as_str).collect::<Vec<_>>(), None, place),
            SecretSource::Shell(line) => check(&["/bin/sh", "-c", line], None, place),
            _ => None,
        })
    });
    let rules = scene.config.rules.list.iter().filter_map(|rule| {
        let pipe = rule.actions.pipe.as_ref()?;
        let user = pipe.user.as_deref().and_then(users::account).map(|account| account.uid);
        check(&pipe.argv.iter().map(String::as_str).collect::<Vec<_>>(), user, &rule.place)
    });
    if scene.live { secrets.chain(rules).collect() } else { Vec::new() }
}

fn named(finding: Finding, key: &str) -> Finding {
    Finding { what: format!("{key}: {}", finding.what), ..finding }
}

/// What is wrong with a file that holds a secret.
fn secret(scene: &Scene<'_>, users: &Users, path: &Path) -> Vec<Finding> {
    let shown = path.display();
    let (data, guard) = match files::read(path) {
        Ok((data, guard)) => (Zeroizing::new(data), guard),
        Err(error) => return vec![unseen(scene, users, path, &error)],
    };
    let mut found = Vec::new();
    let uid = users.service.as_ref().map_or(scene.around.who.uid, |service| service.uid);
    if let Err(what) = files::check_secret(path, &guard, uid) {
        let finding = Finding::error(AREA, what).split();
        let closed = reader(scene, users, path).filter(|_| guard.acl.is_none() && guard.mode & 0o007 != 0);
        // Who reads it by the right of everybody must not lose it with the others.
        found.push(match closed {
            Some(group) => finding.run(format!("chgrp {group} {0} && chmod 0640 {0}", quoted(path))),
            None => finding,
        });
    }
    if data.split(|octet| *octet == b'\n').next().unwrap_or_default().trim_ascii().is_empty() {
        let finding = Finding::error(AREA, format!("{shown}: the first line is empty"));
        found.push(finding.fix(format!("make the secret the first line of {shown}")));
    }
    found.extend(in_web_root(scene, path).map(|root| {
        let what = format!("{shown} lies below {}, which a web server hands out", root.display());
        Finding::error(AREA, what).fix(moved(path))
    }));
    if let Some(service) = &users.service {
        found.extend(unreadable(scene, service, path));
        // Without the daemon whoever sends must read it.
        found.extend(users.web.iter().filter(|web| scene.root.may_read(web, path)).map(|web| {
            let what = format!("{shown} may be read by {}, which need not, as the daemon sends", web.name);
            let path = quoted(path);
            Finding::warning(AREA, what).run(format!("chown root:{0} {path} && chmod 0640 {path}", service.name))
        }));
    }
    found
}

/// The group that must go on reading a secret: the daemon's, else that of a web server's user who reads it now.
fn reader(scene: &Scene<'_>, users: &Users, path: &Path) -> Option<String> {
    match &users.service {
        Some(service) => Some(service.name.clone()),
        None => users.web.iter().find(|web| scene.root.may_read(web, path)).map(|web| web.name.clone()),
    }
}

fn moved(path: &Path) -> String {
    format!("mv -n {} /etc/postrider/, and change its path in the configuration", quoted(path))
}

/// A secret that cannot be read: by whom, or because it is not there. Nothing is taken from one that is.
fn unseen(scene: &Scene<'_>, users: &Users, path: &Path, error: &std::io::Error) -> Finding {
    let what = format!("{}: {error}", path.display());
    let there = || path.parent().is_some_and(Path::is_dir);
    match (error.kind(), &users.service) {
        // The daemon's alone, as it should be: whether it is in order root sees.
        (ErrorKind::PermissionDenied, Some(_)) if scene.live => Finding::warning(AREA, what).fix(AS_ROOT),
        (ErrorKind::PermissionDenied, _) => Finding::error(AREA, what).fix(AS_ROOT),
        (ErrorKind::NotFound, service) if there() => {
            let path = quoted(path);
            let group = service
                .as_ref()
                .map_or(String::new(), |service| format!(" && chgrp {} {path} && chmod g+r {path}", service.name));
            Finding::error(AREA, what).run(format!("(umask 077 && cat >>{path}){group}"))
        }
        _ => Finding::error(AREA, what).fix(format!("name a file that is there; {} makes one", "postrider setup")),
    }
}

/// What the daemon cannot read. Its right is added to those that there are; no directory is opened to it.
fn unreadable(scene: &Scene<'_>, service: &Person, path: &Path) -> Option<Finding> {
    if scene.root.may_read(service, path) {
        return None;
    }
    let (shown, name) = (path.display(), &service.name);
    let finding = Finding::error(AREA, format!("{shown} cannot be read by {name}, as which the daemon runs"));
    if let Some(closed) = scene.root.closed_to(service, path) {
        let what = format!("{}, as {name} may not enter {}", moved(path), closed.display());
        return Some(finding.fix(what));
    }
    let quoted = quoted(path);
    let of_root = std::fs::metadata(path).is_ok_and(|facts| facts.gid() == 0);
    Some(finding.run(match of_root {
        true => format!("chgrp {name} {quoted} && chmod g+r {quoted}"),
        false => format!("setfacl -m u:{name}:r {quoted}"),
    }))
}

fn in_web_root(scene: &Scene<'_>, path: &Path) -> Option<PathBuf> {
    let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let roots = WEB_ROOTS.iter().flat_map(|pattern| scene.root.fitting(pattern));
    roots
        .into_iter()
        .find(|root| path.starts_with(root) || root.canonicalize().is_ok_and(|root| real.starts_with(root)))
}

/// A configuration file may be read by everybody, but not be handed out. Who may change it is seen when it is loaded.
fn config_file(scene: &Scene<'_>, users: &Users, path: &Path) -> Vec<Finding> {
    let mut found = Vec::new();
    if let Some(root) = in_web_root(scene, path) {
        let what = format!("the configuration lies below {}, which a web server hands out", root.display());
        found.push(
            Finding::warning(AREA, what).at(path.display()).fix(format!("mv -n {} /etc/postrider/", quoted(path))),
        );
    }
    if let Some(service) = users.service.as_ref().filter(|_| path.starts_with(scene.root.at("/etc"))) {
        found.extend(unreadable(scene, service, path));
    }
    found
}
