//! The imported configuration sends what the manual of the original program says: the same login, envelope and text, the
//! same TLS. Beside the originals themselves it is in `originals`.

use super::import;
use super::place::{Place, seen};
use crate::support::run::Home;
use crate::support::server::Server;
use crate::support::skip::require;
use std::path::Path;

/// Three texts as `Place::from` gives them.
fn as_sent(login: &str, envelope: &str, from: &str) -> (String, String, String) {
    (login.into(), envelope.into(), from.into())
}

#[test]
fn ssmtp() {
    let place = Place::new();
    place
        .source(
            "ssmtp.conf",
            "mailhub=127.0.0.1:STARTTLS_PORT\nUseTLS=YES\nUseSTARTTLS=YES\nTLS_CA_File=CA_PEM\nAuthUser=robot\nAuthPass=tan:st'aaf \"1\n\
             rewriteDomain=example.com\nFromLineOverride=YES\nAuthMethod=LOGIN\n",
        )
        .import("ssmtp", &["ssmtp.conf"], &[]);
    let any = place.from(&place.starttls, "any@example.net");
    assert_eq!(any, as_sent("robot", "any@example.net", "any@example.net"));
    assert_eq!(place.from(&place.starttls, "root").1, "root@example.com", "rewriteDomain");
    assert_eq!(place.starttls.connections()[0].mechanism.as_deref(), Some("LOGIN"));

    // Without FromLineOverride the caller's line of revaliases is From.
    place
        .source(
            "ssmtp.conf",
            "mailhub=127.0.0.1:TLS_PORT\nUseTLS=YES\nTLS_CA_File=CA_PEM\nAuthUser=robot\nAuthPass=tan:st'aaf \"1\n",
        )
        .source("revaliases", "root:robot@example.com:127.0.0.1:TLS_PORT\n")
        .import("ssmtp", &["ssmtp.conf"], &[]);
    let other = place.from(&place.tls, "other@example.net");
    assert_eq!(other, as_sent("robot", "robot@example.com", "robot@example.com"));
}

#[test]
fn nullmailer() {
    let place = Place::new();
    place
        .source(
            "remotes",
            "127.0.0.1 smtp --port=1 --starttls --x509cafile=CA_PEM --user=robot --pass='tan:st'\\''aaf \"1' --auth-login\n\
             127.0.0.1 smtp --port=STARTTLS_PORT --starttls --x509cafile=CA_PEM --user=robot --pass=\"tan:st'aaf \\\"1\" --auth-login\n",
        )
        .source("me", "box.example.com\n")
        .import("nullmailer", &[""], &[]);
    // The first remote is not there, so the second takes it, as in nullmailer.
    let sent = place.from(&place.starttls, "root");
    assert_eq!(sent, as_sent("robot", "root@box.example.com", "root@box.example.com"));
    let connection = &place.starttls.connections()[0];
    assert_eq!(
        (connection.commands[0].as_str(), connection.mechanism.as_deref()),
        ("EHLO box.example.com", Some("LOGIN"))
    );
}

#[test]
fn dma() {
    let place = Place::new();
    place
        .source(
            "dma.conf",
            "SMARTHOST 127.0.0.1\nPORT TLS_PORT\nAUTHPATH auth.conf\nSECURETRANSFER\nFINGERPRINT DIGEST\nMAILNAME box.example.com\nNULLCLIENT\n",
        )
        .source("auth.conf", "robot|127.0.0.1:tan:st'aaf \"1\n")
        .import("dma", &["dma.conf"], &[]);
    assert_eq!(place.from(&place.tls, "root"), as_sent("robot", "root@box.example.com", "root@box.example.com"));
    place
        .source(
            "dma.conf",
            "SMARTHOST 127.0.0.1\nPORT CLEAR_PORT\nAUTHPATH auth.conf\nINSECURE\nMASQUERADE @example.com\n",
        )
        .import("dma", &["dma.conf"], &[]);
    assert_eq!(place.from(&place.clear, "root").1, "root@example.com", "MASQUERADE");
}

