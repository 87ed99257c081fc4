//! Replies that are none, or hardly: too long, endless, with NULs, in Latin-1, with codes nobody knows, one too many.

use super::runner::{self, Mode, Scenario, Taken};
use crate::support::script::Fault;

const POINTS: [(&str, &str); 7] = [
    ("CONNECT", "greeting"),
    ("EHLO", "EHLO"),
    ("AUTH", "AUTH"),
    ("MAIL", "MAIL FROM"),
    ("RCPT", "RCPT TO"),
    ("DATA", "DATA"),
    ("DOT", "end of message"),
];

/// Octets that are no reply, by name, and what is said of them.
fn garbage() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    vec![
        ("10 MB without a line end", vec![b'2'; 10_000_000], "longer than 64 KiB"),
        ("NULs without a line end", vec![0; 1_000_000], "longer than 64 KiB"),
        ("a line of NULs", b"\0\0\0\0 ok\r\n".to_vec(), "no SMTP reply"),
        ("mixed codes", b"250-one\r\n550 two\r\n".to_vec(), "mixed the codes 250 and 550"),
        ("no code", b"hello there\r\n".to_vec(), "\"hello there\""),
        ("code 199", b"199 what\r\n".to_vec(), "no SMTP reply"),
        ("code 600", b"600 what\r\n".to_vec(), "no SMTP reply"),
        ("two digits", b"25 ok\r\n".to_vec(), "no SMTP reply"),
        ("four digits", b"2500 ok\r\n".to_vec(), "no SMTP reply"),
        ("an HTTP reply", b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(), "no SMTP reply"),
    ]
}

/// All of them.
pub fn table() -> Vec<Scenario> {
    let mut table = Vec::new();
    for (at, phase) in POINTS {
        for ((what, octets, said), mode) in garbage().into_iter().zip([Mode::Implicit, Mode::Plain].into_iter().cycle())
        {
            table.push(broken(format!("{what} at {at}"), mode, (at, phase), Fault::Raw(octets), said));
        }
        let said = if at == "CONNECT" { "reply" } else { "lines" };
        table.push(broken(format!("endless lines at {at}"), Mode::StartTls, (at, phase), Fault::Endless, said));
    }
    table.extend(odd_but_fine());
    table.extend(refusals());
    table.extend(out_of_step());
    table
}

fn broken(name: String, mode: Mode, (at, phase): (&str, &str), fault: Fault, said: &str) -> Scenario {
    let scenario = Scenario::new(name, mode).server(|script| script.on(at, fault));
    let scenario = scenario.ends(76, &[&format!(", {phase}: "), said]);
    if at == "DOT" { scenario.taken(Taken::Unknown) } else { scenario }
}

/// Strange replies that say yes.
fn odd_but_fine() -> Vec<Scenario> {
    let reply = |name: &str, at: &str, reply: &str| {
        Scenario::new(name, Mode::StartTls).server(|script| script.reply(at, reply).offer("PIPELINING"))
    };
    vec![
        reply("250 without text at MAIL", "MAIL", "250"),
        reply("250 without text at DOT", "DOT", "250"),
        reply("252 at RCPT", "RCPT", "252 cannot verify"),
        reply("251 at RCPT", "RCPT", "251 will forward"),
        reply("an unknown 2xx at MAIL", "MAIL", "299 why not"),
        reply("an unknown 2xx at DOT", "DOT", "259 why not"),
        reply("several lines at MAIL", "MAIL", "250-one\r\n250-\r\n250 three"),
        reply("NULs in the text of MAIL", "MAIL", "250 a\0b"),
        reply("an enhanced code of another class", "MAIL", "250 5.1.1 ok"),
        reply("a greeting of many lines", "CONNECT", &format!("{}220 end", "220-hello\r\n".repeat(150))),
        reply("221 replaced by 500 at QUIT", "QUIT", "500 what?"),
    ]
}

