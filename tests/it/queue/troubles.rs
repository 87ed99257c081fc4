//! Providers in their own words: what is held, what is split, what a person has to mend; through the daemon and without it.

use super::served::{Daemon, configure, sender};
use crate::support::run::{Finished, Home};
use crate::support::script::{Fault, Script};
use crate::support::server::Server;
use postrider::daemon::protocol::{Reply, Request};
use postrider::queue::{Filter, Pause};

const SPAM: &str = "554 5.7.1 [2] Message rejected under suspicion of SPAM; https://ya.cc/1IrBc 1700000000-abc";

/// A sender of a provider, at a scripted server.
fn of(provider: &str, server: &Server) -> String {
    // A preset may have a login of its own.
    format!("{}provider = \"{provider}\"\nauth = \"off\"\n", sender("shop", server))
}

fn send(daemon: &Daemon, sender: &str, to: &[&str]) -> Finished {
    let mail = format!("From: {sender}@example.com\nSubject: a message\n\nhello\n");
    let all: Vec<&str> = ["-v", "-odi", "-i"].iter().chain(to).copied().collect();
    daemon.home.run("sendmail", &all, mail)
}

fn paused(daemon: &Daemon) -> Vec<Pause> {
    match daemon.ask(&Request::Status) {
        Reply::Status { paused, .. } => paused,
        other => panic!("{other:?}"),
    }
}

/// How often a message was begun, over whatever connections.
fn mails(server: &Server) -> usize {
    server.connections().iter().flat_map(|one| one.verbs()).filter(|verb| verb == "MAIL").count()
}

/// A lane's pause, in minutes from when it began.
fn minutes(pause: &Pause) -> i64 {
    (pause.until - pause.since.unwrap() + 30_000) / 60_000
}

#[test]
fn yandex_is_left_alone_for_a_day_unless_an_operator_says_otherwise() {
    let server = Script::new().on_nth("DOT", 1, Fault::Reply(SPAM.into())).start();
    let fine = Script::new().start();
    let senders = format!("{}{}", of("yandex", &server), sender("news", &fine));
    let daemon = Daemon::start("retry = [\"1s\"]", &senders);
    let run = send(&daemon, "shop", &["you@example.org"]).expect(0);
    assert!(run.stderr.contains("suspicion of SPAM") && run.stderr.contains("24 hours"), "{}", run.stderr);
    daemon.until("a pause", || !paused(&daemon).is_empty());
    let pause = paused(&daemon).remove(0);
    assert_eq!((pause.lane.as_str(), pause.firm, minutes(&pause)), ("shop", true, 24 * 60));

    // Nobody waits for what cannot come, and nothing makes it try: neither mail, nor a queue run, nor a reload.
    let run = send(&daemon, "shop", &["second@example.org"]).expect(0);
    assert!(
        run.stderr.contains("kept; the sender is paused until ") && run.stderr.contains(" because "),
        "{}",
        run.stderr
    );
    assert!(run.stderr.contains("suspicion of SPAM"), "{}", run.stderr);
    daemon.flush();
    daemon.home.run("sendmail", &["-q"], "").expect(0);
    configure(&daemon.home, "retry = [\"2s\"]", &senders);
    assert_eq!(daemon.ask(&Request::Reload), Reply::Touched(0));
    send(&daemon, "news", &["you@example.org"]).expect(0);
    assert_eq!((fine.messages().len(), mails(&server)), (1, 1), "other senders go on, this one waits");
    let table = daemon.home.run("mailq", &[] as &[&str], "").expect(0).stdout;
    assert_eq!(table.matches("(sender shop is paused until ").count(), 2, "{table}");
    assert!(daemon.lines().iter().all(|line| line.state == "deferred" && line.recipients[0].attempts == 0));

    let last = daemon.lines().pop().unwrap().id;
    daemon.home.run("postrider", &["queue", "retry", &last], "").expect(0);
    daemon.until("delivery", || server.messages().len() == 2 && daemon.lines().is_empty());
    assert!(paused(&daemon).is_empty());
}

