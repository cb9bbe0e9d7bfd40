//! Text → tokens.
//!
//! 1. White space and comments (`#` to the end of the line) go.
//! 2. A name begins with a letter, `_`, `:` or an escape. Directly inside `[…]` a `:` is a token of its own, since it parts window and step there.
//! 3. What begins with a digit is a duration if it is one as a whole, else a number ([`number`]).
//! 4. A quote begins a text ([`text`]).
//! 5. The rest are operators and brackets, the longest first.

mod number;
mod text;

pub use text::stray_byte;
pub(crate) use text::{is_name_continue, is_name_start, unescape_name};

use crate::{
    ast::{Span, Unit},
    error::ParseError,
    options::Options,
};

/// What a token is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Kind {
    /// A name or keyword, as it was written.
    Name,
    /// A text, unquoted.
    Text(String),
    Number(f64),
    Duration(Vec<(f64, Unit)>),
    ParenOpen,
    ParenClose,
    BraceOpen,
    BraceClose,
    BracketOpen,
    BracketClose,
    Comma,
    Colon,
    At,
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
    Power,
    /// `=`
    Assign,
    /// `==`
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    /// `=~`
    MatchRegex,
    /// `!~`
    NotMatchRegex,
    End,
}

/// A token and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Token {
    pub kind: Kind,
    pub span: Span,
}

/// All tokens of `text`; the last is [`Kind::End`].
pub(crate) fn tokens(text: &str, options: &Options) -> Result<Vec<Token>, ParseError> {
    let mut lexer = Lexer { text, at: 0, open: Vec::new(), negative_parts: options.negative_duration_parts };
    let mut tokens = Vec::with_capacity(text.len() / 4 + 1);
    loop {
        let token = lexer.next()?;
        let ends = token.kind == Kind::End;
        tokens.push(token);
        if ends {
            return Ok(tokens);
        }
    }
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    /// The brackets that are open.
    open: Vec<u8>,
    negative_parts: bool,
}

impl Lexer<'_> {
    fn next(&mut self) -> Result<Token, ParseError> {
        self.skip_blanks();
        let start = self.at;
        let kind = self.scan()?;
        Ok(Token { kind, span: self.span_from(start) })
    }

    fn scan(&mut self) -> Result<Kind, ParseError> {
        let rest = &self.text[self.at..];
        let Some(first) = rest.chars().next() else { return Ok(Kind::End) };
        let in_window = self.open.last() == Some(&b'[');
        match first {
            ':' if in_window => return Ok(self.take(1, Kind::Colon)),
            '"' | '\'' | '`' => return self.text_token(),
            '$' => return self.variable(),
            '0'..='9' => return self.number_token(),
            '.' if rest.as_bytes().get(1).is_some_and(u8::is_ascii_digit) => return self.number_token(),
            _ => {}
        }
        if let Some(length) = text::name_length(rest, in_window) {
            return Ok(self.take(length, Kind::Name));
        }
        self.punctuation(rest)
    }

    fn punctuation(&mut self, rest: &str) -> Result<Kind, ParseError> {
        for (written, kind) in PUNCTUATION {
            if rest.starts_with(written) {
                self.track(written.as_bytes()[0]);
                return Ok(self.take(written.len(), kind.clone()));
            }
        }
        let found = rest.chars().next().unwrap_or(' ');
        Err(self
            .error(found.len_utf8(), format!("unexpected character {found:?}, expected an expression or an operator")))
    }

    fn track(&mut self, byte: u8) {
        match byte {
            b'(' | b'[' | b'{' => self.open.push(byte),
            b')' | b']' | b'}' => {
                self.open.pop();
            }
            _ => {}
        }
    }

    fn text_token(&mut self) -> Result<Kind, ParseError> {
        match text::unquote(&self.text[self.at..]) {
            Ok((value, length)) => Ok(self.take(length, Kind::Text(value))),
            Err((length, message)) => Err(self.error(length, message)),
        }
    }

    fn number_token(&mut self) -> Result<Kind, ParseError> {
        let rest = &self.text[self.at..];
        let (kind, length) = number::scan(rest, self.negative_parts)
            .map_err(|length| self.error(length, format!("bad number or duration {:?}", &rest[..length])))?;
        Ok(self.take(length, kind))
    }

    /// The variables of Grafana that stand for the step when nobody has replaced them.
    fn variable(&mut self) -> Result<Kind, ParseError> {
        let rest = &self.text[self.at..];
        let length = 1 + text::name_length(&rest[1..], true).unwrap_or(0);
        match &rest[..length] {
            "$__interval" | "$__rate_interval" | "$__range" => {
                Ok(self.take(length, Kind::Duration(vec![(1.0, Unit::Step)])))
            }
            other => Err(self.error(length, format!("unknown variable {other:?}"))),
        }
    }

    fn skip_blanks(&mut self) {
        let bytes = self.text.as_bytes();
        while let Some(byte) = bytes.get(self.at) {
            match byte {
                b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c => self.at += 1,
                b'#' => self.at = memchr_line(bytes, self.at),
                _ => return,
            }
        }
    }

    fn take(&mut self, length: usize, kind: Kind) -> Kind {
        self.at += length;
        kind
    }

    fn span_from(&self, start: usize) -> Span {
        Span { start: start as u32, end: self.at as u32 }
    }

    fn error(&self, length: usize, message: String) -> ParseError {
        let span = Span { start: self.at as u32, end: (self.at + length) as u32 };
        ParseError::new(self.text, span, message)
    }
}

