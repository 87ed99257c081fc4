//! The manual pages, made from the tables that the command lines and the configuration are read by.

use clap::{Arg, Command};
use postrider::cli::{admin, msmtp, sendmail};
use postrider::config::keys::{ACCOUNT, Key, TABLES};
use postrider::config::presets::PRESETS;
use roff::{Inline, Roff, bold, italic, roman};

/// Every page: its file below config/man, and its text.
pub fn pages() -> Vec<(&'static str, String)> {
    vec![
        ("sendmail.8", sendmail_8()),
        ("mailq.1", mailq_1()),
        ("newaliases.1", ".so man8/sendmail.8\n".into()),
        ("postrider.1", postrider_1()),
        ("postrider-msmtp.1", msmtp_1()),
        ("postrider.toml.5", toml_5()),
    ]
}

/// A page under way.
struct Page(Roff);

impl Page {
    fn new(name: &str, section: &str, about: &str) -> Self {
        let mut roff = Roff::new();
        roff.control("TH", [name.to_uppercase().as_str(), section, "", "postrider", "postrider"]);
        // Paths and options are not to be broken or stretched.
        roff.control("nh", []).control("ad", ["l"]);
        let mut page = Self(roff);
        page.section("NAME").text(&format!("{name} - {about}"));
        page
    }

    fn section(&mut self, title: &str) -> &mut Self {
        self.0.control("SH", [title]);
        self
    }

    fn part(&mut self, title: &str) -> &mut Self {
        self.0.control("SS", [title]);
        self
    }

    fn text(&mut self, text: &str) -> &mut Self {
        self.0.control("PP", []);
        self.0.text([roman(text)]);
        self
    }

    fn line(&mut self, words: Vec<Inline>) -> &mut Self {
        self.0.control("PP", []);
        self.0.text(words);
        self
    }

    fn item(&mut self, name: Vec<Inline>, help: &str) -> &mut Self {
        self.0.control("TP", []);
        self.0.text(name);
        self.0.text([roman(help)]);
        self
    }

    fn items(&mut self, items: &[(&str, &str)]) -> &mut Self {
        for (name, help) in items {
            self.item(vec![bold(*name)], help);
        }
        self
    }

    /// Lines that stay as they are.
    fn block(&mut self, text: &str) -> &mut Self {
        self.0.control("PP", []).control("in", ["+4n"]).control("EX", []);
        for line in text.lines() {
            self.0.text([roman(line)]);
        }
        self.0.control("EE", []).control("in", []);
        self
    }

    fn end(&mut self, see: &[&str]) -> String {
        self.section("SEE ALSO").text(&see.join(", "));
        self.0.to_roff()
    }
}

const FILES: &[(&str, &str)] = &[
    (
        "/etc/postrider/postrider.toml",
        "The configuration; ~/.config/postrider/postrider.toml of the caller comes first.",
    ),
    ("/etc/postrider/senders.d/*.toml", "More senders."),
    ("/etc/msmtprc, ~/.msmtprc", "The default relay, where no postrider.toml says otherwise."),
    ("/run/postrider/submit.sock", "Where the daemon takes messages over."),
    ("/var/lib/postrider", "The daemon's queue."),
];

const ENVIRONMENT: &[(&str, &str)] = &[
    ("POSTRIDER_CONFIG", "The configuration file, in place of the usual ones; the message is then delivered directly."),
    ("POSTRIDER_SOCKET", "The daemon's socket, in place of the usual one."),
];

/// The variables that stand for a configuration file.
fn environment(page: &mut Page) {
    page.section("ENVIRONMENT").items(ENVIRONMENT);
    let names: Vec<&str> = postrider::config::environment::VARIABLES.iter().map(|variable| variable.name).collect();
    page.item(vec![bold(names.join(", "))], "An account in place of a configuration file; see postrider.toml(5).");
}

const STATUS: &[(&str, &str)] = &[
    ("0", "The message was accepted: by the next server, or by the queue on disk."),
    ("64", "The command line is wrong, or there is no recipient."),
    ("65", "The message or an address cannot be parsed."),
    ("67", "Every recipient was refused."),
    ("68", "The server's name does not exist."),
    ("69", "Refused for good, or a temporary failure; nothing was kept, unless the text says so."),
    ("71, 73, 74", "The operating system, a file or the disk."),
    ("75", "A temporary failure with nothing kept, only where tempfail_exit = 75 asks for it."),
    ("76", "What answered does not speak SMTP."),
    ("77", "The sender is not for this user or this From, or the login was refused."),
    ("78", "The configuration is wrong."),
];

