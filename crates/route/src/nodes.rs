//! Storage nodes by name, in groups, and how many copies are wanted.
//!
//! 1. A node is written `host`, `host:port` or `group/host:port`; without a port it has that of the role that is asked for.
//! 2. `-replicationFactor` is a number for all groups or a list such as `g0:2,g1:3`; a bare number in the list is for all groups that it does not name.
//! 3. `-globalReplicationFactor` says in how many groups each series is written.
//! 4. A [`NodeList`] is sorted and has no node twice, so that two lists with the same nodes are the same list.

use std::{collections::BTreeMap, fmt};

/// Copies of a series, over all groups.
pub const COPIES_MAX: usize = 16;
/// Nodes of a cluster.
pub const NODES_MAX: usize = 1024;
/// Bytes of a node's name.
pub const NAME_BYTES_MAX: usize = 512;

/// Where a storage node is, and in which group.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeName {
    /// The group; empty if nodes have none.
    pub group: String,
    /// `host:port`.
    pub address: String,
}

/// A node, a list or a replication factor that cannot be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodesError(pub String);

impl fmt::Display for NodesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NodesError {}

impl NodeName {
    /// Reads `host`, `host:port` or `group/host:port`.
    pub fn parse(text: &str, port: u16) -> Result<Self, NodesError> {
        let text = text.trim();
        let (group, host) = text.rsplit_once('/').unwrap_or(("", text));
        Self::in_group(group, host, port)
    }

    /// The host of its address.
    pub(crate) fn host(&self) -> &str {
        self.address.rsplit_once(':').map_or(&self.address, |(host, _)| host)
    }

    /// Whether two names may mean the same node, at two ports.
    pub(crate) fn is_same_host(&self, other: &Self) -> bool {
        self.group == other.group && self.host() == other.host()
    }

    /// A node of a group, by its address with or without a port.
    pub fn in_group(group: &str, host: &str, port: u16) -> Result<Self, NodesError> {
        let wrong = |why: &str| Err(NodesError(format!("cannot read storage node {host:?}: {why}")));
        let host = host.trim();
        if host.is_empty() || host.len() + group.len() > NAME_BYTES_MAX {
            return wrong("want host:port or group/host:port");
        }
        if host.chars().chain(group.chars()).any(|c| c.is_whitespace() || c.is_control() || c == ',') {
            return wrong("a name holds no spaces and no commas");
        }
        let address = match port_of(host) {
            Some(port) if port.parse::<u16>().is_ok() => host.to_string(),
            Some(port) => return wrong(&format!("{port:?} is no port")),
            None => format!("{host}:{port}"),
        };
        Ok(Self { group: group.to_string(), address })
    }
}

/// The port in `host:port` and `[v6]:port`.
fn port_of(host: &str) -> Option<&str> {
    let behind = host.rfind(']').map_or(0, |end| end + 1);
    let at = host[behind..].rfind(':')? + behind;
    // A bare IPv6 address has many colons and no port.
    (behind > 0 || !host[..at].contains(':')).then(|| &host[at + 1..])
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.group.is_empty() { f.write_str(&self.address) } else { write!(f, "{}/{}", self.group, self.address) }
    }
}

/// The nodes of a cluster: sorted, each once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NodeList(Vec<NodeName>);

