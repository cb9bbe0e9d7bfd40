//! TLS on a listener.
//!
//! 1. Certificate chain and key are read through a function of the operator's side, for this crate touches no files.
//! 2. They are read again, at most once a second, when somebody connects; if they changed and are good, connections from then on get the new ones.
//!    What is not good is logged, and the old ones stay: a certificate that is half written must not shut everybody out.
//! 3. With certificates of clients' authorities (mTLS), only clients that prove to have a certificate of them are let in.
//! 4. A handshake has a bounded time.
//!
//! The other side, [`connect_tls`], is for [`crate::Client`].

use std::{
    fmt, io,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{
    TlsAcceptor, TlsConnector, client,
    rustls::{
        self, ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion,
        crypto::{CryptoProvider, ring},
        pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
        server::WebPkiClientVerifier,
        version::{TLS12, TLS13},
    },
    server::TlsStream,
};

use crate::throttle::Throttle;

/// Files are looked at again after this.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// A client that takes longer to agree on keys is sent away.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);

/// What a listener with TLS needs, as PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct PemFiles {
    /// The chain, the server's own certificate first.
    pub certificates: Vec<u8>,
    /// The key.
    pub key: Vec<u8>,
    /// The authorities of clients' certificates; without them clients need none.
    pub clients: Option<Vec<u8>>,
}

/// Reads them.
pub type ReadPem = Box<dyn Fn() -> Result<PemFiles, String> + Send + Sync>;

/// Reads the certificates that servers are trusted by, as PEM.
pub type ReadRoots = Box<dyn Fn() -> Result<Vec<u8>, String> + Send + Sync>;

/// The lowest version that is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TlsVersion {
    /// 1.2, the lowest that is still held to be safe.
    #[default]
    Tls12,
    /// 1.3
    Tls13,
}

/// What is spoken.
#[derive(Debug, Clone, Default)]
pub struct TlsOptions {
    /// The lowest version.
    pub version_min: TlsVersion,
    /// Names of the cipher suites of version 1.2; all good ones if there is none.
    pub cipher_suites: Vec<String>,
}

/// TLS with certificates that may change.
pub struct Tls {
    read: ReadPem,
    options: TlsOptions,
    state: Mutex<State>,
    complaints: Throttle,
}

struct State {
    pem: PemFiles,
    acceptor: TlsAcceptor,
    looked: Instant,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tls({:?})", self.options)
    }
}

impl Tls {
    /// Reads certificate and key for the first time; the error says why they are no good.
    pub fn new(read: ReadPem, options: TlsOptions) -> Result<Self, String> {
        let pem = read()?;
        let acceptor = acceptor(&pem, &options)?;
        let state = Mutex::new(State { pem, acceptor, looked: Instant::now() });
        Ok(Self { read, options, state, complaints: Throttle::default() })
    }

    /// Agrees with a client on keys.
    pub(crate) async fn accept<S: AsyncRead + AsyncWrite + Unpin>(&self, socket: S) -> io::Result<TlsStream<S>> {
        let accepting = self.acceptor().accept(socket);
        tokio::time::timeout(HANDSHAKE_MAX, accepting).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
    }

    fn acceptor(&self) -> TlsAcceptor {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.looked.elapsed() >= LOOK_AGAIN {
            state.looked = Instant::now();
            if let Err(why) = self.renew(&mut state)
                && self.complaints.admit().is_some()
            {
                log::error!("cannot take the new TLS certificate, the one before stays: {why}");
            }
        }
        state.acceptor.clone()
    }

    fn renew(&self, state: &mut State) -> Result<(), String> {
        let pem = (self.read)()?;
        if pem != state.pem {
            state.acceptor = acceptor(&pem, &self.options)?;
            state.pem = pem;
            log::info!("the TLS certificate has changed and is used from now on");
        }
        Ok(())
    }
}

