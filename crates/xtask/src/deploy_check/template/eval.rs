//! A tree with values becomes text.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{
    functions,
    lex::Word,
    parse::{Call, Node, Operand, Pipeline},
};

/// Templates that include each other.
const DEPTH_MAX: usize = 32;

/// What names mean at a place of a template.
struct Scope<'a> {
    root: &'a Value,
    named: &'a BTreeMap<String, Vec<Node>>,
    variables: Vec<(String, Value)>,
    depth: usize,
}

/// Renders `nodes` with `dot` as the dot and `root` as `$`.
pub fn render(
    nodes: &[Node],
    dot: &Value,
    root: &Value,
    named: &BTreeMap<String, Vec<Node>>,
) -> Result<String, String> {
    let mut scope = Scope { root, named, variables: Vec::new(), depth: 0 };
    let mut out = String::new();
    scope.write(nodes, dot, &mut out)?;
    Ok(out)
}

/// Whether an `if` takes a value for true.
pub fn holds(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(is) => *is,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(entries) => !entries.is_empty(),
    }
}

impl Scope<'_> {
    fn write(&mut self, nodes: &[Node], dot: &Value, out: &mut String) -> Result<(), String> {
        for node in nodes {
            match node {
                Node::Text(text) => out.push_str(text),
                Node::Output(pipeline) => {
                    let value = self.value(pipeline, dot)?;
                    if value.is_null() {
                        return Err(format!("there is nothing to write for {pipeline:?}"));
                    }
                    out.push_str(&functions::plain(&value)?);
                }
                Node::If { branches, otherwise } => {
                    let mut taken = otherwise;
                    for (condition, body) in branches {
                        if holds(&self.value(condition, dot)?) {
                            taken = body;
                            break;
                        }
                    }
                    self.write(taken, dot, out)?;
                }
                Node::With { value, body, otherwise } => {
                    let value = self.value(value, dot)?;
                    if holds(&value) { self.write(body, &value, out)? } else { self.write(otherwise, dot, out)? }
                }
                Node::Range { names, over, body, otherwise } => {
                    let over = self.value(over, dot)?;
                    if holds(&over) {
                        self.range(names.as_ref(), over, body, out)?;
                    } else {
                        self.write(otherwise, dot, out)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn range(
        &mut self,
        names: Option<&(String, String)>,
        over: Value,
        body: &[Node],
        out: &mut String,
    ) -> Result<(), String> {
        let entries: Vec<(Value, Value)> = match over {
            Value::Array(items) => items.into_iter().enumerate().map(|(at, item)| (Value::from(at), item)).collect(),
            Value::Object(entries) => {
                let mut entries: Vec<_> = entries.into_iter().map(|(name, value)| (Value::from(name), value)).collect();
                entries.sort_by(|one, other| one.0.as_str().cmp(&other.0.as_str()));
                entries
            }
            other => return Err(format!("range over {other}")),
        };
        for (key, value) in entries {
            let known = self.variables.len();
            if let Some((key_name, value_name)) = names {
                self.variables.push((key_name.clone(), key));
                self.variables.push((value_name.clone(), value.clone()));
            }
            self.write(body, &value, out)?;
            self.variables.truncate(known);
        }
        Ok(())
    }

    fn value(&mut self, pipeline: &Pipeline, dot: &Value) -> Result<Value, String> {
        let mut handed_on = None;
        for call in pipeline {
            handed_on = Some(self.call(call, handed_on, dot)?);
        }
        handed_on.ok_or_else(|| "an empty action".to_string())
    }

    fn call(&mut self, call: &Call, handed_on: Option<Value>, dot: &Value) -> Result<Value, String> {
        let mut arguments = Vec::with_capacity(call.arguments.len() + 1);
        for operand in &call.arguments {
            arguments.push(match operand {
                Operand::Inner(pipeline) => self.value(pipeline, dot)?,
                Operand::Word(word) => self.word(word, dot)?,
            });
        }
        arguments.extend(handed_on);
        match call.function.as_deref() {
            None if arguments.len() == 1 => Ok(arguments.remove(0)),
            None => Err("a value is handed to what is no function".to_string()),
            Some("include") => self.include(&arguments),
            Some(name) => functions::call(name, &arguments),
        }
    }

    fn include(&mut self, arguments: &[Value]) -> Result<Value, String> {
        let [Value::String(name), dot] = arguments else {
            return Err("include wants a name and a dot".to_string());
        };
        let body = self.named.get(name).ok_or_else(|| format!("no template is called {name}"))?;
        if self.depth == DEPTH_MAX {
            return Err(format!("{name} is included {DEPTH_MAX} deep"));
        }
        let mut inner = Scope { root: dot, named: self.named, variables: Vec::new(), depth: self.depth + 1 };
        let mut out = String::new();
        inner.write(body, dot, &mut out).map_err(|why| format!("{name}: {why}"))?;
        Ok(Value::String(out))
    }

    fn word(&self, word: &Word, dot: &Value) -> Result<Value, String> {
        match word {
            Word::Field(path) => field(dot, path),
            Word::Variable(name, path) if name.is_empty() => field(self.root, path),
            Word::Variable(name, path) => {
                let known = self.variables.iter().rev().find(|(known, _)| known == name);
                field(&known.ok_or_else(|| format!("no variable ${name}"))?.1, path)
            }
            Word::Text(text) => Ok(Value::from(text.as_str())),
            Word::Number(number) => Ok(Value::from(*number)),
            Word::Name(name) if name == "true" || name == "false" => Ok(Value::Bool(name == "true")),
            Word::Name(name) => Err(format!("{name} is no value")),
            Word::Sign(sign) => Err(format!("unexpected {sign}")),
        }
    }
}

/// A field of a field …; the last one may be missing.
fn field(value: &Value, path: &[String]) -> Result<Value, String> {
    let mut found = value;
    for (at, name) in path.iter().enumerate() {
        found = match found {
            Value::Object(entries) => entries.get(name).unwrap_or(&Value::Null),
            other => return Err(format!("{name} of .{}, which is {other}", path[..at].join("."))),
        };
    }
    Ok(found.clone())
}
