//! YAML as a tree whose scalars keep the text they were written as.
//!
//! `regex: 1.10` is the text `1.10`, not a number that loses its zero; only a plain empty, `~` or `null` scalar is nothing. An alias is the node that
//! its anchor names, shared and not copied, so that no file grows in memory.

use std::rc::Rc;

use saphyr_parser::{Event, Parser, ScalarStyle, Span, StrInput};

/// Lists and maps inside each other.
const DEPTH_MAX: usize = 32;

/// A node.
#[derive(Debug)]
pub struct Node {
    /// The line it begins at, from 1.
    pub line: usize,
    /// What it is.
    pub value: Value,
}

/// What a node is.
#[derive(Debug)]
pub enum Value {
    /// Nothing.
    Null,
    /// A scalar.
    Text(String),
    /// A list.
    List(Vec<Rc<Node>>),
    /// A map, in the order of the file.
    Map(Vec<(Key, Rc<Node>)>),
}

/// The name of a map's entry.
#[derive(Debug)]
pub struct Key {
    /// The name.
    pub name: String,
    /// The line it stands at, from 1.
    pub line: usize,
}

/// What is wrong, and in which line.
#[derive(Debug)]
pub struct Malformed {
    pub line: usize,
    pub why: String,
}

struct Loader<'a> {
    parser: Parser<'a, StrInput<'a>>,
    anchors: Vec<(usize, Rc<Node>)>,
}

/// Reads the one document of a text; an empty text is [`Value::Null`].
pub fn read(text: &str) -> Result<Rc<Node>, Malformed> {
    let mut loader = Loader { parser: Parser::new_from_str(text), anchors: Vec::new() };
    let mut root = None;
    loop {
        let (event, span) = loader.next()?;
        match event {
            Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd | Event::Nothing => {}
            Event::StreamEnd => {
                return Ok(root.unwrap_or_else(|| Rc::new(Node { line: 1, value: Value::Null })));
            }
            _ if root.is_some() => return Err(malformed(span, "a second document; only one is read")),
            event => root = Some(loader.node(event, span, 0)?),
        }
    }
}

fn malformed(span: Span, why: impl Into<String>) -> Malformed {
    Malformed { line: span.start.line(), why: why.into() }
}

impl<'a> Loader<'a> {
    fn next(&mut self) -> Result<(Event<'a>, Span), Malformed> {
        match self.parser.next_event() {
            Some(Ok(found)) => Ok(found),
            Some(Err(error)) => Err(Malformed { line: error.marker().line(), why: error.info().to_string() }),
            None => Err(Malformed { line: 0, why: "the file ends too early".to_string() }),
        }
    }

    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Rc<Node>, Malformed> {
        if depth > DEPTH_MAX {
            return Err(malformed(span, format!("more than {DEPTH_MAX} lists and maps inside each other")));
        }
        let (value, anchor) = match event {
            Event::Alias(anchor) => {
                let known = self.anchors.iter().find(|(number, _)| *number == anchor);
                return known.map(|(_, node)| Rc::clone(node)).ok_or_else(|| malformed(span, "an alias of nothing"));
            }
            Event::Scalar(text, style, anchor, _) => {
                let nothing = style == ScalarStyle::Plain && matches!(&*text, "" | "~" | "null" | "Null" | "NULL");
                (if nothing { Value::Null } else { Value::Text(text.into_owned()) }, anchor)
            }
            Event::SequenceStart(anchor, _) => (Value::List(self.list(depth)?), anchor),
            Event::MappingStart(anchor, _) => (Value::Map(self.map(depth)?), anchor),
            other => return Err(malformed(span, format!("unexpected {other:?}"))),
        };
        let node = Rc::new(Node { line: span.start.line(), value });
        if anchor > 0 {
            self.anchors.push((anchor, Rc::clone(&node)));
        }
        Ok(node)
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Rc<Node>>, Malformed> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(items),
                (event, span) => items.push(self.node(event, span, depth + 1)?),
            }
        }
    }

    fn map(&mut self, depth: usize) -> Result<Vec<(Key, Rc<Node>)>, Malformed> {
        let mut entries: Vec<(Key, Rc<Node>)> = Vec::new();
        loop {
            let (name, line) = match self.next()? {
                (Event::MappingEnd, _) => return Ok(entries),
                (Event::Scalar(name, ..), span) => (name.into_owned(), span.start.line()),
                (_, span) => return Err(malformed(span, "want a plain name before the colon")),
            };
            let (event, span) = self.next()?;
            if entries.iter().any(|(known, _)| known.name == name) {
                return Err(malformed(span, format!("`{name}` stands there twice")));
            }
            let node = self.node(event, span, depth + 1)?;
            entries.push((Key { name, line }, node));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(node: &Node) -> String {
        match &node.value {
            Value::Null => "-".to_string(),
            Value::Text(text) => format!("{text:?}"),
            Value::List(items) => format!("[{}]", items.iter().map(|item| show(item)).collect::<Vec<_>>().join(" ")),
            Value::Map(entries) => {
                let entries = entries.iter().map(|(key, node)| format!("{}@{}={}", key.name, key.line, show(node)));
                format!("{{{}}}", entries.collect::<Vec<_>>().join(" "))
            }
        }
    }

    #[test]
    fn scalars_keep_their_text() {
        for (text, want) in [
            ("", "-"),
            ("# nothing\n", "-"),
            (
                "a: 1.10\nb: yes\nc: 'x''y'\nd:\ne: ~\nf: \"\"\n",
                r#"{a@1="1.10" b@2="yes" c@3="x'y" d@4=- e@5=- f@6=""}"#,
            ),
            ("- [a, 'b']\n- |\n  c\n  d\n", r#"[["a" "b"] "c\nd\n"]"#),
            ("- &x {a: 1}\n- *x\n", r#"[{a@1="1"} {a@1="1"}]"#),
        ] {
            assert_eq!(read(text).map(|node| show(&node)).map_err(|error| error.why), Ok(want.to_string()), "{text}");
        }
    }

    #[test]
    fn errors_name_the_line() {
        for (text, line, part) in [
            ("a: 1\na: 2\n", 2, "twice"),
            ("a: [1\n", 2, ""),
            ("a: 1\n---\nb: 2\n", 3, "second document"),
            ("? [a]\n: b\n", 1, "plain name"),
        ] {
            let error = read(text).expect_err(text);
            assert!(error.line == line && error.why.contains(part), "{text}: {error:?}");
        }
        let deep = format!("{}{}", "[".repeat(100), "]".repeat(100));
        assert!(read(&deep).expect_err("too deep").why.contains("inside each other"));
    }
}
