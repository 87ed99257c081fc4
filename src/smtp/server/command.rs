//! SMTP commands as a server reads them: verbs, paths and parameters, from one line to one value.
//!
//! RFC 5321 section 4.1 with its parameters of RFC 1870, 3461, 4954, 6152 and 6531. Lenient where clients are known to
//! be harmlessly wrong (a space after the colon, no angle brackets), strict in everything that is passed on.

use crate::envelope::{Notify, OriginalRecipient, Return, ReversePath};
use crate::message::address::Address;
use crate::smtp::xtext;

/// BODY of MAIL (RFC 6152).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// BODY=7BIT.
    SevenBit,
    /// BODY=8BITMIME.
    EightBitMime,
}

/// A MAIL command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailFrom {
    /// The reverse path.
    pub path: ReversePath,
    /// SIZE: the octets that the client announces.
    pub size: Option<u64>,
    /// BODY.
    pub body: Option<Body>,
    /// SMTPUTF8.
    pub smtputf8: bool,
    /// RET.
    pub ret: Option<Return>,
    /// ENVID, decoded; 1 to 100 printable ASCII characters.
    pub envid: Option<String>,
    /// AUTH (RFC 4954 section 5), decoded: who the message is from, as the client claims; `<>` where it does not know.
    pub auth: Option<String>,
}

/// A RCPT command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RcptTo {
    /// The recipient.
    pub address: Address,
    /// NOTIFY.
    pub notify: Option<Notify>,
    /// ORCPT.
    pub orcpt: Option<OriginalRecipient>,
    /// Something in the command is not ASCII, which SMTPUTF8 alone allows.
    pub unicode: bool,
}

/// A refusal: reply code, enhanced status code (RFC 3463), text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal(pub u16, pub (u8, u16, u16), pub String);

impl Refusal {
    pub(super) fn new(code: u16, enhanced: (u8, u16, u16), text: impl Into<String>) -> Self {
        Self(code, enhanced, text.into())
    }

    fn argument(text: impl Into<String>) -> Self {
        Self::new(501, (5, 5, 4), text)
    }
}

/// One command.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Command {
    Hello { name: String, extended: bool },
    Mail(Box<MailFrom>),
    Rcpt(Box<RcptTo>),
    Data,
    Bdat { octets: u64, last: bool },
    Rset,
    Noop,
    Vrfy,
    Expn,
    Help,
    Quit,
    StartTls,
    Auth { mechanism: String, initial: Option<String> },
}

/// What the parser must know of the session.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dialect<'a> {
    pub domain: Option<&'a str>,
    pub host: &'a str,
    pub dsn: bool,
    pub smtputf8: bool,
}

/// Reads one line, without its end.
pub(super) fn parse(line: &str, dialect: Dialect<'_>) -> Result<Command, Refusal> {
    let (verb, rest) = line.split_once([' ', '\t']).unwrap_or((line, ""));
    let rest = rest.trim_matches([' ', '\t']);
    let bare = |command| if rest.is_empty() { Ok(command) } else { Err(Refusal::argument("No argument allowed")) };
    match verb.to_ascii_uppercase().as_str() {
        "EHLO" => hello(rest, true),
        "HELO" => hello(rest, false),
        "MAIL" => mail(after_keyword(rest, "FROM:")?, dialect),
        "RCPT" => rcpt(after_keyword(rest, "TO:")?, dialect),
        "DATA" => bare(Command::Data),
        "BDAT" => bdat(rest),
        "RSET" => bare(Command::Rset),
        "STARTTLS" => bare(Command::StartTls),
        "QUIT" => bare(Command::Quit),
        "NOOP" => Ok(Command::Noop),
        "VRFY" => Ok(Command::Vrfy),
        "EXPN" => Ok(Command::Expn),
        "HELP" => Ok(Command::Help),
        "AUTH" => auth(rest),
        _ => Err(Refusal::new(500, (5, 5, 2), "Command not recognised")),
    }
}

fn hello(name: &str, extended: bool) -> Result<Command, Refusal> {
    let usable = !name.is_empty() && name.len() <= 255 && !name.chars().any(|c| c.is_control() || c == ' ');
    let fault = || Refusal::argument("Give your host name after EHLO or HELO");
    usable.then(|| Command::Hello { name: name.to_owned(), extended }).ok_or_else(fault)
}

