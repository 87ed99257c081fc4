//! WP Mail SMTP: the option `wp_mail_smtp` as JSON or PHP-serialized, and the WPMS_ constants of a wp-config.php, which win.

use super::model::{Account, Context, Fallback, Findings, Imported, Password, Refusal, Source, Tls, port, server_url};
use super::php::{Key, Value};
use super::{php_literal, php_serialized};
use crate::config::Place;
use crate::message::address::Address;
use crate::secret::Secret;
use openssl::base64::decode_block;
use zeroize::Zeroizing;

/// The shortest that the plugin's encryption makes: a nonce of 24 octets and a tag of 16.
const SEALED: usize = 24 + 16;

/// Imports options and constants, told apart by their content.
pub(super) fn import(sources: &[Source], _: &Context<'_>, imported: &mut Imported) -> Result<(), Refusal> {
    let mut settings = Settings::default();
    for source in sources {
        if source.data.trim_ascii_start().starts_with(b"<?") {
            settings.constants(source)?;
        } else {
            settings.options = Some((source.at(0), options(source)?));
        }
    }
    if settings.options.is_none() && !settings.on {
        return Err(Refusal(
            sources[0].at(0),
            "WPMS_ON is not defined as true, so the plugin looks at no constant".into(),
        ));
    }
    let place = settings.place("mail", "mailer");
    let mailer = settings.text("mail", "mailer");
    let usual = if settings.on { "smtp" } else { "mail" };
    let account = match mailer.as_ref().map_or(usual, |mailer| mailer.as_str()) {
        "smtp" => smtp(&settings, &mut imported.findings),
        "mail" | "" => {
            imported
                .findings
                .note(&place, "the mailer is PHP's mail(), which calls sendmail: nothing to carry over but From");
            None
        }
        name => by_key(name, &settings, &place, &mut imported.findings),
    };
    let Some(mut account) = account else { return Ok(()) };
    from(&settings, &mut account, &mut imported.findings);
    imported.findings.note(
        &place,
        "the plugin sends by itself until its mailer is set to PHP's mail() (\"Default\"), which goes through sendmail",
    );
    imported.default = Fallback::Server(Box::new(account));
    Ok(())
}

/// Sections and keys with the constants that stand above them.
const CONSTANTS: [(&str, &str, &str); 17] = [
    ("mail", "from_email", "WPMS_MAIL_FROM"),
    ("mail", "from_email_force", "WPMS_MAIL_FROM_FORCE"),
    ("mail", "from_name", "WPMS_MAIL_FROM_NAME"),
    ("mail", "from_name_force", "WPMS_MAIL_FROM_NAME_FORCE"),
    ("mail", "mailer", "WPMS_MAILER"),
    ("mail", "return_path", "WPMS_SET_RETURN_PATH"),
    ("smtp", "host", "WPMS_SMTP_HOST"),
    ("smtp", "port", "WPMS_SMTP_PORT"),
    ("smtp", "encryption", "WPMS_SSL"),
    ("smtp", "auth", "WPMS_SMTP_AUTH"),
    ("smtp", "autotls", "WPMS_SMTP_AUTOTLS"),
    ("smtp", "user", "WPMS_SMTP_USER"),
    ("smtp", "pass", "WPMS_SMTP_PASS"),
    ("sendgrid", "api_key", "WPMS_SENDGRID_API_KEY"),
    ("mailjet", "api_key", "WPMS_MAILJET_API_KEY"),
    ("mailjet", "secret_key", "WPMS_MAILJET_SECRET_KEY"),
    ("sparkpost", "api_key", "WPMS_SPARKPOST_API_KEY"),
];

#[derive(Default)]
struct Settings {
    options: Option<(Place, Value)>,
    /// Section, key, place and value of constants.
    constants: Vec<(&'static str, &'static str, Place, Value)>,
    /// `WPMS_ON`.
    on: bool,
}