#[test]
fn a_limit_that_is_reached_holds_and_does_not_bounce() {
    for (provider, point, reply, first, longest) in [
        ("gmail", "DOT", "550-5.4.5 Daily user sending limit exceeded. For more information\r\n550 5.4.5 see", 5, 60),
        ("gmail", "MAIL", "421 4.7.0 Try again later, closing connection.", 1, 60),
        ("gmail", "RCPT", "450 4.2.1 The user you are trying to contact is receiving mail at a rate that", 1, 60),
        ("microsoft365", "MAIL", "432 4.3.2 Concurrent connections limit exceeded", 5, 60),
        ("microsoft365", "DOT", "554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException", 5, 60),
        ("ses", "DOT", "454 Throttling failure: Maximum sending rate exceeded.", 1, 10),
        ("sendgrid", "MAIL", "451 Maximum credits exceeded", 5, 60),
        ("mailru", "MAIL", "550 Message sending for this account is disabled", 5, 60),
    ] {
        let server = (1..=6).fold(Script::new(), |script, nth| script.on_nth(point, nth, Fault::Reply(reply.into())));
        let server = server.start();
        let daemon = Daemon::start("expire_after = \"0s\"", &of(provider, &server));
        let run = send(&daemon, "shop", &["you@example.org"]).expect(0);
        let words = reply.lines().next().unwrap().split_once(' ').unwrap().1;
        assert!(run.stderr.contains("kept, not yet delivered") && run.stderr.contains(words), "{}", run.stderr);
        // The delay grows up to its limit while each probe fails; nothing expires, as the fault is not the message's.
        let mut length = first;
        for probe in 1..=6 {
            daemon.until("a pause", || paused(&daemon).first().is_some_and(|pause| pause.times == probe));
            let pause = paused(&daemon).remove(0);
            let due = daemon.lines()[0].recipients[0].due.unwrap();
            assert!((pause.until - due).abs() < 60_000 && !pause.firm, "{pause:?}, due {due}");
            let now = postrider::sys::clock::millis();
            assert!(
                pause.until - now <= length * 60_000 && pause.until - now > length * 60_000 - 50_000,
                "{provider} {probe}: {pause:?}"
            );
            length = (length * 2).min(longest);
            daemon.flush();
        }
        daemon.until("delivery", || daemon.lines().is_empty());
        let messages = server.messages();
        assert_eq!((messages.len(), messages[0].from.as_str()), (1, "shop@example.com"), "{provider}: no bounce");
    }
}

#[test]
fn what_a_person_has_to_mend_waits_and_says_so() {
    for (provider, point, reply, advice) in [
        ("yandex", "MAIL", "553 5.7.1 Sender address rejected: not owned by auth user.", "on_mismatch"),
        ("microsoft365", "DOT", "550 5.7.60 SMTP; Client does not have permissions to send as this sender", "SendAs"),
        ("mailru", "DOT", "550 not local sender over smtp", "must_match"),
        ("zoho", "RCPT", "553 Relaying disallowed as shop@example.com", "alias"),
    ] {
        let server = Script::new().on_nth(point, 1, Fault::Reply(reply.into())).start();
        let daemon = Daemon::start("", &of(provider, &server));
        let run = send(&daemon, "shop", &["you@example.org"]).expect(0);
        assert!(run.stderr.contains(advice) && run.stderr.contains(&reply[4..]), "{provider}: {}", run.stderr);
        daemon.until("a pause", || paused(&daemon).first().is_some_and(|pause| pause.reason.contains(advice)));
        let table = daemon.home.run("mailq", &[] as &[&str], "").expect(0).stdout;
        assert!(table.contains(advice), "{table}");
        let log = std::fs::read_to_string(daemon.home.path("log")).unwrap();
        assert!(log.lines().any(|line| line.contains("the sender is paused") && line.contains(advice)), "{log}");
        // Mended, and read again.
        daemon.ask(&Request::Reload);
        daemon.until("delivery", || server.messages().len() == 1 && daemon.lines().is_empty());
    }
}

#[test]
fn who_takes_fewer_at_a_time_gets_them_so_at_once() {
    let to = ["a@example.org", "b@example.net", "c@example.org"];
    for (point, reply) in [
        ("RCPT", "452 4.5.3 Your message has too many recipients."),
        ("DOT", "451 4.3.0 Multiple destination domains per transaction is unsupported. Please try again."),
    ] {
        for pipelining in [false, true] {
            let script = Script::new().on_nth(point, if point == "RCPT" { 3 } else { 1 }, Fault::Reply(reply.into()));
            let server = if pipelining { script.offer("PIPELINING") } else { script }.start();
            let daemon = Daemon::start("", &of("gmail", &server));
            let run = send(&daemon, "shop", &to).expect(0);
            let mut got: Vec<String> = server.messages().into_iter().flat_map(|message| message.recipients).collect();
            got.sort();
            assert_eq!(got, ["a@example.org", "b@example.net", "c@example.org"], "{point}: {}", run.stderr);
            assert_eq!(server.connections().len(), 1);
            assert!(daemon.lines().is_empty() && paused(&daemon).is_empty());
        }
    }
}

