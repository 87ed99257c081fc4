//! Recipients and messages refused in part or in whole, put off, lost after the dot; broken pipelining; size limits.

use super::runner::{self, Mode, Scenario, Taken};
use crate::support::script::{Fault, Script};

const THREE: [&str; 3] = ["ann@example.org", "bob@example.org", "cy@example.org"];

/// All of them.
pub fn table() -> Vec<Scenario> {
    let mut table = Vec::new();
    for pipelining in [false, true] {
        table.extend(refused(pipelining));
        table.extend(lost(pipelining));
    }
    table.extend(pipelines());
    table.extend(sizes());
    table.extend(lmtp("", |script| script));
    table.extend(lmtp(", in one flight", |script| script.offer("PIPELINING").offer("CHUNKING")));
    table
}

fn three(name: &str, pipelining: bool, change: impl FnOnce(Script) -> Script) -> Scenario {
    let scenario = Scenario::new(format!("{name}, pipelining {pipelining}"), Mode::Implicit).to(&THREE).server(change);
    if pipelining { scenario.server(|script| script.offer("PIPELINING")) } else { scenario }
}

fn refused(pipelining: bool) -> Vec<Scenario> {
    let no = |text: &str| Fault::Reply(text.to_owned());
    let some = || Taken::By(vec![THREE[0], THREE[2]]);
    vec![
        three("one of three refused", pipelining, |script| script.on_nth("RCPT", 2, no("550 5.1.1 who?")))
            .ends(69, &[", RCPT TO, recipient bob@example.org: ", "550 5.1.1 who?", "sent to ann@", "cy@"])
            .taken(some()),
        three("one of three put off", pipelining, |script| script.on_nth("RCPT", 2, no("451 4.7.1 greylisted")))
            .ends(69, &[", RCPT TO, recipient bob@example.org: ", "451 4.7.1 greylisted", "sent to ann@"])
            .taken(some()),
        three("all refused", pipelining, |script| script.reply("RCPT", "550 5.1.1 who?"))
            .ends(67, &[", RCPT TO, recipient ann@example.org: ", "550 5.1.1 who?", "bob@", "cy@"]),
        three("all put off", pipelining, |script| script.reply("RCPT", "450 4.2.0 greylisted"))
            .ends(75, &[", RCPT TO, recipient ann@example.org: ", "450 4.2.0 greylisted"]),
        three("refused and put off", pipelining, |script| {
            script.on_nth("RCPT", 1, no("550 5.1.1 who?")).reply("RCPT", "450 4.2.0 later")
        })
        .ends(75, &["550 5.1.1 who?"]),
        three("421 at the second recipient", pipelining, |script| script.on_nth("RCPT", 2, no("421 4.3.2 bye")))
            .ends(75, &[", RCPT TO", "421 4.3.2 bye"]),
        three("one too many, 452 4.5.3", pipelining, |script| script.on_nth("RCPT", 3, no("452 4.5.3 too many"))),
        three("one too many, 452", pipelining, |script| script.on_nth("RCPT", 3, no("452 too many"))),
        three("always too many", pipelining, |script| script.reply("RCPT", "452 4.5.3 too many"))
            .ends(75, &[", RCPT TO", "452 4.5.3 too many"]),
        three("MAIL refused and the rest taken", pipelining, |script| {
            script.careless().reply("MAIL", "550 5.7.1 not yours")
        })
        .ends(69, &[", MAIL FROM: ", "550 5.7.1 not yours"]),
        three("all refused and DATA taken", pipelining, |script| script.careless().reply("RCPT", "550 5.1.1 who?"))
            .ends(67, &[", RCPT TO", "550 5.1.1 who?"]),
    ]
}

fn lost(pipelining: bool) -> Vec<Scenario> {
    let lost = |name: &str, fault: Fault| three(name, pipelining, |script| script.on("DOT", fault));
    vec![
        // Taken, and the reply did not come: never sent again at once.
        lost("250 lost after the dot", Fault::Lose).ends(69, &[", end of message: ", "closed"]).taken(Taken::Unknown),
        lost("garbage after the dot", Fault::Raw(b"ok\r\n".to_vec()))
            .ends(76, &[", end of message: "])
            .taken(Taken::Unknown),
        lost("half a reply after the dot", Fault::Raw(b"250-ta".to_vec()))
            .stalls()
            // Where QUIT was pipelined, its reply is taken for the rest of the line.
            .ends(69, &[", end of message: ", if pipelining { "closed" } else { "in time" }])
            .taken(Taken::Unknown),
        lost("354 after the dot", Fault::Raw(b"354 more\r\n".to_vec()))
            .ends(76, &[", end of message: "])
            .taken(Taken::Unknown),
        lost("closed after the 250", Fault::CloseAfter),
        lost("the message refused for now", Fault::Reply("451 4.7.1 greylisted".into()))
            .ends(75, &[", end of message: ", "451 4.7.1 greylisted"]),
        lost("the message refused", Fault::Reply("554 5.7.1 spam".into()))
            .ends(69, &[", end of message: ", "554 5.7.1 spam"]),
        lost("the disk is full", Fault::Reply("452 4.3.1 full".into())).ends(75, &[", end of message: ", "452 4.3.1"]),
        lost("the quota is used up", Fault::Reply("550 5.4.5 Daily limit".into()))
            .ends(75, &[", end of message: ", "550 5.4.5 Daily limit", "sending limit"]),
    ]
}

