//! The addresses of `-httpListenAddr`, each with or without TLS, and behind a balancer or not.
//!
//! Lists of flags go with the list of addresses: the first certificate is for the first address; a single value is for all of them.

use std::sync::Arc;

use basalt_http::{Listener, PemFiles, Tls, TlsOptions, TlsVersion, check_address};

use crate::{
    files,
    flags::{Flags, UsageError},
};

/// Certificates and keys are shorter.
const PEM_BYTES_MAX: usize = 1 << 20;

/// An address and what is spoken there.
#[derive(Debug, Clone)]
pub struct Listen {
    address: String,
    tcp6: bool,
    behind_proxy: bool,
    tls: Option<TlsFiles>,
}

/// Where certificate and key are.
#[derive(Debug, Clone)]
struct TlsFiles {
    certificates: String,
    key: String,
    clients: Clients,
    options: TlsOptions,
}

/// Whose certificates clients must have.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Clients {
    /// They need none.
    Anybody,
    /// Some authority's that this system trusts.
    Trusted,
    /// One's of this file.
    OfFile(String),
}

impl Listen {
    /// Reads the flags; the error names one that is missing.
    pub fn from_flags(flags: &Flags) -> Result<Vec<Self>, UsageError> {
        let tls = flags.switches("tls");
        let mtls = flags.switches("mtls");
        let authorities = flags.list("mtlsCAFile");
        let proxies = flags.switches("httpListenAddr.useProxyProtocol");
        let certificates = flags.list("tlsCertFile");
        let keys = flags.list("tlsKeyFile");
        let versions = flags.list("tlsMinVersion");
        let cipher_suites: Vec<String> =
            flags.list("tlsCipherSuites").into_iter().filter(|suite| !suite.is_empty()).collect();
        let tcp6 = flags.switch("enableTCP6");
        let addresses = flags.list("httpListenAddr").into_iter().enumerate();
        let listen = |(at, address): (usize, String)| {
            let behind_proxy = nth(&proxies, at).copied().unwrap_or(false);
            let asks_clients = nth(&mtls, at).copied().unwrap_or(false);
            if !nth(&tls, at).copied().unwrap_or(false) {
                if asks_clients {
                    return Err(UsageError(format!("-mtls needs -tls at -httpListenAddr={address}")));
                }
                return Ok(Self { address, tcp6, behind_proxy, tls: None });
            }
            let file = |list: &[String], flag: &str| {
                let given = nth(list, at).filter(|path| !path.is_empty()).cloned();
                given.ok_or_else(|| UsageError(format!("-{flag} is missing for the TLS of -httpListenAddr={address}")))
            };
            let version_min = version(nth(&versions, at).map_or("", String::as_str))?;
            let options = TlsOptions { version_min, cipher_suites: cipher_suites.clone() };
            let clients = match nth(&authorities, at).filter(|path| !path.is_empty()) {
                _ if !asks_clients => Clients::Anybody,
                None => Clients::Trusted,
                Some(path) => Clients::OfFile(path.clone()),
            };
            let tls = TlsFiles {
                certificates: file(&certificates, "tlsCertFile")?,
                key: file(&keys, "tlsKeyFile")?,
                clients,
                options,
            };
            Ok(Self { address, tcp6, behind_proxy, tls: Some(tls) })
        };
        addresses.map(listen).collect()
    }

    /// Binds the address. Must be called inside a runtime.
    pub async fn bind(&self) -> Result<Listener, String> {
        let tls = self.tls.as_ref().map(TlsFiles::load).transpose()?.map(Arc::new);
        let listener = Listener::bind(&self.address, self.tcp6).await.map_err(|why| why.to_string())?;
        Ok(listener.with_tls(tls).behind_proxy(self.behind_proxy))
    }

    /// Checks that the address can be one.
    pub fn check_address(&self) -> Result<(), UsageError> {
        check_flag("httpListenAddr", &self.address)
    }

    /// Checks that certificate and key are good, if there are any.
    pub fn check(&self) -> Result<(), String> {
        self.tls.as_ref().map(TlsFiles::load).transpose().map(drop)
    }
}

/// Whether the value of a flag can be an address to listen at.
pub fn check_flag(flag: &str, address: &str) -> Result<(), UsageError> {
    check_address(address).map_err(|why| UsageError(format!("invalid value for -{flag}: {why}")))
}

