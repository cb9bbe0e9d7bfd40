//! TLS between nodes, and mutual TLS.
//!
//! Files are read by the binary; here are only their bytes.

use std::{fmt, sync::Arc};

use tokio::net::TcpStream;
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        ClientConfig, RootCertStore,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
    },
};
use tonic::transport::{Certificate, Identity, ServerTlsConfig};

/// What is spoken inside.
const HTTP_2: &[u8] = b"h2";

/// How a node shows who it is, and whom it lets in.
#[derive(Clone)]
pub struct ServerTls {
    /// Its certificates, as PEM.
    pub certificates: Vec<u8>,
    /// Its key, as PEM.
    pub key: Vec<u8>,
    /// Who signs the certificates of those that it lets in; without it everybody.
    pub client_ca: Option<Vec<u8>>,
}

/// How a node checks whom it talks to, and shows who it is.
#[derive(Clone, Default)]
pub struct ClientTls {
    /// Who signs the certificates of the nodes.
    pub ca: Option<Vec<u8>>,
    /// Certificates and key that are shown, as PEM.
    pub identity: Option<(Vec<u8>, Vec<u8>)>,
    /// The name that the nodes' certificates are for; without it that of their address.
    pub server_name: Option<String>,
}

impl ServerTls {
    pub(crate) fn config(&self) -> ServerTlsConfig {
        let config = ServerTlsConfig::new().identity(Identity::from_pem(&self.certificates, &self.key));
        match &self.client_ca {
            Some(ca) => config.client_ca_root(Certificate::from_pem(ca)),
            None => config,
        }
    }
}

impl ClientTls {
    /// What makes connections of it, if it is good.
    pub(crate) fn connector(&self) -> Result<Connector, String> {
        let certificates = |pem: &[u8]| {
            let all = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
            all.map_err(|why| format!("cannot read a TLS certificate: {why}"))
        };
        let mut roots = RootCertStore::empty();
        for ca in certificates(self.ca.as_deref().unwrap_or_default())? {
            roots.add(ca).map_err(|why| format!("cannot use the certificate of a TLS authority: {why}"))?;
        }
        let wrong = |why| format!("cannot set up TLS: {why}");
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let config = config.with_safe_default_protocol_versions().map_err(wrong)?.with_root_certificates(roots);
        let mut config = match &self.identity {
            Some((chain, key)) => {
                let key =
                    PrivateKeyDer::from_pem_slice(key).map_err(|why| format!("cannot read the TLS key: {why}"))?;
                config.with_client_auth_cert(certificates(chain)?, key).map_err(wrong)?
            }
            None => config.with_no_client_auth(),
        };
        config.alpn_protocols = vec![HTTP_2.to_vec()];
        Ok(Connector { tls: Arc::new(config).into(), server_name: self.server_name.clone() })
    }
}

/// Makes connections on which nobody else can listen.
pub(crate) struct Connector {
    tls: TlsConnector,
    server_name: Option<String>,
}

impl Connector {
    /// Agrees on keys with the node at `host`.
    pub(crate) async fn connect(&self, host: &str, socket: TcpStream) -> Result<TlsStream<TcpStream>, String> {
        let name = self.server_name.as_deref().unwrap_or(host).to_string();
        let name = ServerName::try_from(name).map_err(|why| format!("wrong name for TLS: {why}"))?;
        let connected =
            self.tls.connect(name, socket).await.map_err(|why| format!("cannot agree on TLS keys: {why}"))?;
        match connected.get_ref().1.alpn_protocol() {
            Some(HTTP_2) => Ok(connected),
            _ => Err("it speaks TLS, but does not take calls of nodes there".into()),
        }
    }
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServerTls(mutual: {})", self.client_ca.is_some())
    }
}

impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClientTls(mutual: {})", self.identity.is_some())
    }
}
