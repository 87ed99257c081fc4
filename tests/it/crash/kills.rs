//! The daemon killed -9 at random moments and started again, while callers go on submitting.

use super::ledger::{Copy, Tally, copies, copy};
use super::{Host, Site, wide};
use crate::support::postfix::Postfix;
use crate::support::script::{Fault, Script};
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const SUBMITTERS: usize = 4;
/// The longest life of a daemon, ms; where the machine is busy it needs more: POSTRIDER_CRASH_LIFE=2000.
fn life() -> u64 {
    number("POSTRIDER_CRASH_LIFE").and_then(|life| u64::try_from(life).ok()).unwrap_or(300)
}

/// Messages for each submitter; POSTRIDER_CRASH_MESSAGES=10000 makes it a long run.
fn messages() -> usize {
    number("POSTRIDER_CRASH_MESSAGES").unwrap_or(if wide() { 150 } else { 50 })
}

/// It goes on until there were so many kills: POSTRIDER_CRASH_KILLS=5000.
fn kills() -> usize {
    number("POSTRIDER_CRASH_KILLS").unwrap_or_default()
}

fn number(variable: &str) -> Option<usize> {
    std::env::var(variable).ok().and_then(|number| number.parse().ok())
}

/// Any number below that.
fn random(below: u64) -> u64 {
    RandomState::new().hash_one(0) % below
}

/// Submits until all messages are accepted and there were enough kills, kills the daemon all the while, and gives the
/// number of kills.
fn storm(site: &mut Site, each: usize) -> usize {
    storm_by(site, each, life(), |host, id, _| host.send(id).status == 0)
}

/// The same; `send` submits a message by one of its ways and tells whether it was accepted.
pub fn storm_by(site: &mut Site, each: usize, life: u64, send: impl Fn(&Host, &str, usize) -> bool + Sync) -> usize {
    let (done, killed, wanted) = (AtomicUsize::new(0), AtomicUsize::new(0), kills());
    let host = site.host.clone();
    std::thread::scope(|scope| {
        for submitter in 0..SUBMITTERS {
            let (host, done, killed, send) = (&host, &done, &killed, &send);
            scope.spawn(move || {
                // Counted however it ends: the killer must not go on for ever.
                let _counted = Counted(done);
                let goes_on = |number: &usize| *number < each || killed.load(Ordering::SeqCst) < wanted;
                (0..).take_while(goes_on).for_each(|number| submit(host, submitter, number, send));
            });
        }
        while done.load(Ordering::SeqCst) < SUBMITTERS {
            site.spawn(&[]);
            std::thread::sleep(Duration::from_millis(random(life)));
            site.kill();
            if killed.fetch_add(1, Ordering::SeqCst) % 500 == 499 {
                say(&format!("{} kills so far", killed.load(Ordering::SeqCst)));
            }
        }
    });
    killed.into_inner()
}

/// Past the test harness, which would swallow it.
fn say(line: &str) {
    let _ = rustix::io::write(rustix::stdio::stderr(), format!("{line}\n").as_bytes());
}

struct Counted<'a>(&'a AtomicUsize);

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Tries until the message is accepted; each try is a message of its own. One in twenty is kept as a file.
fn submit(host: &Host, submitter: usize, number: usize, send: &impl Fn(&Host, &str, usize) -> bool) {
    let lines = if number % 20 == 7 { 6000 } else { 5 + number % 50 };
    for attempt in 0..1000 {
        if send(host, &format!("{submitter}-{number}-{attempt}-{lines}"), submitter + number) {
            return;
        }
        std::thread::sleep(Duration::from_millis(random(50)));
    }
    panic!("never accepted");
}

fn report(test: &str, kills: usize, tally: Tally, took: Duration) {
    say(&format!("{test}: {kills} kills in {} s, {tally:?}", took.as_secs()));
}

#[test]
fn what_was_accepted_arrives() {
    let server = Script::new().offer("PIPELINING").offer("8BITMIME").start();
    let mut site = Site::plain("", server.port);
    let (begun, each) = (Instant::now(), messages());
    let kills = storm(&mut site, each);
    site.start(&[]);
    site.drain();
    site.stop();
    let tally = site.ledger.check(&copies(&server.connections()));
    report("what_was_accepted_arrives", kills, tally, begun.elapsed());
    assert!(tally.accepted >= SUBMITTERS * each && kills >= self::kills(), "{tally:?}");
}

/// Also while the server takes its time for the reply to the dot, when a kill leaves the result unknown.
#[test]
fn a_result_that_was_not_recorded_is_the_only_duplicate() {
    let server = Script::new().on("DOT", Fault::Delay(Duration::from_millis(30))).start();
    let mut site = Site::plain("", server.port);
    let begun = Instant::now();
    let kills = storm(&mut site, messages() / 2);
    site.start(&[]);
    site.drain();
    site.stop();
    let tally = site.ledger.check(&copies(&server.connections()));
    report("a_result_that_was_not_recorded_is_the_only_duplicate", kills, tally, begun.elapsed());
    // Each kill can meet one message on each of four connections.
    assert!(tally.duplicates <= kills * 4, "{tally:?}");
}

/// A server that is slow to say good-bye keeps no result from being recorded.
#[test]
fn leave_is_taken_once_the_result_is_recorded() {
    let server = Script::new().on("QUIT", Fault::Hang).start();
    let mut site = Site::plain("connections = 1", server.port);
    site.start(&[]);
    // One connection takes a hundred messages.
    (0..101).for_each(|number| drop(site.send_with(&format!("{number}-5"), &["-odq", "-t", "-i"]).expect(0)));
    site.flush();
    crate::daemon::until("the end of the first connection", || server.connections().iter().any(|one| one.quit));
    site.kill();
    site.start(&[]);
    site.drain();
    site.stop();
    assert_eq!(site.ledger.check(&copies(&server.connections())).duplicates, 0);
}

