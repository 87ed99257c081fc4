//! Without the daemon: the limit is shared by all processes, and whoever finds no room is told.

use super::{home, mail, sender, taken};
use crate::support::run::Home;
use crate::support::script::{Fault, Script};

#[test]
fn eight_processes_send_exactly_what_the_limit_lets() {
    let server = Script::new().offer("PIPELINING").start();
    let home = home("", &sender("shop", &server, "limits = [{ recipients = 20, per = \"24h\" }]"));
    let refused = std::thread::scope(|scope| {
        let eight: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    let runs = (0..5).map(|_| home.run("sendmail", &["-i", "you@example.org"], mail("shop")));
                    runs.filter(|run| run.status != 0).collect::<Vec<_>>()
                })
            })
            .collect();
        eight.into_iter().flat_map(|one| one.join().unwrap()).collect::<Vec<_>>()
    });
    assert_eq!((taken(&server), refused.len()), (20, 20));
    for run in refused {
        assert_eq!(run.status, 69, "{}", run.stderr);
        let why = "sender shop: the limit of 20 recipients per 24h of sender shop is reached";
        assert!(run.stderr.contains(&why["sender ".len()..]), "{}", run.stderr);
        assert!(
            run.stderr.contains("the next may go at ") && run.stderr.contains("nothing was kept"),
            "{}",
            run.stderr
        );
        assert_eq!(run.stderr.lines().count(), 1);
    }
}

#[test]
fn what_the_server_refuses_does_not_count() {
    let server = Script::new().on_nth("RCPT", 1, Fault::Reply("550 5.1.1 no such user".into())).start();
    let home = home("", &sender("shop", &server, "limits = [{ recipients = 2, per = \"1h\" }]"));
    home.run("sendmail", &["-i", "no@example.org"], mail("shop")).expect(67);
    home.run("sendmail", &["-i", "a@example.org", "b@example.org"], mail("shop")).expect(0);
    let run = home.run("sendmail", &["-i", "c@example.org"], mail("shop")).expect(69);
    assert!(run.stderr.contains("2 recipients per 1h"), "{}", run.stderr);
    assert_eq!(server.connections().len(), 2, "a server is not asked in vain");
}

#[test]
fn what_may_have_arrived_counts() {
    let server = Script::new().on("DOT", Fault::Lose).start();
    let home = home("", &sender("shop", &server, "limits = [{ messages = 1, per = \"1h\" }]"));
    home.run("sendmail", &["-i", "a@example.org"], mail("shop")).expect(69);
    let run = home.run("sendmail", &["-i", "a@example.org"], mail("shop")).expect(69);
    assert!(run.stderr.contains("1 message per 1h"), "{}", run.stderr);
}

#[test]
fn all_of_a_message_or_nothing() {
    let server = Script::new().start();
    let home = home("tempfail_exit = 75", &sender("shop", &server, "limits = [{ recipients = 3, per = \"day\" }]"));
    home.run("sendmail", &["-i", "a@example.org"], mail("shop")).expect(0);
    let run = home.run("sendmail", &["-i", "b@example.org", "c@example.org", "d@example.org"], mail("shop")).expect(75);
    assert!(run.stderr.contains("2 left for a message to 3"), "{}", run.stderr);
    assert_eq!(taken(&server), 1);
    home.run("sendmail", &["-i", "b@example.org", "c@example.org"], mail("shop")).expect(0);
}

#[test]
fn a_dialogue_is_told_after_the_dot() {
    let server = Script::new().start();
    let keys = "at_limit = \"refuse\"\nlimits = [{ messages = 1, per = \"1h\" }]";
    let home = home("[queue]\ndirect = \"on-failure\"", &sender("shop", &server, keys));
    let one = format!("MAIL FROM:<shop@example.com>\r\nRCPT TO:<a@example.org>\r\nDATA\r\n{}.\r\n", mail("shop"));
    let run = home.run("sendmail", &["-bs"], format!("EHLO me\r\n{one}{one}QUIT\r\n")).expect(0);
    assert!(run.stdout.contains("\n451 4.3.0 shop: the limit of 1 message per 1h of sender shop"), "{}", run.stdout);
    assert_eq!(taken(&server), 1);
    assert!(!home.path(".local").exists(), "refused is not kept");
}

#[test]
fn what_waits_is_kept_where_the_caller_has_a_queue() {
    let server = Script::new().start();
    let keys = "limits = [{ recipients = 2, per = \"3s\" }]";
    let home = home("[queue]\ndirect = \"on-failure\"", &sender("shop", &server, keys));
    home.run("sendmail", &["-i", "a@example.org", "b@example.org", "c@example.org"], mail("shop")).expect(0);
    assert_eq!(taken(&server), 2, "what fits goes now");
    let listed = home.run("sendmail", &["-bp"], "").expect(0).stdout;
    assert!(listed.contains("the limit of 2 recipients per 3s of sender shop is reached"), "{listed}");
    assert!(listed.contains("c@example.org") && !listed.contains("a@example.org"), "{listed}");
    home.run("sendmail", &["-q"], "").expect(0);
    assert_eq!(taken(&server), 2, "not before its time");
    for _ in 0..100 {
        std::thread::sleep(std::time::Duration::from_millis(100));
        home.run("sendmail", &["-q"], "").expect(0);
        if taken(&server) == 3 {
            return;
        }
    }
    panic!("it never went: {}", home.run("sendmail", &["-bp"], "").stdout);
}

