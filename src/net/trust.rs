//! Which certificate authorities are trusted: the system's, or those of a file.
//!
//! OpenSSL parses the whole of the system's bundle for every store, tens of milliseconds for one message. Where the
//! system also has the same certificates in a hashed directory, one is read only when it is needed.

use crate::sys;
use openssl::error::ErrorStack;
use openssl::ssl::SslFiletype;
use openssl::x509::X509;
use openssl::x509::store::{X509Lookup, X509Store, X509StoreBuilder};
use std::path::Path;

const FILE_VARIABLE: &str = "SSL_CERT_FILE";
const DIRECTORY_VARIABLE: &str = "SSL_CERT_DIR";
/// A system's own directory has at least that many.
const MANY: usize = 20;

/// Where systems keep hashed certificates.
const DIRECTORIES: [&str; 2] = ["/etc/ssl/certs", "/etc/pki/tls/certs"];

/// The system's own bundles: a trust file of this name means the system's store.
pub const BUNDLES: [&str; 6] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
    "/etc/ssl/ca-bundle.pem",
    "/usr/lib/ssl/cert.pem",
];

/// The store of the configured authorities: those of the file and no others, or the system's.
///
/// # Errors
/// The file cannot be read or holds no certificate; the text names it.
pub fn store(file: Option<&Path>) -> Result<X509Store, String> {
    let unusable = |error: ErrorStack| format!("the certificate store cannot be set up: {error}");
    match file.filter(|path| !BUNDLES.iter().any(|bundle| Path::new(bundle) == *path)) {
        Some(path) => of_file(path),
        None => of_system().map_err(unusable),
    }
}

/// The system's. Who chose another by OpenSSL's environment variables gets that.
fn of_system() -> Result<X509Store, ErrorStack> {
    let mut store = X509StoreBuilder::new()?;
    let chosen = names_another(FILE_VARIABLE, &BUNDLES) || names_another(DIRECTORY_VARIABLE, &DIRECTORIES);
    match hashed_directory().filter(|_| !chosen) {
        Some(directory) => store.add_lookup(X509Lookup::hash_dir())?.add_dir(directory, SslFiletype::PEM)?,
        None => store.set_default_paths()?,
    }
    Ok(store.build())
}

/// Whether a variable names something else than what the system's store is. Build systems and containers often set it
/// to just that, which is no reason to read the whole bundle.
fn names_another(variable: &str, own: &[&str]) -> bool {
    sys::env::path(variable).is_some_and(|path| !own.iter().any(|one| path == Path::new(one)))
}

fn of_file(path: &Path) -> Result<X509Store, String> {
    let (pem, _) = sys::files::read(path).map_err(|error| format!("trust file {}: {error}", path.display()))?;
    let all = X509::stack_from_pem(&pem).unwrap_or_default();
    if all.is_empty() {
        return Err(format!("trust file {} holds no certificate in PEM form", path.display()));
    }
    let build = || {
        let mut store = X509StoreBuilder::new()?;
        all.into_iter().try_for_each(|one| store.add_cert(one))?;
        Ok(store.build())
    };
    build().map_err(|error: ErrorStack| format!("trust file {} cannot be used: {error}", path.display()))
}

/// The directory where the system has the certificates by the hash of their names: the system's, not just a few that
/// somebody put beside the bundle.
fn hashed_directory() -> Option<&'static str> {
    DIRECTORIES.into_iter().find(|directory| {
        let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
        entries.filter(|entry| is_hashed(&entry.file_name().to_string_lossy())).take(MANY).count() == MANY
    })
}

/// `xxxxxxxx.0` with eight hex digits.
fn is_hashed(name: &str) -> bool {
    name.split_once('.').is_some_and(|(hash, number)| {
        hash.len() == 8 && hash.bytes().all(|octet| octet.is_ascii_hexdigit()) && number == "0"
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashed_names() {
        assert!(is_hashed("002c0b4f.0"));
        for other in ["002c0b4f.r0", "002c0b4.0", "ca-certificates.crt", "002c0b4g.0", "002c0b4f.1"] {
            assert!(!is_hashed(other), "{other}");
        }
    }

    #[test]
    fn files_without_certificates() {
        let error = store(Some(Path::new("/nonexistent.pem"))).err().unwrap();
        assert!(error.starts_with("trust file /nonexistent.pem: "), "{error}");
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(store(Some(file.path())).err().unwrap().ends_with("holds no certificate in PEM form"));
        assert!(store(None).is_ok());
    }
}
