//! Users and groups: who called, and where their home is. The password database is asked here alone.

use super::files;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Who is behind a message that came over the network: no user of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    /// Who it is, for people: `user app of 192.0.2.1`, `192.0.2.1`.
    pub name: String,
    /// Who it counts as, however many connections and addresses it has: `login app`, `clients on this machine`,
    /// `192.0.2.1`.
    pub counted: String,
    /// The senders that may be used, by name (`default` is the default relay). `None`: the default relay, and all that
    /// are everybody's.
    pub senders: Option<Vec<String>>,
}

/// The ids that this process has, real and effective: a program that was made to run with another's has both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ids {
    /// The users.
    pub users: (u32, u32),
    /// The groups.
    pub groups: (u32, u32),
}

impl Ids {
    /// Those of this process.
    #[must_use]
    pub fn current() -> Self {
        use rustix::process::{getegid, geteuid, getgid, getuid};
        Self { users: (getuid().as_raw(), geteuid().as_raw()), groups: (getgid().as_raw(), getegid().as_raw()) }
    }

    /// The only user behind it; `None` where it has the rights of two.
    #[must_use]
    pub fn only(self) -> Option<u32> {
        (self.users.0 == self.users.1 && self.groups.0 == self.groups.1).then_some(self.users.0)
    }
}

/// Who a message is submitted for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The real user id.
    pub uid: u32,
    /// The login name; the number where the database has none.
    pub name: String,
    /// The full name (GECOS, up to the first comma), where there is one.
    pub full_name: Option<String>,
    /// The real group id.
    pub gid: u32,
    /// The supplementary groups of the process itself; none of another's.
    own: Vec<u32>,
    /// The names of all groups, once they were asked for.
    groups: OnceLock<BTreeSet<String>>,
    /// It came over the network; then the rest says nothing of who it is.
    pub remote: Option<Remote>,
    /// The home directory from `$HOME`, or from the password database where that is unset, `/` (cron) or another
    /// user's (`su`, `sudo -E`).
    pub home: Option<PathBuf>,
}

impl Caller {
    /// The user of this process.
    #[must_use]
    pub fn current() -> Self {
        let ids = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
        let mut caller = Self::of(ids.0, ids.1);
        caller.own = rustix::process::getgroups().unwrap_or_default().iter().map(|gid| gid.as_raw()).collect();
        let environment = super::env::own_directory("HOME").filter(|home| home.as_os_str() != "/");
        caller.home = environment.or(caller.home);
        caller
    }

    /// Another process's user and group, as the kernel gives them: all else comes from the databases alone.
    #[must_use]
    pub fn of(uid: u32, gid: u32) -> Self {
        use uzers::os::unix::UserExt;
        let user = uzers::get_user_by_uid(uid);
        let name = user.as_ref().map_or_else(|| uid.to_string(), |user| user.name().to_string_lossy().into_owned());
        let home = user.as_ref().map(|user| user.home_dir().to_path_buf());
        let gecos = user.as_ref().map(|user| user.gecos().to_string_lossy().into_owned()).unwrap_or_default();
        let full_name = gecos.split(',').next().map(|name| name.replace('&', &name_capital(&name_of(&user))));
        let full_name = full_name.filter(|name| !name.trim().is_empty());
        Self { uid, name, full_name, gid, own: Vec::new(), groups: OnceLock::new(), remote: None, home }
    }

    /// Somebody who is no user of this machine. The queue has the message as one of `uid`; what is missing in it is put
    /// in as of the postmaster.
    #[must_use]
    pub fn remote(uid: u32, remote: Remote) -> Self {
        let groups = OnceLock::from(BTreeSet::new());
        let name = "postmaster".to_owned();
        Self { uid, name, full_name: None, gid: uid, own: Vec::new(), groups, remote: Some(remote), home: None }
    }

    /// The ids of all groups of the user: the process's own, and those of the database.
    #[must_use]
    pub fn gids(&self) -> Vec<u32> {
        let members = uzers::get_user_groups(&self.name, self.gid).unwrap_or_default();
        members.iter().map(uzers::Group::gid).chain(self.own.iter().copied()).chain([self.gid]).collect()
    }

    /// Whether the user is in a group of that name. The group database, which is slow to open, is asked at the first
    /// question and not before: few configurations have one.
    #[must_use]
    pub fn is_in(&self, group: &str) -> bool {
        let groups = self.groups.get_or_init(|| {
            let members = uzers::get_user_groups(&self.name, self.gid).unwrap_or_default();
            // A group of the process's own counts even where the database has no such user.
            let own = self.own.iter().chain([&self.gid]).filter_map(|gid| uzers::get_group_by_gid(*gid));
            members.into_iter().chain(own).map(|group| group.name().to_string_lossy().into_owned()).collect()
        });
        groups.contains(group)
    }
}