impl Settings {
    fn constants(&mut self, source: &Source) -> Result<(), Refusal> {
        let found = php_literal::constants(&source.data).map_err(|fault| Refusal(source.at(fault.line), fault.what))?;
        let on = found.iter().find(|(name, ..)| name == "WPMS_ON");
        self.on = on.is_some_and(|(_, value, _)| value.truth());
        for (name, value, line) in found.into_iter().filter(|_| self.on) {
            let Some((section, key, _)) = CONSTANTS.into_iter().find(|(.., constant)| *constant == name) else {
                continue;
            };
            if value.opaque().is_some() {
                let what = format!(
                    "{name} would have to be evaluated; write it as a literal, or export the option with wp option get"
                );
                return Err(Refusal(source.at(line), what));
            }
            self.constants.push((section, key, source.at(line), value));
        }
        Ok(())
    }

    fn constant(&self, section: &str, key: &str) -> Option<(&Place, &Value)> {
        let found = self.constants.iter().find(|(own, name, ..)| *own == section && *name == key)?;
        Some((&found.2, &found.3))
    }

    fn get(&self, section: &str, key: &str) -> Option<&Value> {
        let option = || self.options.as_ref()?.1.get(section)?.get(key);
        self.constant(section, key).map(|(_, value)| value).or_else(option)
    }

    fn text(&self, section: &str, key: &str) -> Option<Zeroizing<String>> {
        self.get(section, key).and_then(Value::text)
    }

    fn on(&self, section: &str, key: &str) -> bool {
        self.get(section, key).is_some_and(Value::truth)
    }

    /// Where a setting stands.
    fn place(&self, section: &str, key: &str) -> Place {
        let option = || self.options.as_ref().map(|(place, _)| place);
        let first = || self.constants.first().map(|(.., place, _)| place);
        self.constant(section, key)
            .map(|(place, _)| place)
            .or_else(option)
            .or_else(first)
            .cloned()
            .unwrap_or_else(|| Place::new("-", 0))
    }
}

/// The option, as JSON, PHP-serialized, or as mysql prints its one column.
fn options(source: &Source) -> Result<Value, Refusal> {
    let data = source.data.trim_ascii();
    // mysql --batch prints the column's name first, and doubles backslashes.
    let data = match memchr::memchr(b'\n', data) {
        Some(at) if data[..at].trim_ascii() == b"option_value" => data[at + 1..].trim_ascii(),
        _ => data,
    };
    if data.starts_with(b"{") {
        let json: serde_json::Value = serde_json::from_slice(data).map_err(|error| {
            Refusal(
                source.at(error.line()),
                "this is no JSON as `wp option get wp_mail_smtp --format=json` prints it".into(),
            )
        })?;
        return Ok(from_json(json));
    }
    let value = php_serialized::parse(data).map_err(|error| {
        Refusal(source.at(1), format!("{error}; export the option with: wp option get wp_mail_smtp --format=json"))
    })?;
    Ok(value)
}

/// JSON as the PHP value that it was.
fn from_json(json: serde_json::Value) -> Value {
    use serde_json::Value as Json;
    match json {
        Json::Null => Value::Null,
        Json::Bool(is) => Value::Bool(is),
        Json::Number(number) => number.as_i64().map_or(Value::Float(number.as_f64().unwrap_or_default()), Value::Int),
        Json::String(text) => Value::Text(Zeroizing::new(text.into_bytes())),
        Json::Array(list) => {
            Value::Array(list.into_iter().zip(0..).map(|(value, at)| (Key::Int(at), from_json(value))).collect())
        }
        Json::Object(map) => {
            Value::Array(map.into_iter().map(|(key, value)| (Key::of(key.as_bytes()), from_json(value))).collect())
        }
    }
}