#[test]
fn overflow_takes_another_sender() {
    let (server, spare) = (Script::new().start(), Script::new().start());
    let first = sender("shop", &server, "at_limit = \"spare\"\nlimits = [{ messages = 1, per = \"1h\" }]");
    let second = sender("spare", &spare, "limits = [{ messages = 1, per = \"1h\" }]");
    let home = home("", &format!("{first}{second}"));
    home.run("sendmail", &["-i", "a@example.org"], mail("shop")).expect(0);
    home.run("sendmail", &["-i", "b@example.org"], mail("shop")).expect(0);
    assert_eq!((taken(&server), taken(&spare)), (1, 1));
    assert_eq!(spare.messages()[0].from, "shop@example.com");
    let run = home.run("sendmail", &["-i", "c@example.org"], mail("shop")).expect(69);
    assert!(run.stderr.contains("of sender shop is reached"), "{}", run.stderr);
}

#[test]
fn senders_share_a_limit_by_name_and_by_domain() {
    let server = Script::new().start();
    let both = format!("{}{}{}", sender("a", &server, ""), sender("b", &server, ""), sender("c", &server, ""));
    let named = "[[limit]]\nname = \"account\"\nrecipients = 2\nper = \"24h\"\nsenders = [\"a\", \"b\"]\n";
    let home = home("", &format!("{named}{both}"));
    home.run("sendmail", &["-i", "x@example.org"], mail("a")).expect(0);
    home.run("sendmail", &["-i", "x@example.org"], mail("b")).expect(0);
    let run = home.run("sendmail", &["-i", "x@example.org"], mail("a")).expect(69);
    assert!(run.stderr.contains("the limit of 2 recipients per 24h of limit account is reached"), "{}", run.stderr);
    home.run("sendmail", &["-i", "x@example.org"], mail("c")).expect(0);

    let domain = "[[limit]]\nname = \"house\"\nmessages = 1\nper = \"24h\"\ndomain = \"Example.com\"\n";
    let home = self::home("", &format!("{domain}{both}"));
    home.run("sendmail", &["-i", "x@example.org"], mail("a")).expect(0);
    for name in ["a", "b", "c"] {
        home.run("sendmail", &["-i", "x@example.org"], mail(name)).expect(69);
    }
}

#[test]
fn bulk_mail_keeps_off_the_reserve() {
    let server = Script::new().start();
    let keys = "reserve = \"50%\"\nlimits = [{ messages = 2, per = \"1h\" }]";
    let home = home("", &sender("shop", &server, keys));
    let bulk = format!("Precedence: bulk\n{}", mail("shop"));
    home.run("sendmail", &["-i", "a@example.org"], &bulk).expect(0);
    let run = home.run("sendmail", &["-i", "a@example.org"], &bulk).expect(69);
    assert!(run.stderr.contains("is reached, but for what is reserved;"), "{}", run.stderr);
    home.run("sendmail", &["-i", "a@example.org"], mail("shop")).expect(0);
    let run = home.run("sendmail", &["-i", "a@example.org"], mail("shop")).expect(69);
    assert!(run.stderr.contains("is reached; the next"), "{}", run.stderr);
}

#[test]
fn a_preset_brings_its_limits() {
    let server = Script::new().offer("PIPELINING").start();
    let preset = "provider = \"brevo\"\nauth = \"off\"\n";
    let home = home("", &sender("shop", &server, preset));
    let many: Vec<String> = (0..300).map(|number| format!("u{number}@example.org")).collect();
    let arguments: Vec<&str> = ["-i"].into_iter().chain(many.iter().map(String::as_str)).collect();
    home.run("sendmail", &arguments, mail("shop")).expect(0);
    let run = home.run("sendmail", &["-i", "one@example.org"], mail("shop")).expect(69);
    assert!(run.stderr.contains("300 recipients per 24h"), "{}", run.stderr);
    let text = std::fs::read_to_string(home.path("postrider.toml")).unwrap();
    home.write("postrider.toml", text.replace("auth = \"off\"", "auth = \"off\"\nlimits = []"));
    home.run("sendmail", &["-i", "one@example.org"], mail("shop")).expect(0);
}

#[test]
fn without_a_limit_no_file_is_opened_and_without_a_file_nothing_is_sent() {
    let server = Script::new().start();
    let free = home("", &sender("shop", &server, ""));
    free.run("sendmail", &["-i", "a@example.org"], mail("shop")).expect(0);
    assert!(!free.path("limits.db").exists());
    let limited = home("", &sender("shop", &server, "limits = [{ messages = 5, per = \"1h\" }]"));
    std::fs::create_dir(limited.path("limits.db")).unwrap();
    let run = limited.run("sendmail", &["-i", "a@example.org"], mail("shop")).expect(69);
    assert!(run.stderr.contains("the limits of sender shop cannot be counted in "), "{}", run.stderr);
    assert!(run.stderr.contains("limits = [] for none; nothing was kept"), "{}", run.stderr);
    assert_eq!(taken(&server), 1);
}

#[test]
fn a_users_own_configuration_counts_beside_the_users_own_queue() {
    let server = Script::new().start();
    let home = Home::new();
    let text =
        format!("log = {{ to = \"off\" }}\n{}", sender("shop", &server, "limits = [{ messages = 1, per = \"1h\" }]"));
    home.write(".config/postrider/postrider.toml", text);
    let home = home.env("POSTRIDER_SOCKET", "/nonexistent/socket");
    home.run("sendmail", &["-i", "a@example.org"], mail("shop")).expect(0);
    home.run("sendmail", &["-i", "a@example.org"], mail("shop")).expect(69);
    assert!(home.path(".local/state/postrider/limits.db").is_file());
}