fn auth(rest: &str) -> Result<Command, Refusal> {
    let mut words = rest.split_ascii_whitespace();
    match (words.next(), words.next(), words.next()) {
        (Some(mechanism), initial, None) => {
            Ok(Command::Auth { mechanism: mechanism.to_owned(), initial: initial.map(str::to_owned) })
        }
        _ => Err(Refusal::argument("Syntax: AUTH mechanism [initial-response]")),
    }
}

fn bdat(rest: &str) -> Result<Command, Refusal> {
    let mut words = rest.split_ascii_whitespace();
    let octets = words.next().and_then(decimal);
    let last = words.next().map(|word| word.eq_ignore_ascii_case("LAST"));
    match (octets, last, words.next()) {
        (Some(octets), None, None) => Ok(Command::Bdat { octets, last: false }),
        (Some(octets), Some(true), None) => Ok(Command::Bdat { octets, last: true }),
        _ => Err(Refusal::argument("Syntax: BDAT octets [LAST]")),
    }
}

fn after_keyword<'a>(rest: &'a str, keyword: &str) -> Result<&'a str, Refusal> {
    let fault = || Refusal::new(501, (5, 5, 2), format!("Expected {keyword}<address>"));
    let (word, path) = rest.split_at_checked(keyword.len()).ok_or_else(fault)?;
    if word.eq_ignore_ascii_case(keyword) { Ok(path.trim_start_matches(' ')) } else { Err(fault()) }
}

fn mail(text: &str, dialect: Dialect<'_>) -> Result<Command, Refusal> {
    let (path, rest) = split_path(text)?;
    // The path is looked at when it is known whether SMTPUTF8 was said.
    let mut mail = MailFrom {
        path: ReversePath::Null,
        size: None,
        body: None,
        smtputf8: false,
        ret: None,
        envid: None,
        auth: None,
    };
    for (key, value) in parameters(rest)? {
        mail_parameter(&mut mail, &key, value, dialect)?;
    }
    if !path.is_empty() {
        mail.path = ReversePath::Address(address(path, mail.smtputf8, (5, 1, 7), dialect)?);
    }
    Ok(Command::Mail(Box::new(mail)))
}

fn mail_parameter(mail: &mut MailFrom, key: &str, value: Option<&str>, dialect: Dialect<'_>) -> Result<(), Refusal> {
    let fault = || Refusal::argument(format!("Bad value of {key}"));
    let upper = value.map(str::to_ascii_uppercase);
    match (key, value, upper.as_deref()) {
        ("SIZE", Some(value), _) => mail.size = Some(decimal(value).ok_or_else(fault)?),
        ("BODY", _, Some("7BIT")) => mail.body = Some(Body::SevenBit),
        ("BODY", _, Some("8BITMIME")) => mail.body = Some(Body::EightBitMime),
        ("SMTPUTF8", None, _) if dialect.smtputf8 => mail.smtputf8 = true,
        ("RET", _, Some("FULL")) if dialect.dsn => mail.ret = Some(Return::Full),
        ("RET", _, Some("HDRS")) if dialect.dsn => mail.ret = Some(Return::Headers),
        ("ENVID", Some(value), _) if dialect.dsn => {
            let id = xtext::decode(value).filter(|id| !id.is_empty() && id.len() <= 100);
            mail.envid = Some(id.filter(|id| id.bytes().all(|octet| (32..127).contains(&octet))).ok_or_else(fault)?);
        }
        ("AUTH", Some(value), _) => {
            mail.auth = Some(xtext::decode(value).filter(|who| !who.is_empty() && who.len() <= 320).ok_or_else(fault)?);
        }
        ("SIZE" | "BODY" | "AUTH", ..) => return Err(fault()),
        ("RET" | "ENVID", ..) if dialect.dsn => return Err(fault()),
        ("SMTPUTF8", ..) if dialect.smtputf8 => return Err(fault()),
        _ => return Err(Refusal::new(555, (5, 5, 4), "MAIL parameter not recognised")),
    }
    Ok(())
}

