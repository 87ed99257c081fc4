//! A sender's flow and the brake, as they are read from a file.

use super::build::{self, FileConfig};
use super::toml::Source;
use super::{BrakeExcept, ConfigError, Pace, Place};
use std::time::Duration;

fn read(text: &str) -> (FileConfig, Vec<ConfigError>) {
    build::main_file(Source { text, file: &Place::new("main", 0), quote: true }, None)
}

fn sender(more: &str) -> String {
    format!("[[sender]]\nfrom = \"a@b.test\"\n{more}\n")
}

#[test]
fn what_a_sender_says_wins_over_its_provider() {
    let read = |more: &str| {
        let (file, errors) = read(&sender(more));
        assert_eq!(errors, [], "{more}");
        let sender = file.senders.into_iter().next().unwrap();
        let portions = sender.relay.portions;
        (
            sender.flow.connections(4),
            portions.messages_per_connection,
            portions.recipients_per_transaction,
            sender.flow.pace,
            sender.flow.idle.as_secs(),
        )
    };
    assert_eq!(read("server = \"smtp://b.test\""), (4, 100, None, None, 10));
    assert_eq!(read("provider = \"microsoft365\""), (3, 100, Some(500), None, 10));
    assert_eq!(read("provider = \"sendgrid\""), (4, 5000, None, None, 10));
    assert_eq!(read("provider = \"unisender-go\"").0, 4, "what it allows is no reason for more");
    let pace = Pace { messages: 30, per: Duration::from_secs(60) };
    let all = "provider = \"microsoft365\"\nconnections = 9\nmessages_per_connection = 7\n\
               recipients_per_transaction = 5\npace = \"30/m\"\nidle = \"1m\"";
    assert_eq!(read(all), (9, 7, Some(5), Some(pace), 60));
    assert_eq!(pace.to_string(), "30/m");
}

#[test]
fn pipelining_is_on_unless_a_sender_says_otherwise() {
    let on = |more: &str| {
        let (file, errors) = read(&sender(&format!("server = \"smtp://b.test\"\n{more}")));
        assert_eq!(errors, [], "{more}");
        file.senders[0].relay.portions.pipelining
    };
    assert!(on("") && on("pipelining = true") && !on("pipelining = false"));
}

#[test]
fn faults_of_a_flow() {
    for (line, fault) in [
        ("connections = 0", "connections is 1 to 100"),
        ("connections = 101", "connections is 1 to 100"),
        ("messages_per_connection = 0", "messages_per_connection is 1 to 100000"),
        ("recipients_per_transaction = -1", "recipients_per_transaction is 1 to 100000"),
        ("pace = \"10\"", "pace: a number of messages in a second, minute or hour"),
        ("pace = \"9999/s\"", "pace: at most 1000/s"),
        ("idle = \"1h\"", "idle: at most 10m"),
        ("bulk = \"sometimes\"", "bulk: one of \"auto\", \"never\", \"always\""),
    ] {
        let (_, errors) = read(&sender(&format!("server = \"smtp://b.test\"\n{line}")));
        assert!(errors.len() == 1 && errors[0].to_string().starts_with(&format!("main:4: {fault}")), "{errors:?}");
    }
}

#[test]
fn a_brake_and_its_faults() {
    let (file, errors) = read(
        "[brake]\nmessages = 500\nper = \"10m\"\nby = \"uid\"\nalert = [\"/bin/x\", \"y\"]\nexempt = [\"root\", \"33\"]\n\
         [[brake.except]]\nscript = \"a*.php\"\nuser = \"web\"\n[[brake.except]]\nuser = \"web\"\nmessages = 5\n",
    );
    assert_eq!(errors, []);
    let brake = file.brake.unwrap();
    assert_eq!((brake.messages, brake.per.as_secs(), brake.script, brake.uid), (500, 600, false, true));
    assert_eq!((brake.alert, brake.exempt), (vec!["/bin/x".into(), "y".into()], vec!["root".into(), "33".into()]));
    let web = Some("web".to_owned());
    assert_eq!(
        brake.except,
        [
            BrakeExcept { script: Some("a*.php".into()), user: web.clone(), messages: None },
            BrakeExcept { script: None, user: web, messages: Some(5) }
        ]
    );
    let usual = read("[brake]\nmessages = 1\n").0.brake.unwrap();
    assert!(usual.script && usual.uid && usual.per.as_secs() == 3600);
    assert!(read("").0.brake.is_none());
    for (text, fault) in [
        ("[brake]\n", "main:1: [brake] needs messages"),
        ("[brake]\nmessages = 0\n", "main:2: brake.messages is 1 to 1000000"),
        ("[brake]\nmessages = 1\nper = \"1s\"\n", "main:3: brake.per: from a minute to a day"),
        ("[brake]\nmessages = 1\nby = [\"ip\"]\n", "main:3: brake.by is \"script\", \"uid\", or a list of both"),
        ("[brake]\nmessages = 1\nby = []\n", "main:3: brake.by is"),
        ("[brake]\nmessages = 1\nalert = \"\"\n", "main:1: brake.alert is a program"),
        ("[brake]\nmessages = 1\n[[brake.except]]\nmessages = 1\n", "main:3: [[brake.except]] needs script"),
        ("[brake]\nmessages = 1\n[[brake.except]]\nuser = \"\"\n", "main:4: brake.except.user: a name of"),
        (
            "[brake]\nmessages = 1\n[[brake.except]]\nscript = \"a.php\"\n",
            "main:3: [[brake.except]] with script needs user",
        ),
        ("[brake]\nmesages = 1\n", "main:2: unknown key \"mesages\"; did you mean messages?"),
    ] {
        let errors = read(text).1;
        assert!(errors.len() == 1 && errors[0].to_string().starts_with(fault), "{text}: {errors:?}");
    }
}
