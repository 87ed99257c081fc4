//! The same account with everything in the mix: programs, a listener with logins, and mail that rules put into a maildir
//! and give to a program, while the daemon is killed -9 at random moments.

use super::kills::storm_by;
use super::ledger::{Copy, copies, copy, mail};
use super::{Host, Site, plain, wide};
use crate::support::run::Finished;
use crate::support::script::Script;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// The hash of `tanstaaf`, as `postrider passwd` made it.
const HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$4Tr4wqlatqKs11FPYqQ7nQ$R+6Q9XngC6j2BD5EDJ5x2dUp/NmBwOIBh84YRhhlxus";
/// The longest life of a daemon, ms: a login takes its time.
const LIFE: u64 = 3000;
/// The login of `app` with it.
const LOGIN: &str = "AUTH PLAIN AGFwcAB0YW5zdGFhZg==";

/// What of the configuration comes after the sender; `@` is the home. The program takes whole messages alone: where the
/// daemon is killed its input ends in the middle.
const MIX: &str = "\
    [[listen]]\naddress = \"unix:@/smtp.sock\"\nauth = \"required\"\nallow_plaintext_auth = true\n\
    [[user]]\nname = \"app\"\npassword_hash = \"HASH\"\nsenders = [\"shop\"]\n\
    [[listen]]\naddress = \"unix:@/incoming.sock\"\npurpose = \"incoming\"\ndomains = [\"example.net\"]\n\
    [[rule]]\nname = \"box\"\nto = \"box(at)example.net\"\nmaildir = \"@/box\"\n\
    [[rule]]\nname = \"program\"\nto = \"program(at)example.net\"\n\
    pipe = [\"/bin/sh\", \"-c\", \"f=@/piped/.$QUEUE_ID.$$; cat > $f; grep -q '^the end of' $f && mv $f @/piped/$QUEUE_ID.$$\"]\n";

/// A site with all of it.
fn site(port: u16) -> Site {
    let site = Site::plain("", port);
    let home = site.home.path("").display().to_string();
    let mix = MIX.replace('@', home.trim_end_matches('/')).replace("(at)", "@").replace("HASH", HASH);
    site.configure("", &format!("{}\n{mix}", plain(port)));
    std::fs::create_dir(site.home.path("piped")).unwrap();
    site
}

/// How a submission over SMTP ended before its last reply: before the dot nothing was kept.
struct Lost(bool);

/// Says it, and reads the reply; whether it is positive.
fn say(talk: &mut BufReader<UnixStream>, line: &str, after_dot: bool) -> Result<bool, Lost> {
    talk.get_mut().write_all(format!("{line}\r\n").as_bytes()).map_err(|_| Lost(after_dot))?;
    reply(talk).ok_or(Lost(after_dot))
}

fn reply(talk: &mut BufReader<UnixStream>) -> Option<bool> {
    loop {
        let mut line = String::new();
        if talk.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if line.get(3..4) == Some(" ") {
            return Some(line.starts_with(['2', '3']));
        }
    }
}

/// Submits over SMTP: whether it was taken.
fn smtp(socket: &Path, login: Option<&str>, to: &str, id: &str) -> Result<bool, Lost> {
    let stream = UnixStream::connect(socket).map_err(|_| Lost(false))?;
    stream.set_read_timeout(Some(Duration::from_secs(60))).map_err(|_| Lost(false))?;
    let mut talk = BufReader::new(stream);
    reply(&mut talk).ok_or(Lost(false))?;
    let to = format!("RCPT TO:<{to}>");
    for line in ["EHLO client.example"].into_iter().chain(login).chain(["MAIL FROM:<shop@example.com>", &to, "DATA"]) {
        if !say(&mut talk, line, false)? {
            return Ok(false);
        }
    }
    let text = mail(id).replace('\n', "\r\n").replace("\r\n.", "\r\n..");
    say(&mut talk, &format!("{text}\r\n.").replace("\r\n\r\n.", "\r\n."), true)
}

/// Submits by one of four ways, and notes what the caller was told.
fn send(host: &Host, id: &str, way: usize) -> bool {
    let over = |socket: &str, login, to| {
        let (status, stderr) = match smtp(&host.home.path(socket), login, to, id) {
            Ok(true) => (0, ""),
            Ok(false) | Err(Lost(false)) => (69, "nothing was kept"),
            Err(Lost(true)) => (75, "it may have been kept"),
        };
        let told = Finished { status, stdout: String::new(), stderr: stderr.into() };
        host.ledger.note(id, &told);
        status == 0
    };
    match way % 4 {
        0 => host.send(id).status == 0,
        1 => over("smtp.sock", Some(LOGIN), "you@example.org"),
        2 => over("incoming.sock", None, "box@example.net"),
        _ => over("incoming.sock", None, "program@example.net"),
    }
}

/// What lies in a directory; a kill in the middle may double each.
fn files(directory: &Path) -> Vec<Copy> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let whole = entries.filter(|entry| !entry.file_name().to_string_lossy().starts_with('.'));
    whole.map(|entry| copy(&std::fs::read(entry.path()).unwrap(), true)).collect()
}

#[test]
fn what_was_accepted_by_whatever_way_arrives() {
    let server = Script::new().offer("PIPELINING").start();
    let mut site = site(server.port);
    let each = if wide() { 80 } else { 24 };
    let kills = storm_by(&mut site, each, LIFE, send);
    site.start(&[]);
    site.drain();
    site.stop();
    let (boxed, piped) = (files(&site.home.path("box/new")), files(&site.home.path("piped")));
    assert!(!server.messages().is_empty() && !boxed.is_empty() && !piped.is_empty());
    let all: Vec<Copy> = copies(&server.connections()).into_iter().chain(boxed).chain(piped).collect();
    let tally = site.ledger.check(&all);
    assert!(tally.accepted >= 4 * each && tally.duplicates <= kills * 4, "{kills} kills, {tally:?}");
}