fn rcpt(text: &str, dialect: Dialect<'_>) -> Result<Command, Refusal> {
    let (path, rest) = split_path(text)?;
    let (mut notify, mut orcpt) = (None, None);
    for (key, value) in parameters(rest)? {
        let fault = || Refusal::argument(format!("Bad value of {key}"));
        match (key.as_str(), value) {
            ("NOTIFY", Some(value)) if dialect.dsn => notify = Some(notification(value).ok_or_else(fault)?),
            ("ORCPT", Some(value)) if dialect.dsn => orcpt = Some(original(value, dialect).ok_or_else(fault)?),
            ("NOTIFY" | "ORCPT", None) if dialect.dsn => return Err(fault()),
            _ => return Err(Refusal::new(555, (5, 5, 4), "RCPT parameter not recognised")),
        }
    }
    // Whether UTF-8 is allowed was said with MAIL; the session looks.
    let address = address(path, dialect.smtputf8, (5, 1, 3), dialect)?;
    Ok(Command::Rcpt(Box::new(RcptTo { address, notify, orcpt, unicode: !text.is_ascii() })))
}

/// NOTIFY (RFC 3461 section 4.1): NEVER alone, or a list of the others.
fn notification(value: &str) -> Option<Notify> {
    let mut notify = Notify::default();
    for word in value.split(',') {
        match word.to_ascii_uppercase().as_str() {
            "NEVER" => notify.never = true,
            "SUCCESS" => notify.success = true,
            "FAILURE" => notify.failure = true,
            "DELAY" => notify.delay = true,
            _ => return None,
        }
    }
    let others = notify.success || notify.failure || notify.delay;
    (notify.never != others).then_some(notify)
}

/// ORCPT (RFC 3461 section 4.2); beyond ASCII only where SMTPUTF8 is offered. The session looks whether it was asked for.
fn original(value: &str, dialect: Dialect<'_>) -> Option<OriginalRecipient> {
    OriginalRecipient::parse(value).filter(|_| value.is_ascii() || dialect.smtputf8)
}

