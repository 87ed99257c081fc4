//! The sendmail command line: ONE table of every flag, and the parser that reads argv by it.
//!
//! POSIX order: options end at the first operand, which blocks argument injection by addresses that begin with a dash.
//! Clusters (`-ti`, `-tfA`, `-bmi`) work. The help text, the manual page and the tests come from the table. No IO; no
//! value of an argument is ever opened as a file.

use super::invocation::{DeliveryMode, ErrorMode, Invocation, Mode, Usage};
use crate::envelope::{Notify, Return};
use std::ffi::OsString;

/// How a flag takes its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arity {
    /// None; more flags may follow in the same argument.
    None,
    /// The rest of the argument, or else the next argument.
    Required,
    /// The rest of the argument, which may be empty; never the next one.
    Attached,
    /// One letter, then more flags may follow (`-bmi`); the next argument where nothing is attached.
    Letter,
}

/// What postrider does about a flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// It does what it says.
    Honoured,
    /// Taken with its value, without effect.
    Ignored,
    /// An error that says why.
    Refused,
}

/// A row of the table.
#[derive(Debug)]
pub struct Flag {
    /// The letter, and for `-b` and `-o` the letter after it.
    pub name: &'static str,
    /// How it takes its value.
    pub arity: Arity,
    /// What is done about it.
    pub disposition: Disposition,
    /// The value's name in the help text.
    pub value: &'static str,
    /// The help text.
    pub help: &'static str,
    /// What it changes.
    set: fn(&mut Invocation, &str) -> Result<(), Usage>,
}

use Arity::{Attached, Letter, None as Bare, Required};
use Disposition::{Honoured, Ignored, Refused};

const fn row(
    name: &'static str,
    arity: Arity,
    value: &'static str,
    disposition: Disposition,
    help: &'static str,
    set: fn(&mut Invocation, &str) -> Result<(), Usage>,
) -> Flag {
    Flag { name, arity, disposition, value, help, set }
}

const fn ignored(name: &'static str, arity: Arity, value: &'static str, help: &'static str) -> Flag {
    row(name, arity, value, Ignored, help, |_, _| Ok(()))
}

