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
        let uid = rustix::process::getuid().as_raw();
        let user = uzers::get_user_by_uid(uid);
        let name = user.as_ref().map_or_else(|| uid.to_string(), |user| user.name().to_string_lossy().into_owned());
        let gid = rustix::process::getgid().as_raw();
        let groups = uzers::get_user_groups(&name, gid).unwrap_or_default();
        let mut groups: Vec<String> = groups.iter().map(|group| group.name().to_string_lossy().into_owned()).collect();
        for gid in rustix::process::getgroups().unwrap_or_default() {
            let group = uzers::get_group_by_gid(gid.as_raw());
            groups.extend(group.map(|group| group.name().to_string_lossy().into_owned()));
        }
        groups.sort();
        groups.dedup();
        use uzers::os::unix::UserExt;
        let environment = super::env::path("HOME").filter(|home| home.as_os_str() != "/");
        let home = environment.or_else(|| user.as_ref().map(|user| user.home_dir().to_path_buf()));
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