#[test]
fn esmtp() {
    let place = Place::new();
    place
        .source(
            "esmtprc",
            "hostname=127.0.0.1:STARTTLS_PORT\nusername=news\npassword=\"tanstaaf3\"\nstarttls=required\n\
             identity shop@example.com\n hostname = 127.0.0.1:CLEAR_PORT\n username 'shop@example.com'\n password tanstaaf2 # x\n",
        )
        .import("esmtp", &["esmtprc"], &[]);
    assert_eq!(place.from(&place.starttls, "any@example.net"), as_sent("news", "any@example.net", "any@example.net"));
    let shop = place.from(&place.clear, "shop@example.com");
    assert_eq!(shop, as_sent("shop@example.com", "shop@example.com", "shop@example.com"));
}

#[test]
fn postfix_with_accounts_by_sender() {
    let place = Place::new();
    place
        .source(
            "main.cf",
            "relayhost = [127.0.0.1]:STARTTLS_PORT\nmyorigin = example.com\nsmtp_sasl_auth_enable = yes\n\
             smtp_sasl_password_maps = texthash:$config_directory/sasl\nsmtp_sender_dependent_authentication = yes\n\
             sender_dependent_relayhost_maps = hash:${config_directory}/relays\nsmtp_tls_security_level = verify\nsmtp_tls_CAfile = CA_PEM\n",
        )
        .source("sasl", "[127.0.0.1]:STARTTLS_PORT robot:tan:st'aaf \"1\nshop@example.com shop@example.com:tanstaaf2\n@news.example.com news:tanstaaf3\n")
        .source("relays", "@news.example.com [127.0.0.1]:STARTTLS_PORT\nother@example.com DUNNO\n")
        .import("postfix", &["main.cf"], &[]);
    for (address, login) in [
        ("any@example.net", "robot"),
        ("other@example.com", "robot"),
        ("shop@example.com", "shop@example.com"),
        ("x@news.example.com", "news"),
    ] {
        assert_eq!(place.from(&place.starttls, address), as_sent(login, address, address));
    }
    place
        .source("main.cf", "relayhost = [127.0.0.1]:TLS_PORT\nsmtp_sasl_auth_enable = yes\nsmtp_sasl_password_maps = static:news:tanstaaf3\nsmtp_tls_wrappermode = yes\nsmtp_tls_security_level = encrypt\n")
        .import("postfix", &["main.cf"], &[]);
    assert_eq!(place.from(&place.tls, "any@example.net").0, "news");
}

#[test]
fn postfix_substitutes_as_postconf_does() {
    if !require("postfix_substitutes_as_postconf_does", "postfix") {
        return;
    }
    let home = Home::new();
    let main = "compatibility_level = 3.6\nmyhostname = box.example.com\na = smtp\nhost = ${a}.$mydomain\nno =\n\
                relayhost =\n  [${host}]:${no?1}${no:5}${a?8}${a:9}${no?{x}:{7}}\n# relayhost = x\n";
    home.write("source/main.cf", main);
    let folder = home.path("source");
    let arguments = ["-c", folder.to_str().unwrap(), "-x", "-h", "relayhost"];
    let theirs = home.program(Path::new("/usr/sbin/postconf"), &arguments, "").expect(0);
    let ours = import(&home, "postfix", &["main.cf"], &[]).expect(0);
    let hop = theirs.stdout.trim().replace(['[', ']'], "");
    assert_eq!(hop, "smtp.example.com:587");
    assert!(ours.stdout.contains(&format!("server = \"smtp+plain://{hop}\"")), "{}", ours.stdout);
}

/// The rows and the settings as the product's own language writes them.
const BITRIX: &str = r#"
$key = "k'\\ey";
function seal($password) {
    global $key;
    $iv = random_bytes(16);
    $cipher = hash('sha256', $iv . $key, true);
    return base64_encode($iv . openssl_encrypt(hash('sha256', $password, true) . $password, 'aes-256-ctr', $cipher, OPENSSL_RAW_DATA, $iv));
}
$row = fn($id, $email, $name, $public, $login, $password, $more = []) => [$id, $email, $name, 17, 'Y', $public, serialize(['smtp' =>
    ['server' => '127.0.0.1', 'port' => $argv[1], 'protocol' => 'smtp', 'login' => $login, 'password' => seal($password), 'encrypted' => true] + $more])];