/// Every flag. Rows of two letters are the values of `-b` and `-o`.
pub static TABLE: &[Flag] = &[
    row("a", Required, "NAME", Honoured, "use the sender or msmtp account NAME", |i, v| set(&mut i.options.account, v)),
    ignored("A", Required, "c|m", "which sendmail.cf"),
    row("B", Required, "TYPE", Honoured, "body type 7BIT or 8BITMIME, a hint", |_, v| {
        match v.to_ascii_uppercase().as_str() {
            "7BIT" | "8BITMIME" => Ok(()),
            _ => Err(Usage::new(format!("-B takes 7BIT or 8BITMIME, not {v:?}"))),
        }
    }),
    row("b", Letter, "MODE", Honoured, "what to do, see below", set_mode),
    row("bm", Bare, "", Honoured, "deliver the message on standard input (default)", |i, _| mode(i, Mode::Deliver)),
    row("ba", Bare, "", Honoured, "the same", |i, _| mode(i, Mode::Deliver)),
    row("bs", Bare, "", Honoured, "speak SMTP on standard input and output", |i, _| mode(i, Mode::Smtp)),
    row("bp", Bare, "", Honoured, "print the queue", |i, _| mode(i, Mode::PrintQueue)),
    row("bP", Bare, "", Honoured, "print how many messages are queued", |i, _| mode(i, Mode::CountQueue)),
    row("bi", Bare, "", Honoured, "check the alias file (newaliases)", |i, _| mode(i, Mode::NewAliases)),
    row("bv", Bare, "", Honoured, "show the route of each address, send nothing", |i, _| mode(i, Mode::Verify)),
    row("bh", Bare, "", Ignored, "print the host status: there is none to print", |i, _| mode(i, Mode::Nothing)),
    row("bH", Bare, "", Ignored, "purge the host status: there is none to purge", |i, _| mode(i, Mode::Nothing)),
    row("bt", Bare, "", Refused, "address test mode of another program", |_, _| {
        Err(Usage::new("-bt is a test mode of another program; postrider explain shows routes"))
    }),
    row("bd", Bare, "", Refused, "run the daemon", daemon),
    row("bD", Bare, "", Refused, "run the daemon in the foreground", daemon),
    ignored("C", Attached, "FILE", "another configuration: never read for a caller who may be a web form"),
    ignored("c", Bare, "", "obsolete"),
    ignored("D", Required, "FILE", "debug output: never written"),
    ignored("d", Attached, "LEVEL", "debugging"),
    row("e", Required, "MODE", Honoured, "error reporting: m, p, w, q, e", error_mode),
    row("F", Required, "NAME", Honoured, "full name of the sender, where a From is added", |i, v| {
        set(&mut i.options.full_name, v)
    }),
    row("f", Required, "ADDRESS", Honoured, "envelope sender; '' and <> for none", |i, v| set(&mut i.options.from, v)),
    ignored("G", Bare, "", "gateway submission"),
    ignored("h", Required, "N", "hop count"),
    row("I", Bare, "", Honoured, "check the alias file (newaliases)", |i, _| mode(i, Mode::NewAliases)),
    row("i", Bare, "", Honoured, "a line with a lone dot does not end the message", |i, _| dots(i)),
    row("L", Required, "TAG", Honoured, "tag in the log", |i, v| set(&mut i.options.log_tag, v)),
    ignored("M", Required, "ID", "queue macro"),
    ignored("m", Bare, "", "send to me too"),
    row("N", Required, "WHEN", Honoured, "delivery notification: never, or of success,delay,failure", notify),
    ignored("n", Bare, "", "no aliasing"),
    row(
        "O",
        Required,
        "OPTION=VALUE",
        Honoured,
        "DeliveryMode, ErrorMode, IgnoreDots; others are ignored",
        long_option,
    ),
    row("o", Required, "X[VALUE]", Honoured, "option, see below; others are ignored", short_option),
    row("oi", Bare, "", Honoured, "as -i", |i, _| dots(i)),
    row("od", Attached, "MODE", Honoured, "delivery: b background, i wait for the result, q or d queue only", delivery),
    row("oe", Attached, "MODE", Honoured, "as -e", error_mode),
    ignored("oQ", Attached, "DIR", "queue directory: never used"),
    ignored("om", Bare, "", "send to me too"),
    ignored("p", Required, "PROTOCOL", "received protocol"),
    ignored("Q", Attached, "REASON", "quarantine"),
    row("q", Attached, "[15m|I..|R..|S..]", Honoured, "deliver what is queued; 0 where there is nothing", queue_run),
    row("R", Required, "hdrs|full", Honoured, "how much of the message a notification returns", returned),
    row("r", Required, "ADDRESS", Honoured, "as -f", |i, v| set(&mut i.options.from, v)),
    ignored("s", Bare, "", "obsolete"),
    ignored("T", Bare, "", "obsolete"),
    row("t", Bare, "", Honoured, "take the recipients from To, Cc and Bcc, besides those given", |i, _| {
        i.options.extract = true;
        Ok(())
    }),
    ignored("U", Bare, "", "initial submission"),
    row("V", Required, "ID", Honoured, "envelope id for notifications", envelope_id),
    row("v", Bare, "", Honoured, "show the dialogue on standard error, secrets hidden", |i, _| {
        i.options.verbose = true;
        Ok(())
    }),
    ignored("X", Required, "FILE", "transcript: never written for a caller who may be a web form"),
    ignored("x", Bare, "", "obsolete"),
];

/// The row of a flag.
#[must_use]
pub fn find(name: &str) -> Option<&'static Flag> {
    TABLE.iter().find(|flag| flag.name == name)
}

/// Applies one flag of the table with a value that another command line gave it.
///
/// # Errors
/// An impossible value.
pub fn apply(name: &str, invocation: &mut Invocation, value: &str) -> Result<(), Usage> {
    find(name).map_or(Ok(()), |flag| (flag.set)(invocation, value))
}