/// Strange replies that say no.
fn refusals() -> Vec<Scenario> {
    let refused = |name: &str, at: &str, reply: &[u8], status: i32, says: &[&str]| {
        let reply = String::from_utf8_lossy(reply).into_owned();
        Scenario::new(name, Mode::Implicit).server(|script| script.reply(at, &reply)).ends(status, says)
    };
    let latin = Fault::Raw(b"550 gr\xfc\xdf dich\r\n".to_vec());
    let latin_rcpt = Scenario::new("Latin-1 at RCPT", Mode::Plain).server(|script| script.on("RCPT", latin.clone()));
    let latin_mail = Scenario::new("Latin-1 at MAIL", Mode::Plain).server(|script| script.on("MAIL", latin));
    vec![
        latin_rcpt.ends(67, &["RCPT TO, recipient ann@example.org: ", "550 gr", " dich"]),
        latin_mail.ends(69, &["MAIL FROM: ", "550 gr", " dich"]),
        refused("571 at RCPT", "RCPT", b"571 blocked", 67, &["RCPT TO", "571 blocked"]),
        refused("571 at MAIL", "MAIL", b"571 blocked", 69, &["MAIL FROM", "571 blocked"]),
        refused("571 at DOT", "DOT", b"571 spam", 69, &["end of message", "571 spam"]),
        refused("499 at MAIL", "MAIL", b"499 later", 75, &["MAIL FROM", "499 later"]),
        refused("599 at the greeting", "CONNECT", b"599 go", 69, &["greeting", "599 go"]),
        refused("521 at the greeting", "CONNECT", b"521 no mail here", 69, &["greeting", "521 no mail here"]),
        refused("550 without text", "RCPT", b"550", 67, &["RCPT TO", "550"]),
        refused("terminal commands", "MAIL", b"550 \x1b]0;x\x07\x1b[31mred", 69, &["MAIL FROM", "[31mred"]),
        refused("several lines", "MAIL", b"550-one\r\n550 two", 69, &["550 one two"]),
        refused("a long refusal", "MAIL", &[b"550 ", &[b'x'; 3000][..]].concat(), 69, &["550 xxxx"]),
        refused("354 at MAIL", "MAIL", b"354 go", 76, &["MAIL FROM"]),
        refused("334 at RCPT", "RCPT", b"334 go", 76, &["RCPT TO"]),
        refused("250 at DATA", "DATA", b"250 ok", 76, &["DATA", "250 ok"]).unseen(&["SUBJECT"]),
        refused("250 for a greeting", "CONNECT", b"250 ok", 76, &["greeting"]),
        refused("334 for a greeting", "CONNECT", b"334 ok", 76, &["greeting"]),
        refused("250 at AUTH", "AUTH", b"250 ok", 76, &["AUTH"]).unseen(&["MAIL"]),
    ]
}

/// Replies that nobody asked for, and challenges for ever.
fn out_of_step() -> Vec<Scenario> {
    let more = |name: &str, at: &str, octets: &[u8]| {
        let octets = octets.to_vec();
        Scenario::new(name, Mode::Plain).server(|script| script.on_nth(at, 1, Fault::Inject(octets)))
    };
    let challenges = |name: &str, method: &str| {
        let fault = Fault::Raw(b"334 \r\n".repeat(100));
        let scenario = Scenario::new(name, Mode::StartTls).key(format!("auth = \"{method}\""));
        let at = if method == "login" { "CHALLENGE" } else { "AUTH" };
        scenario.server(|script| script.on(at, fault)).ends(76, &["AUTH"]).unseen(&["MAIL"])
    };
    vec![
        more("a reply too many after the greeting", "CONNECT", b"250 hm\r\n").ends(78, &["AUTH"]).unseen(&["MAIL"]),
        more("a reply too many after MAIL", "MAIL", b"250 hm\r\n").ends(76, &["DATA"]),
        more("a 354 too many after RCPT", "RCPT", b"354 go\r\n").ends(76, &["end of message"]).taken(Taken::Unknown),
        more("a reply too many after DOT", "DOT", b"250 hm\r\n"),
        challenges("challenges for ever, LOGIN", "login"),
        challenges("challenges for ever, PLAIN", "plain"),
    ]
}

#[test]
fn replies_that_are_none() {
    runner::run(table());
}
