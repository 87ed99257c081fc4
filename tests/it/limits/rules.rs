//! What is wrong with limits in the configuration is said with its place.

use crate::support::run::Home;

#[track_caller]
fn fault(text: &str) -> String {
    let home = Home::new().config(&format!("log = {{ to = \"off\" }}\n{text}"));
    let run = home.run("sendmail", &["-i", "a@example.org"], "From: shop@example.com\n\nx\n").expect(78);
    run.stderr.replace(&home.path("").display().to_string(), "")
}

const SHOP: &str = "[[sender]]\nname = \"shop\"\nfrom = \"shop@example.com\"\nserver = \"smtp+plain://127.0.0.1:9\"\n";
const NEWS: &str = "[[sender]]\nname = \"news\"\nfrom = \"news@example.com\"\nserver = \"smtp+plain://127.0.0.1:9\"\n";

#[test]
fn a_limit_is_what_it_says() {
    for (keys, words) in [
        ("limits = [{ recipients = 5 }]", "a limit needs per = "),
        ("limits = [{ per = \"1h\" }]", "recipients = N or messages = N"),
        ("limits = [{ recipients = 5, messages = 5, per = \"1h\" }]", "one of the two"),
        ("limits = [{ recipients = 0, per = \"1h\" }]", "limits = [] for none"),
        ("limits = [{ recipients = 5, per = \"soon\" }]", "write 1m, 1h, 24h, or day"),
        ("limits = [{ recipients = 5, per = \"1ms\" }]", "from a second to 366 days"),
        ("limits = [{ recipient = 5, per = \"1h\" }]", "did you mean recipients?"),
        ("timezone = \"Europe/Moskow\"", "did you mean Europe/Moscow?"),
        ("reserve = \"100%\"", "from \"0%\" to \"99%\""),
        ("reserve = 5\nlimits = [{ recipients = 5, per = \"1h\" }]", "less than each of the limits"),
        ("reserve = true", "a number or a share"),
        ("at_limit = \"shop\"", "names the sender itself"),
        ("at_limit = \"wait\"", "no sender is named \"wait\", the nearest is \"shop\""),
    ] {
        let said = fault(&format!("{SHOP}{keys}\n"));
        assert!(said.contains("postrider.toml:") && said.contains(words), "{keys}: {said}");
    }
}

#[test]
fn overflow_keeps_to_what_the_other_sender_may_send() {
    let strict = format!("{NEWS}must_match = true\n");
    let said = fault(&format!("{SHOP}at_limit = \"news\"\n{strict}"));
    assert!(said.contains("postrider.toml:8: at_limit: sender news takes only its own addresses"), "{said}");
    assert!(said.contains("shop@example.com of sender shop") && said.contains("postrider.toml:9"), "{said}");
    for allowed in [
        format!("{SHOP}at_limit = \"news\"\n{NEWS}"),
        format!(
            "{SHOP}at_limit = \"news\"\n{}",
            strict.replace("from = \"news@example.com\"", "from = [\"news@example.com\", \"@example.com\"]")
        ),
        format!(
            "{}at_limit = \"news\"\n{}",
            SHOP.replace("shop@", "shop-*@"),
            strict.replace("from = \"news@example.com\"", "from = [\"news@example.com\", \"*@example.com\"]")
        ),
    ] {
        let home = Home::new().config(&format!("log = {{ to = \"off\" }}\n{allowed}"));
        home.run("postrider", &["explain", "-t"], "From: shop@example.com\nTo: a@example.org\n\n").expect(0);
    }
    let narrow = strict.replace("from = \"news@example.com\"", "from = [\"news@example.com\", \"shop-*@example.com\"]");
    assert!(fault(&format!("{}at_limit = \"news\"\n{narrow}", SHOP.replace("shop@", "shop*@"))).contains("shop*@"));
}

#[test]
fn shared_limits_name_senders_that_there_are() {
    for (keys, words) in [
        (
            "name = \"x\"\nrecipients = 5\nper = \"1h\"\nsenders = [\"shp\"]",
            "no sender is named \"shp\"; the nearest is \"shop\"",
        ),
        ("name = \"x\"\nrecipients = 5\nper = \"1h\"", "senders = [\"...\"] or domain"),
        ("recipients = 5\nper = \"1h\"\nsenders = [\"shop\"]", "has no name"),
        ("name = \"x\"\nrecipients = 5\nper = \"1h\"\nsender = [\"shop\"]", "did you mean senders?"),
    ] {
        let said = fault(&format!("[[limit]]\n{keys}\n{SHOP}"));
        assert!(said.contains("postrider.toml:") && said.contains(words), "{keys}: {said}");
    }
    let one = "[[limit]]\nname = \"x\"\nrecipients = 5\nper = \"1h\"\nsenders = [\"shop\"]\n";
    assert!(fault(&format!("{one}{one}{SHOP}")).contains("two limits have the name x; the other one is at"));
}
