//! Certificates for servers that speak TLS, made by an authority of the test's own.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::Context as _;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

/// A certificate authority. What it signs is good for every use, and has no end within a test's life.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate and its key, both in PEM.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The certificate, without its authority's.
    pub certificate: String,
    /// The private key.
    pub key: String,
}

/// What a server needs to speak TLS: [`Server::start_tls`](crate::Server::start_tls),
/// [`ClusterOptions::tls`](crate::ClusterOptions::tls).
#[derive(Debug, Clone)]
pub struct Tls {
    authority: String,
    server: Identity,
    clients_prove: bool,
}

impl Authority {
    /// A new one that nobody trusts yet.
    ///
    /// # Errors
    /// If the system has no randomness.
    pub fn new() -> anyhow::Result<Self> {
        // By the name one would be taken for another, whose signature is then bad.
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let mut params = params(&format!("testbed authority {number}"), &[])?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        Ok(Self { issuer })
    }

    /// Its own certificate in PEM, for those who are to trust it.
    #[must_use]
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// A certificate for the holder of these DNS names and IP addresses; none are needed for a client.
    ///
    /// # Errors
    /// If a name is none.
    pub fn identity(&self, names: &[&str]) -> anyhow::Result<Identity> {
        let key = KeyPair::generate()?;
        let certificate = params("testbed", names)?.signed_by(&key, &self.issuer)?;
        Ok(Identity {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        })
    }

    /// What a server that is known by these names needs.
    ///
    /// # Errors
    /// If a name is none.
    pub fn server(&self, names: &[&str]) -> anyhow::Result<Tls> {
        Ok(Tls {
            authority: self.pem(),
            server: self.identity(names)?,
            clients_prove: false,
        })
    }
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").finish_non_exhaustive()
    }
}

impl Tls {
    /// Lets in only clients with a certificate of the same authority.
    #[must_use]
    pub fn with_client_certificates(mut self) -> Self {
        self.clients_prove = true;
        self
    }

    /// Writes the files to a server's directory; the lines for its configuration.
    pub(crate) fn settings(&self, dir: &Path, port: u16) -> anyhow::Result<String> {
        let mut lines = format!("tls-port {port}\n");
        let auth = if self.clients_prove { "yes" } else { "no" };
        lines.push_str(&format!("tls-auth-clients {auth}\n"));
        for (setting, file, content) in [
            ("tls-ca-cert-file", "ca.crt", &self.authority),
            ("tls-cert-file", "server.crt", &self.server.certificate),
            ("tls-key-file", "server.key", &self.server.key),
        ] {
            let path = dir.join(file);
            fs::write(&path, content)
                .with_context(|| format!("cannot write {}", path.display()))?;
            lines.push_str(&format!("{setting} \"{}\"\n", path.display()));
        }
        Ok(lines)
    }
}

fn params(name: &str, names: &[&str]) -> anyhow::Result<CertificateParams> {
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name.push(DnType::CommonName, name);
    Ok(params)
}

static MADE: AtomicU32 = AtomicU32::new(1);