$out = fopen($argv[2] . '/rows.csv', 'w');
foreach ([['ID', 'EMAIL', 'NAME', 'USER_ID', 'IS_CONFIRMED', 'IS_PUBLIC', 'OPTIONS'],
    $row(1, 'shop@example.com', 'Old', 'Y', 'robot', 'wrong'),
    $row(2, 'shop@example.com', "The \"Shop\", Inc.", 'Y', 'shop@example.com', 'tanstaaf2', ['limit' => 2]),
    $row(3, 'sales@example.com', 'Sales', 'Y', 'shop@example.com', 'tanstaaf2', ['limit' => 2]),
    $row(4, 'anna@example.com', 'Anna', 'N', 'anna', 'tanstaaf4')] as $fields) { fputcsv($out, $fields, ',', '"', ''); }
file_put_contents($argv[2] . '/.settings.php', "<?php\nreturn " . var_export(['smtp' => ['value' => ['enabled' => true,
    'host' => '127.0.0.1', 'port' => (int) $argv[3], 'encryption_type' => 'ssl', 'login' => 'robot', 'password' => "tan:st'aaf \"1"]],
    'crypto' => ['value' => ['crypto_key' => $key]]], true) . ";\n");
"#;

#[test]
fn bitrix_as_php_writes_it() {
    if !require("bitrix_as_php_writes_it", "php-cli") {
        return;
    }
    let place = Place::new();
    std::fs::create_dir(place.home.path("source")).unwrap();
    let (port, tls) = (place.starttls.port.to_string(), place.tls.port.to_string());
    let folder = place.home.path("source").display().to_string();
    place.home.program(Path::new("/usr/bin/php"), &["-r", BITRIX, "--", &port, &folder, &tls], "").expect(0);
    let nobody = format!("17={}", if rustix::process::geteuid().is_root() { "root" } else { "nobody" });
    place.import("bitrix", &[".settings.php", "rows.csv"], &["--owner", &nobody]);
    let toml = std::fs::read_to_string(place.home.path("etc/postrider.toml")).unwrap();
    assert!(toml.contains("limits = [{ recipients = 2, per = \"day\" }]"), "{toml}");
    let shop = place.from(&place.starttls, "shop@example.com");
    assert_eq!(shop, as_sent("shop@example.com", "shop@example.com", "\"The \\\"Shop\\\", Inc.\" <shop@example.com>"));
    let sales = place.from(&place.starttls, "sales@example.com");
    assert_eq!(sales, as_sent("shop@example.com", "sales@example.com", "Sales <sales@example.com>"));
    assert_eq!(place.from(&place.tls, "any@example.net").0, "robot", "what no row claims goes by .settings.php");
    if rustix::process::geteuid().is_root() {
        assert_eq!(place.from(&place.starttls, "anna@example.com").0, "anna", "her own sender");
    }
    place.import("bitrix", &[".settings.php", "rows.csv"], &["--owner", "17=somebody-else"]);
    let toml = place.home.path("etc/postrider.toml");
    let message = "From: anna@example.com\nTo: you@example.org\n\nhello\n";
    let arguments = ["--config", toml.to_str().unwrap(), "sendmail", "-t"];
    place.home.run("postrider", &arguments, message).expect(77);
}

