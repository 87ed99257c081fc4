//! `postrider setup`: asks for provider, address and password, tries the login, and writes a sender with its password file.
//!
//! Every answer is an option too, for scripts; what is missing is asked where standard input is a terminal. Nothing is
//! overwritten, and nothing stays behind where a step fails.

mod ask;
mod counters;
mod write;

use super::surroundings::Surroundings;
use crate::config::load::{self, MAIN, Sources};
use crate::config::nearest;
use crate::config::presets::{self, PRESETS, Preset};
use crate::config::{Config, ConfigError, Via};
use crate::deliver::attempt;
use crate::deliver::context::Context;
use crate::deliver::gate::Gate;
use crate::deliver::status;
use crate::exit::Status;
use crate::message::address::Address;
use crate::report;
use crate::secret::Secret;
use crate::smtp::client::TAKEN;
use crate::smtp::dialogue::Silent;
use ask::Asker;
use clap::Args;
use std::path::{Path, PathBuf};

/// What ends the command: the status and one line.
pub(super) type Failed = (Status, String);

/// The answers, as far as the command line gives them.
#[derive(Clone, Debug, Default, Args)]
pub struct Answers {
    /// A provider by name, or `other`
    #[arg(long, value_name = "NAME")]
    provider: Option<String>,
    /// The From address; the login too, unless --user gives another
    #[arg(long, value_name = "ADDRESS")]
    address: Option<String>,
    /// The sender's name; the address where none is given
    #[arg(long)]
    name: Option<String>,
    /// The server, where it is not the provider's: smtps://host, smtp://host
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// The provider's region, where it has some (ses)
    #[arg(long)]
    region: Option<String>,
    /// The login, where it is not the address
    #[arg(long)]
    user: Option<String>,
    /// Use this password file, where it is
    #[arg(long, value_name = "FILE", conflicts_with = "password_stdin")]
    password_file: Option<PathBuf>,
    /// Read the password from standard input
    #[arg(long)]
    password_stdin: bool,
    /// A group that may read the password, for programs that send without the daemon (www-data)
    #[arg(long)]
    group: Option<String>,
    /// Trust these certificate authorities in place of the system's, for a server of one's own
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Do not try the login
    #[arg(long)]
    no_test: bool,
    /// Show what would be written, and write nothing
    #[arg(long)]
    dry_run: bool,
}

/// A sender to be: every answer is there.
pub(super) struct Profile {
    pub name: String,
    pub provider: Option<&'static Preset>,
    pub server: Option<String>,
    pub region: Option<String>,
    pub address: Address,
    pub user: String,
    pub ca_file: Option<PathBuf>,
    /// The password file, beside the others unless it is one that is there already.
    pub password_file: PathBuf,
}

/// Makes a sender.
#[must_use]
pub fn run(config: Option<PathBuf>, answers: Answers) -> Status {
    match made(config, answers) {
        Ok(lines) => {
            report::stdout(&lines);
            Status::Ok
        }
        Err((status, what)) => {
            report::stderr(&format!("postrider setup: {what}"));
            status
        }
    }
}

fn made(config: Option<PathBuf>, answers: Answers) -> Result<String, Failed> {
    let around = Surroundings::look();
    let main = main_file(&around, config)?;
    let folder = main.parent().unwrap_or(Path::new("/etc/postrider")).to_owned();
    let profile = profile(&answers, &folder, &Asker::new(!answers.password_stdin))?;
    let sender = folder.join("senders.d").join(format!("{}.toml", write::file_name(&profile.name)));
    if std::fs::symlink_metadata(&sender).is_ok() {
        return Err((
            Status::CantCreate,
            format!("{} is there already; give another --name, or edit it", sender.display()),
        ));
    }
    let before = existing(&main)?;
    told_early(before.as_ref(), &profile)?;
    let text = write::sender(&profile);
    let password = password(&answers, &profile)?;
    let group = answers.group.clone();
    let mut plan =
        write::Plan { main, sender, profile, text, password, group, fresh: before.is_none(), counters: None };
    let tried = rehearsed(&mut plan, &around, answers.no_test)?;
    if answers.dry_run {
        return Ok(format!("{tried}{}", plan.shown()));
    }
    plan.write()?;
    Ok(format!("{tried}{}", plan.done()))
}

