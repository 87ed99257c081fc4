//! `postrider SUBCOMMAND`: the administrator's command line (clap).

use super::queue::Queue;
use super::senders::{Senders, Since};
use crate::commands;
use crate::commands::check::Check;
use crate::commands::desk::Desk;
use crate::commands::import::{Program, Request};
use crate::commands::mailq::Form;
use crate::commands::setup::Answers;
use crate::commands::test::Test;
use crate::exit::Status;
use clap::{Args, CommandFactory, Parser, Subcommand};
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

/// A sendmail that gives every From address its own SMTP account.
#[derive(Debug, Parser)]
#[command(name = "postrider", version, long_version = long_version(), disable_help_subcommand = true, arg_required_else_help = true)]
struct Admin {
    /// Read this configuration instead of ~/.config/postrider/postrider.toml or /etc/postrider/postrider.toml
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

/// The version, and whose TLS it has: where OpenSSL is linked in, this is how an administrator sees which.
fn long_version() -> &'static str {
    static TEXT: OnceLock<String> = OnceLock::new();
    TEXT.get_or_init(|| format!("{} ({})", env!("CARGO_PKG_VERSION"), openssl::version::version()))
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Send the message on standard input, as the program does that is called sendmail
    #[command(disable_help_flag = true)]
    Sendmail(Rest),
    /// Send as the program does that is called msmtp, with its options and its files
    #[command(disable_help_flag = true)]
    Msmtp(Rest),
    /// Show which sender takes the message on standard input, why, what is rewritten, and the envelope; send nothing
    ///
    /// Options and recipients are those of sendmail, and --json. With --incoming it shows which rule would take a message
    /// that comes in: --to ADDRESS (once or more), --from ADDRESS, --client IP, --listener ADDRESS, --json
    #[command(disable_help_flag = true)]
    Explain(Rest),
    /// Look at everything that keeps mail from being sent, and say what mends it: the configuration and what it names, and
    /// (unless --config names one) the machine around it. Status 0: all is well, 1: warnings, 2: errors
    Check {
        /// Read the configuration files alone: not the secrets, certificates and logs that they name
        #[arg(long)]
        parse_only: bool,
        /// Look at the machine below this directory (a container, an image) instead of the running one
        #[arg(long, value_name = "DIR")]
        root: Option<PathBuf>,
        /// Ask DNS whether mail for the domains of the [[listen]] blocks finds the way to this machine
        #[arg(long, conflicts_with_all = ["parse_only", "root"])]
        dns: bool,
        /// Ask this name server instead of the system's (192.0.2.1:53)
        #[arg(long, value_name = "IP:PORT", requires = "dns")]
        resolver: Option<std::net::SocketAddr>,
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Go with each sender as far as a delivery would go before the message, and show the time of every step
    Test {
        /// These senders, `default`, or accounts of the msmtprc; all where none is given
        #[arg(value_name = "SENDER")]
        senders: Vec<String>,
        /// All of them
        #[arg(long, conflicts_with = "senders")]
        all: bool,
        /// Send a real message there too, and follow it to the server's reply
        #[arg(long, value_name = "ADDRESS")]
        send_to: Option<String>,
        /// Look at SPF, DKIM and DMARC of the senders' domains
        #[arg(long)]
        dns: bool,
        /// Ask this name server instead of the system's (192.0.2.1:53)
        #[arg(long, value_name = "IP:PORT", requires = "dns")]
        resolver: Option<std::net::SocketAddr>,
        /// Evaluate SPF for mail from this address, as receivers see it (192.0.2.7)
        #[arg(long, value_name = "IP", requires = "dns")]
        sends_from: Option<std::net::IpAddr>,
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Make a sender: ask for provider, address and password, try the login, write its files
    Setup(Answers),
    /// Run the daemon in the foreground: sendmail hands messages over to it, and it keeps and delivers them
    Serve {
        /// Listen here instead of /run/postrider/submit.sock
        #[arg(long, value_name = "PATH")]
        socket: Option<PathBuf>,
        /// Before it ends, try everything that is queued once more, for at most this long: 8s, 1m
        #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
        drain: Option<Duration>,
    },
    /// Look at the queue, and do something to messages in it
    #[command(subcommand, arg_required_else_help = true)]
    Queue(Queue),
    /// Show whether the daemon runs, how much it holds, and which senders wait
    Status {
        /// As one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Show the senders: the use of their limits, what they have to do, what keeps them back
    Senders(Senders),
    /// Show what became of messages: sent, put off, failed, by sender and reason, and how long it took
    Stats {
        /// For so long (24h, 7d), or from a day on (2026-11-01)
        #[arg(long, value_name = "TIME", default_value = "24h")]
        since: Since,
        /// As one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Read a password and print the [[user]] that may log in with it
    Passwd {
        /// The login name
        name: Option<String>,
    },
    /// Have the daemon read its configuration again; a faulty one changes nothing
    Reload,
    /// Print a postrider.toml made from another program's configuration; nothing of it is executed
    #[command(after_help = IMPORT_HELP)]
    Import(Import),
    /// Try everything out on this machine alone: an SMTP server on loopback, two senders, real messages
    Try(Rest),
}

/// Beneath the options of `import`.
const IMPORT_HELP: &str =
    "What could not be carried over is said on standard error and in the comments, with file and line.
Passwords are never printed; --write puts each into a file of its own, mode 0600.

  postrider import msmtp ~/.msmtprc
  postrider import postfix --write /etc/postrider
  mysql --batch -e 'SELECT * FROM b_main_mail_sender' sitemanager |
      postrider import bitrix /home/bitrix/www/bitrix/.settings.php - --write";

/// `postrider import`.
#[derive(Debug, Args)]
struct Import {
    /// Whose configuration
    program: Program,
    /// Its files (- is standard input); none: the program's usual ones
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Write postrider.toml and the files with passwords there [without DIR: /etc/postrider]
    #[arg(long, value_name = "DIR", num_args = 0..=1, default_missing_value = "/etc/postrider")]
    write: Option<PathBuf>,
    /// With --write: replace files that are there
    #[arg(long, requires = "write")]
    force: bool,
    /// The findings as one JSON object, in place of the configuration
    #[arg(long)]
    json: bool,
    /// bitrix: sender rows of this user number belong to this Unix user (may be repeated)
    #[arg(long = "owner", value_name = "ID=USER", value_parser = owner)]
    owners: Vec<(u64, String)>,
}

impl Import {
    fn request(self) -> Request {
        let Self { program, files, write, force, json, owners } = self;
        Request { program, files, write, force, json, owners: owners.into_iter().collect() }
    }
}

/// `17=anna`.
fn owner(text: &str) -> Result<(u64, String), String> {
    let (number, user) = text.split_once('=').ok_or("a user number, = and a Unix user are needed, as in 17=anna")?;
    let number = number.parse().map_err(|_| "what stands before = is no user number")?;
    if user.is_empty() || user.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err("a Unix user has no blanks in its name".into());
    }
    Ok((number, user.to_owned()))
}

/// Arguments that are passed on as they are.
#[derive(Debug, Args)]
struct Rest {
    /// Options and operands
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENT")]
    arguments: Vec<OsString>,
}

/// The command line as clap knows it: what the manual page and the shells' completions are made from.
#[must_use]
pub fn command() -> clap::Command {
    Admin::command()
}

/// Runs `postrider` with its arguments, without the program's name.
#[must_use]
pub fn run(arguments: &[OsString]) -> Status {
    if let Some((command, rest, config)) = passed_on(arguments) {
        return pass_on(command, rest, config);
    }
    let with_name = std::iter::once(OsString::from("postrider")).chain(arguments.iter().cloned());
    match Admin::try_parse_from(with_name) {
        Ok(admin) => dispatch(admin),
        Err(error) if error.use_stderr() => {
            crate::report::stderr_text(&error.to_string());
            Status::Usage
        }
        Err(error) => {
            crate::report::stdout(&error.to_string());
            Status::Ok
        }
    }
}

/// `[--config FILE] sendmail|msmtp|explain ARGUMENT...`: these have a grammar of their own (a `--` of theirs must reach
/// them), so they are found before clap reads anything.
fn passed_on(arguments: &[OsString]) -> Option<(&'static str, &[OsString], Option<PathBuf>)> {
    let text = |at: usize| arguments.get(at).and_then(|argument| argument.to_str());
    let (config, at) = match text(0)? {
        "--config" => (arguments.get(1).map(PathBuf::from), 2),
        first => match first.strip_prefix("--config=") {
            Some(file) => (Some(PathBuf::from(file)), 1),
            None => (None, 0),
        },
    };
    let command = ["sendmail", "msmtp", "explain"].into_iter().find(|command| text(at) == Some(command))?;
    Some((command, &arguments[at + 1..], config))
}

fn pass_on(command: &str, arguments: &[OsString], config: Option<PathBuf>) -> Status {
    match command {
        "sendmail" => super::as_sendmail(arguments, config),
        "msmtp" => super::as_msmtp(arguments),
        _ if arguments == ["--help"] => {
            let mut all = Admin::command();
            all.build();
            let help = all.find_subcommand_mut("explain").map(|explain| explain.render_long_help().to_string());
            crate::report::stdout(&help.unwrap_or_default());
            Status::Ok
        }
        _ if commands::explain_incoming::is_asked(arguments) => commands::explain_incoming::run(arguments, config),
        _ => match super::sendmail::parse(arguments) {
            Ok(invocation) => commands::explain::run(&invocation, config),
            Err(usage) => super::refuse("postrider explain", &usage),
        },
    }
}

fn dispatch(admin: Admin) -> Status {
    match admin.command {
        Command::Sendmail(rest) => pass_on("sendmail", &rest.arguments, admin.config),
        Command::Msmtp(rest) => pass_on("msmtp", &rest.arguments, admin.config),
        Command::Explain(rest) => pass_on("explain", &rest.arguments, admin.config),
        Command::Check { parse_only, root, dns, resolver, json } => {
            commands::check::run(&Check { config: admin.config, parse_only, root, dns, resolver, json })
        }
        Command::Test { senders, all: _, send_to, dns, resolver, sends_from, json } => {
            let config = admin.config;
            commands::test::run(&Test { config, senders, send_to, dns, resolver, sends_from, json })
        }
        Command::Setup(answers) => commands::setup::run(admin.config, answers),
        Command::Serve { socket, drain } => commands::serve::run(admin.config, socket, drain),
        Command::Queue(queue) => commands::queue::run(&queue, &Desk::find(admin.config.as_deref())),
        Command::Status { json } => commands::queue::status(&Desk::daemon(), Form::of(json)),
        Command::Senders(senders) => commands::senders::run(&senders, &Desk::find(admin.config.as_deref())),
        Command::Stats { since, json } => {
            commands::stats::run(since, &Desk::find(admin.config.as_deref()), Form::of(json))
        }
        Command::Passwd { name } => commands::passwd::run(name.as_deref()),
        Command::Reload => commands::queue::reload(&Desk::daemon()),
        Command::Import(import) => commands::import::run(&import.request()),
        Command::Try(rest) => commands::try_demo::run(&rest.arguments),
    }
}
