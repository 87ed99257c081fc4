//! 1C-Bitrix: the sections `smtp` and `crypto` of `.settings.php`, and the rows of `b_main_mail_sender`.
//!
//! As in the product the newest confirmed row of an address that names a server wins. Rows with the same login at the same
//! server become one sender.

use super::bitrix_password;
use super::model::{
    Account, Context, Fallback, Findings, Imported, Level, Password, Refusal, Source, Tls, port, server_url,
};
use super::php::Value;
use super::table::{Row, Table};
use super::{php_literal, php_serialized};
use crate::config::Place;
use crate::secret::Secret;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use zeroize::Zeroizing;

/// Imports `.settings.php` files and tables, told apart by their content.
pub(super) fn import(sources: &[Source], context: &Context<'_>, imported: &mut Imported) -> Result<(), Refusal> {
    let (settings, tables): (Vec<&Source>, Vec<&Source>) =
        sources.iter().partition(|source| source.data.trim_ascii_start().starts_with(b"<?"));
    let mut key = None;
    for source in settings {
        let found = settings_file(source, imported)?;
        key = found.or(key);
    }
    let mut rows = Vec::new();
    for source in &tables {
        table(source, key.as_ref().map(|key| key.as_bytes()), context, &mut imported.findings, &mut rows)?;
    }
    // The newest row of an address first.
    rows.sort_by_key(|row| std::cmp::Reverse(row.id));
    let mut kept: Vec<SenderRow> = Vec::new();
    let mut newest: HashMap<String, i64> = HashMap::new();
    for row in rows {
        match newest.entry(row.email.to_lowercase()) {
            Entry::Occupied(newer) => imported
                .findings
                .note(&row.place, format!("row {} of {} is left out: row {} is newer", row.id, row.email, newer.get())),
            Entry::Vacant(first) => {
                first.insert(row.id);
                kept.push(row);
            }
        }
    }
    kept.sort_by_key(|row| row.id);
    senders(kept, imported);
    Ok(())
}

/// One row that the product would send by.
struct SenderRow {
    id: i64,
    place: Place,
    email: String,
    name: String,
    url: String,
    login: String,
    password: Option<Password>,
    oauth: bool,
    limit: Option<u32>,
    /// The product's number of the user to whom alone it is shown, and the Unix user of `--owner`.
    owner: Option<(u64, Option<String>)>,
}

/// Reads a `.settings.php`; its `crypto_key`.
fn settings_file(source: &Source, imported: &mut Imported) -> Result<Option<Zeroizing<String>>, Refusal> {
    let settings = php_literal::returned(&source.data).map_err(|fault| Refusal(source.at(fault.line), fault.what))?;
    let section = |name: &str| -> Result<Option<&Value>, Refusal> {
        let Some(section) = settings.get(name) else { return Ok(None) };
        if let Some(line) = section.opaque() {
            let what = format!("{name} holds something that would have to be evaluated; write the value as a literal");
            return Err(Refusal(source.at(line), what));
        }
        Ok(Some(section.get("value").unwrap_or(section)))
    };
    let key = section("crypto")?.and_then(|crypto| crypto.get("crypto_key")).and_then(Value::text);
    let place = source.at(0);
    match section("smtp")? {
        Some(smtp) => smtp_section(smtp, &place, imported),
        None => imported.findings.note(&place, "there is no section smtp; the product sends by mail(), as before"),
    }
    Ok(key)
}

fn smtp_section(smtp: &Value, place: &Place, imported: &mut Imported) {
    let text = |key: &str| smtp.get(key).and_then(Value::text);
    let findings = &mut imported.findings;
    if smtp.get("enabled").is_some_and(|enabled| !enabled.truth()) {
        imported.top.push(("enabled", ::toml::Value::Boolean(false)));
        findings.differs(
            place,
            "smtp is not enabled in the product: enabled = false keeps all senders out of use; remove it to use them",
        );
    }
    if smtp.get("debug").is_some_and(Value::truth) {
        let what = "debug is on in the product, and its log holds passwords: delete that log. Here: debug = true and \
                    log_file = \"/var/log/postrider/NAME.log\" in a sender (passwords are never in it)";
        findings.lost(place, what);
    }
    let Some(host) = text("host") else { return };
    let port = smtp.get("port").and_then(Value::int).and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0);
    let protection = text("encryption_type").map(|kind| kind.to_ascii_lowercase()).unwrap_or_default();
    let tls = match protection.as_str() {
        "ssl" | "smtps" => Tls::AtOnce,
        "" if port == Some(465) => Tls::AtOnce,
        _ => Tls::StartTls,
    };
    let Some(url) = server_url(&host, port, tls, place, findings) else { return };
    let mut account = Account { place: Some(place.clone()), servers: vec![url], ..Account::default() };
    if let Some(login) = text("login") {
        let password = text("password").map(|password| Password::Known(Secret::new(password.to_string())));
        account.login(&login, password, place, findings);
    }
    if let Some(from) = text("from") {
        account.from.push(from.to_string());
        account.rewrite = smtp.get("force_from").is_some_and(Value::truth);
    }
    let wait = smtp.get("connection_timeout").and_then(Value::int).filter(|seconds| (1..=86_400).contains(seconds));
    if let Some(seconds) = wait.filter(|seconds| *seconds != 30) {
        let limit = ::toml::Value::String(format!("{seconds}s"));
        account.keys.push(("timeouts", ::toml::Value::Table([("connect".to_owned(), limit)].into_iter().collect())));
    }
    imported.default = Fallback::Server(Box::new(account));
}