/// The main file beside which the sender goes: a named one, that of the machine for root, else the caller's own.
fn main_file(around: &Surroundings, config: Option<PathBuf>) -> Result<PathBuf, Failed> {
    if let Some(named) = config.or_else(|| crate::sys::env::path("POSTRIDER_CONFIG")) {
        return std::path::absolute(&named).map_err(|error| (Status::Io, format!("{}: {error}", named.display())));
    }
    if around.who.uid == 0 {
        return Ok(MAIN.into());
    }
    let base = crate::sys::env::own_directory("XDG_CONFIG_HOME");
    let base = base.or_else(|| Some(around.who.home.as_ref()?.join(".config")));
    let nowhere = || (Status::Config, "there is no home directory to write to; give --config FILE".to_owned());
    Ok(base.ok_or_else(nowhere)?.join("postrider/postrider.toml"))
}

/// The configuration that is there; `None` where there is none.
fn existing(main: &Path) -> Result<Option<Config>, Failed> {
    if std::fs::symlink_metadata(main).is_err() {
        return Ok(None);
    }
    read(main).map(Some).map_err(|errors| {
        (Status::Config, format!("{}; mend that first (postrider check)", super::misconfigured::line(&errors)))
    })
}

fn read(main: &Path) -> Result<Config, Vec<ConfigError>> {
    let around = Surroundings::look();
    let etc = "/etc".into();
    load::load(&Sources { explicit: Some(main.to_owned()), home: around.who.home, uid: around.who.uid, etc })
}

/// A claim or a name that another sender has is told before anything is asked of a server.
fn told_early(config: Option<&Config>, profile: &Profile) -> Result<(), Failed> {
    let Some(config) = config else { return Ok(()) };
    for sender in &config.senders {
        if sender.name.to_lowercase() == profile.name.to_lowercase() {
            let what = format!("{}: a sender has the name {} already; give another --name", sender.place, profile.name);
            return Err((Status::Config, what));
        }
        let claimed = sender.claims().iter().any(|claim| claim.exact().is_some_and(|own| own == profile.address.key()));
        if claimed {
            let what = format!("{}: the sender {} has {} already", sender.place, sender.name, profile.address);
            return Err((Status::Config, what));
        }
        if sender.from.iter().any(|(pattern, _)| pattern.matches(&profile.address)) {
            let what = format!(
                "note: the sender {} ({}) fits {} too; the exact address goes first",
                sender.name, sender.place, profile.address
            );
            report::stderr(&format!("postrider setup: {what}"));
        }
    }
    Ok(())
}