#[test]
fn what_was_accepted_arrives_at_postfix() {
    let test = "what_was_accepted_arrives_at_postfix";
    let Some(postfix) = Postfix::start(test) else { return };
    postfix.add_account("shop@example.com", "tanstaaf");
    let mut site = Site::new("", "");
    let password = site.home.write("password", "tanstaaf\n");
    let sender = format!(
        "server = \"smtp://127.0.0.1:{}\"\nca_file = \"{}\"\nuser = \"shop@example.com\"\npassword = {{ file = \"{}\" }}",
        postfix.starttls_port,
        postfix.ca_file.display(),
        password.display()
    );
    site.configure("", &sender);
    let begun = Instant::now();
    let kills = storm(&mut site, messages() / 2);
    site.start(&[]);
    site.drain();
    site.stop();
    let copies = arrived(&postfix);
    let tally = site.ledger.check(&copies);
    report(test, kills, tally, begun.elapsed());
}

/// All that Postfix delivered, in the order in which it took it.
fn arrived(postfix: &Postfix) -> Vec<Copy> {
    let sessions = Sessions::read(&postfix.log());
    let mut ends = sessions.ends;
    let delivered = postfix.messages(sessions.taken);
    let mut seen: HashMap<String, usize> = HashMap::new();
    let mut all: Vec<Copy> = delivered.iter().map(|message| copy(&message.text, false)).collect();
    for one in &mut all {
        let nth = seen.entry(one.id.clone()).or_default();
        let ends = ends.entry(one.id.clone()).or_default();
        one.cut_off = *ends.get(*nth).unwrap_or_else(|| panic!("{} is not in the log", one.id));
        *nth += 1;
    }
    all
}

/// What Postfix's log says of the sessions in which messages came.
struct Sessions {
    /// Messages taken.
    taken: usize,
    /// For each id and each of its copies, whether it was the last of a session that ended without QUIT.
    ends: HashMap<String, Vec<bool>>,
}

impl Sessions {
    fn read(log: &str) -> Self {
        // The message of each queue id, and those that were taken, in their order.
        let mut ids: HashMap<&str, &str> = HashMap::new();
        let mut taken: Vec<&str> = Vec::new();
        // Queue ids of each process's session; sessions that are over, with whether QUIT was said.
        let mut open: HashMap<&str, Vec<&str>> = HashMap::new();
        let mut over: Vec<(Vec<&str>, bool)> = Vec::new();
        for line in log.lines() {
            let Some((head, said)) = line.split_once("]: ") else { continue };
            let (program, pid) = head.rsplit_once('[').unwrap_or((head, ""));
            let number = said.split(':').next().unwrap_or_default();
            if program.ends_with("smtpd") && said.starts_with("disconnect from ") {
                over.push((open.remove(pid).unwrap_or_default(), said.contains(" quit=1")));
            } else if program.ends_with("smtpd") && said.contains(": client=") {
                open.entry(pid).or_default().push(number);
            } else if let Some((_, rest)) = said.split_once("message-id=<") {
                ids.insert(number, rest.split('@').next().unwrap_or_default());
            } else if program.ends_with("qmgr") && said.contains(": from=<") {
                taken.push(number);
            }
        }
        over.extend(open.into_values().map(|session| (session, false)));
        let last: HashMap<&str, bool> =
            over.iter().filter_map(|(session, quit)| Some((*session.last()?, !quit))).collect();
        let mut ends: HashMap<String, Vec<bool>> = HashMap::new();
        for number in &taken {
            let id = ids.get(number).copied().unwrap_or_default().to_owned();
            ends.entry(id).or_default().push(last.get(number).copied().unwrap_or_default());
        }
        Self { taken: taken.len(), ends }
    }
}

#[test]
fn the_log_of_postfix_is_read() {
    // A log as Postfix writes it: the first copy cut off, the second in a session that ended in order.
    let log = "Nov 22 01:00:00 mx postfix/smtpd[7]: A1: client=localhost[127.0.0.1]\n\
               Nov 22 01:00:00 mx postfix/cleanup[8]: A1: message-id=<0-1-0-5@crash.example>\n\
               Nov 22 01:00:00 mx postfix/qmgr[9]: A1: from=<shop@example.com>, size=400, nrcpt=1 (queue active)\n\
               Nov 22 01:00:00 mx postfix/smtpd[7]: disconnect from localhost[127.0.0.1] ehlo=2 mail=1 commands=3\n\
               Nov 22 01:00:01 mx postfix/smtpd[7]: A2: client=localhost[127.0.0.1]\n\
               Nov 22 01:00:01 mx postfix/cleanup[8]: A2: message-id=<0-1-0-5@crash.example>\n\
               Nov 22 01:00:01 mx postfix/qmgr[9]: A2: from=<shop@example.com>, size=400, nrcpt=1 (queue active)\n\
               Nov 22 01:00:01 mx postfix/smtpd[7]: disconnect from localhost[127.0.0.1] mail=1 quit=1 commands=3\n";
    let sessions = Sessions::read(log);
    assert_eq!((sessions.taken, &sessions.ends["0-1-0-5"]), (2, &vec![true, false]));
}
