//! Users and groups: who called, and where their home is. The password database is asked here alone.

use std::path::PathBuf;

/// Who a message is submitted for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The real user id.
    pub uid: u32,
    /// The login name; the number where the database has none.
    pub name: String,
    /// The full name (GECOS, up to the first comma), where there is one.
    pub full_name: Option<String>,
    /// The names of all groups.
    pub groups: Vec<String>,
    /// The home directory from `$HOME`, or from the password database where that is unset or `/` (cron).
    pub home: Option<PathBuf>,
}

impl Caller {
    /// The user of this process.
    #[must_use]
    pub fn current() -> Self {
        let ids = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
        let mut caller = Self::of(ids.0, ids.1);
        for gid in rustix::process::getgroups().unwrap_or_default() {
            let group = uzers::get_group_by_gid(gid.as_raw());
            caller.groups.extend(group.map(|group| group.name().to_string_lossy().into_owned()));
        }
        caller.groups.sort();
        caller.groups.dedup();
        let environment = super::env::path("HOME").filter(|home| home.as_os_str() != "/");
        caller.home = environment.or(caller.home);
        caller
    }

    /// Another process's user and group, as the kernel gives them: all else comes from the databases alone.
    #[must_use]
    pub fn of(uid: u32, gid: u32) -> Self {
        use uzers::os::unix::UserExt;
        let user = uzers::get_user_by_uid(uid);
        let name = user.as_ref().map_or_else(|| uid.to_string(), |user| user.name().to_string_lossy().into_owned());
        // A group of the process's own counts even where the database has no such user.
        let own = uzers::get_group_by_gid(gid);
        let groups = uzers::get_user_groups(&name, gid).unwrap_or_default();
        let mut groups: Vec<String> =
            groups.iter().chain(&own).map(|group| group.name().to_string_lossy().into_owned()).collect();
        groups.sort();
        groups.dedup();
        let home = user.as_ref().map(|user| user.home_dir().to_path_buf());
        let gecos = user.as_ref().map(|user| user.gecos().to_string_lossy().into_owned()).unwrap_or_default();
        let full_name = gecos.split(',').next().map(|name| name.replace('&', &name_capital(&name_of(&user))));
        Self { uid, name, full_name: full_name.filter(|name| !name.trim().is_empty()), groups, home }
    }
}

fn name_of(user: &Option<uzers::User>) -> String {
    user.as_ref().map(|user| user.name().to_string_lossy().into_owned()).unwrap_or_default()
}

/// `&` in a GECOS field stands for the login name with a capital.
fn name_capital(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}