fn acceptor(pem: &PemFiles, options: &TlsOptions) -> Result<TlsAcceptor, String> {
    let certificates = CertificateDer::pem_slice_iter(&pem.certificates).collect::<Result<Vec<_>, _>>();
    let certificates = certificates.map_err(|why| format!("cannot read the TLS certificate: {why}"))?;
    if certificates.is_empty() {
        return Err("cannot read the TLS certificate: there is none in the file".to_string());
    }
    let key = PrivateKeyDer::from_pem_slice(&pem.key).map_err(|why| format!("cannot read the TLS key: {why}"))?;
    const BOTH: &[&SupportedProtocolVersion] = &[&TLS12, &TLS13];
    let versions = if options.version_min == TlsVersion::Tls13 { &BOTH[1..] } else { BOTH };
    let wrong = |why: rustls::Error| format!("cannot set up TLS: {why}");
    let provider = Arc::new(provider(&options.cipher_suites)?);
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
    let builder = builder.with_protocol_versions(versions).map_err(wrong)?;
    let builder = match &pem.clients {
        None => builder.with_no_client_auth(),
        Some(authorities) => {
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(root_store(authorities)?), provider);
            let verifier = verifier.build().map_err(|why| format!("cannot check certificates of clients: {why}"))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut config = builder.with_single_cert(certificates, key).map_err(wrong)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Authorities out of PEM. A system's file may hold some that cannot be used; at least one must.
fn root_store(pem: &[u8]) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    let (good, _) = roots.add_parsable_certificates(CertificateDer::pem_slice_iter(pem).filter_map(Result::ok));
    if good == 0 { Err("there is no certificate of an authority".to_string()) } else { Ok(roots) }
}

/// Agrees on keys with a server that proves to be `host` by a certificate of one of the authorities.
pub(crate) async fn connect_tls<S: AsyncRead + AsyncWrite + Unpin>(
    socket: S,
    host: &str,
    roots: &[u8],
) -> Result<client::TlsStream<S>, String> {
    let name = ServerName::try_from(host.to_string()).map_err(|why| format!("wrong host name: {why}"))?;
    let builder = ClientConfig::builder_with_provider(Arc::new(provider(&[])?));
    let builder =
        builder.with_protocol_versions(&[&TLS12, &TLS13]).map_err(|why| format!("cannot set up TLS: {why}"))?;
    let mut config = builder.with_root_certificates(root_store(roots)?).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let connecting = TlsConnector::from(Arc::new(config)).connect(name, socket);
    let connected = tokio::time::timeout(HANDSHAKE_MAX, connecting).await.map_err(|_| "the handshake took too long")?;
    connected.map_err(|why| format!("cannot agree on keys: {why}"))
}

/// Keeps of version 1.2 the named cipher suites; those of 1.3 are all good and not chosen by anybody, as in Go.
fn provider(cipher_suites: &[String]) -> Result<CryptoProvider, String> {
    let mut provider = ring::default_provider();
    if cipher_suites.is_empty() {
        return Ok(provider);
    }
    let name = |suite: &rustls::SupportedCipherSuite| format!("{:?}", suite.suite());
    let known: Vec<String> = provider.cipher_suites.iter().map(name).collect();
    if let Some(unknown) =
        cipher_suites.iter().find(|wanted| !known.iter().any(|name| name.eq_ignore_ascii_case(wanted)))
    {
        return Err(format!("there is no TLS cipher suite {unknown:?}; want some of {}", known.join(", ")));
    }
    provider.cipher_suites.retain(|suite| {
        suite.tls13().is_some() || cipher_suites.iter().any(|wanted| name(suite).eq_ignore_ascii_case(wanted))
    });
    Ok(provider)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(name: &str) -> PemFiles {
        let made = rcgen::generate_simple_self_signed([name.to_string()]).expect("a certificate is made");
        let (certificates, key) = (made.cert.pem().into_bytes(), made.signing_key.serialize_pem().into_bytes());
        PemFiles { certificates, key, clients: None }
    }

    #[test]
    fn what_is_no_good_is_named() {
        let good = pair("localhost");
        let tls = |pem: PemFiles, options: TlsOptions| {
            Tls::new(Box::new(move || Ok(pem.clone())), options).map(drop).expect_err("no good")
        };
        let with = |certificates: &[u8], key: &[u8]| PemFiles {
            certificates: certificates.into(),
            key: key.into(),
            clients: None,
        };
        let default = TlsOptions::default;
        assert!(tls(with(b"", &good.key), default()).contains("there is none in the file"));
        assert!(tls(with(&good.certificates, b"x"), default()).contains("cannot read the TLS key"));
        assert!(tls(with(&good.certificates, &pair("x").key), default()).contains("cannot set up TLS"));
        let unknown = PemFiles { clients: Some(b"x".to_vec()), ..good.clone() };
        assert!(tls(unknown, default()).contains("no certificate of an authority"));
        let options = TlsOptions { cipher_suites: vec!["ROT13".to_string()], ..default() };
        let why = tls(good, options);
        assert!(why.contains("\"ROT13\"") && why.contains("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"), "{why}");
    }

    #[test]
    fn changed_certificates_are_taken_if_they_are_good() {
        let current = Arc::new(Mutex::new(Ok(pair("one"))));
        let source = Arc::clone(&current);
        let read: ReadPem = Box::new(move || source.lock().expect("nobody panics").clone());
        let tls = Tls::new(read, TlsOptions::default()).expect("a good pair");
        let renew = |next: Result<PemFiles, String>| {
            *current.lock().expect("nobody panics") = next;
            let mut state = tls.state.lock().expect("nobody panics");
            (tls.renew(&mut state), state.pem.clone())
        };
        let two = pair("two");
        assert_eq!(renew(Ok(two.clone())).0, Ok(()));
        assert!(renew(Err("the file is gone".to_string())).0.is_err());
        let half = PemFiles { certificates: two.certificates[..100].to_vec(), ..two.clone() };
        let (outcome, kept) = renew(Ok(half));
        assert!(outcome.is_err() && kept == two, "the one before stays");
    }
}