/// Reads the rows of a table that the product would send by.
fn table(
    source: &Source,
    key: Option<&[u8]>,
    context: &Context<'_>,
    findings: &mut Findings,
    rows: &mut Vec<SenderRow>,
) -> Result<(), Refusal> {
    let table = Table::parse(&source.data).map_err(|(line, what)| Refusal(source.at(line), what))?;
    if let Some(missing) = ["ID", "EMAIL", "OPTIONS"].into_iter().find(|name| !table.has(name)) {
        let what = format!(
            "there is no column {missing}; make the file with: mysql --batch -e 'SELECT * FROM b_main_mail_sender' DATABASE"
        );
        return Err(Refusal(source.at(1), what));
    }
    for row in &table.rows {
        let place = source.at(row.line);
        match sender_row(&table, row, &place, key, context, findings) {
            Ok(Some(row)) => rows.push(row),
            Ok(None) => {}
            Err(why) => findings.lost(&place, why),
        }
    }
    Ok(())
}

/// A row; `None` where the product does not send by it (which is noted).
fn sender_row(
    table: &Table,
    row: &Row,
    place: &Place,
    key: Option<&[u8]>,
    context: &Context<'_>,
    findings: &mut Findings,
) -> Result<Option<SenderRow>, String> {
    let yes = |column: &str| matches!(table.text(row, column), "Y" | "y" | "1");
    let email = table.text(row, "EMAIL").to_owned();
    let id: i64 = table.text(row, "ID").parse().map_err(|_| "the ID is no number".to_owned())?;
    if table.has("IS_CONFIRMED") && !yes("IS_CONFIRMED") {
        findings.note(place, format!("row {id} of {email} is left out: it is not confirmed"));
        return Ok(None);
    }
    let options = table.cell(row, "OPTIONS").unwrap_or_default();
    let options = if options.is_empty() {
        Value::Null
    } else {
        php_serialized::parse(options).map_err(|e| format!("OPTIONS: {e}"))?
    };
    let smtp = options.get("smtp").filter(|smtp| smtp.get("server").and_then(Value::text).is_some());
    let Some(smtp) = smtp else {
        findings
            .note(place, format!("row {id} of {email} has no server of its own: it is sent by what takes other mail"));
        return Ok(None);
    };
    let text = |key: &str| smtp.get(key).and_then(Value::text).map(|text| text.to_string()).unwrap_or_default();
    let number = text("port");
    let tls = match text("protocol").to_ascii_lowercase().as_str() {
        "smtps" | "ssl" => Tls::AtOnce,
        _ if port(&number) == Some(465) => Tls::AtOnce,
        _ => Tls::StartTls,
    };
    if tls == Tls::StartTls {
        let what = "the product uses STARTTLS where the server offers it and else no TLS; here it is required";
        findings.once(Level::Differs, place, what);
    }
    let Some(url) = server_url(&text("server"), port(&number), tls, place, findings) else { return Ok(None) };
    let oauth = smtp.get("isOauth").is_some_and(Value::truth);
    let limit =
        smtp.get("limit").and_then(Value::int).and_then(|most| u32::try_from(most).ok()).filter(|most| *most > 0);
    let user: u64 = table.text(row, "USER_ID").parse().unwrap_or_default();
    let private = table.has("IS_PUBLIC") && !yes("IS_PUBLIC") && user > 0;
    let owner = private.then(|| (user, context.owners.get(&user).cloned()));
    let password = if oauth { None } else { password(smtp, key, place, findings) };
    let name = printable_name(table.text(row, "NAME"));
    Ok(Some(SenderRow {
        id,
        place: place.clone(),
        email,
        name,
        url,
        login: text("login"),
        password,
        oauth,
        limit,
        owner,
    }))
}