fn sendmail_8() -> String {
    let mut page = Page::new("sendmail", "8", "send mail through the SMTP account of its From address");
    page.section("SYNOPSIS");
    page.line(vec![bold("sendmail"), roman(" [option ...] [--] [recipient ...]")]);
    page.line(vec![bold("newaliases")]);
    page.section("DESCRIPTION").text(
        "Reads a message on standard input and sends it through the sender (an SMTP account of postrider.toml(5)) that \
         its From address belongs to; where none does, through the default relay. Where the daemon runs, it keeps and \
         delivers the message, and sendmail returns as soon as the message is on disk; otherwise it is delivered at \
         once, and the exit status says what became of it.",
    );
    page.text(
        "Options end at the first recipient. Several letters may stand in one argument. No option opens a file, since \
         the arguments may come from a web form. On success nothing is printed.",
    );
    page.section("OPTIONS");
    for flag in sendmail::TABLE {
        let space = if flag.arity == sendmail::Arity::Required { " " } else { "" };
        let mut name = vec![bold(format!("-{}", flag.name))];
        if !flag.value.is_empty() {
            name.extend([roman(space), italic(flag.value)]);
        }
        let note = match flag.disposition {
            sendmail::Disposition::Honoured => "",
            sendmail::Disposition::Ignored => " Accepted, without effect.",
            sendmail::Disposition::Refused => " Refused.",
        };
        page.item(name, &format!("{}.{note}", capital(flag.help)));
    }
    page.items(&[
        ("--json", "With -bp: one JSON object a line."),
        ("--help", "Print the options."),
        ("--version", "Print the version."),
    ]);
    page.section("EXIT STATUS").items(STATUS);
    environment(&mut page);
    page.section("FILES").items(FILES);
    page.end(&["postrider(1)", "mailq(1)", "postrider.toml(5)"])
}

fn mailq_1() -> String {
    let mut page = Page::new("mailq", "1", "print the mail queue");
    page.section("SYNOPSIS");
    page.line(vec![
        bold("mailq"),
        roman(" [--json] [-qI"),
        italic("id"),
        roman("] [-qR"),
        italic("text"),
        roman("] [-qS"),
        italic("text"),
        roman("]"),
    ]);
    page.section("DESCRIPTION").text(
        "Prints the messages that the daemon keeps, or without a daemon those of the caller's own queue: number, size, \
         arrival, sender, and below that what the last attempt said and the recipients. A number with * is being sent, \
         one with ! is on hold. Bulk mail says so in parentheses below its number: single mail overtakes it. Root and the user of the daemon see everything, others what they sent themselves.",
    );
    page.section("OPTIONS").items(&[
        ("--json", "One JSON object a line, for programs."),
        ("-qI id", "Only the message with this number."),
        ("-qR text", "Only messages with a recipient that contains the text."),
        ("-qS text", "Only messages whose sender contains the text."),
    ]);
    page.text("Every other option of sendmail(8) is accepted.");
    page.section("EXIT STATUS").items(&[
        ("0", "The queue was printed, even where it is empty."),
        ("69", "The queue cannot be read."),
        ("74", "The output cannot be written."),
    ]);
    page.end(&["sendmail(8)", "postrider(1)"])
}