/// At most 20 decimal digits (RFC 1870 section 3).
fn decimal(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.len() <= 20 && text.bytes().all(|octet| octet.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

/// The path, without its brackets and source route, and what follows it. A path without brackets goes to the next space.
fn split_path(text: &str) -> Result<(&str, &str), Refusal> {
    let fault = || Refusal::new(501, (5, 5, 2), "Expected <address>");
    let Some(inside) = text.strip_prefix('<') else {
        let (path, rest) = text.split_once(' ').unwrap_or((text, ""));
        return if path.is_empty() { Err(fault()) } else { Ok((path, rest)) };
    };
    let (mut quoted, mut escaped) = (false, false);
    let end = inside.find(|c| {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ => return c == '>' && !quoted,
        }
        false
    });
    let (path, rest) = end.and_then(|end| inside.split_at_checked(end)).ok_or_else(fault)?;
    let rest = rest.strip_prefix('>').filter(|rest| rest.is_empty() || rest.starts_with(' ')).ok_or_else(fault)?;
    // An obsolete source route is accepted and ignored (RFC 5321 appendix C).
    let path = match path.starts_with('@').then(|| path.split_once(':')) {
        Some(Some((_, mailbox))) if !mailbox.is_empty() => mailbox,
        Some(_) => return Err(fault()),
        None => path,
    };
    Ok((path, rest))
}

/// `KEY` and `KEY=value`, each key once, the keys in upper case.
fn parameters(rest: &str) -> Result<Vec<(String, Option<&str>)>, Refusal> {
    let mut found: Vec<(String, Option<&str>)> = Vec::new();
    for word in rest.split(' ').filter(|word| !word.is_empty()) {
        let (key, value) = word.split_once('=').map_or((word, None), |(key, value)| (key, Some(value)));
        let key = key.to_ascii_uppercase();
        // A dozen parameters exist; more are an attack.
        if found.len() >= 16 || found.iter().any(|(other, _)| *other == key) {
            return Err(Refusal::argument("Parameter given twice, or too many"));
        }
        found.push((key, value));
    }
    Ok(found)
}

fn address(path: &str, utf8: bool, enhanced: (u8, u16, u16), dialect: Dialect<'_>) -> Result<Address, Refusal> {
    if !path.is_ascii() && !utf8 {
        return Err(Refusal::new(553, (5, 6, 7), "Address with UTF-8, and SMTPUTF8 was not asked for"));
    }
    let postmaster = path.eq_ignore_ascii_case("postmaster");
    let domain = dialect.domain.or_else(|| postmaster.then_some(dialect.host));
    let whole = match domain {
        Some(domain) if !path.is_empty() && lacks_domain(path) => format!("{path}@{domain}"),
        _ => path.to_owned(),
    };
    Address::parse(&whole).map_err(|error| Refusal::new(501, enhanced, format!("Bad address: {}", error.why)))
}

/// Whether there is no at sign outside quotes.
fn lacks_domain(path: &str) -> bool {
    !path.rsplit_once('"').map_or(path, |(_, rest)| rest).contains('@')
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Dialect<'_> = Dialect { domain: None, host: "mx.example.com", dsn: true, smtputf8: true };

    fn mail_of(line: &str) -> MailFrom {
        match parse(line, ALL) {
            Ok(Command::Mail(mail)) => *mail,
            other => panic!("{line}: {other:?}"),
        }
    }

    fn rcpt_of(line: &str) -> RcptTo {
        match parse(line, ALL) {
            Ok(Command::Rcpt(rcpt)) => *rcpt,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn mail_with_its_parameters() {
        let mail = mail_of("MAIL FROM:<eljefe@bigbiz.com> RET=HDRS ENVID=QQ314159 SIZE=500000 BODY=8BITMIME SMTPUTF8");
        assert_eq!(mail.path.to_string(), "eljefe@bigbiz.com");
        assert_eq!((mail.ret, mail.envid.as_deref()), (Some(Return::Headers), Some("QQ314159")));
        assert_eq!((mail.size, mail.body, mail.smtputf8), (Some(500_000), Some(Body::EightBitMime), true));
        assert_eq!(
            mail_of("MAIL FROM:<e=mc2@example.com> AUTH=e+3Dmc2@example.com").auth.unwrap(),
            "e=mc2@example.com"
        );
        assert_eq!(mail_of("mail from: <>").path, ReversePath::Null);
        assert_eq!(mail_of("MAIL FROM:<@a,@b:c@d.example>").path.to_string(), "c@d.example");
        assert_eq!(mail_of("MAIL FROM:c@d.example SIZE=1").size, Some(1));
    }

    #[test]
    fn rcpt_with_its_parameters() {
        let line = "RCPT TO:<Carol@Ivory.EDU> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;Carol+2Bx@Ivory.EDU";
        let rcpt = rcpt_of(line);
        assert_eq!(rcpt.address.as_str(), "Carol@Ivory.EDU");
        assert_eq!(rcpt.notify, Some(Notify { success: true, failure: true, ..Notify::default() }));
        assert_eq!(rcpt.orcpt.unwrap().to_string(), "rfc822;Carol+2Bx@Ivory.EDU");
        assert_eq!(rcpt_of("RCPT TO:<postmaster>").address.as_str(), "postmaster@mx.example.com");
        let local = Dialect { domain: Some("example.com"), ..ALL };
        assert!(
            matches!(parse("RCPT TO:root", local), Ok(Command::Rcpt(r)) if r.address.as_str() == "root@example.com")
        );
    }

    #[test]
    fn what_is_refused() {
        for (line, code) in [
            ("", 500),
            ("FOO", 500),
            ("EHLO", 501),
            ("MAIL FROM", 501),
            ("MAIL FROM:", 501),
            ("MAIL FROM:<a@b", 501),
            ("MAIL FROM:<a@b>x", 501),
            ("MAIL FROM:<a@b> SIZE=-1", 501),
            ("MAIL FROM:<a@b> SIZE=1 size=2", 501),
            ("MAIL FROM:<a@b> BODY=BINARYMIME", 501),
            ("MAIL FROM:<a@b> ENVID=a+0D+0Ab", 501),
            ("MAIL FROM:<a@b> X=1", 555),
            ("RCPT TO:<>", 501),
            ("RCPT TO:<a@b> NOTIFY=NEVER,DELAY", 501),
            ("RCPT TO:<a@b> ORCPT=rfc822", 501),
            ("RCPT TO:<a@b> ORCPT=rfc822;a+2b@c", 501),
            ("DATA now", 501),
            ("BDAT", 501),
            ("BDAT 99999999999999999999", 501),
            ("BDAT 1 LATER", 501),
            ("AUTH", 501),
        ] {
            assert!(matches!(parse(line, ALL), Err(Refusal(found, ..)) if found == code), "{line}");
        }
        let ascii = Dialect { smtputf8: false, ..ALL };
        assert!(matches!(parse("RCPT TO:<\u{e9}@example.com>", ascii), Err(Refusal(553, ..))));
    }
}
