//! The runner: what reaches the server, what stays, who is told.

use super::*;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

const QUICK: &str = "retry = [\"1s\"]";

/// Answers `reply` to what begins with `begin` as long as `on` says.
fn moody(begin: &'static str, reply: &'static str) -> (Server, Arc<AtomicBool>) {
    let on = Arc::new(AtomicBool::new(true));
    let mood = on.clone();
    let server =
        Server::start(
            move |line| {
                if line.starts_with(begin) && mood.load(Ordering::SeqCst) { say(reply) } else { rset(line) }
            },
        );
    (server, on)
}

fn rset(line: &str) -> Option<Act> {
    (line == "RSET").then(|| say("250 2.0.0 ok")).flatten()
}

/// The messages that came; where DATA was taken without a recipient, only a dot did.
fn bodies(server: &Server) -> Vec<String> {
    let record = server.record.lock().unwrap();
    let bodies = record.bodies.iter().map(|body| String::from_utf8_lossy(body).into_owned());
    bodies.filter(|body| body != ".\r\n").collect()
}

#[test]
fn one_warm_connection_for_many_messages() {
    let server = Server::start(rset);
    let mut queue = Queue::new();
    queue.start(config("connections = 1", &[("shop", &server)]));
    for _ in 0..50 {
        queue.accept(new("shop", &["a@example.org", "b@example.org"]));
    }
    queue.until("an empty queue", || queue.count() == 0);
    assert_eq!(bodies(&server).len(), 50);
    assert_eq!(server.record.lock().unwrap().connections, 1);
    assert!(!server.said("RSET"), "nothing was left half done");
    let id = queue.accept(new("shop", &["c@example.org"]));
    assert_eq!(queue.until_told(id), (Status::Ok, None));
    assert_eq!(server.record.lock().unwrap().connections, 1, "still warm");
    let past = queue.store.history(0, 1000).unwrap();
    assert_eq!(past.len(), 101);
    assert!(past.iter().all(|one| one.sent && one.said.starts_with("250")));
    assert!(queue.runner().stop(Duration::from_secs(30)));
    assert!(server.said("QUIT"), "leave is taken");
}

#[test]
fn a_connection_that_the_server_closed_is_replaced() {
    // 421 while it is idle, and a close when the next message begins.
    for how in [0, 1] {
        let mails = Arc::new(AtomicUsize::new(0));
        let server = Server::start(move |line| match line {
            "." if how == 0 => Some(Act::SayAndClose("250 ok\r\n421 4.4.2 idle for too long")),
            _ if line.starts_with("MAIL") && how == 1 && mails.fetch_add(1, Ordering::SeqCst) == 1 => Some(Act::Close),
            _ => None,
        });
        let mut queue = Queue::new();
        queue.start(config("connections = 1", &[("shop", &server)]));
        for _ in 0..3 {
            let id = queue.accept(new("shop", &["a@example.org"]));
            assert_eq!(queue.until_told(id), (Status::Ok, None), "{how}");
        }
        assert_eq!(bodies(&server).len(), 3, "each once");
        assert_eq!(server.record.lock().unwrap().connections, if how == 0 { 3 } else { 2 });
    }
}

#[test]
fn a_deferred_recipient_is_tried_again_alone() {
    let (server, on) = moody("RCPT TO:<b@", "450 4.2.1 later");
    let mut queue = Queue::new();
    queue.start(config(QUICK, &[("shop", &server)]));
    let id = queue.accept(new("shop", &["a@example.org", "b@example.org"]));
    let (status, text) = queue.until_told(id);
    assert_eq!(status, Status::Ok, "it is kept");
    assert!(text.unwrap().contains("450 4.2.1 later"));
    let left = queue.all();
    assert_eq!(left[0].recipients.len(), 1);
    assert!(left[0].recipients[0].last.as_ref().unwrap().contains("450"));
    on.store(false, Ordering::SeqCst);
    queue.until("an empty queue", || queue.count() == 0);
    let lines = server.lines();
    assert_eq!(lines.iter().filter(|line| line.starts_with("RCPT TO:<a@")).count(), 1);
    assert_eq!(bodies(&server).len(), 2);
}

#[test]
fn a_refusal_comes_back_as_a_bounce() {
    let (server, _) = moody("RCPT TO:<no@", "550 5.1.1 no such user");
    let mut queue = Queue::new();
    queue.start(config(QUICK, &[("shop", &server)]));
    let id = queue.accept(new("shop", &["no@example.org"]));
    let (status, text) = queue.until_told(id);
    assert_eq!(status, Status::NoUser);
    assert!(text.unwrap().contains("no such user"));
    queue.until("an empty queue", || queue.count() == 0);
    let bounce = bodies(&server).pop().unwrap();
    assert!(bounce.contains("To: shop@example.com") && bounce.contains("Status: 5.1.1"), "{bounce}");
    assert!(server.said("MAIL FROM:<>") && server.said("RCPT TO:<shop@example.com>"));
    assert_eq!(queue.store.history(0, 10).unwrap().iter().filter(|past| !past.sent).count(), 1);
}