impl NodeList {
    /// A list of these nodes. An address that stands there twice, in two groups also, is an error: its copies would be one.
    pub fn new(mut nodes: Vec<NodeName>) -> Result<Self, NodesError> {
        nodes.sort_unstable();
        let mut addresses: Vec<&str> = nodes.iter().map(|node| node.address.as_str()).collect();
        addresses.sort_unstable();
        if let Some(twice) = addresses.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(NodesError(format!("storage node {:?} stands there twice", twice[0])));
        }
        if nodes.len() > NODES_MAX {
            return Err(NodesError(format!("{} storage nodes, at most {NODES_MAX} are taken", nodes.len())));
        }
        Ok(Self(nodes))
    }

    /// The nodes, sorted.
    pub fn nodes(&self) -> &[NodeName] {
        &self.0
    }

    /// What the shard map goes by: hosts without their ports, because an insert and a select reach the same node at different ones. Nodes of one host are
    /// told apart by the order of their ports.
    pub fn identities(&self) -> Vec<String> {
        let parts = |node: &NodeName| {
            let (host, port) = node.address.rsplit_once(':').unwrap_or((&node.address, "0"));
            (host.to_string(), port.parse::<u16>().unwrap_or(0))
        };
        let all: Vec<(String, u16)> = self.0.iter().map(parts).collect();
        let rank = |host: &str, port: u16| all.iter().filter(|(other, lower)| other == host && *lower < port).count();
        let identity =
            |(node, (host, port)): (&NodeName, &(String, u16))| format!("{}/{host}#{}", node.group, rank(host, *port));
        self.0.iter().zip(&all).map(identity).collect()
    }

    /// The groups with the places of their nodes.
    pub fn groups(&self) -> BTreeMap<&str, Vec<usize>> {
        let mut groups = BTreeMap::<_, Vec<_>>::new();
        for (place, node) in self.0.iter().enumerate() {
            groups.entry(node.group.as_str()).or_default().push(place);
        }
        groups
    }
}

/// How many copies are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replication {
    by_group: BTreeMap<String, usize>,
    otherwise: usize,
    groups: usize,
}

impl Default for Replication {
    fn default() -> Self {
        Self::copies(1)
    }
}

impl Replication {
    /// So many copies, in one group.
    pub fn copies(copies: usize) -> Self {
        Self { by_group: BTreeMap::new(), otherwise: copies.clamp(1, COPIES_MAX), groups: 1 }
    }

    /// Reads the values of `-replicationFactor`, and in how many groups copies are wanted.
    pub fn parse(values: &[String], groups: usize) -> Result<Self, NodesError> {
        let mut replication = Self { groups: groups.max(1), ..Self::copies(1) };
        for value in values.iter().flat_map(|value| value.split(',')).map(str::trim).filter(|value| !value.is_empty()) {
            let (group, number) = value.rsplit_once(':').map_or((None, value), |(group, number)| (Some(group), number));
            let copies = number.parse().ok().filter(|copies| (1..=COPIES_MAX).contains(copies));
            let Some(copies) = copies else {
                let why = format!("want a number from 1 to {COPIES_MAX}, or a list such as g0:2,g1:2");
                return Err(NodesError(format!("cannot read replication factor {value:?}: {why}")));
            };
            match group {
                None => replication.otherwise = copies,
                Some(group) => drop(replication.by_group.insert(group.to_string(), copies)),
            }
        }
        Ok(replication)
    }

    /// How many nodes of a group hold each of its series.
    pub fn in_group(&self, group: &str) -> usize {
        self.by_group.get(group).copied().unwrap_or(self.otherwise)
    }

    /// How many groups hold each series.
    pub fn groups(&self) -> usize {
        self.groups
    }

    /// Whether each series has one copy, whatever the groups.
    pub fn is_single(&self) -> bool {
        self.groups == 1 && self.otherwise == 1 && self.by_group.values().all(|copies| *copies == 1)
    }