impl TlsFiles {
    fn load(&self) -> Result<Tls, String> {
        let (certificates, key, clients) = (self.certificates.clone(), self.key.clone(), self.clients.clone());
        let read = move || {
            let certificates = files::read(&certificates, PEM_BYTES_MAX)?;
            let clients = match &clients {
                Clients::Anybody => None,
                Clients::Trusted => Some(files::trusted()?),
                Clients::OfFile(path) => Some(files::read(path, PEM_BYTES_MAX)?),
            };
            Ok(PemFiles { certificates, key: files::read(&key, PEM_BYTES_MAX)?, clients })
        };
        let failed = |why| format!("-tlsCertFile={:?} and -tlsKeyFile={:?}: {why}", self.certificates, self.key);
        Tls::new(Box::new(read), self.options.clone()).map_err(failed)
    }
}

/// The value for the n-th address; one value is for all.
fn nth<T>(list: &[T], at: usize) -> Option<&T> {
    if let [one] = list { Some(one) } else { list.get(at) }
}

fn version(name: &str) -> Result<TlsVersion, UsageError> {
    match name.to_uppercase().as_str() {
        // What is lower than 1.2 is broken, and spoken by nobody here.
        "" | "TLS10" | "TLS11" | "TLS12" => Ok(TlsVersion::Tls12),
        "TLS13" => Ok(TlsVersion::Tls13),
        _ => Err(UsageError(format!("invalid value {name:?} for -tlsMinVersion: want TLS12 or TLS13"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::Invocation;

    fn listen(line: &str) -> Result<Vec<Listen>, String> {
        let arguments = line.split_whitespace().map(str::to_string).collect();
        let flags = Invocation::read(arguments, &|_| None).map_err(|error| error.0)?.flags;
        Listen::from_flags(&flags).map_err(|error| error.0)
    }

    #[test]
    fn each_address_has_its_own_tls() {
        let line = "-httpListenAddr=:1,:2 -httpListenAddr=:3 -tls=true,false,true -tlsCertFile=a,,c -tlsKeyFile=k \
                    -tlsMinVersion=TLS13,TLS13,tls12";
        let shown: Vec<_> = listen(line)
            .expect("good flags")
            .into_iter()
            .map(|listen| {
                let tls = listen.tls.map(|tls| (tls.certificates, tls.key, tls.options.version_min));
                (listen.address, tls)
            })
            .collect();
        let tls = |certificates: &str, version| Some((certificates.to_string(), "k".to_string(), version));
        let want = [
            (":1".to_string(), tls("a", TlsVersion::Tls13)),
            (":2".to_string(), None),
            (":3".to_string(), tls("c", TlsVersion::Tls12)),
        ];
        assert_eq!(shown, want);
        assert!(
            listen("-httpListenAddr=:1,:2 -tls -tlsCertFile=a -tlsKeyFile=b").is_ok_and(|all| all[1].tls.is_some())
        );
    }

    #[test]
    fn clients_and_balancers_are_a_matter_of_each_address() {
        let line = "-httpListenAddr=:1,:2,:3 -tls -tlsCertFile=a -tlsKeyFile=k -mtls=true,false,true -mtlsCAFile=x,y, \
                    -httpListenAddr.useProxyProtocol=false,true,false";
        let all = listen(line).expect("good flags");
        let shown: Vec<_> =
            all.into_iter().map(|listen| (listen.tls.map(|tls| tls.clients), listen.behind_proxy)).collect();
        let want = [
            (Some(Clients::OfFile("x".to_string())), false),
            (Some(Clients::Anybody), true),
            (Some(Clients::Trusted), false),
        ];
        assert_eq!(shown, want);
        assert!(listen("-mtls").expect_err("no TLS").contains("-mtls needs -tls"));
    }

    #[test]
    fn what_is_missing_is_named() {
        assert!(listen("-tls").expect_err("no files").contains("-tlsCertFile is missing"));
        assert!(listen("-tls -tlsCertFile=a").expect_err("no key").contains("-tlsKeyFile is missing"));
        assert!(listen("-tls -tlsCertFile=a -tlsKeyFile=b -tlsMinVersion=SSL3").expect_err("old").contains("SSL3"));
        assert!(listen("-tls=maybe").expect_err("no boolean").contains("-tls"));
    }
}