#[test]
fn a_bounce_is_not_bounced() {
    let (server, _) = moody("RCPT", "550 5.1.1 nobody at all");
    let mut queue = Queue::new();
    queue.start(config(QUICK, &[("shop", &server)]));
    queue.accept(new("shop", &["no@example.org"]));
    queue.until("an empty queue", || queue.count() == 0 && queue.store.history(0, 10).unwrap().len() == 2);
    assert!(bodies(&server).is_empty());
}

#[test]
fn a_refused_account_pauses_its_lane_alone_and_one_probe_opens_it() {
    let (broken, on) = moody("CONNECT", "554 5.7.1 this host is blocked");
    let fine = Server::start(rset);
    let mut queue = Queue::new();
    let all: Vec<MessageId> = (0..30).map(|_| queue.accept(new("shop", &["a@example.org"]))).collect();
    queue.start(config("connections = 1", &[("shop", &broken), ("news", &fine)]));
    queue.until("a pause", || !queue.store.paused().unwrap().is_empty());
    let id = queue.accept(new("news", &["b@example.org"]));
    assert_eq!(queue.until_told(id), (Status::Ok, None), "the other lane goes on");
    let (status, text) = queue.until_told(all[29]);
    assert_eq!(status, Status::Ok);
    assert!(text.unwrap().contains("this host is blocked"));
    assert_eq!(broken.record.lock().unwrap().connections, 1, "one message asked for all");
    assert!(queue.runner().is_paused("shop") && !queue.runner().is_paused("news"));
    assert!(queue.all().iter().all(|queued| queued.recipients[0].attempts == 0), "it does not count");
    // A probe that fails pauses it again.
    queue.runner().flush(&Filter::default()).unwrap();
    queue
        .until("a second pause", || broken.record.lock().unwrap().connections == 2 && queue.runner().is_paused("shop"));
    on.store(false, Ordering::SeqCst);
    queue.runner().flush(&Filter { uid: Some(1000), ..Filter::default() }).unwrap();
    assert!(queue.runner().is_paused("shop"), "a user opens no lane");
    queue.runner().flush(&Filter::default()).unwrap();
    queue.until("an empty queue", || queue.count() == 0);
    assert_eq!(bodies(&broken).len(), 30);
    assert!(queue.store.paused().unwrap().is_empty());
}

#[test]
fn a_slow_lane_delays_no_other() {
    let slow = Server::start(|line| (line == "CONNECT").then_some(Act::Stall));
    let fine = Server::start(rset);
    let mut queue = Queue::new();
    let config = config("connections = 2", &[("slow", &slow), ("news", &fine)]);
    (0..200).for_each(|_| {
        queue.accept(new("slow", &["a@example.org"]));
    });
    queue.start(config);
    queue.until("two connections", || slow.record.lock().unwrap().connections == 2);
    for _ in 0..20 {
        queue.accept(new("news", &["b@example.org"]));
    }
    queue.until("the other lane's messages", || bodies(&fine).len() == 20);
    assert_eq!(slow.record.lock().unwrap().connections, 2);
    // What hangs is left to the end of the process.
    assert!(!queue.runner().stop(Duration::ZERO));
    queue.runner = None;
}

#[test]
fn one_bad_message_stops_nobody() {
    // The server falls over a certain message each time.
    let server = Server::start(|line| if line.starts_with("RCPT TO:<bad@") { Some(Act::Close) } else { rset(line) });
    let mut queue = Queue::new();
    queue.accept(new("shop", &["bad@example.org"]));
    (0..20).for_each(|_| {
        queue.accept(new("shop", &["good@example.org"]));
    });
    queue.start(config("connections = 1", &[("shop", &server)]));
    queue.until("all the others", || queue.count() == 1);
    assert_eq!(queue.all()[0].recipients[0].attempts, 1);
    assert!(queue.store.paused().unwrap().is_empty());
}

#[test]
fn what_may_have_arrived_waits_long() {
    let server = Server::start(|line| (line == ".").then_some(Act::Close));
    let mut queue = Queue::new();
    queue.start(config(QUICK, &[("shop", &server)]));
    let id = queue.accept(new("shop", &["a@example.org"]));
    let (status, text) = queue.until_told(id);
    assert_eq!(status, Status::Ok);
    assert!(text.unwrap().contains("may have been delivered"));
    let due = queue.all()[0].recipients[0].due;
    assert!(due > clock::millis() + 10 * 60_000, "{due}");
}