#[test]
fn wp_mail_smtp_constants_and_options() {
    let place = Place::new();
    place
        .source(
            "wp-config.php",
            "<?php\ndefine('WPMS_ON', true);\ndefine('WPMS_SMTP_HOST', '127.0.0.1');\ndefine('WPMS_SMTP_PORT', TLS_PORT);\ndefine('WPMS_SSL', 'ssl');\n\
             define('WPMS_SMTP_AUTH', true);\ndefine('WPMS_SMTP_USER', 'robot');\ndefine('WPMS_SMTP_PASS', 'tan:st\\'aaf \"1');\n",
        )
        .source(
            "option",
            "option_value\na:2:{s:4:\"mail\";a:4:{s:10:\"from_email\";s:16:\"shop@example.com\";s:9:\"from_name\";s:4:\"Shop\";\
             s:16:\"from_email_force\";b:1;s:6:\"mailer\";s:4:\"smtp\";}s:4:\"smtp\";a:6:{s:4:\"host\";s:9:\"127.0.0.1\";s:4:\"port\";i:1;\
             s:10:\"encryption\";s:3:\"tls\";s:4:\"auth\";b:1;s:4:\"user\";s:16:\"shop@example.com\";s:4:\"pass\";s:9:\"tanstaaf2\";}}\n",
        )
        .import("wp-mail-smtp", &["option", "wp-config.php"], &[]);
    // The constants win, and the From of the option is forced.
    let sent = place.from(&place.tls, "other@example.net");
    assert_eq!(sent, as_sent("robot", "shop@example.com", "Shop <shop@example.com>"));
    let json = r#"{"mail":{"from_email":"shop@example.com","mailer":"smtp"},"smtp":{"host":"127.0.0.1","port":"STARTTLS_PORT",
        "encryption":"none","autotls":true,"auth":true,"user":"shop@example.com","pass":"tanstaaf2"}}"#;
    place.source("option", json).import("wp-mail-smtp", &["option"], &[]);
    let sent = place.from(&place.starttls, "other@example.net");
    assert_eq!(sent, as_sent("shop@example.com", "other@example.net", "other@example.net"));
}

/// The recipients of the last message that arrived.
fn recipients(server: &Server) -> Vec<String> {
    server.messages().pop().map(|message| message.recipients).unwrap_or_default()
}

#[test]
fn local_names_and_copies_go_where_they_went() {
    let place = Place::new();
    let message = "From: any@example.net\nSubject: x\n\nhello\n";
    place
        .source(
            "ssmtp.conf",
            "mailhub=127.0.0.1:CLEAR_PORT\nroot=admin@example.org\nAuthUser=robot\nAuthPass=tan:st'aaf \"1\n",
        )
        .import("ssmtp", &["ssmtp.conf"], &[])
        .send(&["nobody-of-this-host"], message);
    assert_eq!(recipients(&place.clear), ["admin@example.org"]);

    place
        .source("msmtprc", "account default\nhost 127.0.0.1\nport CLEAR_PORT\nauth login\nuser robot\npassword tan:st'aaf \"1\naliases CA_PEM.aliases\n")
        .home
        .write("ca.pem.aliases", "Team: a@example.org, b@example.org\n");
    place.import("msmtp", &["msmtprc"], &[]).send(&["Team"], message);
    assert_eq!(recipients(&place.clear), ["a@example.org", "b@example.org"]);

    place
        .source(
            "main.cf",
            "relayhost = [127.0.0.1]:CLEAR_PORT\nsmtp_sasl_auth_enable = yes\nalways_bcc = archive@example.org\nalias_maps =\n\
             smtp_sasl_password_maps = inline:{ [127.0.0.1]:CLEAR_PORT=anna:tanstaaf4 }\n",
        )
        .import("postfix", &["main.cf"], &[])
        .send(&["you@example.org"], message);
    assert_eq!(recipients(&place.clear), ["you@example.org", "archive@example.org"]);
}

#[test]
fn an_account_without_an_address_is_reached_by_its_name() {
    let place = Place::new();
    let rc = "account default\nhost 127.0.0.1\nport CLEAR_PORT\nauth login\nuser robot\npassword tan:st'aaf \"1\n\
              account site 2\nhost 127.0.0.1\nport CLEAR_PORT\nauth login\nuser anna\npassword tanstaaf4\n";
    place.source("msmtprc", rc).import("msmtp", &["msmtprc"], &[]);
    place.send(&["-a", "site 2", "-t"], "From: any@example.net\nTo: you@example.org\nSubject: x\n\nhello\n");
    assert_eq!(seen(&place.clear.connections()[0]), as_sent("anna", "any@example.net", "any@example.net"));
}