    /// Whether these nodes can hold so many copies.
    pub fn check(&self, list: &NodeList) -> Result<(), NodesError> {
        let groups = list.groups();
        if groups.is_empty() {
            return Err(NodesError("there is no storage node".into()));
        }
        if groups.len() < self.groups {
            let why = format!("{} groups of storage nodes cannot hold {} copies", groups.len(), self.groups);
            return Err(NodesError(format!("{why}, as -globalReplicationFactor asks")));
        }
        let mut most: Vec<usize> = groups.keys().map(|group| self.in_group(group)).collect();
        most.sort_unstable_by(|a, b| b.cmp(a));
        if most.iter().take(self.groups).sum::<usize>() > COPIES_MAX {
            return Err(NodesError(format!("more than {COPIES_MAX} copies of each series")));
        }
        match groups.iter().find(|(group, nodes)| nodes.len() < self.in_group(group)) {
            None => Ok(()),
            Some((group, nodes)) => {
                let of = if group.is_empty() { String::new() } else { format!(" of group {group:?}") };
                let (have, want) = (nodes.len(), self.in_group(group));
                Err(NodesError(format!(
                    "{have} storage nodes{of} cannot hold {want} copies, as -replicationFactor asks"
                )))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str) -> Result<NodeList, NodesError> {
        let nodes: Result<Vec<_>, _> = text.split(',').map(|node| NodeName::parse(node, 8400)).collect();
        NodeList::new(nodes?)
    }

    #[test]
    fn names_have_groups_and_ports() {
        for (text, want) in [
            ("a", "a:8400"),
            ("a:1", "a:1"),
            ("g0/a", "g0/a:8400"),
            ("g0/10.0.0.1:9", "g0/10.0.0.1:9"),
            ("[::1]:7", "[::1]:7"),
            ("[::1]", "[::1]:8400"),
        ] {
            assert_eq!(NodeName::parse(text, 8400).map(|name| name.to_string()), Ok(want.to_string()), "{text}");
        }
        for wrong in ["", "g0/", "a:b", "a:99999", "a b"] {
            assert!(NodeName::parse(wrong, 8400).is_err(), "{wrong}");
        }
    }

    #[test]
    fn lists_are_sorted_and_have_no_node_twice() {
        assert_eq!(list("b,a").expect("a list"), list("a,b:8400").expect("a list"));
        assert!(list("a,a:8400").expect_err("twice").0.contains("\"a:8400\" stands there twice"));
        assert!(list("g0/a,g1/a").is_err());
    }

    #[test]
    fn ports_are_no_part_of_a_nodes_identity() {
        let (insert, select) =
            (list("b:8400,a:9998,g/c,a:10000").expect("a list"), list("a:10001,b:8401,g/c:1,a:9999"));
        let mut seen = [insert, select.expect("a list")].map(|list| list.identities());
        seen.iter_mut().for_each(|identities| identities.sort_unstable());
        assert_eq!(seen[0], ["/a#0", "/a#1", "/b#0", "g/c#0"]);
        assert_eq!(seen[0], seen[1]);
    }

    #[test]
    fn replication_factors_are_for_all_groups_or_for_each() {
        let parse = |values: &[&str]| {
            let values: Vec<String> = values.iter().map(|value| (*value).to_string()).collect();
            Replication::parse(&values, 1)
        };
        let one = parse(&["3"]).expect("a number");
        assert_eq!((one.in_group(""), one.in_group("g")), (3, 3));
        let each = parse(&["g0:2,g1:3", "4"]).expect("a list");
        assert_eq!(["g0", "g1", "g2"].map(|group| each.in_group(group)), [2, 3, 4]);
        assert_eq!(parse(&[]).expect("nothing").in_group("g"), 1);
        for wrong in ["0", "x", "g0:", "g0:0", "17"] {
            assert!(parse(&[wrong]).is_err(), "{wrong}");
        }
    }

    #[test]
    fn too_few_nodes_are_named() {
        let check = |nodes: &str, factor: &str, groups| {
            let replication = Replication::parse(&[factor.to_string()], groups).expect("a factor");
            replication.check(&list(nodes).expect("a list")).map_err(|error| error.0)
        };
        assert_eq!(check("a,b", "2", 1), Ok(()));
        assert!(check("a", "2", 1).is_err_and(|why| why.contains("1 storage nodes cannot hold 2")));
        assert!(check("g/a,h/b,h/c", "h:2,g:2", 1).is_err_and(|why| why.contains("of group \"g\"")));
        assert!(check("g/a,h/b", "1", 3).is_err_and(|why| why.contains("2 groups")));
        assert_eq!(check("g/a,h/b", "1", 2), Ok(()));
    }
}