#[test]
fn a_sender_that_is_gone_holds_its_messages_until_it_is_back() {
    let server = Server::start(rset);
    let mut queue = Queue::new();
    queue.start(config("", &[("news", &server)]));
    let id = queue.accept(new("shop", &["a@example.org"]));
    let (status, text) = queue.until_told(id);
    assert_eq!(status, Status::Ok);
    assert!(text.unwrap().contains("\"shop\" is not configured"));
    assert!(queue.all()[0].hold.as_ref().unwrap().contains("shop"));
    let own = queue.accept(NewMessage { hold: Some("asked for".into()), ..new("shop", &["b@example.org"]) });
    queue.runner().reload(config("", &[("news", &server), ("shop", &server)]));
    queue.until("one message", || queue.count() == 1);
    assert_eq!(queue.all()[0].id, own, "another hold stays");
}

#[test]
fn another_account_gets_another_connection() {
    let (first, second) = (Server::start(rset), Server::start(rset));
    let mut queue = Queue::new();
    queue.start(config("", &[("shop", &first)]));
    let id = queue.accept(new("shop", &["a@example.org"]));
    queue.until_told(id);
    queue.runner().reload(config("", &[("shop", &second)]));
    let id = queue.accept(new("shop", &["b@example.org"]));
    queue.until_told(id);
    assert_eq!((bodies(&first).len(), bodies(&second).len()), (1, 1));
    assert!(first.said("QUIT"));
}

#[test]
fn late_messages_of_a_paused_lane_are_told_of_once() {
    let (broken, _) = moody("CONNECT", "554 5.7.1 no");
    let mut queue = Queue::new();
    let hours = 3_600_000;
    for number in 0..2 {
        let new = new("shop", &["a@example.org"]);
        queue.accept(NewMessage { now: new.now - (5 + number) * hours, ..new });
    }
    queue.accept(new("shop", &["fresh@example.org"]));
    // Paused by an earlier process.
    let (lane, reason) = ("shop".into(), "login refused".into());
    let until = clock::millis() + hours;
    queue.store.pause(&Pause { lane, until, reason, times: 1, since: None, firm: false, down: None }).unwrap();
    queue.start(config("", &[("shop", &broken)]));
    queue.until("two warnings", || queue.count() == 5);
    let (reports, others): (Vec<Queued>, Vec<Queued>) = queue.all().into_iter().partition(|queued| queued.report);
    assert_eq!(reports.len(), 2);
    assert_eq!(others.iter().filter(|queued| queued.warned).count(), 2);
    assert_eq!(broken.record.lock().unwrap().connections, 0);
}

#[test]
fn an_operators_bounce_says_the_last_words() {
    let (server, _) = moody("RCPT TO:<a@", "450 4.2.1 greylisted");
    let mut queue = Queue::new();
    queue.start(config("", &[("shop", &server)]));
    let id = queue.accept(new("shop", &["a@example.org"]));
    queue.until_told(id);
    queue.until("its state", || queue.all().iter().all(|queued| !queued.claimed));
    assert_eq!(queue.runner().bounce(&Filter { ids: vec![id], ..Filter::default() }).unwrap(), 1);
    queue.until("an empty queue", || queue.count() == 0);
    let bounce = bodies(&server).pop().unwrap();
    assert!(bounce.contains("greylisted") && bounce.contains("Action: failed"), "{bounce}");
}

#[test]
fn times_of_a_clock_that_was_ahead_are_set_back() {
    let server = Server::start(rset);
    let mut queue = Queue::new();
    let ahead = clock::millis() + 10 * 365 * 86_400_000;
    queue.accept(NewMessage { now: ahead, due: ahead, ..new("shop", &["a@example.org"]) });
    queue.start(config("", &[("shop", &server)]));
    queue.until("an empty queue", || queue.count() == 0);
}

#[test]
fn a_run_without_the_daemon() {
    let (server, on) = moody("RCPT TO:<b@", "450 4.2.1 later");
    let (broken, _) = moody("CONNECT", "554 5.7.1 go away");
    let queue = Queue::new();
    queue.accept(new("shop", &["a@example.org"]));
    queue.accept(new("shop", &["b@example.org"]));
    (0..3).for_each(|_| {
        queue.accept(new("news", &["c@example.org"]));
    });
    queue.accept(new("gone", &["d@example.org"]));
    let config = config(QUICK, &[("shop", &server), ("news", &broken)]);
    assert_eq!(
        direct::run(queue.store.as_ref(), &config, &host(), &mut |_| {}).unwrap(),
        3,
        "two of shop, one of news"
    );
    assert_eq!(queue.count(), 5);
    assert_eq!(queue.all().iter().filter(|queued| queued.hold.is_some()).count(), 1);
    assert_eq!((bodies(&server).len(), broken.record.lock().unwrap().connections), (1, 1));
    assert_eq!(direct::run(queue.store.as_ref(), &config, &host(), &mut |_| {}).unwrap(), 0, "nothing is due");
    on.store(false, Ordering::SeqCst);
    queue.store.act(&Filter::default(), &Action::Retry, clock::millis()).unwrap();
    assert_eq!(direct::run(queue.store.as_ref(), &config, &host(), &mut |_| {}).unwrap(), 1);
    assert_eq!(queue.count(), 4);
}
