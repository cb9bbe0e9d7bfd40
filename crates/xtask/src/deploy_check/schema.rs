//! Values against a JSON schema, with as much of the language as the chart's schema uses.
//!
//! A keyword that is not known here is a complaint, so that no rule is believed to be checked that is not.

use serde_json::Value;

/// Keywords that say nothing about values.
const ANNOTATIONS: &[&str] = &["$schema", "title", "description"];

/// What of `value` breaks `schema`; each complaint names where.
pub fn complaints(schema: &Value, value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    check(schema, value, "", &mut found);
    found
}

fn check(schema: &Value, value: &Value, at: &str, found: &mut Vec<String>) {
    let Value::Object(rules) = schema else {
        found.push(format!("{at}: the schema is no object"));
        return;
    };
    for (keyword, rule) in rules {
        let broken = match keyword.as_str() {
            "type" => !is_of_type(rule, value),
            "enum" => !rule.as_array().is_some_and(|allowed| allowed.contains(value)),
            "minimum" => value.as_f64().zip(rule.as_f64()).is_some_and(|(value, min)| value < min),
            "maximum" => value.as_f64().zip(rule.as_f64()).is_some_and(|(value, max)| value > max),
            "minLength" => value.as_str().zip(rule.as_u64()).is_some_and(|(text, min)| (text.len() as u64) < min),
            "minItems" => value.as_array().zip(rule.as_u64()).is_some_and(|(items, min)| (items.len() as u64) < min),
            "required" => {
                found.extend(missing(rule, value).map(|name| format!("{at}/{name} is missing")));
                false
            }
            "properties" | "additionalProperties" => false,
            "items" => {
                for (number, item) in value.as_array().into_iter().flatten().enumerate() {
                    check(rule, item, &format!("{at}/{number}"), found);
                }
                false
            }
            known if ANNOTATIONS.contains(&known) => false,
            unknown => {
                found.push(format!("{at}: the schema's keyword {unknown} is not known to this check"));
                false
            }
        };
        if broken {
            found.push(format!("{at}: {value} breaks {keyword} {rule}"));
        }
    }
    check_entries(schema, value, at, found);
}

/// Entries of a map by their own schema, or by the one for all others.
fn check_entries(schema: &Value, value: &Value, at: &str, found: &mut Vec<String>) {
    for (name, entry) in value.as_object().into_iter().flatten() {
        let at = format!("{at}/{name}");
        match (schema["properties"].get(name), &schema["additionalProperties"]) {
            (Some(own), _) => check(own, entry, &at, found),
            (None, Value::Bool(false)) => found.push(format!("{at} is not known")),
            (None, Value::Null | Value::Bool(true)) => {}
            (None, others) => check(others, entry, &at, found),
        }
    }
}

fn missing<'a>(names: &'a Value, value: &'a Value) -> impl Iterator<Item = &'a str> {
    let names = names.as_array().into_iter().flatten().filter_map(Value::as_str);
    names.filter(|name| value.is_object() && value.get(name).is_none())
}

fn is_of_type(rule: &Value, value: &Value) -> bool {
    match rule {
        Value::String(name) => match name.as_str() {
            "object" => value.is_object(),
            "array" => value.is_array(),
            "string" => value.is_string(),
            "boolean" => value.is_boolean(),
            "number" => value.is_number(),
            "integer" => value.as_f64().is_some_and(|number| number.fract() == 0.0),
            "null" => value.is_null(),
            _ => false,
        },
        Value::Array(names) => names.iter().any(|name| is_of_type(name, value)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_rule_is_seen() {
        let schema = json!({
            "type": "object", "additionalProperties": false, "required": ["a"],
            "properties": {
                "a": {"type": "integer", "minimum": 1, "maximum": 5},
                "b": {"type": ["string", "boolean"], "enum": ["x", true]},
                "c": {"type": "array", "minItems": 1, "items": {"type": "string", "minLength": 2}},
                "d": {"type": "object", "additionalProperties": {"type": "string"}}
            }
        });
        assert_eq!(complaints(&schema, &json!({"a": 1, "b": true, "c": ["xy"], "d": {"k": "v"}})), [""; 0]);
        for (value, part) in [
            (json!({}), "/a is missing"),
            (json!({"a": 0}), "minimum"),
            (json!({"a": 6}), "maximum"),
            (json!({"a": 1.5}), "type"),
            (json!({"a": 1, "b": "y"}), "/b: \"y\" breaks enum"),
            (json!({"a": 1, "c": []}), "minItems"),
            (json!({"a": 1, "c": ["x"]}), "/c/0"),
            (json!({"a": 1, "d": {"k": 1}}), "/d/k"),
            (json!({"a": 1, "e": 1}), "/e is not known"),
        ] {
            let found = complaints(&schema, &value);
            assert!(found.len() == 1 && found[0].contains(part), "{value}: {found:?}");
        }
        assert_eq!(complaints(&json!({"oneOf": []}), &json!(1)).len(), 1);
    }
}