/// Reads a sendmail command line, without the program's name.
///
/// # Errors
/// An unknown flag, a missing or impossible value, an argument that is no UTF-8.
pub fn parse(arguments: &[OsString]) -> Result<Invocation, Usage> {
    let mut invocation = Invocation::default();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let argument = text(argument)?;
        match argument {
            "--" => break,
            "--help" => return Ok(Invocation::of(Mode::Help)),
            "--version" => return Ok(Invocation::of(Mode::Version)),
            "--json" => invocation.json = true,
            _ if argument.len() > 1 && argument.starts_with('-') => {
                cluster(&mut invocation, &argument[1..], &mut rest)?;
            }
            operand => {
                invocation.options.recipients.push(operand.to_owned());
                break;
            }
        }
    }
    for argument in rest {
        invocation.options.recipients.push(text(argument)?.to_owned());
    }
    takes_message(&invocation)?;
    Ok(invocation)
}

/// `-t` reads a message: where the mode takes none, the message would be lost with status 0.
fn takes_message(invocation: &Invocation) -> Result<(), Usage> {
    match invocation.mode {
        Mode::PrintQueue | Mode::CountQueue | Mode::NewAliases | Mode::Flush | Mode::Nothing
            if invocation.options.extract =>
        {
            Err(Usage::new("-t takes a message, and so it does not go with -q, -bp, -bi and the like"))
        }
        _ => Ok(()),
    }
}

/// Reads the flags of one argument; a value may be taken from the next.
fn cluster<'a>(
    invocation: &mut Invocation,
    mut letters: &'a str,
    rest: &mut impl Iterator<Item = &'a OsString>,
) -> Result<(), Usage> {
    while let Some(letter) = letters.chars().next() {
        let flag = find(&letter.to_string())
            .ok_or_else(|| Usage::new(format!("unknown option -{}", letters.escape_debug())))?;
        letters = &letters[letter.len_utf8()..];
        match flag.arity {
            Arity::None => (flag.set)(invocation, "")?,
            Attached => {
                (flag.set)(invocation, letters)?;
                letters = "";
            }
            Required => {
                let value = if letters.is_empty() { next(flag, rest)? } else { letters };
                (flag.set)(invocation, value)?;
                letters = "";
            }
            Letter => {
                if letters.is_empty() {
                    (flag.set)(invocation, next(flag, rest)?)?;
                } else {
                    let end = letters.chars().next().map_or(0, char::len_utf8);
                    (flag.set)(invocation, &letters[..end])?;
                    letters = &letters[end..];
                }
            }
        }
    }
    Ok(())
}

fn next<'a>(flag: &Flag, rest: &mut impl Iterator<Item = &'a OsString>) -> Result<&'a str, Usage> {
    let value = rest.next().ok_or_else(|| Usage::new(format!("option -{} needs {}", flag.name, flag.value)))?;
    text(value)
}

fn text(argument: &OsString) -> Result<&str, Usage> {
    argument.to_str().ok_or_else(|| Usage::data(format!("argument {argument:?} is no UTF-8")))
}

fn set(place: &mut Option<String>, value: &str) -> Result<(), Usage> {
    *place = Some(value.to_owned());
    Ok(())
}

fn mode(invocation: &mut Invocation, mode: Mode) -> Result<(), Usage> {
    invocation.mode = mode;
    Ok(())
}

fn dots(invocation: &mut Invocation) -> Result<(), Usage> {
    invocation.options.ignore_dots = true;
    Ok(())
}

/// `-b` with its letter: the row of two letters.
fn set_mode(invocation: &mut Invocation, letter: &str) -> Result<(), Usage> {
    let flag = find(&format!("b{letter}"))
        .filter(|_| letter.chars().count() == 1)
        .ok_or_else(|| Usage::new(format!("unknown mode -b{}", letter.escape_debug())))?;
    (flag.set)(invocation, "")
}

/// `-o` with its value: the first letter is the option, the rest its value; those without a row are ignored.
fn short_option(invocation: &mut Invocation, value: &str) -> Result<(), Usage> {
    let end = value.chars().next().map_or(0, char::len_utf8);
    find(&format!("o{}", &value[..end]))
        .filter(|_| end > 0)
        .map_or(Ok(()), |flag| (flag.set)(invocation, &value[end..]))
}

