//! Configuration and secrets that flags name by path, or by the address of a server that has them.
//!
//! It reads what an operator wrote and what the system says about itself, never data.

use std::{fs::File, io::Read, time::Duration};

use basalt_http::{Client, Url};

/// Fetching a file takes no longer.
const FETCH_MAX: Duration = Duration::from_secs(30);
/// Files of the system are shorter.
const SYSTEM_BYTES_MAX: usize = 4 << 20;
/// A folder of configuration has no more files.
const FOLDER_FILES_MAX: usize = 1000;
/// Where systems keep the certificates of the authorities that they trust; the first one that is there counts.
const TRUSTED: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// What the environment says about a name.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Reads a file, or what an address names, of at most so many bytes.
pub fn read(path: &str, bytes_max: usize) -> Result<Vec<u8>, String> {
    if Url::is_meant(path) {
        return fetch(path, bytes_max);
    }
    let failed = |why: std::io::Error| format!("cannot read {path:?}: {why}");
    let file = File::open(path.strip_prefix("file://").unwrap_or(path)).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(bytes_max as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() > bytes_max {
        return Err(format!("{path:?} is longer than {bytes_max} bytes"));
    }
    Ok(bytes)
}

/// Reads the files of a folder whose names end so, by name; each of at most so many bytes.
pub fn read_folder(path: &str, ending: &str, bytes_max: usize) -> Result<Vec<(String, Vec<u8>)>, String> {
    let failed = |why: std::io::Error| format!("cannot list {path:?}: {why}");
    let mut names = Vec::new();
    for entry in std::fs::read_dir(path).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name().to_string_lossy().into_owned();
        if name.ends_with(ending) {
            names.push(name);
        }
        if names.len() > FOLDER_FILES_MAX {
            return Err(format!("{path:?} has more than {FOLDER_FILES_MAX} files"));
        }
    }
    names.sort();
    names.into_iter().map(|name| Ok((name.clone(), read(&format!("{path}/{name}"), bytes_max)?))).collect()
}

/// Fetches what an address names.
fn fetch(address: &str, bytes_max: usize) -> Result<Vec<u8>, String> {
    let url = Url::parse(address).map_err(|why| format!("cannot fetch a file: {why}"))?;
    let failed = {
        let url = url.clone();
        move |why: &dyn std::fmt::Display| format!("cannot fetch {url}: {why}")
    };
    let fetching = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|why| why.to_string())?;
        runtime.block_on(client().fetch(&url, bytes_max, FETCH_MAX)).map_err(|why| why.to_string())
    };
    // Who asks may be a thread of a runtime, which must not wait for another one.
    let fetched = std::thread::spawn(fetching).join();
    fetched.map_err(|_| failed(&"the thread ended in a panic"))?.map_err(|why| failed(&why))
}

/// A client that knows this system's names and trusts whom it trusts.
pub fn client() -> Client {
    Client::new(|path| system_file(path).and_then(|bytes| String::from_utf8(bytes).ok()), Box::new(trusted))
}

fn system_file(path: &str) -> Option<Vec<u8>> {
    read(path, SYSTEM_BYTES_MAX).ok()
}

/// The certificates of the authorities that this system trusts, as PEM; `SSL_CERT_FILE` names another file.
pub fn trusted() -> Result<Vec<u8>, String> {
    if let Some(path) = std::env::var("SSL_CERT_FILE").ok().filter(|path| !path.is_empty()) {
        return read(&path, SYSTEM_BYTES_MAX);
    }
    TRUSTED.iter().find_map(|path| system_file(path)).ok_or_else(|| "this system trusts no authorities".to_string())
}

/// Reads a file of text and replaces `%{NAME}` in it by what the environment says.
pub fn read_text(path: &str, bytes_max: usize, environment: Environment<'_>) -> Result<String, String> {
    let text = String::from_utf8(read(path, bytes_max)?).map_err(|_| format!("{path:?} is not UTF-8"))?;
    expand(&text, environment).map_err(|why| format!("cannot expand {path:?}: {why}"))
}

/// Replaces `%{NAME}` by what the environment says.
pub fn expand(text: &str, environment: Environment<'_>) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once("%{") {
        let (name, behind) = behind.split_once('}').ok_or("%{ without }")?;
        out.push_str(before);
        out.push_str(&environment(name).ok_or_else(|| format!("the environment has no {name}"))?);
        rest = behind;
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(name: &str) -> Option<String> {
        (name == "A").then(|| "x%{A}".to_string())
    }

    #[test]
    fn names_in_braces_are_replaced_once() {
        assert_eq!(expand("1%{A}2 %A %{A}", &environment), Ok("1x%{A}2 %A x%{A}".to_string()));
        assert_eq!(expand("%{B}", &environment), Err("the environment has no B".to_string()));
        assert_eq!(expand("%{A", &environment), Err("%{ without }".to_string()));
    }

    #[test]
    fn files_are_bounded() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("f").display().to_string();
        std::fs::write(&path, "a=%{A}").expect("it can be written");
        assert_eq!(read_text(&format!("file://{path}"), 6, &environment), Ok("a=x%{A}".to_string()));
        assert!(read_text(&path, 5, &environment).expect_err("too long").contains("longer than 5 bytes"));
        assert!(read(&format!("{path}x"), 5).expect_err("there is none").contains("cannot read"));
    }
}
