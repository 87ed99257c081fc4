//! `postrider import PROGRAM FILE...`: a postrider.toml from another program's configuration.
//!
//! Sources are read and parsed, never executed: no command of theirs is run. What does not carry over is said with file
//! and line. Passwords leave for files of mode 0600 alone, never for standard output or the TOML.

mod bitrix;
mod bitrix_password;
mod dma;
mod esmtp;
pub mod model;
mod msmtp;
mod nullmailer;
pub mod php;
pub mod php_literal;
pub mod php_serialized;
mod php_tokens;
mod postfix;
mod postfix_client;
mod postfix_main;
mod postfix_map;
mod postfix_master;
pub mod render;
mod show;
mod ssmtp;
pub mod table;
#[cfg(test)]
mod tests;
mod wp_mail_smtp;

use self::model::{Context, Imported, Refusal, Source};
use self::render::Rendered;
use super::surroundings::Surroundings;
use crate::config::{Place, parse};
use crate::exit::Status;
use crate::report;
use crate::sys::install::{self, Form};
use crate::sys::{env, files, stdin};
use std::collections::BTreeMap;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// The most that is read of standard input, octets: as of a file.
const INPUT: u64 = 4 << 20;
/// The name of the configuration in the directory of `--write`.
const TOML: &str = "postrider.toml";

/// A program whose configuration can be imported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Program {
    /// msmtprc files
    Msmtp,
    /// ssmtp.conf, with the revaliases beside it
    Ssmtp,
    /// The directory of nullmailer's control files
    Nullmailer,
    /// dma.conf, with the auth.conf that it names
    Dma,
    /// esmtprc
    Esmtp,
    /// main.cf, with the tables that it names
    Postfix,
    /// .settings.php, and rows of b_main_mail_sender as `mysql --batch` or CSV has them
    Bitrix,
    /// The option wp_mail_smtp as JSON or PHP-serialized, and a wp-config.php with WPMS_ constants
    WpMailSmtp,
}

/// What the command line asks for.
#[derive(Clone, Debug)]
pub struct Request {
    /// Whose configuration.
    pub program: Program,
    /// The files; `-` is standard input; none: the program's usual ones.
    pub files: Vec<PathBuf>,
    /// Write into this directory.
    pub write: Option<PathBuf>,
    /// Replace what is there.
    pub force: bool,
    /// The findings as JSON in place of the TOML.
    pub json: bool,
    /// The Unix user of a product's user number.
    pub owners: BTreeMap<u64, String>,
}

/// Why there is no import: the status and one line.
struct Failure(Status, String);

/// Imports; the TOML goes to standard output or into `--write`, the findings to standard error.
#[must_use]
pub fn run(request: &Request) -> Status {
    match import(request) {
        Ok(()) => Status::Ok,
        Err(Failure(status, text)) => {
            report::stderr(&format!("postrider import: {text}"));
            status
        }
    }
}

fn import(request: &Request) -> Result<(), Failure> {
    let around = Surroundings::look();
    let home = around.who.home.as_deref();
    let (sources, named) = sources(request, home)?;
    let canonical = env::canonical_hostname();
    let read = |path: &Path| optional(path);
    let context = Context {
        home,
        hostname: &around.hostname,
        canonical: &canonical,
        mailname: around.mailname.as_deref(),
        owners: &request.owners,
        read: &read,
    };
    let imported = convert(request.program, &sources, &context)
        .map_err(|Refusal(place, what)| Failure(Status::Data, format!("{place}: {what}")))?;
    let what = format!("Imported by postrider {} from {}", env!("CARGO_PKG_VERSION"), named.join(", "));
    let rendered = render::render(&imported, &what);
    // What is handed out is a configuration, whatever was in the source.
    if let Some(error) = parse::main_file(&rendered.toml).first() {
        return Err(Failure(Status::Software, format!("the result is no configuration: {error}; please report this")));
    }
    let written = match &request.write {
        Some(folder) => write(folder, &rendered, request.force)?,
        None => Vec::new(),
    };
    if request.json {
        report::stdout(&show::json(&imported, &rendered, &written));
        return Ok(());
    }
    if request.write.is_none() {
        report::stdout(&rendered.toml);
    }
    show::text(&imported, &rendered, &written).iter().for_each(|line| report::stderr(line));
    Ok(())
}

/// The importer of each program. Pure but for the files that `context` reads.
fn convert(program: Program, sources: &[Source], context: &Context<'_>) -> Result<Imported, Refusal> {
    let mut imported = Imported::default();
    match program {
        Program::Msmtp => msmtp::import(sources, context, &mut imported)?,
        Program::Ssmtp => ssmtp::import(sources, context, &mut imported)?,
        Program::Nullmailer => nullmailer::import(sources, context, &mut imported)?,
        Program::Dma => dma::import(sources, context, &mut imported)?,
        Program::Esmtp => esmtp::import(sources, context, &mut imported)?,
        Program::Postfix => postfix::import(sources, context, &mut imported)?,
        Program::Bitrix => bitrix::import(sources, context, &mut imported)?,
        Program::WpMailSmtp => wp_mail_smtp::import(sources, context, &mut imported)?,
    }
    imported.finish();
    Ok(imported)
}

