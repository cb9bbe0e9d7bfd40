//! Where the list of storage nodes comes from.
//!
//! 1. A value of `-storageNode` is a node, `file:path` (one node per line), or `dns+host:port` (all addresses of a name); each may have a group before it.
//! 2. What is found is filtered by a regular expression over addresses, and brought into one list.
//! 3. If any source fails, the whole list does, and the one before stays: a node that is not seen for a moment keeps its shards.

use std::net::IpAddr;

use regex::Regex;
use storage_api::BoxFuture;

use crate::nodes::{NodeList, NodeName, NodesError};

/// Reads what sources name.
pub trait Sources: Send + Sync {
    /// The text of a file or URL.
    fn text<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<String, String>>;

    /// The addresses of a host.
    fn addresses<'a>(&'a self, host: &'a str) -> BoxFuture<'a, Result<Vec<IpAddr>, String>>;
}

/// See the module.
#[derive(Debug, Clone)]
pub struct Discovery {
    sources: Vec<(String, Source)>,
    filter: Option<Regex>,
    port: u16,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Source {
    Node(NodeName),
    File(String),
    Host { host: String, port: u16 },
}

impl Discovery {
    /// Reads the values of `-storageNode` and `-storageNode.filter`. Nodes without a port have `port`.
    pub fn parse(values: &[String], filter: &str, port: u16) -> Result<Self, NodesError> {
        let mut sources = Vec::new();
        for value in values.iter().map(|value| value.trim()).filter(|value| !value.is_empty()) {
            let (group, rest) = split_group(value);
            let source = if let Some(path) = rest.strip_prefix("file:") {
                Source::File(path.to_string())
            } else if let Some(name) = rest.strip_prefix("dns+") {
                let name = NodeName::in_group("", name, port)?.address;
                let (host, port) = name.rsplit_once(':').expect("BUG: an address without a port");
                Source::Host { host: host.to_string(), port: port.parse().expect("BUG: a port that is no number") }
            } else if rest.starts_with("srv+") {
                let why = "SRV records are not looked up; want host:port, file:path or dns+host:port";
                return Err(NodesError(format!("cannot read storage node {value:?}: {why}")));
            } else {
                Source::Node(NodeName::in_group(group, rest, port)?)
            };
            sources.push((group.to_string(), source));
        }
        let wrong = |why| NodesError(format!("cannot read the filter of storage nodes {filter:?}: {why}"));
        let filter = (!filter.is_empty()).then(|| Regex::new(filter).map_err(wrong)).transpose()?;
        Ok(Self { sources, filter, port })
    }

    /// Whether the list can change.
    pub fn is_dynamic(&self) -> bool {
        self.sources.iter().any(|(_, source)| !matches!(source, Source::Node(_)))
    }

    /// The list as it is now.
    pub async fn list(&self, read: &dyn Sources) -> Result<NodeList, NodesError> {
        let mut nodes = Vec::new();
        for (group, source) in &self.sources {
            match source {
                Source::Node(name) => nodes.push(name.clone()),
                Source::File(path) => {
                    let failed = |why| NodesError(format!("cannot read storage nodes from {path:?}: {why}"));
                    let text = read.text(path).await.map_err(failed)?;
                    let lines = text.lines().map(|line| line.split('#').next().unwrap_or("").trim());
                    for line in lines.filter(|line| !line.is_empty()) {
                        let own = NodeName::parse(line, self.port)?;
                        nodes.push(if own.group.is_empty() { NodeName { group: group.clone(), ..own } } else { own });
                    }
                }
                Source::Host { host, port } => {
                    let failed = |why| NodesError(format!("cannot find the storage nodes of {host:?}: {why}"));
                    for address in read.addresses(host).await.map_err(failed)? {
                        let host = if address.is_ipv6() { format!("[{address}]") } else { address.to_string() };
                        nodes.push(NodeName::in_group(group, &host, *port)?);
                    }
                }
            }
        }
        if let Some(filter) = &self.filter {
            nodes.retain(|node| filter.is_match(&node.address));
        }
        NodeList::new(nodes)
    }
}

/// The group before a source. The path of a file may have slashes of its own.
fn split_group(value: &str) -> (&str, &str) {
    let is_source = |text: &str| ["file:", "dns+", "srv+"].iter().any(|scheme| text.starts_with(scheme));
    if is_source(value) {
        return ("", value);
    }
    match value.split_once('/') {
        Some((group, rest)) if is_source(rest) => (group, rest),
        _ => value.rsplit_once('/').unwrap_or(("", value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed;

    impl Sources for Fixed {
        fn text<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<String, String>> {
            Box::pin(async move {
                if path == "/etc/nodes" { Ok("a\n# none\n g9/b:1 # two\n\n".into()) } else { Err("not there".into()) }
            })
        }

        fn addresses<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Vec<IpAddr>, String>> {
            Box::pin(async { Ok(vec![[10, 0, 0, 2].into(), "::5".parse().expect("an address")]) })
        }
    }

    async fn list(values: &str, filter: &str) -> Result<String, String> {
        let values: Vec<String> = values.split(',').map(str::to_string).collect();
        let discovery = Discovery::parse(&values, filter, 8400).map_err(|error| error.0)?;
        let list = discovery.list(&Fixed).await.map_err(|error| error.0)?;
        Ok(list.nodes().iter().map(|node| node.to_string()).collect::<Vec<_>>().join(" "))
    }

    #[tokio::test]
    async fn sources_become_one_list() {
        let ok = |text: &str| Ok(text.to_string());
        assert_eq!(list("b,a:1,g/c", "").await, ok("a:1 b:8400 g/c:8400"));
        assert_eq!(list("g1/file:/etc/nodes,z", "").await, ok("z:8400 g1/a:8400 g9/b:1"));
        assert_eq!(list("g2/dns+storage:7", "").await, ok("g2/10.0.0.2:7 g2/[::5]:7"));
        assert_eq!(list("file:/etc/nodes,x:9", "^[^:]+:8400$").await, ok("a:8400"));
        assert!(
            list("file:/nowhere", "").await.is_err_and(|why| why.contains("/nowhere") && why.contains("not there"))
        );
        assert!(list("srv+x", "").await.is_err() && list("a", "(").await.is_err());
    }
}
