//! The counters of sending limits: can those who send write them, and were they damaged? Each user is tried in turn.

use super::Scene;
use super::finding::Finding;
use super::root::Person;
use super::secrets::{self, Users};
use crate::config::{DefaultRelay, Via};
use crate::limits::{self, Class, scope};
use crate::secret::SecretSource;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

const AREA: &str = "limits";

/// The most users that are tried.
const MOST: usize = 50;

/// Looks at them, where anything has a limit.
pub(super) fn look(scene: &Scene<'_>, findings: &mut Vec<Finding>) {
    let config = scene.config;
    let mut accounts: Vec<Via<'_>> = config.senders.iter().map(Via::Sender).collect();
    if let DefaultRelay::Server(sender) = &config.default {
        accounts.push(Via::Default(sender));
    }
    if accounts.into_iter().all(|via| scope::rules(config, via, Class::Single).is_empty()) {
        return;
    }
    let file = scene.root.at(limits::file(config));
    let before = findings.len();
    findings.extend(aside(&file));
    let senders = senders(scene);
    for person in &senders {
        findings.extend(unusable(scene, person, &file));
    }
    if findings.len() == before {
        let names: Vec<&str> = senders.iter().map(|person| person.name.as_str()).collect();
        let what = format!("the counters of sending limits can be written by {}", names.join(", "));
        findings.push(Finding::ok(AREA, what).at(file.display()));
    }
}

/// Who counts: the daemon's user where it delivers; else whoever checks, and whom the configuration or a web server names.
fn senders(scene: &Scene<'_>) -> Vec<Person> {
    let users = Users::of(scene);
    let system = scene.config.files.iter().any(|file| file.starts_with(scene.root.at("/etc")));
    if let Some(service) = users.service.filter(|_| system) {
        return vec![service];
    }
    let named = |person: &Person| {
        let groups = |group: &String| scene.root.group(group).is_some_and(|gid| person.gids.contains(&gid));
        let senders = &scene.config.senders;
        senders.iter().any(|one| one.users.contains(&person.name) || one.groups.iter().any(groups))
    };
    let own = scene.around.who.uid;
    let web = |person: &Person| system && users.web.contains(person);
    // Whoever may read a password sends by himself.
    let secrets: Vec<_> = secrets::relays(scene)
        .into_iter()
        .filter_map(|(relay, ..)| match &relay.password {
            Some(SecretSource::File(path)) => Some(scene.root.at(path)),
            _ => None,
        })
        .collect();
    let reads = |person: &Person| person.uid != 0 && secrets.iter().any(|path| scene.root.may_read(person, path));
    let people = scene.root.people();
    people.into_iter().filter(|one| one.uid == own || named(one) || web(one) || reads(one)).take(MOST).collect()
}

/// Why a user cannot count.
fn unusable(scene: &Scene<'_>, person: &Person, file: &Path) -> Option<Finding> {
    let directory = file.parent().unwrap_or(Path::new("/"));
    let (shown, name) = (file.display(), &person.name);
    // Where there is no directory yet, whoever sends first makes it.
    let nearest = directory.ancestors().find(|above| above.exists()).unwrap_or(Path::new("/"));
    let told = |what: String| {
        let what = format!("{what}: nothing goes over a sender with limits for {name}");
        Some(Finding::error(AREA, what).at(&shown).fix(mend(directory, name)))
    };
    if !scene.root.may_write(person, &nearest.join("limits.db.new")) {
        return told(format!("{name} cannot make the counters of sending limits in {}", nearest.display()));
    }
    for file in ["", "-wal", "-shm"].map(|end| format!("{shown}{end}")) {
        let file = Path::new(&file);
        if file.exists() && !(scene.root.may_write(person, file) && scene.root.may_read(person, file)) {
            return told(format!("{name} cannot write the counters of sending limits, {}", file.display()));
        }
    }
    None
}

/// What mends it without a change to a directory that is there.
fn mend(directory: &Path, name: &str) -> String {
    let place = directory.with_file_name("limits");
    match name {
        super::service::USER if directory.metadata().is_ok_and(|facts| facts.mode() & 0o020 != 0) => {
            format!("usermod -a -G \"$(stat -c %G {})\" {name} && systemctl restart postrider", directory.display())
        }
        super::service::USER => format!("chown {name}: {}/limits.db*", directory.display()),
        name => format!(
            "install -d -m 2770 -o root -g \"$(id -gn {name})\" {0}, and in the configuration: [limits] file = \"{0}/limits.db\"",
            place.display()
        ),
    }
}

/// Counters that were damaged and begun anew.
fn aside(file: &Path) -> Option<Finding> {
    let name = format!("{}.damaged-", file.file_name()?.to_string_lossy());
    let found = std::fs::read_dir(file.parent()?).ok()?.flatten().map(|entry| entry.file_name());
    let newest =
        found.map(|found| found.to_string_lossy().into_owned()).filter(|found| found.starts_with(&name)).max()?;
    let what = format!(
        "the counters of sending limits were damaged; they are kept as {newest}, and until the window of each limit is over, \
         it counts as reached"
    );
    let fix = "postrider senders reset NAME for each sender that may go on at once; the file that is kept may go";
    Some(Finding::warning(AREA, what).at(file.display()).fix(fix))
}