#[test]
fn rules_of_ones_own_win() {
    let reply = "550 5.4.5 Daily limit of the shop";
    let server = Script::new().on("RCPT", Fault::Reply(reply.into())).start();
    for (sender_rules, rules, status) in [
        (
            "replies = [{ code = 550, enhanced = \"5.4.5\", text = \"*daily*LIMIT*\", phase = \"rcpt\", then = \"bounce\" }]",
            "",
            67,
        ),
        ("replies = [{ code = 550, then = \"bounce\" }]", "[[reply]]\ncode = 550\nthen = \"hold\"\nfor = \"3h\"\n", 67),
        ("", "[[reply]]\ncode = 550\nthen = \"hold\"\nfor = \"3h\"\nadvice = \"ask Tim\"\n", 0),
    ] {
        let senders = format!("{}{sender_rules}\n{rules}", of("gmail", &server));
        let daemon = Daemon::start("", &senders);
        let run = send(&daemon, "shop", &["you@example.org"]).expect(status);
        if status == 0 {
            assert!(run.stderr.to_lowercase().contains("ask tim"), "{}", run.stderr);
            daemon
                .until("a pause", || paused(&daemon).first().is_some_and(|pause| pause.firm && minutes(pause) == 180));
        }
    }
}

#[test]
fn without_a_daemon_the_same_rules_give_the_verdict() {
    for (provider, point, reply, status, words) in [
        ("gmail", "DOT", "550 5.4.5 Daily user sending limit exceeded.", 69, "until the provider's window frees"),
        ("yandex", "DOT", SPAM, 69, "24 hours"),
        ("microsoft365", "DOT", "550 5.7.60 no permissions", 78, "SendAs"),
        ("zoho", "RCPT", "553 Relaying disallowed", 78, "alias"),
    ] {
        let server = Script::new().on("RSET", Fault::Reply("250 ok".into())).reply(point, reply).start();
        let home = Home::new().config(&of(provider, &server));
        let mail = "From: shop@example.com\nSubject: a message\n\nhello\n";
        let run = home.run("sendmail", &["-i", "you@example.org"], mail).expect(status);
        assert!(run.stderr.contains(words) && run.stderr.contains(reply), "{provider}: {}", run.stderr);
        assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
    }
    // What is held is a temporary failure, and kept where that is configured.
    let server = Script::new().on_nth("DOT", 1, Fault::Reply("451 4.7.1 later".into()));
    let server = server.on("DOT", Fault::Reply(SPAM.into())).start();
    let home = Home::new().config(&format!("[queue]\ndirect = \"on-failure\"\n{}", of("yandex", &server)));
    for to in ["first@example.org", "second@example.org"] {
        home.run("sendmail", &["-i", to], "From: shop@example.com\n\nhello\n").expect(0);
    }
    home.run("sendmail", &["-q"], "").expect(0);
    assert_eq!(mails(&server), 2, "a queue run leaves it alone too");
    assert_eq!(home.run("sendmail", &["-bP"], "").expect(0).stdout, "2\n");
}

#[test]
fn an_operators_retry_tries_one_message() {
    let server = Script::new().on("DOT", Fault::Reply(SPAM.into())).start();
    let daemon = Daemon::start("", &of("yandex", &server));
    send(&daemon, "shop", &["you@example.org"]).expect(0);
    daemon.until("a pause", || !paused(&daemon).is_empty());
    // A retry is the operator's: it tries one message, which is refused, and the day begins anew.
    let Reply::Touched(1) = daemon.ask(&Request::Retry { filter: Filter::default() }) else { panic!("not touched") };
    daemon.until("another pause", || paused(&daemon).first().is_some_and(|pause| pause.times == 2 && pause.firm));
    assert_eq!(mails(&server), 2);
}

#[test]
fn a_run_of_the_queue_leaves_what_is_in_doubt_alone() {
    let server = Script::new().on_nth("DOT", 1, Fault::Lose).start();
    let daemon = Daemon::start("retry = [\"1s\"]", &sender("shop", &server));
    send(&daemon, "shop", &["you@example.org"]).expect(0);
    daemon.until("it is in doubt", || daemon.lines().iter().any(|line| line.recipients[0].attempts == 1));
    daemon.home.run("sendmail", &["-q"], "").expect(0);
    daemon.home.run("postrider", &["queue", "retry", "--all"], "").expect(0);
    send(&daemon, "shop", &["second@example.org"]).expect(0);
    assert_eq!(mails(&server), 2, "the first waits its time out");
    let line = daemon.lines().remove(0);
    let wait = line.recipients[0].due.unwrap() - line.created;
    assert!((14 * 60_000..17 * 60_000).contains(&wait), "{wait}");
    daemon.home.run("postrider", &["queue", "retry", &line.id], "").expect(0);
    daemon.until("it is tried again", || mails(&server) == 3 && daemon.lines().is_empty());
}