fn msmtp_1() -> String {
    let mut page = Page::new("postrider-msmtp", "1", "send mail as the program msmtp does");
    page.section("SYNOPSIS");
    page.line(vec![bold("postrider msmtp"), roman(" [option ...] [--] [recipient ...]")]);
    page.line(vec![bold("msmtp"), roman(" [option ...] [--] [recipient ...]")]);
    page.section("DESCRIPTION").text(
        "Called by the name msmtp, or as postrider msmtp, postrider takes msmtp's options and msmtp's configuration files \
         (~/.msmtprc or ~/.config/msmtp/config, and /etc/msmtprc). Where they name no account, it goes on as sendmail(8). \
         Options may stand behind recipients.",
    );
    page.section("OPTIONS");
    for row in msmtp::TABLE {
        let mut name = Vec::new();
        if let Some(letter) = row.letter {
            name.push(bold(format!("-{letter}")));
        }
        if !row.long.is_empty() {
            name.extend((!name.is_empty()).then(|| roman(", ")));
            name.push(bold(format!("--{}", row.long)));
        }
        match row.value {
            msmtp::Value::No => {}
            msmtp::Value::Optional => name.extend([roman("[="), italic("value"), roman("]")]),
            msmtp::Value::Needed if row.long.is_empty() => name.extend([roman(" "), italic("value")]),
            msmtp::Value::Needed => name.extend([roman("="), italic("value")]),
        }
        page.item(name, &format!("{}.", capital(row.help)));
    }
    page.section("WHO MAY USE THEM")
        .text(
            "Options that name a program or a file, and those that take the protection from an account's password (with --auth \
             only where --host stands beside it), are for root and for a person at a terminal: a user whose id is not below \
             UID_MIN of /etc/login.defs, in the foreground of a terminal that is not a container's own, and not in a program \
             that a web server or PHP started. Elsewhere --file takes the caller's own ~/.msmtprc and ~/.config/msmtp/config, \
             and a file that neither the caller nor another person could have written: root's, or that of one of the system's \
             users, in such directories. Everything else ends in 64, and nothing is sent. They are:",
        )
        .text(&reaching().join(", "));
    page.section("ENVIRONMENT").items(&[(
        "POSTRIDER_MSMTP_OPTIONS",
        "With all, every option is allowed; [msmtp] options = \"all\" in /etc/postrider/postrider.toml allows them to all users \
         who can read that file.",
    )]);
    page.section("EXIT STATUS").text("As sendmail(8), but never 75.");
    page.end(&["postrider(1)", "sendmail(8)"])
}

/// The options that not everybody may use, with the value where only that one is meant.
fn reaching() -> Vec<String> {
    let name = |row: &msmtp::Row| match row.scope {
        msmtp::Scope::Message => None,
        msmtp::Scope::With(value, _) => Some(format!("--{}={value}", row.long)),
        msmtp::Scope::Always(_) | msmtp::Scope::Unless(..) => Some(format!("--{}", row.long)),
    };
    msmtp::TABLE.iter().filter_map(name).collect()
}

fn postrider_1() -> String {
    let mut command = admin::command();
    command.build();
    let mut page = Page::new("postrider", "1", "a sendmail that gives every From address its own SMTP account");
    page.section("SYNOPSIS");
    page.line(vec![
        bold("postrider"),
        roman(" [--config "),
        italic("file"),
        roman("] "),
        italic("command"),
        roman(" ..."),
    ]);
    page.section("DESCRIPTION").text(
        "The program behind sendmail(8), mailq(1), newaliases and msmtp: called by one of these names it is that program; \
         by any other it takes one of the commands below.",
    );
    page.section("OPTIONS");
    arguments(&mut page, &command);
    page.section("COMMANDS");
    commands(&mut page, &command, "postrider");
    page.section("EXIT STATUS").items(&[
        ("0", "Done, or nothing was wrong."),
        ("1", "A check or a trial found something, or a message that was named is not in the queue."),
        ("2", "A check found something that keeps mail from being sent."),
    ]);
    page.text("Others are those of sendmail(8): 64 for a wrong command line, 69 where the daemon is not there, 78 for a faulty configuration.");
    environment(&mut page);
    page.item(vec![bold("NO_COLOR")], "Nothing is ever coloured, with or without it.");
    page.section("FILES").items(FILES);
    page.end(&["sendmail(8)", "mailq(1)", "postrider.toml(5)", "postrider-msmtp(1)"])
}

/// The commands of a command, each with its options, and their own below them.
fn commands(page: &mut Page, command: &Command, path: &str) {
    for one in command.get_subcommands().filter(|one| !one.is_hide_set()) {
        let path = format!("{path} {}", one.get_name());
        let operands: Vec<String> = one.get_positionals().map(operand).collect();
        page.part(&format!("{path}{}", operands.concat()));
        let about = one.get_long_about().or(one.get_about()).map(ToString::to_string).unwrap_or_default();
        for paragraph in about.split("\n\n") {
            page.text(&format!("{}.", paragraph.trim_end_matches('.')));
        }
        arguments(page, one);
        commands(page, one, &path);
    }
}