fn profile(answers: &Answers, folder: &Path, asker: &Asker) -> Result<Profile, Failed> {
    let usage = |what: String| (Status::Usage, what);
    let provider = match (&answers.provider, &answers.server) {
        (Some(name), _) => provider(name).map_err(usage)?,
        (None, Some(_)) => None,
        (None, None) => asker.provider()?,
    };
    let server = match (&answers.server, provider) {
        (Some(server), _) => Some(server.clone()),
        (None, Some(_)) => None,
        (None, None) => Some(asker.line("Server (smtps://host or smtp://host)", "--server", None)?),
    };
    let needs_region = provider.is_some_and(|one| one.hosts.iter().any(|host| host.contains("{region}")));
    let region = match (&answers.region, needs_region && server.is_none()) {
        (None, true) => Some(asker.line("Region (eu-west-1 ...)", "--region", None)?),
        (region, _) => region.clone(),
    };
    let address = match &answers.address {
        Some(address) => address.clone(),
        None => asker.line("From address", "--address", None)?,
    };
    let address = Address::parse(&address).map_err(|error| usage(format!("--address: {error}")))?;
    let usual = provider.and_then(|one| one.user).map_or_else(|| address.to_string(), str::to_owned);
    let user = match &answers.user {
        Some(user) => user.clone(),
        None if asker.is_person() && answers.address.is_none() => asker.line("Login", "--user", Some(&usual))?,
        None => usual,
    };
    let name = answers.name.clone().unwrap_or_else(|| address.to_string());
    if name.trim().is_empty() || name.len() > 200 || name.chars().any(char::is_control) {
        return Err(usage("--name is 1 to 200 characters without control characters".into()));
    }
    let own = folder.join(format!("{}.password", write::file_name(&name)));
    let password_file = answers.password_file.as_ref().map_or(Ok(own), std::path::absolute);
    let password_file = password_file.map_err(|error| usage(format!("--password-file: {error}")))?;
    let ca_file = answers.ca_file.as_ref().map(std::path::absolute).transpose();
    let ca_file = ca_file.map_err(|error| usage(format!("--ca-file: {error}")))?;
    Ok(Profile { name, provider, server, region, address, user, ca_file, password_file })
}

/// A provider by its name; `other` is none.
fn provider(name: &str) -> Result<Option<&'static Preset>, String> {
    if name == "other" {
        return Ok(None);
    }
    presets::find(&name.to_lowercase()).map(Some).ok_or_else(|| {
        let near = nearest::name(name, PRESETS.iter().map(|one| one.name));
        format!("no provider is named {}; did you mean {}?", name.escape_debug(), near.unwrap_or_default())
    })
}

/// The password; `None` where it stays in a file that is there.
fn password(answers: &Answers, profile: &Profile) -> Result<Option<Secret>, Failed> {
    if answers.password_file.is_some() {
        return Ok(None);
    }
    if profile.password_file.exists() {
        let what =
            format!("{} is there already; use it with --password-file, or remove it", profile.password_file.display());
        return Err((Status::CantCreate, what));
    }
    let notes = profile.provider.map_or("", |provider| provider.notes);
    ask::password(answers.password_stdin, notes).map(Some)
}

/// Reads the sender as it will be read, in a place of its own, and tries its login.
fn rehearsed(plan: &mut write::Plan, around: &Surroundings, no_test: bool) -> Result<String, Failed> {
    let trial = plan.trial()?;
    let config = read(&trial.main).map_err(|errors| {
        let what = super::misconfigured::line(&errors).replace(&trial.directory(), &plan.folder());
        (Status::Config, what)
    })?;
    let named = config.senders.iter().find(|sender| sender.name == plan.profile.name);
    let sender = named.ok_or((Status::Software, "the sender cannot be read back".to_owned()))?;
    plan.counters = counters::needed(&config, sender, plan);
    if no_test {
        return Ok(String::new());
    }
    let secret = |source: &crate::secret::SecretSource, _| plan.fetch(source, around);
    let mut context = Context {
        host: &around.hostname,
        transcript: &mut Silent,
        secret: &secret,
        gate: Gate::of(&config, Via::Sender(sender).name()),
        before_mail: &|| (),
        taken: TAKEN,
    };
    match attempt::probe(&sender.relay, &mut context) {
        Ok(opened) => Ok(match opened.login {
            Some((mechanism, user)) => format!("{}: {user} may log in ({mechanism})\n", opened.server),
            None => format!("{}: serves without a login\n", opened.server),
        }),
        Err(trouble) => {
            let line = trouble.line(&sender.relay.endpoint.to_string(), None);
            let status = status::of_trouble(&trouble, config.tempfail_exit);
            Err((status, format!("{line}; nothing was written (--no-test writes it nevertheless)")))
        }
    }
}
