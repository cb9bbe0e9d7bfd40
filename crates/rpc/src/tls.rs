//! TLS between nodes, and mutual TLS: what tonic is told.
//!
//! Files are read by the binary; here are only their bytes.

use std::fmt;

use tonic::transport::{Certificate, ClientTlsConfig, Identity, ServerTlsConfig};

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
    pub(crate) fn config(&self) -> ClientTlsConfig {
        let mut config = ClientTlsConfig::new();
        if let Some(ca) = &self.ca {
            config = config.ca_certificate(Certificate::from_pem(ca));
        }
        if let Some((certificates, key)) = &self.identity {
            config = config.identity(Identity::from_pem(certificates, key));
        }
        match &self.server_name {
            Some(name) => config.domain_name(name),
            None => config,
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
