//! TLS: the store of trusted authorities is there, files that the configuration names hold certificates, and none of them
//! is at its end.

use super::Scene;
use super::finding::{Finding, Level};
use super::secrets::relays;
use crate::config::{Place, Relay, TlsMode};
use crate::net::acceptor::Acceptor;
use crate::net::certificate::Presented;
use crate::net::trust;
use crate::report::counted;
use crate::sys::files;
use openssl::x509::X509;
use std::path::Path;

const AREA: &str = "tls";
/// A certificate that is valid for fewer days is told of.
const SOON: i64 = 14;

/// Looks at every certificate.
pub(super) fn look(scene: &Scene<'_>, findings: &mut Vec<Finding>) {
    let before = findings.len();
    let mut system = false;
    for (relay, place, name) in relays(scene) {
        system |= needs_store(relay);
        if relay.tls == TlsMode::Plain {
            continue;
        }
        if relay.tls_options.no_check && relay.tls_options.fingerprint.is_none() {
            let what = format!("{name}: the server's certificate is not checked, so that anybody may be that server");
            findings.push(Finding::warning(AREA, what).at(place).fix("remove tls_check = false, or give fingerprint"));
        }
        if let Some(file) = &relay.tls_options.trust_file {
            findings.extend(of_file(scene, file, "ca_file", place));
        }
        if let Some((certificate, _)) = &relay.tls_options.client {
            findings.extend(of_file(scene, certificate, "client_cert", place));
        }
    }
    for listener in &scene.config.listen {
        if let Some((certificate, key)) = &listener.identity {
            let loaded = Acceptor::load(&scene.root.at(certificate), &scene.root.at(key), scene.around.who.uid);
            match loaded {
                Err(what) => findings.push(Finding::error(AREA, what).split().at(&listener.place)),
                Ok(_) => findings.extend(of_file(scene, certificate, "cert", &listener.place)),
            }
        }
    }
    if system {
        findings.extend(store(scene));
    }
    if findings.len() == before {
        findings.push(Finding::ok(AREA, "certificates and the store of authorities are in order"));
    }
}

fn needs_store(relay: &Relay) -> bool {
    let options = &relay.tls_options;
    relay.tls != TlsMode::Plain && !options.no_check && options.fingerprint.is_none() && options.trust_file.is_none()
}

/// Whether the machine has authorities to trust.
fn store(scene: &Scene<'_>) -> Option<Finding> {
    let fix = "apt-get install ca-certificates (dnf install ca-certificates, apk add ca-certificates)";
    let there = trust::BUNDLES.iter().any(|bundle| scene.root.at(bundle).metadata().is_ok_and(|facts| facts.len() > 0));
    let chosen =
        scene.live && ["SSL_CERT_FILE", "SSL_CERT_DIR"].iter().any(|name| crate::sys::env::var(name).is_some());
    if !there && !chosen {
        let what = "there is no store of trusted authorities, so that no server's certificate can be checked";
        return Some(Finding::error(AREA, what).at(scene.root.at("/etc/ssl/certs").display()).fix(fix));
    }
    let unusable = trust::store(None).err().filter(|_| scene.live)?;
    Some(Finding::error(AREA, unusable).fix(fix))
}

/// A file of certificates: it holds some, and they are not at their end.
fn of_file(scene: &Scene<'_>, path: &Path, key: &str, place: &Place) -> Option<Finding> {
    let path = scene.root.at(path);
    let shown = path.display();
    let found = match files::read(&path) {
        Err(error) => Finding::error(AREA, format!("{key}: {shown}: {error}")).fix("give the path of a PEM file"),
        Ok((pem, _)) => {
            let all = X509::stack_from_pem(&pem).unwrap_or_default();
            if all.is_empty() && key != "client_cert" {
                let what = format!("{key}: {shown} holds no certificate in PEM form");
                return Some(Finding::error(AREA, what).at(place).fix(format!("openssl x509 -in {shown} -text")));
            }
            expiry(&all, key == "ca_file", scene.around.now.timestamp())?.of(key, &path)
        }
    };
    Some(found.at(place))
}

/// How near an end is.
struct Expiry {
    level: Level,
    what: String,
}

impl Expiry {
    fn of(self, key: &str, path: &Path) -> Finding {
        let shown = path.display();
        let fix = format!("renew it; openssl x509 -in {shown} -noout -subject -enddate shows it");
        Finding::new(self.level, AREA, format!("{key}: {shown}: {}", self.what)).fix(fix)
    }
}

/// The first certificate is the one that counts; of authorities one that is good is enough.
fn expiry(all: &[X509], authorities: bool, now: i64) -> Option<Expiry> {
    let shown: Vec<Presented> = all.iter().filter_map(|one| Presented::read(one)).collect();
    let one = match authorities {
        true => shown.iter().max_by_key(|one| one.expires)?,
        false => shown.first()?,
    };
    let name = one.names.first().map_or("", String::as_str);
    match one.days_left(now) {
        left if left < 0 => Some(Expiry { level: Level::Error, what: format!("{name} has expired on {}", one.until) }),
        left if left < SOON => Some(Expiry {
            level: Level::Warning,
            what: format!("{name} expires in {}, on {}", counted(left, "day"), one.until),
        }),
        _ => None,
    }
}