/// The mailer "Other SMTP".
fn smtp(settings: &Settings, findings: &mut Findings) -> Option<Account> {
    let place = settings.place("smtp", "host");
    let Some(host) = settings.text("smtp", "host") else {
        findings.lost(&place, "there is no SMTP host");
        return None;
    };
    let number = settings.text("smtp", "port").and_then(|text| port(&text));
    let encryption = settings.text("smtp", "encryption").map(|kind| kind.to_ascii_lowercase()).unwrap_or_default();
    let tls = match encryption.as_str() {
        "ssl" => Tls::AtOnce,
        "tls" => Tls::StartTls,
        _ if settings.on("smtp", "autotls") => {
            findings.differs(
                &place,
                "auto TLS goes on without TLS where the server offers none; here STARTTLS is required",
            );
            Tls::StartTls
        }
        _ => Tls::Off,
    };
    let url = server_url(&host, number, tls, &place, findings)?;
    let mut account = Account { place: Some(place.clone()), servers: vec![url], ..Account::default() };
    if settings.on("smtp", "auth") {
        let place = settings.place("smtp", "user");
        let user = settings.text("smtp", "user").unwrap_or_default();
        let password = password(settings, "smtp", "pass", findings);
        account.login(&user, password, &place, findings);
        account.in_clear(&place, findings);
    }
    Some(account)
}

/// A secret of the settings. The plugin encrypts what it keeps in the option with a key of its own.
fn password(settings: &Settings, section: &str, key: &str, findings: &mut Findings) -> Option<Password> {
    let text = settings.text(section, key)?;
    let sealed = text.len() % 4 == 0 && decode_block(&text).is_ok_and(|octets| Zeroizing::new(octets).len() > SEALED);
    if settings.constant(section, key).is_some() || !sealed {
        return Some(Password::Known(Secret::new(text.to_string())));
    }
    let command = format!("wp eval 'echo WPMailSMTP\\Options::init()->get(\"{section}\", \"{key}\");'");
    findings.lost(
        &settings.place(section, key),
        format!("{section}.{key} is encrypted by the plugin and was not carried over; this prints it: {command}"),
    );
    Some(Password::ByHand(format!("what this prints: {command}")))
}

/// Mailers that speak to a provider's API: those whose API key is an SMTP password too.
fn by_key(name: &str, settings: &Settings, place: &Place, findings: &mut Findings) -> Option<Account> {
    let mut account = Account { place: Some(place.clone()), ..Account::default() };
    let (user, section, key): (Zeroizing<String>, &str, &str) = match name {
        "sendgrid" => {
            account.provider = Some("sendgrid");
            (Zeroizing::new("apikey".into()), "sendgrid", "api_key")
        }
        "sparkpost" => {
            account.servers.push("smtp://smtp.sparkpostmail.com:587".into());
            (Zeroizing::new("SMTP_Injection".into()), "sparkpost", "api_key")
        }
        "mailjet" => {
            account.servers.push("smtp://in-v3.mailjet.com:587".into());
            (settings.text("mailjet", "api_key").unwrap_or_default(), "mailjet", "secret_key")
        }
        other => {
            let what = format!(
                "the mailer {other} uses its provider's API, whose key is no SMTP password; ask the provider for SMTP access and add a sender (provider = \"...\")"
            );
            findings.lost(place, what);
            return None;
        }
    };
    findings.differs(
        place,
        format!("the mailer {name} uses its provider's API; here it is the provider's SMTP, with the same key"),
    );
    let password = password(settings, section, key, findings);
    account.login(&user, password, place, findings);
    Some(account)
}

fn from(settings: &Settings, account: &mut Account, findings: &mut Findings) {
    let place = settings.place("mail", "from_email");
    let Some(address) = settings.text("mail", "from_email") else { return };
    let Ok(parsed) = Address::parse(&address) else {
        return findings.lost(&place, "from_email is no address");
    };
    account.from.push(parsed.to_string());
    if let Some(name) = settings.text("mail", "from_name") {
        account.names.push((parsed.key(), crate::report::printable(&name).trim().chars().take(100).collect()));
    }
    if settings.on("mail", "from_email_force") {
        account.rewrite = true;
        let login = account.user.as_deref().filter(|user| Address::parse(user).is_ok());
        if login.is_some_and(|login| !login.eq_ignore_ascii_case(parsed.as_str())) {
            let what = format!("every From was replaced by {parsed}; here another From is replaced by the login");
            findings.differs(&place, what);
        }
    }
    if settings.on("mail", "from_name_force") {
        findings.differs(&place, "the name of From was replaced; here it is added where a message has none");
    }
}
