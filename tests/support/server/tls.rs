//! TLS of the scripted server: its context, the handshake with its faults, and what a login can be bound to.

use super::dialogue::Dialogue;
use super::wire::Over;
use crate::support::script::{Fault, Script};
use openssl::ssl::{Ssl, SslAcceptor, SslContext, SslMethod, SslStream, SslVerifyMode};
use std::collections::HashMap;
use std::time::Duration;

pub(super) fn context(script: &Script) -> Option<SslContext> {
    let identity = script.identity.as_ref()?;
    let mut builder = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server()).unwrap();
    if let Some((from, to)) = script.version {
        // Old versions need the old security level to be spoken at all.
        builder.set_cipher_list(script.ciphers.as_deref().unwrap_or("ALL:@SECLEVEL=0")).unwrap();
        builder.clear_options(openssl::ssl::SslOptions::NO_TLSV1 | openssl::ssl::SslOptions::NO_TLSV1_1);
        builder.set_min_proto_version(Some(from)).unwrap();
        builder.set_max_proto_version(Some(to)).unwrap();
    }
    if let Some(authority) = &script.client_authority {
        let authority = openssl::x509::X509::from_pem(authority).unwrap();
        builder.cert_store_mut().add_cert(authority).unwrap();
        builder.set_verify(SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT);
    }
    builder.set_certificate(&identity.certificate).unwrap();
    builder.set_private_key(&identity.key).unwrap();
    Some(builder.build().into_context())
}

impl Dialogue<'_> {
    pub(super) fn starttls(&mut self) -> Result<(), Over> {
        if self.shared.context.is_none() || self.in_tls {
            return self.say("502 5.5.1 no");
        }
        if self.answer("STARTTLS", "220 2.0.0 go on")? {
            self.input.clear();
            self.handshake()?;
        }
        Ok(())
    }

    pub(super) fn handshake(&mut self) -> Result<(), Over> {
        let fault = self.fault("HANDSHAKE");
        if matches!(fault, Some(Fault::Raw(_) | Fault::Bytewise(_) | Fault::Reset)) {
            // The client's hello comes first: what is sent before it is another fault.
            self.fill()?;
        }
        match fault {
            Some(Fault::Raw(octets)) => self.write(&octets)?,
            Some(Fault::Close) => return Err(Over),
            Some(Fault::Reset) => return self.reset(),
            Some(Fault::Hang) => return self.hang(),
            Some(Fault::Bytewise(pause)) => {
                // The begin of a record of 16 KiB, and zeros.
                self.write(&[0x16, 3, 3, 0x40, 0])?;
                loop {
                    self.write(&[0])?;
                    std::thread::sleep(pause);
                }
            }
            _ => {}
        }
        let context = self.shared.context.as_ref().ok_or(Over)?;
        let stream = self.raw.try_clone()?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        let mut tls = SslStream::new(Ssl::new(context).unwrap(), stream).unwrap();
        if let Err(error) = tls.accept() {
            self.note(|connection| connection.handshake_error = Some(error.to_string()));
            return Err(Over);
        }
        self.raw.set_read_timeout(Some(Duration::from_millis(100)))?;
        let ssl = tls.ssl();
        let version = ssl.version_str().to_owned();
        let sni = ssl.servername(openssl::ssl::NameType::HOST_NAME).map(str::to_owned);
        let client = ssl.peer_certificate().and_then(|certificate| {
            let name = certificate.subject_name().entries_by_nid(openssl::nid::Nid::COMMONNAME).next()?;
            name.data().to_string().ok()
        });
        self.note(|connection| (connection.tls, connection.sni, connection.client) = (Some(version), sni, client));
        self.bindings = self.bindings_of(ssl);
        (self.in_tls, self.account, self.message) = (true, None, None);
        self.wire = Box::new(tls);
        Ok(())
    }

    fn bindings_of(&self, ssl: &openssl::ssl::SslRef) -> HashMap<String, Vec<u8>> {
        let mut found = HashMap::new();
        let mut exported = vec![0; 32];
        if ssl.version_str() == "TLSv1.3" {
            ssl.export_keying_material(&mut exported, "EXPORTER-Channel-Binding", Some(b"")).unwrap();
            found.insert("tls-exporter".to_owned(), exported);
        }
        if let Some(identity) = &self.shared.script.identity {
            let digest = identity.certificate.digest(openssl::hash::MessageDigest::sha256()).unwrap();
            found.insert("tls-server-end-point".to_owned(), digest.to_vec());
        }
        if let Some((known, _)) = &self.shared.script.bindings {
            found.retain(|kind, _| known.contains(kind));
        }
        found
    }
}
