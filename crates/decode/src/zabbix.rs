//! Lines of the Zabbix connector: item values as JSON, one a line.
//!
//! ```text
//! {"host":{"host":"srv","name":"Server"},"groups":["Linux"],"item_tags":[{"tag":"area","value":"cpu"}],
//!  "itemid":7,"name":"load","clock":1700000000,"ns":500000000,"value":0.5,"type":0}
//! ```
//!
//! 1. `name` names the series; host, its visible name, and the item's tags (`tag_area`) are labels. Groups become labels if a value for them is set.
//! 2. Values that are no numbers are left out without a word: the connector is told by its own settings which it sends.

use std::borrow::Cow;

use crate::{
    Malformed,
    json::{Json, Kind},
    rows::{LineReader, NAME, Rows},
};

const NANOSECONDS_PER_MS: i64 = 1_000_000;
/// Items of these types have numbers.
const NUMERIC: [i64; 2] = [0, 3];
/// No item has more tags.
const TAGS_MAX: usize = 1000;

/// What becomes of groups and tags.
#[derive(Debug, Clone, Default)]
pub struct ZabbixStyle {
    /// The value of labels that are made of groups; none are made if it is empty.
    pub groups_value: String,
    /// The value of tags that have none; they are left away if it is empty.
    pub empty_tags_value: String,
    /// What stands between the values of a tag that is there more than once; if it is empty, the last value is taken.
    pub duplicate_tags_separator: String,
}

/// Reads lines.
#[derive(Debug)]
pub struct Zabbix<'a> {
    style: &'a ZabbixStyle,
    now: i64,
}

impl<'a> Zabbix<'a> {
    /// A reader of lines that came at `now`.
    pub fn new(style: &'a ZabbixStyle, now: i64) -> Self {
        Self { style, now }
    }

    fn groups(&self, json: &mut Json<'_>, rows: &mut Rows) -> Result<(), Malformed> {
        let mut groups = json.array()?;
        while json.item(&mut groups)? {
            let group = json.string()?;
            rows.label(format!("group_{group}").as_bytes(), self.style.groups_value.as_bytes());
        }
        Ok(())
    }

    fn tags(&self, json: &mut Json<'_>, rows: &mut Rows) -> Result<(), Malformed> {
        let mut tags: Vec<(Cow<'_, str>, String)> = Vec::new();
        let mut items = json.array()?;
        while json.item(&mut items)? {
            if tags.len() >= TAGS_MAX {
                return json.wrong("an item with too many tags");
            }
            let (name, value) = tag(json)?;
            let value = if value.is_empty() { self.style.empty_tags_value.clone() } else { value.into_owned() };
            if value.is_empty() {
                continue;
            }
            match tags.iter_mut().find(|(have, _)| *have == name) {
                Some((_, all)) if !self.style.duplicate_tags_separator.is_empty() => {
                    all.push_str(&self.style.duplicate_tags_separator);
                    all.push_str(&value);
                }
                Some((_, last)) => *last = value,
                None => tags.push((name, value)),
            }
        }
        for (name, value) in &tags {
            rows.label(format!("tag_{name}").as_bytes(), value.as_bytes());
        }
        Ok(())
    }
}

impl LineReader for Zabbix<'_> {
    fn read(&mut self, line: &[u8], rows: &mut Rows) -> Result<(), Malformed> {
        let mut json = Json::new(line)?;
        let (mut named, mut value, mut seconds, mut nanoseconds, mut kind) = (false, None, None, 0, None);
        let mut members = json.object()?;
        while let Some(key) = json.key(&mut members)? {
            match &*key {
                "host" => host(&mut json, rows)?,
                "name" => {
                    let name = json.string()?;
                    rows.label(NAME, name.as_bytes());
                    named = !name.is_empty();
                }
                "groups" => self.groups(&mut json, rows)?,
                "item_tags" => self.tags(&mut json, rows)?,
                "clock" => seconds = Some(json.integer()?),
                "ns" => nanoseconds = json.integer()?,
                "type" => kind = Some(json.integer()?),
                "value" if json.peek()? == Kind::Number => value = Some(json.float()?),
                _ => json.skip()?,
            }
        }
        json.end()?;
        if kind.is_some_and(|kind| !NUMERIC.contains(&kind)) {
            rows.rewind(rows.mark());
            return Ok(());
        }
        let (true, Some(value)) = (named, value) else {
            return json.wrong("a name or a number as value are missing");
        };
        let time = match seconds {
            Some(seconds) => seconds.saturating_mul(1000).saturating_add(nanoseconds / NANOSECONDS_PER_MS),
            None => self.now,
        };
        rows.sample(time, value);
        rows.finish()
    }
}

fn host(json: &mut Json<'_>, rows: &mut Rows) -> Result<(), Malformed> {
    let mut members = json.object()?;
    while let Some(key) = json.key(&mut members)? {
        match &*key {
            "host" => rows.label(b"host", json.string()?.as_bytes()),
            "name" => rows.label(b"hostname", json.string()?.as_bytes()),
            _ => json.skip()?,
        }
    }
    Ok(())
}

fn tag<'a>(json: &mut Json<'a>) -> Result<(Cow<'a, str>, Cow<'a, str>), Malformed> {
    let (mut name, mut value) = (Cow::Borrowed(""), Cow::Borrowed(""));
    let mut members = json.object()?;
    while let Some(key) = json.key(&mut members)? {
        match &*key {
            "tag" => name = json.string()?,
            "value" => value = json.string()?,
            _ => json.skip()?,
        }
    }
    Ok((name, value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::tests::read_lines;

    const LINE: &str = r#"{"host":{"host":"srv","name":"Server 1"},"groups":["A","B"],"item_tags":[{"tag":"t","value":"1"},
        {"tag":"e","value":""},{"tag":"t","value":"2"}],"itemid":44457,"name":"load","clock":1673454303,"ns":800155804,"value":0.5,"type":0}"#;

    #[test]
    fn items_become_rows() {
        let line = LINE.replace('\n', "");
        let plain = ZabbixStyle::default();
        let labels = "host=srv,hostname=Server 1";
        assert_eq!(
            read_lines(&mut Zabbix::new(&plain, 99), &line),
            [format!("{labels},tag_t=2,__name__=load 0.5@1673454303800")]
        );
        let full = ZabbixStyle {
            groups_value: "yes".into(),
            empty_tags_value: "none".into(),
            duplicate_tags_separator: "|".into(),
        };
        assert_eq!(
            read_lines(&mut Zabbix::new(&full, 99), &line),
            [format!("{labels},group_A=yes,group_B=yes,tag_t=1|2,tag_e=none,__name__=load 0.5@1673454303800")]
        );
        let text = line.replace("\"type\":0", "\"type\":4").replace("\"value\":0.5", "\"value\":\"x\"");
        assert!(read_lines(&mut Zabbix::new(&plain, 99), &text).is_empty());
        for broken in ["{}", "[]", "x", r#"{"name":"m","value":"1","type":0}"#, r#"{"value":1}"#, r#"{"name":1}"#] {
            let said = read_lines(&mut Zabbix::new(&plain, 99), broken);
            assert!(said.len() == 1 && said[0].starts_with('!'), "{broken}: {said:?}");
        }
        assert_eq!(read_lines(&mut Zabbix::new(&plain, 99), r#"{"name":"m","value":1}"#), ["__name__=m 1@99"]);
    }
}