/// Where the line that holds `from` ends.
fn memchr_line(bytes: &[u8], from: usize) -> usize {
    bytes[from..].iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |at| from + at)
}

/// Longer ones first.
const PUNCTUATION: &[(&str, Kind)] = &[
    ("=~", Kind::MatchRegex),
    ("!~", Kind::NotMatchRegex),
    ("==", Kind::Equal),
    ("!=", Kind::NotEqual),
    ("<=", Kind::LessOrEqual),
    (">=", Kind::GreaterOrEqual),
    ("<", Kind::Less),
    (">", Kind::Greater),
    ("=", Kind::Assign),
    ("(", Kind::ParenOpen),
    (")", Kind::ParenClose),
    ("{", Kind::BraceOpen),
    ("}", Kind::BraceClose),
    ("[", Kind::BracketOpen),
    ("]", Kind::BracketClose),
    (",", Kind::Comma),
    ("@", Kind::At),
    ("+", Kind::Add),
    ("-", Kind::Subtract),
    ("*", Kind::Multiply),
    ("/", Kind::Divide),
    ("%", Kind::Modulo),
    ("^", Kind::Power),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<Kind> {
        tokens(text, &Options::default()).unwrap().into_iter().map(|token| token.kind).collect()
    }

    #[test]
    fn a_colon_parts_window_and_step_and_belongs_to_names_elsewhere() {
        assert_eq!(kinds("a:b"), [Kind::Name, Kind::End]);
        let window =
            [Kind::Name, Kind::BracketOpen, Kind::Name, Kind::Colon, Kind::Name, Kind::BracketClose, Kind::End];
        assert_eq!(kinds("a:b[w:s]"), window);
    }

    #[test]
    fn comments_end_with_their_line() {
        assert_eq!(kinds("a # b\n+#"), [Kind::Name, Kind::Add, Kind::End]);
        assert_eq!(kinds("# nothing"), [Kind::End]);
    }

    #[test]
    fn errors_name_line_and_column() {
        let error = tokens("a +\n  ?", &Options::default()).unwrap_err();
        assert_eq!((error.line, error.column), (2, 3));
        assert_eq!(tokens("\u{e4}\u{e4} ;", &Options::default()).unwrap_err().column, 4);
    }
}
