//! What senders tell about metrics: kind, help and unit of a family, per tenant.
//!
//! Changes are logged like samples. The whole is written to a file before the log's segments with the changes are dropped.

use std::{collections::BTreeMap, path::Path};

use codec::bytes::{Malformed, Reader, put_len_prefixed, put_varint};
use disk::{Corrupt, Disk};
use model::Tenant;
use parking_lot::Mutex;
use storage_api::{MetadataEntry, MetricMetadata};

use crate::manifest::LoadError;

/// So many families are kept in all; further ones are not taken.
const FAMILIES_MAX: usize = 200_000;
/// Longer texts are cut off, at a character.
const TEXT_BYTES_MAX: usize = 4096;
/// No metadata file is longer.
const FILE_BYTES_MAX: u64 = 1 << 32;
const MAGIC: [u8; 8] = *b"BSLTMETA";
const FORMAT_VERSION: u32 = 1;

/// The metadata of all tenants.
#[derive(Debug, Default)]
pub struct MetadataTable(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    families: BTreeMap<(Tenant, String), Texts>,
    changed: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Texts {
    kind: String,
    help: String,
    unit: String,
}

impl MetadataTable {
    /// Takes what is new of `entries`, and appends it to `record` for the log. Gives whether anything was new.
    pub fn update(&self, tenant: Tenant, entries: &[MetricMetadata<'_>], record: &mut Vec<u8>) -> bool {
        let mut table = self.0.lock();
        let mut any = false;
        for entry in entries {
            let texts = Texts { kind: cut(entry.kind), help: cut(entry.help), unit: cut(entry.unit) };
            let key = (tenant, cut(entry.metric));
            let full = table.families.len() >= FAMILIES_MAX;
            match table.families.get(&key) {
                Some(have) if *have == texts => continue,
                None if full => continue,
                _ => {}
            }
            write_entry(record, &key, &texts);
            table.families.insert(key, texts);
            any = true;
        }
        table.changed |= any;
        any
    }

    /// Takes a record of the log.
    pub fn replay(&self, record: &[u8]) -> Result<(), Malformed> {
        let mut reader = Reader::new(record);
        let mut table = self.0.lock();
        while !reader.is_empty() {
            let (key, texts) = read_entry(&mut reader)?;
            table.families.insert(key, texts);
            table.changed = true;
        }
        Ok(())
    }

    /// What is known, by metric.
    pub fn list(&self, tenant: Tenant, metric: Option<&str>, limit: usize) -> Vec<MetadataEntry> {
        let table = self.0.lock();
        let from = (tenant, metric.unwrap_or_default().to_string());
        table
            .families
            .range(from..)
            .take_while(|((of, name), _)| *of == tenant && metric.is_none_or(|metric| metric == name))
            .take(limit)
            .map(|((_, metric), texts)| MetadataEntry {
                metric: metric.clone(),
                kind: texts.kind.clone(),
                help: texts.help.clone(),
                unit: texts.unit.clone(),
            })
            .collect()
    }

    /// Writes the table, if it changed since it was last written.
    pub fn publish(&self, disk: &dyn Disk, path: &Path) -> Result<(), disk::Error> {
        let bytes = {
            let mut table = self.0.lock();
            if !std::mem::take(&mut table.changed) {
                return Ok(());
            }
            table.to_bytes()
        };
        disk::publish_file(disk, path, &bytes).inspect_err(|_| self.0.lock().changed = true)
    }

    /// The bytes of the file.
    #[cfg(test)]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.lock().to_bytes()
    }

    /// Reads the bytes of the file.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        Ok(Self(Mutex::new(Table::from_bytes(bytes)?)))
    }

    /// Reads the table.
    pub fn load(disk: &dyn Disk, path: &Path) -> Result<Self, LoadError> {
        if !disk.exists(path).map_err(LoadError::Disk)? {
            return Ok(Self::default());
        }
        let bytes = disk.read(path, FILE_BYTES_MAX).map_err(LoadError::Disk)?;
        Self::from_bytes(&bytes).map_err(|what| LoadError::Corrupt(Corrupt::new(path, 0, what)))
    }
}

impl Table {
    fn to_bytes(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
        for (key, texts) in &self.families {
            write_entry(&mut out, key, texts);
        }
        let crc = disk::crc32c(&out);
        out.extend_from_slice(&crc.to_le_bytes());
        out
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        let Some((body, crc)) = bytes.split_last_chunk::<4>() else { return Err("the file is cut".into()) };
        if body.get(..8) != Some(&MAGIC[..]) || body.len() < 12 {
            return Err("wrong magic: not a metadata file".into());
        }
        let version = u32::from_le_bytes([body[8], body[9], body[10], body[11]]);
        if version != FORMAT_VERSION {
            return Err(format!("format version {version}, this program reads up to {FORMAT_VERSION}"));
        }
        if disk::crc32c(body).to_le_bytes() != *crc {
            return Err("the checksum does not match".into());
        }
        let mut reader = Reader::new(&body[12..]);
        let mut table = Self::default();
        while !reader.is_empty() {
            let (key, texts) = read_entry(&mut reader).map_err(|error| error.to_string())?;
            table.families.insert(key, texts);
        }
        Ok(table)
    }
}

fn write_entry(out: &mut Vec<u8>, (tenant, metric): &(Tenant, String), texts: &Texts) {
    put_varint(out, u64::from(tenant.account));
    put_varint(out, u64::from(tenant.project));
    for text in [metric, &texts.kind, &texts.help, &texts.unit] {
        put_len_prefixed(out, text.as_bytes());
    }
}

fn read_entry(reader: &mut Reader<'_>) -> Result<((Tenant, String), Texts), Malformed> {
    let tenant = Tenant::new(reader.varint()? as u32, reader.varint()? as u32);
    let mut text = || {
        let offset = reader.position();
        let bytes = reader.len_prefixed(TEXT_BYTES_MAX)?;
        String::from_utf8(bytes.to_vec()).map_err(|_| Malformed { what: "text that is not UTF-8", offset })
    };
    Ok(((tenant, text()?), Texts { kind: text()?, help: text()?, unit: text()? }))
}

fn cut(text: &str) -> String {
    text[..text.floor_char_boundary(TEXT_BYTES_MAX)].to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry<'a>(metric: &'a str, help: &'a str) -> MetricMetadata<'a> {
        MetricMetadata { metric, kind: "counter", help, unit: "s" }
    }

    #[test]
    fn only_news_are_logged_and_survive() {
        let table = MetadataTable::default();
        let mut record = Vec::new();
        let long = "ü".repeat(TEXT_BYTES_MAX);
        assert!(table.update(Tenant::DEFAULT, &[entry("b", &long), entry("a", "h")], &mut record));
        let len = record.len();
        assert!(!table.update(Tenant::DEFAULT, &[entry("a", "h")], &mut record));
        assert_eq!(record.len(), len);

        let again = MetadataTable::default();
        again.replay(&record).expect("the record is whole");
        let listed = again.list(Tenant::DEFAULT, None, 10);
        assert_eq!(listed, table.list(Tenant::DEFAULT, None, 10));
        assert_eq!(listed.iter().map(|entry| entry.metric.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(again.list(Tenant::new(1, 0), None, 10), []);
        assert_eq!(again.list(Tenant::DEFAULT, Some("b"), 10).len(), 1);

        let bytes = again.0.lock().to_bytes();
        assert_eq!(Table::from_bytes(&bytes).expect("it comes back").families.len(), 2);
        assert!(Table::from_bytes(&bytes[..bytes.len() - 1]).is_err());
    }
}
