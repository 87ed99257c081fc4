//! Every row of the two tables, and the parsing rules, without a process.

use super::invocation::{DeliveryMode, ErrorMode, Invocation, Mode, Usage};
use super::{msmtp, sendmail};
use crate::envelope::{Notify, Return};
use crate::exit::Status;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

fn words(line: &[&str]) -> Vec<OsString> {
    line.iter().map(OsString::from).collect()
}

fn read(line: &[&str]) -> Result<Invocation, Usage> {
    sendmail::parse(&words(line))
}

fn good(line: &[&str]) -> Invocation {
    read(line).unwrap_or_else(|usage| panic!("{line:?}: {usage}"))
}

/// What each flag of the sendmail table does: the flag, a line that uses it, and what must come out.
type Case = (&'static str, &'static [&'static str], fn(&Invocation) -> bool);

const CASES: &[Case] = &[
    ("a", &["-a", "shop"], |i| i.options.account.as_deref() == Some("shop")),
    ("A", &["-Ac", "-A", "m", "x@y"], |i| i.options.recipients == ["x@y"]),
    ("B", &["-B8BITMIME", "-B", "7bit", "x@y"], |i| i.options.recipients == ["x@y"]),
    ("b", &["-b", "p"], |i| i.mode == Mode::PrintQueue),
    ("bm", &["-bm"], |i| i.mode == Mode::Deliver),
    ("ba", &["-ba"], |i| i.mode == Mode::Deliver),
    ("bs", &["-bs", "-i"], |i| i.mode == Mode::Smtp && i.options.ignore_dots),
    ("bp", &["-bp"], |i| i.mode == Mode::PrintQueue),
    ("bP", &["-bP"], |i| i.mode == Mode::CountQueue),
    ("bi", &["-bi"], |i| i.mode == Mode::NewAliases),
    ("bv", &["-bv", "x@y"], |i| i.mode == Mode::Verify),
    ("bh", &["-bh"], |i| i.mode == Mode::Nothing),
    ("bH", &["-bH"], |i| i.mode == Mode::Nothing),
    ("C", &["-C/etc/passwd", "-C", "x@y"], |i| i.options.recipients == ["x@y"]),
    ("c", &["-ct"], |i| i.options.extract),
    ("D", &["-D", "/tmp/x", "-D/tmp/x", "x@y"], |i| i.options.recipients == ["x@y"]),
    ("d", &["-d8.11", "-d", "x@y"], |i| i.options.recipients == ["x@y"]),
    ("e", &["-em", "-e", "q"], |i| i.options.errors == ErrorMode::Quiet),
    ("F", &["-FCronDaemon", "-F", "A B"], |i| i.options.full_name.as_deref() == Some("A B")),
    ("f", &["-fa@b", "-f", ""], |i| i.options.from.as_deref() == Some("")),
    ("G", &["-Gi"], |i| i.options.ignore_dots),
    ("h", &["-h", "12", "-h3", "x@y"], |i| i.options.recipients == ["x@y"]),
    ("I", &["-I"], |i| i.mode == Mode::NewAliases),
    ("i", &["-i"], |i| i.options.ignore_dots),
    ("L", &["-Ltag"], |i| i.options.log_tag.as_deref() == Some("tag")),
    ("M", &["-M", "id", "x@y"], |i| i.options.recipients == ["x@y"]),
    ("m", &["-mi"], |i| i.options.ignore_dots),
    ("N", &["-N", "success,delay"], |i| {
        i.options.dsn.notify == Some(Notify { success: true, delay: true, ..Notify::default() })
    }),
    ("n", &["-ni"], |i| i.options.ignore_dots),
    ("O", &["-ODeliveryMode=q", "-O", "ErrorMode=q", "-OQueueDirectory=/tmp/x"], |i| {
        i.options.delivery == DeliveryMode::Queue && i.options.errors == ErrorMode::Quiet
    }),
    ("o", &["-o7", "-o", "i"], |i| i.options.ignore_dots),
    ("oi", &["-oit"], |i| i.options.ignore_dots && !i.options.extract),
    ("od", &["-odi"], |i| i.options.delivery == DeliveryMode::Wait),
    ("oe", &["-oee"], |i| i.options.errors == ErrorMode::MailAndSucceed),
    ("oQ", &["-oQ/tmp/x", "x@y"], |i| i.options.recipients == ["x@y"]),
    ("om", &["-om", "x@y"], |i| i.options.recipients == ["x@y"]),
    ("p", &["-p", "ESMTP:host", "x@y"], |i| i.options.recipients == ["x@y"]),
    ("Q", &["-Qreason", "-Q", "x@y"], |i| i.options.recipients == ["x@y"]),
    ("q", &["-q15m", "-qRyou"], |i| i.mode == Mode::Flush && i.queue.recipient.as_deref() == Some("you")),
    ("R", &["-Rhdrs", "-R", "full"], |i| i.options.dsn.ret == Some(Return::Full)),
    ("r", &["-r", "a@b", "-rc@d"], |i| i.options.from.as_deref() == Some("c@d")),
    ("s", &["-si"], |i| i.options.ignore_dots),
    ("T", &["-Ti"], |i| i.options.ignore_dots),
    ("t", &["-t"], |i| i.options.extract),
    ("U", &["-Ui"], |i| i.options.ignore_dots),
    ("V", &["-Vid1"], |i| i.options.dsn.envid.as_deref() == Some("id1")),
    ("v", &["-v"], |i| i.options.verbose),
    ("X", &["-X", "/tmp/x", "-X/tmp/x", "x@y"], |i| i.options.recipients == ["x@y"]),
    ("x", &["-xi"], |i| i.options.ignore_dots),
];

#[test]
fn every_row_of_the_sendmail_table_has_a_case() {
    for flag in sendmail::TABLE {
        let refused = flag.disposition == sendmail::Disposition::Refused;
        let case = CASES.iter().find(|case| case.0 == flag.name);
        assert_eq!(case.is_none(), refused, "-{}", flag.name);
        match case {
            Some((_, line, holds)) => assert!(holds(&good(line)), "-{}: {:?}", flag.name, good(line)),
            None => assert_eq!(read(&[&format!("-{}", flag.name)]).unwrap_err().status, Status::Usage),
        }
        let help = sendmail::help();
        assert!(help.contains(&format!("-{}", flag.name)) && help.contains(flag.help), "-{} in the help", flag.name);
    }
    assert_eq!(CASES.len(), sendmail::TABLE.len() - 3, "every case is of the table");
}

#[test]
fn clusters_and_order() {
    for line in [["-ti", "x@y"], ["-it", "x@y"]] {
        let read = good(&line);
        assert!(read.options.extract && read.options.ignore_dots && read.options.recipients == ["x@y"]);
    }
    assert_eq!(good(&["-tif", "a@b"]).options.from.as_deref(), Some("a@b"));
    assert_eq!(good(&["-tfa@b"]).options.from.as_deref(), Some("a@b"));
    assert!(good(&["-bmi"]).options.ignore_dots);
    // POSIX order: what follows an operand is an operand.
    assert_eq!(good(&["x@y", "-X/tmp/x", "-bs"]).options.recipients, ["x@y", "-X/tmp/x", "-bs"]);
    assert_eq!(good(&["-i", "--", "-fx"]).options.recipients, ["-fx"]);
    assert_eq!(good(&["-"]).options.recipients, ["-"]);
    assert_eq!(good(&["--help"]).mode, Mode::Help);
}

#[test]
fn a_listing_takes_what_a_queue_run_takes() {
    let listed = good(&["-bp", "--json", "-qSshop"]);
    assert!(listed.mode == Mode::PrintQueue && listed.json && listed.queue.sender.as_deref() == Some("shop"));
    assert_eq!(good(&["-q", "-bP"]).mode, Mode::CountQueue);
    assert_eq!(good(&["--", "--json"]).options.recipients, ["--json"]);
}

#[test]
fn wrong_command_lines_are_usage() {
    for line in [&["-Z"][..], &["--nonsense"], &["-f"], &["-bx"], &["-b"], &["-Nsometimes"], &["-N", "never,success"]] {
        assert_eq!(read(line).unwrap_err().status, Status::Usage, "{line:?}");
    }
    for line in [&["-qX"][..], &["-qI"], &["-qInone"], &["-qR"], &["-q!Rx"]] {
        assert_eq!(read(line).unwrap_err().status, Status::Usage, "{line:?}");
    }
    for line in [&["-Rsome"][..], &["-V"], &["-V\n"], &["-B9BIT"], &["-ex"], &["-é"]] {
        assert_eq!(read(line).unwrap_err().status, Status::Usage, "{line:?}");
    }
    let latin1 = [OsString::from_vec(b"a\xe9@b".to_vec())];
    assert_eq!(sendmail::parse(&latin1).unwrap_err().status, Status::Data);
}

#[test]
fn msmtp_permutes_and_knows_its_long_options() {
    let read = |line: &[&str]| msmtp::parse(&words(line));
    let invocation = read(&["x@y", "-t", "--user=u", "--port", "25", "-a", "acc", "--tls", "z@y", "--", "-d"]).unwrap();
    assert_eq!(invocation.options.recipients, ["x@y", "z@y", "-d"]);
    assert_eq!(invocation.options.account.as_deref(), Some("acc"));
    assert!(invocation.options.extract);
    let settings = invocation.msmtp.unwrap().settings;
    let expected =
        [("user", "u"), ("port", "25"), ("tls", "")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(settings, expected);
    assert_eq!(read(&["-C", "/x/rc", "--serverinfo"]).unwrap().mode, Mode::ServerInfo);
    assert_eq!(read(&["-P"]).unwrap().mode, Mode::Pretend);
    assert_eq!(read(&["--vers"]).unwrap().mode, Mode::Version, "an unambiguous beginning serves");
    assert_eq!(read(&["--acount", "x"]).unwrap_err().what, "unknown option --acount; did you mean --account?");
    assert!(read(&["--tls-c=x"]).unwrap_err().what.contains("ambiguous"));
    assert!(read(&["--read-recipients=x"]).unwrap_err().what.contains("takes no value"));
    for line in [&["--nonsense"][..], &["--host=h", "-a", "acc"], &["-f", "a@b", "--read-envelope-from"], &["--port=0"]]
    {
        assert_eq!(read(line).unwrap_err().status, Status::Usage, "{line:?}");
    }
    for row in msmtp::TABLE {
        assert!(msmtp::help().contains(row.help), "{row:?}");
    }
}