fn password(smtp: &Value, key: Option<&[u8]>, place: &Place, findings: &mut Findings) -> Option<Password> {
    let stored = smtp.get("password").and_then(Value::text)?;
    let encrypted = smtp.get("encrypted").is_some_and(Value::truth);
    Some(match bitrix_password::open(&stored, encrypted, key) {
        Ok(secret) => Password::Known(secret),
        Err(why) => {
            findings.lost(place, &*why);
            Password::ByHand(why)
        }
    })
}

/// A shown name without what `names` refuses.
fn printable_name(name: &str) -> String {
    crate::report::printable(name).trim().chars().take(100).collect()
}

/// Makes senders of the rows: one for each login at a server, with those who may use it.
fn senders(rows: Vec<SenderRow>, imported: &mut Imported) {
    let mut made: Vec<(String, Account, Vec<i64>)> = Vec::new();
    let mut known: HashMap<(String, String, Option<u64>), usize> = HashMap::new();
    for row in rows {
        let unix = row.owner.as_ref().and_then(|(_, unix)| unix.clone());
        // An owner of unknown name is told apart too: whoever fills in `users` must not let in another's.
        let owner = row.owner.as_ref().map(|(number, _)| *number);
        let at = *known.entry((row.url.clone(), row.login.clone(), owner)).or_insert(made.len());
        match made.get_mut(at) {
            Some((_, account, ids)) if !row.login.is_empty() => {
                another(account, &row, &mut imported.findings);
                ids.push(row.id);
            }
            _ => {
                let (name, id) = (row.email.clone(), row.id);
                made.push((name, account(row, unix.into_iter().collect(), &mut imported.findings), vec![id]));
            }
        }
    }
    for (name, mut account, ids) in made {
        let ids: Vec<String> = ids.iter().map(i64::to_string).collect();
        account.comments.insert(0, format!("b_main_mail_sender: row {}", ids.join(", ")));
        imported.sender(&name, account);
    }
}

fn account(row: SenderRow, users: Vec<String>, findings: &mut Findings) -> Account {
    let mut account = Account {
        place: Some(row.place.clone()),
        from: vec![row.email.clone()],
        servers: vec![row.url],
        per_day: row.limit,
        users,
        ..Account::default()
    };
    if !row.name.is_empty() {
        account.names.push((row.email.to_lowercase(), row.name));
    }
    if row.oauth {
        let what = format!(
            "row {} logs in with OAuth2, whose token is the product's; give a password command that prints one",
            row.id
        );
        findings.lost(&row.place, what);
        account.auth = Some("xoauth2".into());
        let how = "an OAuth2 access token; better a command that prints a fresh one: password = { command = [...] }";
        account.login(&row.login, Some(Password::ByHand(how.into())), &row.place, findings);
    } else if !row.login.is_empty() || row.password.is_some() {
        account.login(&row.login, row.password, &row.place, findings);
    }
    owner(&mut account, row.owner.as_ref(), &row.place, findings);
    account
}

/// Says whose sender it is. In the product that is a matter of what is shown; here `users` is enforced.
fn owner(account: &mut Account, owner: Option<&(u64, Option<String>)>, place: &Place, findings: &mut Findings) {
    match owner {
        Some((number, Some(unix))) => {
            account.comments.push(format!("Of user {number} alone in the product, here {unix}"))
        }
        Some((number, None)) => {
            account
                .comments
                .push(format!("Of user {number} alone in the product; users = [\"NAME\"] keeps it to a Unix user"));
            let what = format!(
                "only user {number} sees this sender in the product; --owner {number}=UNIXUSER keeps it to that user here"
            );
            findings.lost(place, what);
        }
        None => {}
    }
}

/// Another row of the same login: an alias.
fn another(account: &mut Account, row: &SenderRow, findings: &mut Findings) {
    let address = row.email.to_lowercase();
    if row.name.is_empty() {
        account.from.push(row.email.clone())
    } else {
        account.names.push((address, row.name.clone()))
    }
    match (account.per_day, row.limit) {
        (Some(one), Some(other)) if one != other => {
            findings.differs(
                &row.place,
                format!(
                    "the rows of this login have limits of {one} and {other} a day; the smaller one counts, for both"
                ),
            );
            account.per_day = Some(one.min(other));
        }
        (None, limit) => account.per_day = limit,
        _ => {}
    }
    if !matches!(account.password, Some(Password::Known(_))) && matches!(row.password, Some(Password::Known(_))) {
        findings.note(
            &row.place,
            format!("the password of row {} could be read, that of the row before it could not", row.id),
        );
    }
}
