//! TLS on listeners: per address, with certificates that change while the process runs.

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    sync::Arc,
};

use tokio_rustls::rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer},
    version::{TLS12, TLS13},
};

use crate::{
    prometheus::wait_until,
    server::{Basalt, PATIENCE, PROGRAM, folder, usual_flags},
};

/// Makes a certificate for localhost and writes it with its key.
fn write_certificate(home: &Path) -> CertificateDer<'static> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_string()]).expect("a certificate is made");
    fs::write(home.join("key.pem"), made.signing_key.serialize_pem()).expect("a file");
    fs::write(home.join("cert.pem"), made.cert.pem()).expect("a file");
    made.cert.der().clone()
}

/// A certificate and a key that a client shows.
type Shown = (CertificateDer<'static>, PrivateKeyDer<'static>);

/// A client's certificate, signed by an authority of its own, which is written to `ca.pem`.
fn write_authority(home: &Path) -> Shown {
    let mut params = rcgen::CertificateParams::default();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let ca = rcgen::CertifiedIssuer::self_signed(params, rcgen::KeyPair::generate().expect("a key")).expect("a CA");
    fs::write(home.join("ca.pem"), ca.pem()).expect("a file");
    let key = rcgen::KeyPair::generate().expect("a key");
    let params = rcgen::CertificateParams::new(vec!["client".to_string()]).expect("a name");
    let certificate = params.signed_by(&key, &ca).expect("it can be signed");
    (certificate.der().clone(), PrivateKeyDer::Pkcs8(key.serialize_der().into()))
}

/// Asks for `/health` as a client that trusts one certificate.
fn ask(
    address: SocketAddr,
    trusted: &CertificateDer<'static>,
    version: &'static SupportedProtocolVersion,
) -> std::io::Result<String> {
    ask_as(address, trusted, version, None)
}

/// The same as a client that shows a certificate of its own, if it has one.
fn ask_as(
    address: SocketAddr,
    trusted: &CertificateDer<'static>,
    version: &'static SupportedProtocolVersion,
    shown: Option<&Shown>,
) -> std::io::Result<String> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).expect("a good certificate");
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_protocol_versions(&[version]).expect("a version that there is");
    let builder = builder.with_root_certificates(roots);
    let config = match shown {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            builder.with_client_auth_cert(vec![certificate.clone()], key.clone_key()).expect("a good pair")
        }
    };
    let connection =
        ClientConnection::new(Arc::new(config), "localhost".try_into().expect("a name")).expect("a good configuration");
    let socket = TcpStream::connect(address)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let mut stream = StreamOwned::new(connection, socket);
    stream.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

fn flags(home: &Path) -> Vec<String> {
    let file = |name: &str| home.join(name).display().to_string();
    vec![format!("-tlsCertFile={}", file("cert.pem")), format!("-tlsKeyFile={}", file("key.pem"))]
}

fn start(data: &Path, home: &Path, more: &[&str]) -> (Basalt, SocketAddr) {
    let flags = flags(home);
    let flags: Vec<&str> = flags.iter().map(String::as_str).chain(more.iter().copied()).collect();
    // The first address speaks plainly, for everything else that tests ask.
    let basalt = Basalt::start(data, &[&["-httpListenAddr=127.0.0.1:0", "-tls=false,true"], &flags[..]].concat());
    let line = basalt.process.wait_for_line("started server at https://", PATIENCE).expect("it says so");
    let address = line.split("https://").nth(1).and_then(|rest| rest.split('/').next()).expect("an address");
    (basalt, address.parse().expect("an address"))
}

#[test]
fn an_address_speaks_tls_beside_one_that_does_not() {
    let (data, home) = (folder(), folder());
    let trusted = write_certificate(home.path());
    let (basalt, address) = start(data.path(), home.path(), &[]);
    for version in [&TLS12, &TLS13] {
        let answer = ask(address, &trusted, version).expect("it answers");
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("OK"), "{answer}");
    }
    assert_eq!(basalt.ok("/health"), "OK");
    let mut plain = TcpStream::connect(address).expect("it listens");
    plain.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    plain.write_all(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n").expect("it reads");
    let mut answer = Vec::new();
    // It may close with or without an alert, but says nothing that a plain client could read.
    let _ = plain.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    basalt.stop();
}

#[test]
fn a_new_certificate_is_used_without_a_restart_and_a_broken_one_is_not() {
    let (data, home) = (folder(), folder());
    let old = write_certificate(home.path());
    let (basalt, address) = start(data.path(), home.path(), &["-tlsMinVersion=TLS13"]);
    ask(address, &old, &TLS13).expect("it answers");
    ask(address, &old, &TLS12).expect_err("too old a version");
    let new = write_certificate(home.path());
    wait_until("the new certificate is used", || ask(address, &new, &TLS13).is_ok());
    ask(address, &old, &TLS13).expect_err("the old one is gone");
    fs::write(home.path().join("cert.pem"), "-----BEGIN CERTIFICATE-----\n").expect("a file");
    wait_until("the broken one is found", || {
        ask(address, &new, &TLS13).expect("the one before stays");
        basalt.process.lines().iter().any(|line| line.contains("cannot take the new TLS certificate"))
    });
    basalt.stop();
}

#[test]
fn only_clients_with_a_certificate_are_let_in() {
    let (data, home) = (folder(), folder());
    let trusted = write_certificate(home.path());
    let known = write_authority(home.path());
    let authorities = format!("-mtlsCAFile=,{}", home.path().join("ca.pem").display());
    let (basalt, address) = start(data.path(), home.path(), &["-mtls=false,true", &authorities]);
    let answer = ask_as(address, &trusted, &TLS13, Some(&known)).expect("it answers");
    assert!(answer.ends_with("OK"), "{answer}");
    ask(address, &trusted, &TLS12).expect_err("no certificate");
    let other = folder();
    let strange = write_authority(other.path());
    ask_as(address, &trusted, &TLS12, Some(&strange)).expect_err("a certificate of somebody else's authority");
    assert_eq!(basalt.ok("/health"), "OK", "the other address wants none");
}

#[test]
fn bad_certificates_are_found_at_the_start() {
    let (data, home) = (folder(), folder());
    write_certificate(home.path());
    let run = |more: &[String]| {
        let output = std::process::Command::new(PROGRAM).args(usual_flags(data.path())).arg("-tls").args(more).output();
        let output = output.expect("it starts");
        (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    };
    let (code, said) = run(&[]);
    assert!(code == Some(2) && said.contains("-tlsCertFile is missing"), "{said}");
    let (code, said) = run(&[&flags(home.path())[..], &["-tlsCipherSuites=NONE".to_string()]].concat());
    assert!(code == Some(1) && said.contains("no TLS cipher suite \"NONE\""), "{said}");
    fs::write(home.path().join("key.pem"), "nothing").expect("a file");
    let (code, said) = run(&flags(home.path()));
    assert!(code == Some(1) && said.contains("key.pem") && said.contains("cannot read the TLS key"), "{said}");
}
