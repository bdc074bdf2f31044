//! TLS: certificates of one's own, and certificates for another name than the address.

use std::panic;
use std::sync::Arc;

use redis::{Client, ConnectionAddr, ConnectionInfo, TlsCertificates};
use rustls::ClientConfig;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::ServerName;

use crate::config::Builder;
use crate::error::BuildError;
use crate::settings::Settings;

/// With feature `tls-rustls`.
impl<T> Builder<T> {
    /// Whom to trust instead of the system's (or, with `tls-rustls-webpki-roots`, the web's) authorities, and the
    /// certificate to show to servers that ask for one. For all servers, whose URLs have to be `rediss://`.
    ///
    /// A server whose certificate does not convince is not talked to: requests fail at once, with rustls's reason.
    /// Nothing is ever sent in the clear instead, and nodes that a cluster names are reached as the first is. With
    /// sentinels it goes for them and for the servers they name.
    ///
    /// rustls needs a provider of cryptography. Where the application's dependencies name none, or more than one,
    /// it has to install one, as with `rustls::crypto::ring::default_provider().install_default()`. If it has not,
    /// rustls panics, which `build` makes an error of; with `panic = "abort"` it ends the process.
    ///
    /// # Example
    ///
    /// ```no_run
    /// use wait_pool_redis::redis::TlsCertificates;
    ///
    /// # fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let pool = wait_pool_redis::cluster::Pool::builder(["rediss://10.0.0.1:7000"])
    ///     .tls(TlsCertificates {
    ///         root_cert: Some(std::fs::read("ca.pem")?),
    ///         client_tls: None,
    ///     })
    ///     .tls_server_name("redis.example.com") // nodes are known by addresses, the certificate by this name
    ///     .build()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn tls(mut self, certificates: TlsCertificates) -> Self {
        self.tls = Some(certified(certificates));
        self
    }

    /// The name that the servers' certificates are for, where it is not the one that they are reached by: the
    /// nodes of most clusters are known by addresses. It is also the name that is asked for (SNI).
    /// Default: the host of the URL, or the one that the cluster names a node by.
    pub fn tls_server_name(mut self, name: impl Into<Arc<str>>) -> Self {
        self.settings.tls_server_name = Some(name.into());
        self
    }
}

/// What would be wrong with every connection later.
pub(crate) fn check(servers: &[ConnectionInfo], settings: &Settings) -> Result<(), BuildError> {
    let name = settings.tls_server_name.as_deref();
    let unfit = |reason| BuildError::Setting {
        setting: "tls_server_name",
        reason,
    };
    if name.is_some() && !servers.iter().any(is_tls) {
        return Err(unfit(NO_TLS));
    }
    if name.is_some_and(|name| ServerName::try_from(name).is_err()) {
        return Err(unfit("it is neither a DNS name nor an IP address"));
    }
    if servers.iter().any(is_tls) && !has_provider() {
        return Err(BuildError::Setting {
            setting: "rediss://",
            reason: NO_PROVIDER,
        });
    }
    Ok(())
}

/// An address with certificates that are understood.
fn certified(certificates: TlsCertificates) -> Result<ConnectionAddr, BuildError> {
    let client = certificates.client_tls.as_ref();
    // redis-rs takes a text without any for one of none, and then trusts nobody.
    let texts = [
        certificates.root_cert.as_ref(),
        client.map(|client| &client.client_cert),
    ];
    let empty = |text: &&Vec<u8>| !text.windows(PEM.len()).any(|window| window == PEM);
    if texts.iter().flatten().any(empty) {
        return Err(BuildError::Setting {
            setting: "tls",
            reason: "there is no certificate in PEM",
        });
    }
    let client = Client::build_with_tls("rediss://any", certificates).map_err(BuildError::Tls)?;
    Ok(client.get_connection_info().addr().clone())
}

/// rustls panics at the first connection where it cannot tell whose cryptography to use.
fn has_provider() -> bool {
    // This has it look among those that it has been compiled with.
    CryptoProvider::get_default().is_some() || panic::catch_unwind(ClientConfig::builder).is_ok()
}

fn is_tls(server: &ConnectionInfo) -> bool {
    matches!(server.addr(), ConnectionAddr::TcpTls { .. })
}

const PEM: &[u8] = b"-----BEGIN CERTIFICATE-----";
const NO_TLS: &str = "the URLs have to be rediss://";
const NO_PROVIDER: &str = "rustls does not know which cryptography to use: depend on rustls with one of its features \
                           ring and aws-lc-rs, or install a provider first, as with \
                           rustls::crypto::ring::default_provider().install_default()";
