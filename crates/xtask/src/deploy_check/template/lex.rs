//! A template's text as pieces, and its actions as words.

/// Text to be written, or an action.
#[derive(Debug, PartialEq)]
pub enum Piece {
    Text(String),
    Action(Vec<Word>),
}

/// A word of an action.
#[derive(Debug, Clone, PartialEq)]
pub enum Word {
    /// `if`, `include`, …
    Name(String),
    /// `.a.b`; without names the dot itself.
    Field(Vec<String>),
    /// `$name.a.b`; the name is empty for `$`.
    Variable(String, Vec<String>),
    /// `"text"`
    Text(String),
    /// `12`
    Number(i64),
    /// `(`, `)`, `|`, `,`, `:=`
    Sign(&'static str),
}

const SIGNS: &[&str] = &["(", ")", "|", ",", ":="];

/// Cuts a template. `{{-` and `-}}` take the blanks beside them away; comments vanish.
pub fn pieces(text: &str) -> Result<Vec<Piece>, String> {
    let mut found = Vec::new();
    let mut rest = text;
    let mut trims = false;
    while let Some(start) = rest.find("{{") {
        let line = text[..text.len() - rest.len() + start].lines().count();
        let behind = &rest[start + 2..];
        let action_trims = behind.starts_with("- ");
        push_text(&rest[..start], trims, action_trims, &mut found);
        let behind = if action_trims { &behind[1..] } else { behind };
        let end = action_end(behind).ok_or_else(|| format!("line {line}: an action has no }}}}"))?;
        let action = &behind[..end];
        trims = action.ends_with(" -");
        let action = action.strip_suffix('-').filter(|_| trims).unwrap_or(action).trim();
        if !action.starts_with("/*") {
            found.push(Piece::Action(words(action).map_err(|why| format!("line {line}: {why}"))?));
        }
        rest = &behind[end + 2..];
    }
    push_text(rest, trims, false, &mut found);
    Ok(found)
}

fn push_text(text: &str, trims_start: bool, trims_end: bool, found: &mut Vec<Piece>) {
    let text = if trims_start { text.trim_start() } else { text };
    let text = if trims_end { text.trim_end() } else { text };
    if !text.is_empty() {
        found.push(Piece::Text(text.to_string()));
    }
}

/// Where `}}` stands outside of texts and comments.
fn action_end(action: &str) -> Option<usize> {
    if action.trim_start().starts_with("/*") {
        let end = action.find("*/")? + 2;
        return action[end..].find("}}").map(|behind| end + behind);
    }
    let mut quoted = false;
    let mut escaped = false;
    for (at, letter) in action.char_indices() {
        match letter {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '}' if !quoted && action[at..].starts_with("}}") => return Some(at),
            _ => {}
        }
    }
    None
}

fn words(action: &str) -> Result<Vec<Word>, String> {
    let mut found = Vec::new();
    let mut rest = action.trim_start();
    while let Some(first) = rest.chars().next() {
        let (word, len) = if let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
            (Word::Sign(sign), sign.len())
        } else if first == '"' {
            quoted(rest)?
        } else {
            let len = rest.find(|c: char| c.is_whitespace() || "()|,".contains(c)).unwrap_or(rest.len());
            (bare(&rest[..len])?, len)
        };
        found.push(word);
        rest = rest[len..].trim_start();
    }
    Ok(found)
}

/// A text in quotes; its escapes are those of JSON.
fn quoted(rest: &str) -> Result<(Word, usize), String> {
    let mut values = serde_json::Deserializer::from_str(rest).into_iter::<String>();
    match values.next() {
        Some(Ok(text)) => Ok((Word::Text(text), values.byte_offset())),
        _ => Err(format!("a broken text: {rest}")),
    }
}

fn bare(word: &str) -> Result<Word, String> {
    let names = |path: &str| path.split('.').filter(|name| !name.is_empty()).map(str::to_string).collect();
    if let Some(path) = word.strip_prefix('.') {
        return Ok(Word::Field(names(path)));
    }
    if let Some(variable) = word.strip_prefix('$') {
        let (name, path) = variable.split_once('.').unwrap_or((variable, ""));
        return Ok(Word::Variable(name.to_string(), names(path)));
    }
    if let Ok(number) = word.parse() {
        return Ok(Word::Number(number));
    }
    let is_name = word.chars().all(char::is_alphanumeric);
    if is_name { Ok(Word::Name(word.to_string())) } else { Err(format!("cannot read {word:?}")) }
}
