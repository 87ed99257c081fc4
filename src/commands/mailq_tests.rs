//! The table, the JSON and the pages, over a queue of values.

use super::*;
use crate::queue::MessageId;
use chrono::FixedOffset;
use std::cell::RefCell;

/// A queue that answers from a list, and remembers what it was asked.
struct Fixed {
    lines: Vec<Line>,
    asked: RefCell<Vec<(Option<MessageId>, usize)>>,
}

impl Fixed {
    fn of(lines: Vec<Line>) -> Self {
        Self { lines, asked: RefCell::default() }
    }
}

impl Ask for Fixed {
    fn ask(&self, request: &Request) -> Result<Reply, AskError> {
        let Request::List { filter, limit } = request else { panic!("{request:?}") };
        self.asked.borrow_mut().push((filter.after, *limit));
        let id = |line: &Line| line.id.parse::<MessageId>().unwrap();
        let behind = self.lines.iter().filter(|line| filter.after.is_none_or(|after| id(line) > after));
        // Pages come shorter than asked for, as those of large messages do.
        Ok(Reply::Messages(behind.take(*limit.min(&100)).cloned().collect()))
    }
}

/// 2026-11-22 01:02:03 UTC.
const THEN: Millis = 1_795_309_323_000;

fn line(number: i64, state: &str, recipients: &[(&str, Option<&str>)]) -> Line {
    let recipient = |&(address, last): &(&str, Option<&str>)| LineRecipient {
        address: address.into(),
        attempts: 2,
        due: Some(THEN),
        last: last.map(Into::into),
    };
    Line {
        id: MessageId(number).to_string(),
        size: 1500,
        created: THEN,
        uid: 33,
        sender: "shop".into(),
        from: "shop@example.com".into(),
        state: state.into(),
        hold: (state == "hold").then(|| "by hand".into()),
        paused: None,
        moved_from: None,
        waits: None,
        bulk: false,
        recipients: recipients.iter().map(recipient).collect(),
        more: 0,
        staging: None,
    }
}

fn listed(lines: Vec<Line>, form: Form) -> String {
    let mut out = Vec::new();
    let zone = FixedOffset::east_opt(3600).unwrap();
    list(&mut out, Pages::new(&Fixed::of(lines), Filter::default()), form, &zone).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn the_table() {
    let late = Some("451 4.7.1 try again later");
    let lines = vec![
        line(26, "deferred", &[("a@example.org", late), ("b@example.org", late), ("c@example.org", None)]),
        line(27, "active", &[("d@example.org", None)]),
        line(28, "hold", &[("e@example.org", Some("421 \u{1b}[31mred\r\n-- forged"))]),
    ];
    let expected = "\
-Queue ID-  --Size-- ----Arrival Time---- -Sender/Recipient-------
0000001A        1500 Sun Nov 22 02:02:03  shop@example.com
                                                  (451 4.7.1 try again later)
                                          a@example.org
                                          b@example.org
                                          c@example.org

0000001B*       1500 Sun Nov 22 02:02:03  shop@example.com
                                          d@example.org

0000001C!       1500 Sun Nov 22 02:02:03  shop@example.com
                                                           (on hold: by hand)
                                                    (421  [31mred  -- forged)
                                          e@example.org

-- 5 Kbytes in 3 Requests.
";
    assert_eq!(listed(lines, Form::Table), expected);
    assert_eq!(listed(vec![], Form::Table), "Mail queue is empty\n");
}

#[test]
fn json_is_one_object_a_line() {
    let text = listed(vec![line(26, "hold", &[("a@example.org", None)]), line(27, "active", &[])], Form::Json);
    let lines: Vec<Line> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0], line(26, "hold", &[("a@example.org", None)]));
    assert_eq!(listed(vec![], Form::Json), "");
}

#[test]
fn a_listing_comes_in_pages_and_stops_when_nobody_reads() {
    let queue = Fixed::of((1..=250).map(|number| line(number, "deferred", &[])).collect());
    let mut out = Vec::new();
    list(&mut out, Pages::new(&queue, Filter::default()), Form::Json, &chrono::Utc).unwrap();
    assert_eq!(out.iter().filter(|octet| **octet == b'\n').count(), 250);
    let after = |number| Some(MessageId(number));
    let expected = [(None, 64), (after(64), 512), (after(164), 512), (after(250), 512)];
    assert_eq!(*queue.asked.borrow(), expected);

    struct Closed;
    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    queue.asked.borrow_mut().clear();
    let ended_early = list(&mut Closed, Pages::new(&queue, Filter::default()), Form::Table, &chrono::Utc);
    assert_eq!((ended("mailq", ended_early), queue.asked.borrow().len()), (Status::Ok, 1));
}

#[test]
fn a_queue_that_answers_nonsense_is_an_error_and_no_endless_listing() {
    struct Circle;
    impl Ask for Circle {
        fn ask(&self, _: &Request) -> Result<Reply, AskError> {
            Ok(Reply::Messages(vec![line(1, "active", &[])]))
        }
    }
    struct Refuses;
    impl Ask for Refuses {
        fn ask(&self, _: &Request) -> Result<Reply, AskError> {
            Ok(Reply::Refused("not you".into()))
        }
    }
    let listed = |desk: &dyn Ask| list(&mut io::sink(), Pages::new(desk, Filter::default()), Form::Json, &chrono::Utc);
    assert!(matches!(listed(&Circle), Err(ListError::Ask(AskError::Broken(_)))));
    assert!(matches!(listed(&Refuses), Err(ListError::Ask(AskError::Refused(what))) if what == "not you"));
    assert_eq!(time(i64::MAX, &chrono::Utc, "%H"), i64::MAX.to_string());
}