/// The options and operands of a command, without the help option that each of them has.
fn arguments(page: &mut Page, command: &Command) {
    for arg in command.get_arguments().filter(|arg| !arg.is_hide_set() && arg.get_id() != "help") {
        let short = arg.get_short().map(|letter| format!("-{letter}"));
        let long = arg.get_long().map(|name| format!("--{name}"));
        let names: Vec<String> = short.into_iter().chain(long).collect();
        let mut name = vec![bold(names.join(", "))];
        if arg.get_action().takes_values() {
            let space = if names.is_empty() { "" } else { " " };
            name.extend([roman(space), italic(value(arg))]);
        }
        let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
        let default: Vec<String> =
            arg.get_default_values().iter().map(|value| value.to_string_lossy().into_owned()).collect();
        let choices: Vec<String> =
            arg.get_possible_values().iter().map(|choice| choice.get_name().to_owned()).collect();
        let takes = arg.get_action().takes_values() && !choices.is_empty();
        let choices = if takes { format!(" One of {}.", choices.join(", ")) } else { String::new() };
        let none = default.is_empty() || !arg.get_action().takes_values();
        let default = if none { String::new() } else { format!(" Default: {}.", default.join(" ")) };
        page.item(name, &format!("{}.{choices}{default}", help.trim_end_matches('.')));
    }
}

/// An operand as the synopsis has it.
fn operand(arg: &Arg) -> String {
    let several = if matches!(arg.get_action(), clap::ArgAction::Append) { " ..." } else { "" };
    let operand = format!("{}{several}", value(arg));
    if arg.is_required_set() { format!(" {operand}") } else { format!(" [{operand}]") }
}

fn value(arg: &Arg) -> String {
    let names: Vec<String> = arg.get_value_names().unwrap_or_default().iter().map(ToString::to_string).collect();
    names.join(" ").to_lowercase()
}

fn toml_5() -> String {
    let mut page = Page::new("postrider.toml", "5", "which SMTP account sends mail of which From address");
    page.section("DESCRIPTION").text(
        "A TOML file. Looked for in this order, the first one that is there is used alone: what --config or \
         $POSTRIDER_CONFIG names; ~/.config/postrider/postrider.toml; /etc/postrider/postrider.toml. Files \
         senders.d/*.toml beside it add senders. Where none is there, the environment may stand for one (see below), and \
         without that the files of msmtp are read.",
    );
    page.text(
        "An unknown key, a duplicate or a bad value is an error with file and line, and nothing is sent. postrider check \
         tells what is wrong, postrider explain -t < message which sender takes a message, and why.",
    );
    page.text(
        "Durations are written 30s, 5m, 1h 30m, 5days; sizes 64M; a relative path is beside the file, ~/ is the home.",
    );
    page.section("EXAMPLE").block(include_str!("example.toml"));
    page.section("KEYS");
    for table in TABLES {
        page.part(if table.head.is_empty() { "The top of the file" } else { table.head });
        page.text(table.help);
        keys(&mut page, table.keys);
        if table.account {
            page.text("And the keys of an account.");
        }
    }
    page.part("An account, in [default] and in [[sender]]");
    page.text("What [default] with a server and a [[sender]] have in common.");
    keys(&mut page, ACCOUNT);
    page.section("PROVIDERS");
    for preset in &PRESETS {
        let about = format!("{}. {}", preset.hosts.first().unwrap_or(&""), capital(preset.notes));
        page.item(vec![bold(preset.name)], &about);
    }
    page.section("ENVIRONMENT").text(
        "Where no file is there, and POSTRIDER_SERVER or POSTRIDER_PROVIDER is set, these are the configuration: one \
         default relay that takes all mail. A file always wins; beside one they are not read.",
    );
    for variable in postrider::config::environment::VARIABLES {
        page.item(vec![bold(variable.name)], &format!("{}.", capital(variable.help)));
    }
    page.section("FILES").items(FILES);
    page.end(&["postrider(1)", "sendmail(8)"])
}

fn keys(page: &mut Page, keys: &[Key]) {
    for key in keys {
        let default = if key.default.is_empty() { String::new() } else { format!(" Default: {}.", key.default) };
        page.item(vec![bold(key.name), roman(" = "), italic(key.takes)], &format!("{}{default}", key.help));
    }
}

/// With a capital at the beginning.
fn capital(text: &str) -> String {
    let mut letters = text.trim_end_matches('.').chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
