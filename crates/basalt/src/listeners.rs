//! The addresses of `-httpListenAddr`, each with or without TLS.
//!
//! Lists of flags go with the list of addresses: the first certificate is for the first address; a single value is for all of them.

use std::sync::Arc;

use basalt_http::{Listener, PemPair, Tls, TlsOptions, TlsVersion};

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
    tls: Option<TlsFiles>,
}

/// Where certificate and key are.
#[derive(Debug, Clone)]
struct TlsFiles {
    certificates: String,
    key: String,
    options: TlsOptions,
}

impl Listen {
    /// Reads the flags; the error names one that is missing.
    pub fn from_flags(flags: &Flags) -> Result<Vec<Self>, UsageError> {
        let tls = flags.switches("tls");
        let certificates = flags.list("tlsCertFile");
        let keys = flags.list("tlsKeyFile");
        let versions = flags.list("tlsMinVersion");
        let cipher_suites: Vec<String> =
            flags.list("tlsCipherSuites").into_iter().filter(|suite| !suite.is_empty()).collect();
        let tcp6 = flags.switch("enableTCP6");
        let addresses = flags.list("httpListenAddr").into_iter().enumerate();
        let listen = |(at, address): (usize, String)| {
            if !nth(&tls, at).copied().unwrap_or(false) {
                return Ok(Self { address, tcp6, tls: None });
            }
            let file = |list: &[String], flag: &str| {
                let given = nth(list, at).filter(|path| !path.is_empty()).cloned();
                given.ok_or_else(|| UsageError(format!("-{flag} is missing for the TLS of -httpListenAddr={address}")))
            };
            let version_min = version(nth(&versions, at).map_or("", String::as_str))?;
            let options = TlsOptions { version_min, cipher_suites: cipher_suites.clone() };
            let tls = TlsFiles {
                certificates: file(&certificates, "tlsCertFile")?,
                key: file(&keys, "tlsKeyFile")?,
                options,
            };
            Ok(Self { address, tcp6, tls: Some(tls) })
        };
        addresses.map(listen).collect()
    }

    /// Binds the address. Must be called inside a runtime.
    pub async fn bind(&self) -> Result<Listener, String> {
        let tls = self.tls.as_ref().map(TlsFiles::load).transpose()?.map(Arc::new);
        let listener = Listener::bind(&self.address, self.tcp6).await.map_err(|why| why.to_string())?;
        Ok(listener.with_tls(tls))
    }

    /// Checks that certificate and key are good, if there are any.
    pub fn check(&self) -> Result<(), String> {
        self.tls.as_ref().map(TlsFiles::load).transpose().map(drop)
    }
}

impl TlsFiles {
    fn load(&self) -> Result<Tls, String> {
        let (certificates, key) = (self.certificates.clone(), self.key.clone());
        let read = move || {
            let certificates = files::read(&certificates, PEM_BYTES_MAX)?;
            Ok(PemPair { certificates, key: files::read(&key, PEM_BYTES_MAX)? })
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
    fn what_is_missing_is_named() {
        assert!(listen("-tls").expect_err("no files").contains("-tlsCertFile is missing"));
        assert!(listen("-tls -tlsCertFile=a").expect_err("no key").contains("-tlsKeyFile is missing"));
        assert!(listen("-tls -tlsCertFile=a -tlsKeyFile=b -tlsMinVersion=SSL3").expect_err("old").contains("SSL3"));
        assert!(listen("-tls=maybe").expect_err("no boolean").contains("-tls"));
    }
}
