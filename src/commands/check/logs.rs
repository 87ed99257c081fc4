//! Logs: whether whoever writes them may, and whether nobody else could lay a link in their place. Nothing is made that is not
//! there, as it would belong to whoever checks.

use super::Scene;
use super::finding::{AS_ROOT, Finding};
use super::root::Person;
use super::secrets::Users;
use super::service;
use crate::config::{DefaultRelay, LogTarget, Place};
use crate::sys::owners::{Foreign, Kind, Way, WayError, quoted};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

const AREA: &str = "log";
/// Where the daemon's own logs are.
const FOLDER: &str = "/var/log/postrider";

/// Looks at every log.
pub(super) fn look(scene: &Scene<'_>, findings: &mut Vec<Finding>) {
    let users = Users::of(scene);
    let people = scene.root.people();
    let daemon = people.iter().find(|person| person.name == service::USER);
    for (path, name) in named(scene) {
        let path = scene.root.at(path);
        // What lies in the daemon's own directory the daemon writes, installed or not (a container).
        let folder = path.parent().and_then(|parent| std::fs::metadata(parent).ok());
        let owner = daemon.filter(|daemon| folder.is_some_and(|facts| facts.uid() == daemon.uid));
        findings.push(of(scene, users.service.as_ref().or(owner), &path, &name));
    }
}

/// Every log that the configuration names, and how.
fn named(scene: &Scene<'_>) -> Vec<(PathBuf, String)> {
    let mut all = Vec::new();
    if let LogTarget::File(path) = &scene.config.log.to {
        all.push((path.clone(), "log".to_owned()));
    }
    let mut senders: Vec<(Option<PathBuf>, &Place, &str)> = Vec::new();
    senders.extend(scene.config.senders.iter().map(|one| (one.log_file.clone(), &one.place, "log_file")));
    match &scene.config.default {
        DefaultRelay::Server(sender) => senders.push((sender.log_file.clone(), &sender.place, "log_file")),
        DefaultRelay::Msmtprc(msmtprc) => {
            let accounts = msmtprc.accounts.iter().map(|one| (one.logfile.clone(), &one.place, "logfile"));
            senders.extend(accounts.filter(|(file, ..)| file.as_deref() != Some(Path::new("-"))));
        }
        DefaultRelay::Refuse(_) | DefaultRelay::Missing => {}
    }
    all.extend(senders.into_iter().filter_map(|(file, place, key)| Some((file?, format!("{place}: {key}")))));
    all
}

fn of(scene: &Scene<'_>, service: Option<&Person>, path: &Path, name: &str) -> Finding {
    let shown = path.display();
    let error = |what: &str| Finding::error(AREA, format!("{name} {shown}: {what}"));
    let uid = service.map_or(scene.around.who.uid, |service| service.uid);
    let way = Way::to_write_as(uid).below(&scene.root.at("/"));
    let place = match way.go(path) {
        Ok(place) => place,
        Err(WayError::Foreign(foreign)) => {
            return error(&format!("{}, who could lay a link to any file there", who(&foreign)))
                .fix(elsewhere(scene, service, path));
        }
        Err(WayError::Io(_, fault)) if fault.kind() == ErrorKind::PermissionDenied && scene.around.who.uid != 0 => {
            return Finding::warning(AREA, format!("{name} {shown}: {fault}")).fix(AS_ROOT);
        }
        Err(WayError::Io(missing, fault)) if fault.kind() == ErrorKind::NotFound => {
            return match path.parent().filter(|parent| missing.starts_with(scene.root.at("/")) && !parent.exists()) {
                Some(parent) => error(&fault.to_string()).run(make_folder(service, parent)),
                None => error(&fault.to_string()).fix(elsewhere(scene, service, path)),
            };
        }
        Err(WayError::Io(_, fault)) => return error(&fault.to_string()).fix(elsewhere(scene, service, path)),
    };
    if place.door {
        return Finding::ok(AREA, format!("{name} {shown} can be written"));
    }
    if path.is_dir() {
        return error("is a directory").fix(format!("name a file in it: {shown}/postrider.log"));
    }
    let real = place.path();
    if std::fs::symlink_metadata(&real).is_ok_and(|facts| facts.is_file() && several(&facts)) {
        return error("has several names (hard links), so that nothing is written")
            .fix(elsewhere(scene, service, path));
    }
    let may = match service {
        Some(service) => scene.root.may_write(service, &real),
        None => {
            let asked = if real.exists() { &real } else { &place.folder };
            rustix::fs::access(asked, rustix::fs::Access::WRITE_OK).is_ok()
        }
    };
    match (may, service) {
        (true, _) => Finding::ok(AREA, format!("{name} {shown} can be written")),
        (false, Some(service)) if !real.exists() => {
            let (file, user) = (quoted(&real), &service.name);
            error(&format!("cannot be written by {user}"))
                .run(format!("[ -e {file} ] || install -m 0640 -o {user} -g {user} /dev/null {file}"))
        }
        (false, Some(service)) => {
            error(&format!("cannot be written by {}", service.name)).fix(elsewhere(scene, Some(service), path))
        }
        (false, None) => error("cannot be written").fix(elsewhere(scene, service, path)),
    }
}

fn who(foreign: &Foreign) -> String {
    match foreign.kind {
        Kind::Link => foreign.what(),
        _ => foreign.what().replacen("the directory ", "", 1),
    }
}

fn several(facts: &std::fs::Metadata) -> bool {
    facts.nlink() > 1
}

/// Makes a directory that is not there; one that is there stays as it is.
fn make_folder(service: Option<&Person>, folder: &Path) -> String {
    let folder = quoted(folder);
    match service {
        Some(service) => format!("[ -e {folder} ] || install -d -m 0750 -o {0} -g {0} {folder}", service.name),
        None => format!("[ -e {folder} ] || mkdir -p {folder}"),
    }
}

/// Another place for the log: a directory of whoever writes it.
fn elsewhere(scene: &Scene<'_>, service: Option<&Person>, path: &Path) -> String {
    let name = path.file_name().map_or("postrider.log".into(), |name| name.to_string_lossy());
    let Some(service) = service else {
        return "name a file in a directory that only its owner or root may change, or leave it out (syslog)".into();
    };
    let folder = scene.root.at(FOLDER);
    let make = if folder.exists() { String::new() } else { make_folder(Some(service), &folder) + ", and " };
    format!("{make}name {FOLDER}/{name} in its place")
}
