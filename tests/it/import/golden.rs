//! What each program's configuration becomes, to the letter: `data/NAME/` against `data/NAME.toml` and `data/NAME.said`.
//!
//! `POSTRIDER_GOLDEN=write` writes them anew, to be read before they are kept.

use super::import;
use crate::support::run::Home;
use std::path::{Path, PathBuf};

/// Name of the data, program, files, further arguments.
type Case<'a> = (&'a str, &'a str, &'a [&'a str], &'a [&'a str]);

const CASES: [Case<'_>; 10] = [
    ("msmtp", "msmtp", &["msmtprc"], &[]),
    ("ssmtp", "ssmtp", &["ssmtp.conf"], &[]),
    ("nullmailer", "nullmailer", &[""], &[]),
    ("dma", "dma", &["dma.conf"], &[]),
    ("esmtp", "esmtp", &["esmtprc"], &[]),
    ("postfix", "postfix", &["main.cf"], &[]),
    ("postfix-clients", "postfix", &["main.cf"], &[]),
    ("bitrix", "bitrix", &[".settings.php", "senders.tsv"], &["--owner", "17=anna"]),
    ("wp-options", "wp-mail-smtp", &["wp_mail_smtp.json"], &[]),
    ("wp-config", "wp-mail-smtp", &["wp-config.php"], &[]),
];

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/import/data").join(name)
}

/// A home with the files of a case in `source`.
fn home(name: &str) -> Home {
    let home = Home::new();
    for entry in std::fs::read_dir(data(name)).unwrap() {
        let path = entry.unwrap().path();
        home.write(&format!("source/{}", path.file_name().unwrap().to_str().unwrap()), std::fs::read(&path).unwrap());
    }
    home
}

fn compare(file: &str, text: &str) {
    let path = data(file);
    if std::env::var("POSTRIDER_GOLDEN").is_ok_and(|is| is == "write") {
        std::fs::write(&path, text).unwrap();
    }
    let want = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(text, want, "{file} (POSTRIDER_GOLDEN=write writes it anew)");
}

#[test]
fn each_becomes_what_it_became() {
    for (name, program, files, more) in CASES {
        let home = home(name);
        let hostname = rustix::system::uname().nodename().to_str().unwrap().to_owned();
        let plain = |text: &str| {
            text.replace(&format!("{}/source", home.path("").display()).replace("//", "/"), "/SOURCE")
                .replace(&format!("{hostname}.example"), "HOST.example")
        };
        let run = import(&home, program, files, more).expect(0);
        compare(&format!("{name}.toml"), &plain(&run.stdout));
        compare(&format!("{name}.said"), &plain(&run.stderr));
        for text in [&run.stdout, &run.stderr] {
            let shown = secrets(name).iter().any(|(_, secret)| text.contains(secret));
            assert!(!shown && !text.contains("tanstaaf") && !text.contains("staaf"), "{name} shows a password: {text}");
        }
        // The same with --write is a configuration, and the findings are the same.
        let out = home.path("out");
        let write = format!("--write={}", out.display());
        import(&home, program, files, &[more, &[&write]].concat()).expect(0);
        let toml = out.join("postrider.toml");
        assert_eq!(std::fs::read_to_string(&toml).unwrap(), run.stdout);
        home.run("postrider", &["--config", toml.to_str().unwrap(), "check", "--parse-only"], "").expect(0);
        let json = import(&home, program, files, &[more, &["--json"]].concat()).expect(0);
        let json: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
        let lines = run.stderr.lines().filter(|line| line.starts_with(home.path("source").to_str().unwrap())).count();
        assert_eq!(json["findings"].as_array().unwrap().len(), lines, "{name}");
        for (secret, text) in secrets(name) {
            assert_eq!(std::fs::read_to_string(out.join(secret)).unwrap(), format!("{text}\n"), "{name}: {secret}");
        }
    }
}

/// Files with passwords, and what is in them.
fn secrets(name: &str) -> &'static [(&'static str, &'static str)] {
    match name {
        "msmtp" => &[("default.password", "tanstaaf \"1\"")],
        "ssmtp" => &[("default.password", "tanstaaf=#1")],
        "nullmailer" => &[("default.password", "tan \"staaf\"")],
        "dma" => &[("default.password", "tan:sta|af")],
        "esmtp" => &[("shop@example.com.password", "tanstaaf2")],
        "postfix" => &[
            ("default.password", "tan:staaf"),
            ("example.net.password", "tanstaaf3"),
            ("shop@example.com.password", "tanstaaf2"),
            ("marketing@example.com.password", "tanstaaf2"),
        ],
        "postfix-clients" => &[("default.password", "tanstaaf"), ("news.example.com.password", "tanstaaf2")],
        "bitrix" => &[
            ("default.password", "tan'staaf"),
            ("old@example.com.password", "tanstaaf1"),
            ("shop@example.com.password", "tan\\staaf 2"),
            ("anna@example.com.password", "tanstaaf5"),
        ],
        "wp-config" => &[("default.password", "tan'sta\"af")],
        _ => &[],
    }
}