/// The login name of a user; the number where the database has none.
#[must_use]
pub fn name(uid: u32) -> String {
    uzers::get_user_by_uid(uid).map_or_else(|| uid.to_string(), |user| user.name().to_string_lossy().into_owned())
}

/// The name of a group; the number where the database has none.
#[must_use]
pub fn group_name(gid: u32) -> String {
    uzers::get_group_by_gid(gid).map_or_else(|| gid.to_string(), |group| group.name().to_string_lossy().into_owned())
}

/// Whether a group has others in it than root and these users, as `/etc` below `base` says. Only root's own has none; of a
/// group that stands elsewhere (LDAP), or that is for everybody (`users`), nobody knows.
#[must_use]
pub fn has_others(gid: u32, own: &[u32], base: &Path) -> bool {
    let text = |name: &str| {
        let read = files::read(&base.join("etc").join(name)).ok();
        read.map(|(text, _)| String::from_utf8_lossy(&text).into_owned()).unwrap_or_default()
    };
    gid != 0 && others(&text("group"), &text("passwd"), gid, own)
}

fn others(group: &str, passwd: &str, gid: u32, own: &[u32]) -> bool {
    let fields = |line: &str| line.split(':').map(str::to_owned).collect::<Vec<_>>();
    let number = |field: Option<&String>| field.and_then(|text| text.parse::<u32>().ok());
    let people: Vec<Vec<String>> = passwd.lines().map(fields).collect();
    let Some(group) = group.lines().map(fields).find(|fields| number(fields.get(2)) == Some(gid)) else { return true };
    let known = |person: &&Vec<String>| number(person.get(2)).is_some_and(|uid| uid == 0 || own.contains(&uid));
    let trusted = |name: &str| people.iter().filter(known).any(|person| person.first().is_some_and(|one| one == name));
    let listed = group.get(3).map(String::as_str).unwrap_or_default().split(',').map(str::trim);
    let by_list = listed.filter(|name| !name.is_empty()).any(|name| !trusted(name));
    let by_passwd = people.iter().any(|person| number(person.get(3)) == Some(gid) && !known(&person));
    group.first().is_some_and(|name| name == "users") || by_list || by_passwd
}

/// A user as a program of another's may run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The login name.
    pub name: String,
    /// The user id.
    pub uid: u32,
    /// The primary group's id.
    pub gid: u32,
    /// The home directory.
    pub home: PathBuf,
}

impl Account {
    /// The ids of all groups that the user is in.
    #[must_use]
    pub fn gids(&self) -> Vec<u32> {
        let groups = uzers::get_user_groups(&self.name, self.gid).unwrap_or_default();
        let all: BTreeSet<u32> = groups.iter().map(uzers::Group::gid).chain([self.gid]).collect();
        all.into_iter().collect()
    }

    /// The variables that say who it is.
    #[must_use]
    pub fn variables(&self) -> [(&'static str, String); 3] {
        let home = self.home.display().to_string();
        [("USER", self.name.clone()), ("LOGNAME", self.name.clone()), ("HOME", home)]
    }
}

/// A user of the password database, by name.
#[must_use]
pub fn account(name: &str) -> Option<Account> {
    use uzers::os::unix::UserExt;
    let user = uzers::get_user_by_name(name)?;
    let (uid, gid) = (user.uid(), user.primary_group_id());
    Some(Account { name: name.to_owned(), uid, gid, home: user.home_dir().to_path_buf() })
}

fn name_of(user: &Option<uzers::User>) -> String {
    user.as_ref().map(|user| user.name().to_string_lossy().into_owned()).unwrap_or_default()
}

/// `&` in a GECOS field stands for the login name with a capital.
fn name_capital(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_else_is_in_a_group() {
        let group = "staff:x:50:\nanna:x:1000:\nteam:x:70:anna,bob\nsyslog:x:110:\nown:x:71:anna\nusers:x:100:\n";
        let passwd = "root:x:0:0::/:\nanna:x:1000:1000::/:\nbob:x:1001:100::/:\nlog:x:104:110::/:\n";
        let of = |gid, own| others(group, passwd, gid, &[own]);
        assert!(!of(50, 0) && !of(1000, 1000) && !of(71, 1000), "nobody else");
        assert!(of(1000, 0) && of(70, 1000) && of(110, 0), "by the list, and by the user's own group");
        assert!(of(100, 1001) && of(999, 0), "for everybody; unknown");
        assert!(!has_others(0, &[33], Path::new("/nonexistent")) && has_others(1, &[33], Path::new("/nonexistent")));
    }
}