fn pipelines() -> Vec<Scenario> {
    let after = |at: &str, phase: &str| {
        three(&format!("closed after the reply to {at}"), false, |script| script.on(at, Fault::CloseAfter))
            .ends(75, &[phase])
    };
    vec![
        three("a server that throws pipelined commands away", true, Script::flushes_input).stalls(),
        three("a server that throws away what no one pipelined", false, Script::flushes_input),
        after("CONNECT", ", EHLO: "),
        after("EHLO", ", AUTH: "),
        after("AUTH", ", MAIL FROM: "),
        after("MAIL", ", RCPT TO"),
        after("RCPT", ", RCPT TO"),
    ]
}

fn sizes() -> Vec<Scenario> {
    let big = |name: &str, change: fn(Script) -> Script| Scenario::new(name, Mode::StartTls).server(change).lines(2000);
    let huge = |name: &str, fault: Fault| {
        Scenario::new(name, Mode::Implicit).lines(200_000).server(|script| script.on("BODY", fault))
    };
    vec![
        big("larger than SIZE", |script| script.offer("SIZE 1000"))
            .ends(69, &[", MAIL FROM: ", "1000"])
            .unseen(&["MAIL"]),
        big("SIZE 0 is no limit", |script| script.offer("SIZE 0")),
        big("SIZE without a number", |script| script.offer("SIZE")),
        big("too big at MAIL", |script| script.offer("SIZE").reply("MAIL", "552 5.3.4 too big"))
            .ends(69, &[", MAIL FROM: ", "too big", "552 5.3.4"]),
        big("no room at MAIL", |script| script.reply("MAIL", "452 4.3.1 no room"))
            .ends(75, &[", MAIL FROM: ", "452 4.3.1 no room"]),
        big("too big at DOT", |script| script.reply("DOT", "552 5.3.4 too big"))
            .ends(69, &[", end of message: ", "552 5.3.4 too big"]),
        huge("a big message is refused in the middle", Fault::Reply("552 5.3.4 too big".into()))
            .ends(69, &[", message text: ", "552 5.3.4 too big"]),
        huge("a big message is cut off", Fault::Close).ends(75, &[", message text: "]),
        huge("a big message is not read on", Fault::Deaf).stalls().ends(75, &[", message text: ", "stopped taking"]),
        Scenario::new("a big message goes through", Mode::Implicit).lines(200_000),
    ]
}

fn lmtp(how: &str, offers: fn(Script) -> Script) -> Vec<Scenario> {
    let lmtp = |name: &str, change: fn(Script) -> Script| {
        Scenario::new(format!("{name}{how}"), Mode::Lmtp).to(&THREE).server(|script| change(offers(script)))
    };
    vec![
        lmtp("LMTP, all well", |script| script),
        lmtp("LMTP, one full", |script| script.on_nth("DOT", 2, Fault::Reply("452 4.2.2 full".into())))
            .ends(69, &["recipient bob@example.org", "452 4.2.2 full", "sent to ann@example.org, cy@example.org"])
            .taken(Taken::By(vec![THREE[0], THREE[2]])),
        lmtp("LMTP, refused at RCPT", |script| script.on_nth("RCPT", 1, Fault::Reply("550 5.1.1 who?".into())))
            .ends(69, &["recipient ann@example.org", "550 5.1.1 who?"])
            .taken(Taken::By(vec![THREE[1], THREE[2]])),
        lmtp("LMTP, all refused at RCPT", |script| script.reply("RCPT", "550 5.1.1 who?"))
            .ends(67, &["recipient ann@example.org", "550 5.1.1 who?"]),
        lmtp("LMTP, refused at MAIL", |script| script.reply("MAIL", "550 5.7.1 not yours"))
            .ends(69, &[", MAIL FROM: ", "550 5.7.1 not yours"]),
        lmtp("LMTP, closed before the replies", |script| script.on("DOT", Fault::Close))
            .ends(69, &["end of message"])
            .taken(Taken::Unknown),
        lmtp("LMTP, closed after the first reply", |script| script.on_nth("DOT", 2, Fault::Close))
            .ends(69, &["end of message", "sent to ann@example.org"])
            .taken(Taken::Unknown),
    ]
}

#[test]
fn recipients_and_messages() {
    runner::run(table());
}

/// The second try after greylisting gets through, and there is one message.
#[test]
fn greylisting() {
    let scenario = Scenario::new("greylisting", Mode::StartTls)
        .server(|script| script.on_nth("RCPT", 1, Fault::Reply("451 4.7.1 greylisted, come back".into())));
    let server = scenario.script.clone().start();
    let home = scenario.home(&server, "20s");
    let send = || runner::bounded(&home, &["ann@example.org"], "From: shop@example.com\n\nhello\n");
    assert!(send().expect(75).stderr.contains("451 4.7.1 greylisted, come back"));
    assert_eq!(server.messages(), []);
    send().expect(0);
    assert_eq!(server.messages().len(), 1);
}
