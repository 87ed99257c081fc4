//! Whatever a source holds, what comes out is a configuration without the password, or one refusal with its place.

use super::model::{Context, Source};
use super::{Program, convert, render};
use crate::config::load::{self, Sources};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::path::Path;
use zeroize::Zeroizing;

/// The password of every source.
const PASSWORD: &str = "tanstaaf-tanstaaf";

/// Lines of each program with `@V@` for a value and `@P@` for the password.
const LINES: [(Program, &str, &str); 8] = [
    (
        Program::Msmtp,
        "msmtprc",
        "account default\nhost @V@\nport @V@\nfrom @V@\nuser @V@\nauth on\ntls on\ntls off\ntls_fingerprint @V@\nsocket @V@\nlogfile @V@\n\
         account @V@ : @V@\naliases @V@\nproxy_host @V@\ndomain @V@\neval @V@\npasswordeval @V@\nfrom_full_name @V@\ntimeout 7\nprotocol lmtp\npassword @P@",
    ),
    (
        Program::Ssmtp,
        "ssmtp.conf",
        "mailhub=@V@\nroot=@V@\nrewriteDomain=@V@\nhostname @V@\nFromLineOverride=@V@\nUseTLS=YES\nUseSTARTTLS=YES\nTLSCert=@V@\nAuthUser=@V@\n\
         AuthMethod=@V@\n@V@=@V@\nAuthPass=@P@",
    ),
    (
        Program::Nullmailer,
        "remotes",
        "@V@ smtp --port=@V@ --user=@V@ --ssl --pass=@P@\n@V@ @V@\n@V@ smtp --source=@V@ --x509cafile='@V@' --starttls\nh --user=u --pass=@P@",
    ),
    (
        Program::Dma,
        "dma.conf",
        "SMARTHOST @V@\nPORT @V@\nMAILNAME @V@\nMASQUERADE @V@\nSECURETRANSFER\nSTARTTLS\nFINGERPRINT @V@\nCERTFILE @V@\nALIASES @V@\n@V@ @V@\nPORT 25",
    ),
    (
        Program::Esmtp,
        "esmtprc",
        "hostname @V@\nusername \"@V@\"\nstarttls @V@\nidentity @V@\ndefault\nhelo @V@\nqualifydomain @V@\nforce sender @V@\nmda @V@\npassword @P@",
    ),
    (
        Program::Postfix,
        "main.cf",
        "relayhost = @V@\nmyorigin = @V@\nmyhostname = @V@\nsmtp_sasl_auth_enable = yes\nsmtp_tls_security_level = @V@\nsmtp_helo_name = @V@\n\
         smtp_sasl_password_maps = inline:{ @V@=@V@:@P@, { a@example.com = u:@P@ } }\nmydestination = @V@, @V@\nalways_bcc = @V@\nalias_maps = @V@\n\
         smtp_sender_dependent_authentication = yes\nsender_dependent_relayhost_maps = inline:{ @V@=@V@ }\n @V@\nsmtp_tls_CAfile = /@V@\n\
         smtp_sasl_password_maps = static:u:@P@",
    ),
    (
        Program::Bitrix,
        ".settings.php",
        "<?php return ['smtp' => ['value' => [\n'host' => '@V@',\n'port' => @V@,\n'login' => \"@V@\",\n'from' => '@V@',\n'force_from' => 1,\n\
         'encryption_type' => '@V@',\n'connection_timeout' => 5,\n'enabled' => 0,\n'debug' => @V@,\n'password' => '@P@']]];",
    ),
    (
        Program::WpMailSmtp,
        "option",
        "{\"mail\":{\"mailer\":\"smtp\",\n\"from_email\":\"@V@\",\n\"from_name\":\"@V@\",\n\"from_email_force\":1},\n\"smtp\":{\"host\":\"@V@\",\n\
         \"port\":\"@V@\",\n\"auth\":true,\n\"encryption\":\"@V@\",\n\"user\":\"@V@\",\n\"pass\":\"@P@\"}}",
    ),
];

/// Values that a careless importer would stumble over, beside good ones.
fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("smtp.example.com".to_owned()),
        Just("shop@example.com".to_owned()),
        Just("[smtp.example.com]:587".to_owned()),
        Just("587".to_owned()),
        "[a-z@.:\\[\\]*?%$#=\"'\\\\ ]{0,12}",
        "\\PC{0,8}",
        Just("x\" = \"y".to_owned()),
        Just("a@b\n[default]".to_owned()),
    ]
}

fn outcome(program: Program, name: &str, text: &str) -> Result<String, String> {
    let owners = BTreeMap::new();
    let read = |_: &Path| Ok(None);
    let context = Context {
        home: Some(Path::new("/home/u")),
        hostname: "host.test",
        canonical: "host.test",
        mailname: None,
        owners: &owners,
        read: &read,
    };
    let source = Source { path: name.into(), data: Zeroizing::new(text.as_bytes().to_vec()) };
    match convert(program, &[source], &context) {
        Ok(imported) => {
            for finding in imported.findings.all() {
                assert!(!finding.what.contains(PASSWORD) && !finding.what.contains('\n'), "{}", finding.what);
            }
            Ok(render::render(&imported, "x").toml)
        }
        Err(refusal) => Err(refusal.1),
    }
}

/// What loading the result finds wrong with it, duplicates among senders too.
fn faults(toml: &str) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("postrider.toml");
    crate::sys::install::file(&path, toml.as_bytes(), crate::sys::install::Form { mode: 0o600, ..Default::default() })
        .unwrap();
    let uid = rustix::process::getuid().as_raw();
    let sources = Sources { explicit: Some(path), home: Some("/home/u".into()), uid, etc: folder.path().into() };
    load::load(&sources).err().into_iter().flatten().map(|error| error.to_string()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn a_configuration_or_a_refusal(
        which in 0..LINES.len(),
        values in prop::collection::vec(value(), 40),
        left_out in any::<u32>(),
    ) {
        let (program, name, lines) = LINES[which];
        let mut values = values.into_iter().cycle();
        let mut text = String::new();
        let count = lines.lines().count();
        for (at, line) in lines.lines().enumerate() {
            // The frame of a structured source stays.
            let structured = matches!(program, Program::Bitrix | Program::WpMailSmtp);
            if left_out >> (at % 32) & 1 == 1 && at + 1 < count && (!structured || line.ends_with(',') && !line.contains("{\"")) {
                continue;
            }
            let mut parts = line.split("@V@");
            text.push_str(parts.next().unwrap_or_default());
            for part in parts {
                text.push_str(&values.next().unwrap_or_default());
                text.push_str(part);
            }
            text.push('\n');
        }
        let text = text.replace("@P@", PASSWORD);
        match outcome(program, name, &text) {
            Ok(toml) => {
                let errors = faults(&toml);
                prop_assert!(errors.is_empty(), "{:?}\n{}\n{}", errors, text, toml);
                prop_assert!(!toml.contains(PASSWORD), "{}", toml);
            }
            Err(what) => prop_assert!(!what.contains(PASSWORD), "{}", what),
        }
    }
}
