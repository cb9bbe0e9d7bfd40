//! Templates of the chart, rendered as Helm does, with the part of Go's template language that the chart uses.
//!
//! 1. [`lex`] cuts a file into text and actions, and actions into words.
//! 2. [`parse`] makes a tree of them: text, output, `if`, `with`, `range`, and named templates (`define`).
//! 3. [`eval`] walks the tree; [`functions`] holds what can be called.
//!
//! What is not known here is an error, and so is what Helm lets pass in silence: output of what is not there, and fields of nothing.

mod eval;
mod functions;
mod lex;
mod parse;

use std::collections::BTreeMap;

use serde_json::Value;

use parse::Node;

/// All templates of a chart.
#[derive(Debug, Default)]
pub struct Templates {
    files: Vec<(String, Vec<Node>)>,
    named: BTreeMap<String, Vec<Node>>,
}

impl Templates {
    /// Reads a file; what it defines can be included by all others.
    pub fn add(&mut self, name: &str, text: &str) -> Result<(), String> {
        let tree = lex::pieces(text).and_then(|pieces| parse::tree(pieces, &mut self.named));
        let tree = tree.map_err(|why| format!("{name}: {why}"))?;
        self.files.push((name.to_string(), tree));
        Ok(())
    }

    /// Renders every file with `root` as the dot: name and text of each.
    pub fn render(&self, root: &Value) -> Result<Vec<(String, String)>, String> {
        let render = |(name, tree): &(String, Vec<Node>)| {
            let text = eval::render(tree, root, root, &self.named).map_err(|why| format!("{name}: {why}"))?;
            Ok((name.clone(), text))
        };
        self.files.iter().map(render).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn render(text: &str) -> Result<String, String> {
        let values = json!({"a": {"b": "x", "n": 7, "f": false, "l": ["p", "q"], "m": {"k": "v", "j": 2}, "e": {}, "t": "y: z"}});
        let mut templates = Templates::default();
        templates.add("helpers", "{{ define \"name\" }}<{{ .b }}>{{ end }}")?;
        templates.add("file", text)?;
        Ok(templates.render(&json!({"Values": values["a"]}))?.remove(1).1)
    }

    #[test]
    fn the_language_means_what_it_means_to_helm() {
        for (text, want) in [
            ("{{ .Values.b }}-{{ .Values.n }}", "x-7"),
            ("a\n  {{- /* nothing */}}\nb", "a\nb"),
            ("a {{- \"-\" -}} b", "a-b"),
            ("{{ if .Values.f }}1{{ else if .Values.e }}2{{ else }}3{{ end }}", "3"),
            (
                "{{ with .Values.b }}{{ . }}{{ $.Values.n }}{{ end }}{{ with .Values.f }}no{{ else }}none{{ end }}",
                "x7none",
            ),
            ("{{ range .Values.l }}{{ . }},{{ end }}", "p,q,"),
            ("{{ range $k, $v := .Values.m }}{{ $k }}={{ $v }};{{ end }}", "j=2;k=v;"),
            ("{{ include \"name\" .Values | quote }}", "\"<x>\""),
            ("{{ default \"d\" .Values.missing }}{{ .Values.b | default \"d\" }}", "dx"),
            ("{{ printf \"%s:%v\" .Values.b 5 | trunc 2 }}", "x:"),
            ("k:{{ toYaml .Values.m | nindent 2 }}", "k:\n  j: 2\n  k: v"),
            ("{{ toYaml .Values.t }}", "\"y: z\""),
            ("{{ if and .Values.b (not .Values.f) (eq .Values.n 7) (ne .Values.b \"y\") }}1{{ end }}", "1"),
            ("{{ or .Values.f .Values.b }}", "x"),
            ("{{ ternary \"a\" \"b\" (kindIs \"string\" .Values.b) }}{{ toJson .Values.n }}", "a7"),
            ("{{ \"a+b\" | replace \"+\" \"_\" | trimSuffix \"b\" }}{{ contains \"x\" .Values.b }}", "a_true"),
        ] {
            assert_eq!(render(text), Ok(want.to_string()), "{text}");
        }
    }

    #[test]
    fn what_helm_lets_pass_is_an_error_here() {
        for (text, part) in [
            ("{{ .Values.missing }}", "nothing to write"),
            ("{{ .Values.missing.deeper }}", "missing"),
            ("{{ unknown 1 }}", "unknown"),
            ("{{ include \"nowhere\" . }}", "nowhere"),
            ("{{ if .Values.b }}", "end"),
            ("{{ end }}", "end"),
            ("{{ .Values.b ", "}}"),
            ("{{ printf \"%v\" 2000000 }}", "toJson"),
        ] {
            let why = render(text).expect_err(text);
            assert!(why.contains(part), "{text}: {why}");
        }
    }
}