/// `-O Name=value`: the few long options that say something about a submission.
fn long_option(invocation: &mut Invocation, value: &str) -> Result<(), Usage> {
    let (name, value) = value.split_once('=').unwrap_or((value, ""));
    match name.trim().to_ascii_lowercase().as_str() {
        "deliverymode" => delivery(invocation, value.trim()),
        "errormode" => error_mode(invocation, value.trim()),
        "ignoredots" => dots(invocation),
        _ => Ok(()),
    }
}

fn delivery(invocation: &mut Invocation, value: &str) -> Result<(), Usage> {
    invocation.options.delivery = match value.chars().next() {
        Some('i') => DeliveryMode::Wait,
        Some('q' | 'd') => DeliveryMode::Queue,
        _ => DeliveryMode::Background,
    };
    Ok(())
}

fn error_mode(invocation: &mut Invocation, value: &str) -> Result<(), Usage> {
    invocation.options.errors = match value.chars().next() {
        Some('q') => ErrorMode::Quiet,
        Some('m') => ErrorMode::Mail,
        Some('e') => ErrorMode::MailAndSucceed,
        Some('p' | 'w') | None => ErrorMode::Print,
        Some(_) => return Err(Usage::new(format!("unknown error mode {:?}; it is one of m, p, w, q, e", value))),
    };
    Ok(())
}

/// `-q`; after `-bp` it says which messages are listed.
fn queue_run(invocation: &mut Invocation, value: &str) -> Result<(), Usage> {
    if !matches!(invocation.mode, Mode::PrintQueue | Mode::CountQueue) {
        invocation.mode = Mode::Flush;
    }
    super::queue::run(value, &mut invocation.queue)
}

fn daemon(_: &mut Invocation, _: &str) -> Result<(), Usage> {
    Err(Usage::new("the daemon is not started through sendmail"))
}

fn notify(invocation: &mut Invocation, value: &str) -> Result<(), Usage> {
    let mut notify = Notify::default();
    for word in value.split(',').map(str::trim) {
        match word.to_ascii_lowercase().as_str() {
            "never" => notify.never = true,
            "success" => notify.success = true,
            "failure" => notify.failure = true,
            "delay" => notify.delay = true,
            _ => return Err(Usage::new(format!("-N takes never, or success, delay, failure; not {word:?}"))),
        }
    }
    if notify.never && (notify.success || notify.failure || notify.delay) {
        return Err(Usage::new("-N never goes with no other word"));
    }
    invocation.options.dsn.notify = Some(notify);
    Ok(())
}

fn returned(invocation: &mut Invocation, value: &str) -> Result<(), Usage> {
    invocation.options.dsn.ret = match value.to_ascii_lowercase().as_str() {
        "hdrs" => Some(Return::Headers),
        "full" => Some(Return::Full),
        _ => return Err(Usage::new(format!("-R takes hdrs or full, not {value:?}"))),
    };
    Ok(())
}

fn envelope_id(invocation: &mut Invocation, value: &str) -> Result<(), Usage> {
    if value.is_empty() || value.len() > 100 || !value.bytes().all(|octet| (0x20..0x7f).contains(&octet)) {
        return Err(Usage::new("-V takes 1 to 100 printable ASCII characters"));
    }
    set(&mut invocation.options.dsn.envid, value)
}

/// The help text, from the table.
#[must_use]
pub fn help() -> String {
    let mut text = String::from(
        "Usage: sendmail [OPTION]... [--] [RECIPIENT]...\n\
         Reads a message on standard input and sends it through the SMTP sender of its From address.\n\n",
    );
    for flag in TABLE {
        let name = format!("-{}{}{}", flag.name, if flag.arity == Required { " " } else { "" }, flag.value);
        let note = match flag.disposition {
            Honoured => "",
            Ignored => " (accepted, no effect)",
            Refused => " (refused)",
        };
        text.push_str(&format!("  {name:<20} {}{note}\n", flag.help));
    }
    text.push_str("  --json               with -bp: one JSON object a line\n");
    text.push_str("\nExit status: 0 accepted; 64 usage, 65 message or address, 67 recipients refused, 68 unknown host,\n69 refused or not possible now (nothing is kept), 77 not allowed, 78 configuration.\n");
    text
}
