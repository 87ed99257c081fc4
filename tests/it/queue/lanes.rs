//! Lanes: who goes first, how many connections, how much over each.

use super::served::{Daemon, configure, sender};
use crate::support::script::{Fault, Script};
use crate::support::server::Server;
use postrider::daemon::protocol::Request;
use std::time::Duration;

/// Submits a message with that subject and further header lines.
fn submit(daemon: &Daemon, sender: &str, how: &str, subject: &str, header: &str) {
    let mail = format!("From: {sender}@example.com\nSubject: {subject}\n{header}\nhello\n");
    daemon.home.run("sendmail", &[how, "-i", "you@example.org"], mail).expect(0);
}

const BULK: &str = "Precedence: bulk\n";

fn delivered(daemon: &Daemon, server: &Server, count: usize) {
    daemon.until("delivery", || server.subjects().len() == count && daemon.lines().is_empty());
}

#[test]
fn single_mail_overtakes_bulk_and_bulk_has_its_share() {
    let server = Script::new().start();
    let shop = sender("shop", &server) + "connections = 1\n";
    let daemon = Daemon::start("", &shop);
    // What waits for the queue run is due all at once.
    for number in 0..6 {
        submit(&daemon, "shop", "-odq", &format!("bulk {number}"), BULK);
    }
    for number in 0..16 {
        submit(&daemon, "shop", "-odq", &format!("single {number}"), "");
    }
    daemon.flush();
    delivered(&daemon, &server, 22);
    let kinds: Vec<bool> = server.subjects().iter().map(|subject| subject.starts_with("bulk")).collect();
    let first = kinds.iter().position(|bulk| *bulk).unwrap();
    assert!(first >= 7, "{:?}", server.subjects());
    assert_eq!(kinds[..16].iter().filter(|bulk| **bulk).count(), 2, "one of eight: {:?}", server.subjects());
    let order: Vec<String> = server.subjects().into_iter().filter(|subject| subject.starts_with("single")).collect();
    assert_eq!(order, (0..16).map(|number| format!("single {number}")).collect::<Vec<_>>(), "their order is kept");
}

#[test]
fn a_late_single_message_overtakes_bulk_under_way() {
    let server = Script::new().on("DOT", Fault::Delay(Duration::from_millis(20))).start();
    let daemon = Daemon::start("", &(sender("shop", &server) + "connections = 1\n"));
    for number in 0..60 {
        submit(&daemon, "shop", "-odq", &format!("bulk {number}"), BULK);
    }
    daemon.flush();
    daemon.until("a beginning", || server.subjects().len() > 2);
    submit(&daemon, "shop", "-odi", "single", "");
    let place = server.subjects().iter().position(|subject| subject == "single").unwrap();
    assert!(place < 50, "it was number {place}");
    delivered(&daemon, &server, 61);
}

#[test]
fn of_two_connections_bulk_has_one() {
    let server = Script::new().on("DOT", Fault::Delay(Duration::from_millis(10))).start();
    let daemon = Daemon::start("", &(sender("shop", &server) + "connections = 2\nbulk = \"always\"\n"));
    for number in 0..20 {
        submit(&daemon, "shop", "-odb", &format!("{number}"), "");
    }
    delivered(&daemon, &server, 20);
    assert_eq!(server.most_at_once(), 1);
}

#[test]
fn each_sender_has_its_own_connections() {
    let slow = || Script::new().on("DOT", Fault::Delay(Duration::from_millis(30))).start();
    let (shop, news, rest) = (slow(), slow(), slow());
    let senders = [
        sender("shop", &shop) + "connections = 1\n",
        sender("news", &news) + "connections = 3\n",
        sender("rest", &rest),
    ];
    let daemon = Daemon::start("connections = 2", &senders.concat());
    for number in 0..16 {
        for sender in ["shop", "news", "rest"] {
            submit(&daemon, sender, "-odq", &number.to_string(), "");
        }
    }
    daemon.flush();
    daemon.until("delivery", || daemon.lines().is_empty());
    assert_eq!((shop.most_at_once(), news.most_at_once(), rest.most_at_once()), (1, 3, 2));
    assert_eq!((shop.messages().len(), news.messages().len(), rest.messages().len()), (16, 16, 16));
}