/// The files to import, and how they are called in the result: those that were named, else the program's usual ones
/// that are there.
fn sources(request: &Request, home: Option<&Path>) -> Result<(Vec<Source>, Vec<String>), Failure> {
    let mut sources = Vec::new();
    let given = !request.files.is_empty();
    let paths = if given { request.files.clone() } else { usual(request.program, home) };
    let mut named = Vec::new();
    for path in &paths {
        let read = if path.as_os_str() == "-" {
            standard_input().map(|source| vec![source])
        } else {
            read(path, request.program)
        };
        match read {
            Ok(read) => {
                named.push(path.display().to_string());
                sources.extend(read);
            }
            Err(error) if !given && error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(Failure(Status::NoInput, format!("{}: {error}", path.display()))),
        }
    }
    if sources.is_empty() {
        let looked: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
        let looked = if looked.is_empty() { String::new() } else { format!(" ({} not found)", looked.join(", ")) };
        return Err(Failure(Status::NoInput, format!("name the file to import{looked}")));
    }
    Ok((sources, named))
}

/// Where a program has its configuration.
fn usual(program: Program, home: Option<&Path>) -> Vec<PathBuf> {
    let own = |name: &str| home.map(|home| home.join(name));
    let list: &[Option<PathBuf>] = match program {
        Program::Msmtp => &[Some("/etc/msmtprc".into()), own(".msmtprc"), own(".config/msmtp/config")],
        Program::Ssmtp => &[Some("/etc/ssmtp/ssmtp.conf".into())],
        Program::Nullmailer => &[Some("/etc/nullmailer".into())],
        Program::Dma => &[Some("/etc/dma/dma.conf".into())],
        Program::Esmtp => &[own(".esmtprc"), Some("/etc/esmtprc".into())],
        Program::Postfix => &[Some("/etc/postfix/main.cf".into())],
        Program::Bitrix | Program::WpMailSmtp => &[],
    };
    list.iter().flatten().cloned().collect()
}

/// A file, or the control files of a directory of nullmailer's.
fn read(path: &Path, program: Program) -> std::io::Result<Vec<Source>> {
    if program != Program::Nullmailer || !path.is_dir() {
        return one(path).map(|source| vec![source]);
    }
    let mut sources = Vec::new();
    for name in nullmailer::FILES {
        match one(&path.join(name)) {
            Ok(source) => sources.push(source),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(std::io::Error::new(error.kind(), format!("{name}: {error}"))),
        }
    }
    if sources.is_empty() {
        return Err(std::io::Error::new(
            ErrorKind::NotFound,
            "none of nullmailer's control files is in this directory",
        ));
    }
    Ok(sources)
}

fn one(path: &Path) -> std::io::Result<Source> {
    files::read(path).map(|(data, _)| Source { path: path.to_owned(), data: Zeroizing::new(data) })
}

/// A file that a source names; `None` where it is not there.
fn optional(path: &Path) -> Result<Option<Source>, String> {
    match one(path) {
        Ok(source) => Ok(Some(source)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("{} cannot be read: {error}", path.display())),
    }
}

fn standard_input() -> std::io::Result<Source> {
    let mut data = Zeroizing::new(Vec::new());
    stdin::Stdin.take(INPUT + 1).read_to_end(&mut data)?;
    if data.len() as u64 > INPUT {
        return Err(std::io::Error::new(ErrorKind::InvalidInput, "larger than 4 MiB"));
    }
    Ok(Source { path: "-".into(), data })
}

/// Writes the secrets, then the TOML that names them. Nothing is written where something is there already.
fn write(folder: &Path, rendered: &Rendered<'_>, force: bool) -> Result<Vec<PathBuf>, Failure> {
    let failed =
        |path: &Path, error: &std::io::Error| Failure(Status::CantCreate, format!("{}: {error}", path.display()));
    if folder.is_file() {
        let what = format!("{} is a file; name the directory: --write=DIR", folder.display());
        return Err(Failure(Status::Usage, what));
    }
    let names = rendered.secrets.iter().map(|(name, _)| name.as_str()).chain([TOML]);
    let there = |name: &&str| folder.join(name).symlink_metadata().is_ok();
    if !force && let Some(name) = names.clone().find(there) {
        let path = folder.join(name);
        let what = format!("{} is there already; nothing was written (--force replaces it)", path.display());
        return Err(Failure(Status::CantCreate, what));
    }
    install::directory(folder).map_err(|error| failed(folder, &error))?;
    let mut written = Vec::new();
    for (name, secret) in &rendered.secrets {
        let line = Zeroizing::new(format!("{}\n", secret.expose()));
        let path = folder.join(name);
        let form = Form { mode: 0o600, replace: force, group: None };
        install::file(&path, line.as_bytes(), form).map_err(|error| failed(&path, &error))?;
        written.push(path);
    }
    let path = folder.join(TOML);
    let form = Form { mode: 0o644, replace: force, group: None };
    install::file(&path, rendered.toml.as_bytes(), form).map_err(|error| failed(&path, &error))?;
    written.push(path);
    Ok(written)
}

/// Whether a path in a source can be looked up: absolute, or beside the source.
fn beside(source: &Place, path: &str) -> PathBuf {
    source.file.parent().map_or_else(|| PathBuf::from(path), |folder| folder.join(path))
}
