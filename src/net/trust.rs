//! Which certificate authorities are trusted: the system's, or those of a file.
//!
//! OpenSSL parses the whole of the system's bundle for every connector, tens of milliseconds for one message. Where the
//! system also has the same certificates in a hashed directory, one is read only when it is needed.

use crate::sys;
use native_tls::{Certificate, TlsConnectorBuilder};
use std::path::Path;

const FILE_VARIABLE: &str = "SSL_CERT_FILE";
const DIRECTORY_VARIABLE: &str = "SSL_CERT_DIR";
const NOTHING: &str = "/dev/null";
/// A system's own directory has at least that many.
const MANY: usize = 20;

/// Where native-tls has OpenSSL look for hashed certificates.
const DIRECTORIES: [&str; 2] = ["/etc/ssl/certs", "/etc/pki/tls/certs"];

/// The system's own bundles: a trust file of this name means the system's store.
const BUNDLES: [&str; 6] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
    "/etc/ssl/ca-bundle.pem",
    "/usr/lib/ssl/cert.pem",
];

/// Lets OpenSSL use the hashed directory alone. To be called once, before any thread is started and only where TLS
/// will be used; does nothing where the user chose a store by the environment, or the system has no hashed directory.
pub fn prepare_environment() {
    if sys::env::var(FILE_VARIABLE).is_none() && sys::env::var(DIRECTORY_VARIABLE).is_none() && hashed_directory() {
        set_file_variable();
    }
}

#[expect(unsafe_code, reason = "called before any thread, so nobody reads the environment at the same time")]
fn set_file_variable() {
    // SAFETY: `prepare_environment` is documented to run before any thread is started.
    unsafe { std::env::set_var(FILE_VARIABLE, NOTHING) };
}

/// Whether a system directory has the certificates by the hash of their names: the system's, not just a few that
/// somebody put beside the bundle.
fn hashed_directory() -> bool {
    DIRECTORIES.iter().any(|directory| {
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

/// Makes the builder trust the certificates of a file and no others.
///
/// # Errors
/// The file cannot be read or holds no certificate; the text names it.
pub fn use_file(builder: &mut TlsConnectorBuilder, path: &Path) -> Result<(), String> {
    if is_system_store(path) {
        return Ok(());
    }
    let (pem, _) = sys::files::read(path).map_err(|error| format!("trust file {}: {error}", path.display()))?;
    let all = Certificate::stack_from_pem(&pem).unwrap_or_default();
    if all.is_empty() {
        return Err(format!("trust file {} holds no certificate in PEM form", path.display()));
    }
    builder.disable_built_in_roots(true);
    for one in all {
        builder.add_root_certificate(one);
    }
    Ok(())
}

/// Whether the file is what the system's store holds anyway: only where the hashed directory stands in for it.
fn is_system_store(path: &Path) -> bool {
    let prepared = sys::env::var(FILE_VARIABLE).is_some_and(|value| value == NOTHING);
    prepared && sys::env::var(DIRECTORY_VARIABLE).is_none() && BUNDLES.iter().any(|bundle| Path::new(bundle) == path)
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
        let mut builder = native_tls::TlsConnector::builder();
        let error = use_file(&mut builder, Path::new("/nonexistent.pem")).unwrap_err();
        assert!(error.starts_with("trust file /nonexistent.pem: "), "{error}");
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(use_file(&mut builder, file.path()).unwrap_err().ends_with("holds no certificate in PEM form"));
    }
}