#[test]
fn messages_per_connection_hold_after_a_reload_too() {
    let server = Script::new().start();
    let with =
        |number: u32| sender("shop", &server) + &format!("connections = 1\nmessages_per_connection = {number}\n");
    let daemon = Daemon::start("", &with(3));
    let batch = |count: usize| {
        let before = server.subjects().len();
        (0..count).for_each(|number| submit(&daemon, "shop", "-odb", &number.to_string(), ""));
        delivered(&daemon, &server, before + count);
    };
    let sizes = || -> Vec<usize> { server.connections().iter().map(|connection| connection.messages.len()).collect() };
    batch(7);
    assert_eq!(sizes(), [3, 3, 1]);
    configure(&daemon.home, "", &with(5));
    daemon.ask(&Request::Reload);
    batch(6);
    assert_eq!(sizes(), [3, 3, 1, 5, 1]);
    assert!(server.connections()[..4].iter().all(|connection| connection.quit), "leave is taken");
}

#[test]
fn recipients_are_split_over_transactions() {
    let server = Script::new().start();
    let limit = "recipients_per_transaction = 3\n";
    let daemon = Daemon::start("", &(sender("shop", &server) + limit));
    let to: Vec<String> = (0..8).map(|number| format!("u{number}@example.org")).collect();
    let mut arguments = vec!["-odi", "-i"];
    arguments.extend(to.iter().map(String::as_str));
    let mail = "From: shop@example.com\nSubject: to many\n\nhello\n";
    daemon.home.run("sendmail", &arguments, mail).expect(0);
    let split =
        |server: &Server| -> Vec<usize> { server.messages().iter().map(|message| message.recipients.len()).collect() };
    assert_eq!(split(&server), [3, 3, 2]);
    assert_eq!(server.connections().len(), 1, "over one connection");

    // Without the daemon too.
    let direct = Script::new().start();
    let home = crate::support::run::Home::new();
    let toml = format!("log = {{ to = \"off\" }}\n{}{limit}", sender("shop", &direct));
    let home = home.config(&toml);
    home.run("sendmail", &arguments, mail).expect(0);
    assert_eq!(split(&direct), [3, 3, 2]);
    assert_eq!(direct.connections().len(), 1);
}

#[test]
fn a_pace_holds_back_and_loses_nothing() {
    let server = Script::new().start();
    let other = Script::new().start();
    let hourly = sender("shop", &server) + "pace = \"1/h\"\n";
    let daemon = Daemon::start("", &(hourly + &sender("news", &other) + "pace = \"100/s\"\nidle = \"0s\"\n"));
    for number in 0..5 {
        submit(&daemon, "shop", "-odb", &number.to_string(), "");
    }
    daemon.until("the first", || server.subjects().len() == 1);
    for number in 0..20 {
        submit(&daemon, "news", "-odb", &number.to_string(), "");
    }
    daemon.until("the quicker sender's", || other.subjects().len() == 20);
    assert_eq!(server.subjects(), ["0"], "the next one in an hour");
    daemon.until("the results are written", || daemon.lines().len() == 4);
    configure(&daemon.home, "", &(sender("shop", &server) + "pace = \"50/s\"\n" + &sender("news", &other)));
    daemon.ask(&Request::Reload);
    delivered(&daemon, &server, 5);
    assert_eq!(server.subjects(), ["0", "1", "2", "3", "4"]);
}

#[test]
fn a_sender_that_hangs_delays_no_other() {
    let hanging = Script::new().on("CONNECT", Fault::Hang).start();
    let fine = Script::new().start();
    let daemon = Daemon::start("", &format!("{}{}", sender("slow", &hanging), sender("news", &fine)));
    for number in 0..50 {
        submit(&daemon, "slow", "-odb", &number.to_string(), "");
        submit(&daemon, "news", "-odb", &number.to_string(), "");
    }
    daemon.until("the other sender's mail", || fine.subjects().len() == 50 && daemon.lines().len() == 50);
    assert_eq!(hanging.most_at_once(), 4, "and no more connections than it may have");
}

#[test]
fn more_senders_than_threads() {
    let server = Script::new().start();
    let senders: String = (0..100).map(|number| sender(&format!("s{number}"), &server)).collect();
    let daemon = Daemon::start("", &senders);
    std::thread::scope(|scope| {
        for half in [0..50, 50..100] {
            let daemon = &daemon;
            scope.spawn(move || {
                for number in half {
                    (0..3).for_each(|_| submit(daemon, &format!("s{number}"), "-odq", "x", ""));
                }
            });
        }
    });
    daemon.flush();
    delivered(&daemon, &server, 300);
    assert!(server.most_at_once() <= 64, "{}", server.most_at_once());
}
