//! Regular expressions as Prometheus and VictoriaMetrics mean them (RE2, Go's `regexp`), rewritten for the parser of `regex-syntax`.
//!
//! Both languages are nearly one; where they differ, a pattern must mean here what it means there:
//!
//! 1. `\d \s \w \b` are ASCII there, Unicode here; they are spelled out.
//! 2. A `{` that opens no repetition is a literal there (`/api/{id}`), an error here; it is escaped.
//! 3. `\Q…\E` and octal escapes exist only there; they become literals.
//! 4. `[`, `&&`, `--`, `~~` inside a class are literals there, set operators here; every class is written anew, item by item.
//! 5. `\<`, `\>` and the flags `x`, `u`, `R` mean something only here; the former become literals, the latter are refused.

use std::fmt::Write;

use regex_syntax::ParserBuilder;
use regex_syntax::hir::Hir;

/// RE2 refuses to repeat anything more often than this.
const REPEATS_MAX: u32 = 1000;
/// Groups and repetitions inside each other; bounds the recursion of everything that walks the tree.
const NEST_LIMIT: u32 = 200;
/// A pattern in bytes; dashboards send alternations of some thousand names.
pub(super) const PATTERN_BYTES_MAX: usize = 4 << 20;

/// What may stand between `[:` and `:]`.
const POSIX_CLASSES: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space", "upper", "word",
    "xdigit",
];

/// Reads a pattern; the error says what is wrong in one line.
pub fn parse(pattern: &str) -> Result<Hir, String> {
    if pattern.len() > PATTERN_BYTES_MAX {
        return Err(format!("{} bytes long, at most {PATTERN_BYTES_MAX} are taken", pattern.len()));
    }
    let rewritten = Rewriter { rest: pattern, out: String::with_capacity(pattern.len() + 16) }.run()?;
    ParserBuilder::new()
        .dot_matches_new_line(true)
        .utf8(false)
        .nest_limit(NEST_LIMIT)
        .build()
        .parse(&rewritten)
        .map_err(|error| match error {
            regex_syntax::Error::Parse(error) => error.kind().to_string(),
            regex_syntax::Error::Translate(error) => error.kind().to_string(),
            other => other.to_string(),
        })
}

struct Rewriter<'a> {
    rest: &'a str,
    out: String,
}

impl<'a> Rewriter<'a> {
    fn run(mut self) -> Result<String, String> {
        while let Some(c) = self.take() {
            match c {
                '\\' => self.escape()?,
                '[' => self.class()?,
                '{' => self.brace()?,
                '}' => self.out.push_str("\\}"),
                '(' => self.group()?,
                c => self.out.push(c),
            }
        }
        Ok(self.out)
    }

    fn take(&mut self) -> Option<char> {
        let c = self.rest.chars().next()?;
        self.rest = &self.rest[c.len_utf8()..];
        Some(c)
    }

    /// What stands before `end`, which is taken too.
    fn take_until(&mut self, end: &str) -> Option<&'a str> {
        let (before, after) = self.rest.split_once(end)?;
        self.rest = after;
        Some(before)
    }

    /// Behind a backslash outside of a class.
    fn escape(&mut self) -> Result<(), String> {
        if let Some(rest) = self.rest.strip_prefix('Q') {
            self.rest = rest;
            let literal = self.take_until("\\E").unwrap_or_else(|| std::mem::take(&mut self.rest));
            self.out.push_str(&regex_syntax::escape(literal));
            return Ok(());
        }
        if let Some(class) = self.named_class()? {
            let _ = write!(self.out, "[{class}]");
            return Ok(());
        }
        let anchor = match self.rest.chars().next() {
            Some('b') => "(?-u:\\b)",
            Some('B') => "(?-u:\\B)",
            Some('A') => "\\A",
            Some('z') => "\\z",
            _ => {
                let c = self.escaped_char()?;
                push_char(&mut self.out, c);
                return Ok(());
            }
        };
        self.rest = &self.rest[1..];
        self.out.push_str(anchor);
        Ok(())
    }

    /// `\d`, `\pL`, … behind the backslash, as the inside of a class.
    fn named_class(&mut self) -> Result<Option<String>, String> {
        let mut chars = self.rest.chars();
        let perl = match chars.next() {
            Some('d') => "0-9",
            Some('D') => "[^0-9]",
            Some('s') => "\\t\\n\\f\\r\\x20",
            Some('S') => "[^\\t\\n\\f\\r\\x20]",
            Some('w') => "0-9A-Za-z_",
            Some('W') => "[^0-9A-Za-z_]",
            Some(letter @ ('p' | 'P')) => {
                self.rest = chars.as_str();
                return self.unicode_class(letter == 'P').map(Some);
            }
            _ => return Ok(None),
        };
        self.rest = chars.as_str();
        Ok(Some(perl.to_string()))
    }

    fn unicode_class(&mut self, negated: bool) -> Result<String, String> {
        let name = match self.take() {
            Some('{') => self.take_until("}").ok_or("a Unicode class is not closed")?.to_string(),
            Some(letter) => letter.to_string(),
            None => return Err("a Unicode class has no name".to_string()),
        };
        let (negated, name) = match name.strip_prefix('^') {
            Some(name) => (!negated, name),
            None => (negated, name.as_str()),
        };
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            return Err(format!("{name:?} is no Unicode class"));
        }
        Ok(format!("\\{}{{{name}}}", if negated { 'P' } else { 'p' }))
    }

    /// An escape that stands for one character.
    fn escaped_char(&mut self) -> Result<char, String> {
        let c = self.take().ok_or("a backslash at the end")?;
        match c {
            'a' => Ok('\x07'),
            'f' => Ok('\x0c'),
            'n' => Ok('\n'),
            'r' => Ok('\r'),
            't' => Ok('\t'),
            'v' => Ok('\x0b'),
            'x' => self.hex(),
            '0'..='7' => self.octal(c),
            c if c.is_ascii() && !c.is_ascii_alphanumeric() => Ok(c),
            c => Err(format!("\\{c} is no escape sequence")),
        }
    }

    fn hex(&mut self) -> Result<char, String> {
        let digits = match self.rest.strip_prefix('{') {
            Some(rest) => {
                self.rest = rest;
                self.take_until("}").ok_or("a hexadecimal escape is not closed")?
            }
            None => {
                let digits = self.rest.get(..2).ok_or("a hexadecimal escape is cut off")?;
                self.rest = &self.rest[2..];
                digits
            }
        };
        let all_hex = digits.bytes().all(|b| b.is_ascii_hexdigit());
        let number = if all_hex { u32::from_str_radix(digits, 16).ok() } else { None };
        number.and_then(char::from_u32).ok_or_else(|| format!("\\x{digits} is no character"))
    }

    fn octal(&mut self, first: char) -> Result<char, String> {
        let is_octal = |c: Option<char>| c.is_some_and(|c| ('0'..='7').contains(&c));
        if first != '0' && !is_octal(self.rest.chars().next()) {
            return Err(format!("\\{first} refers to a group; that is not supported"));
        }
        let mut number = first as u32 - '0' as u32;
        for _ in 0..2 {
            if is_octal(self.rest.chars().next()) {
                number = number * 8 + self.take().map_or(0, |c| c as u32 - '0' as u32);
            }
        }
        char::from_u32(number).ok_or_else(|| "an octal escape is no character".to_string())
    }

    /// Behind `{`.
    fn brace(&mut self) -> Result<(), String> {
        let Some((text, rest)) = self.rest.split_once('}').filter(|(text, _)| is_repetition(text)) else {
            self.out.push_str("\\{");
            return Ok(());
        };
        let too_many = |n: &str| !n.is_empty() && n.parse::<u32>().map_or(true, |n| n > REPEATS_MAX);
        if text.split(',').any(too_many) {
            return Err(format!("{{{text}}} repeats more than {REPEATS_MAX} times"));
        }
        let _ = write!(self.out, "{{{text}}}");
        self.rest = rest;
        Ok(())
    }

    /// Behind `(`.
    fn group(&mut self) -> Result<(), String> {
        self.out.push('(');
        let Some(flags) = self.rest.strip_prefix('?') else { return Ok(()) };
        if flags.starts_with("P<") || flags.starts_with('<') {
            let name = self.take_until(">").ok_or("the name of a group is not closed")?;
            let _ = write!(self.out, "{name}>");
            return Ok(());
        }
        match flags.chars().find(|c| !"imsU-".contains(*c)) {
            Some(':' | ')') => Ok(()),
            Some(c) => Err(format!("(?{c} is no group that is supported")),
            None => Err("a group is not closed".to_string()),
        }
    }

    /// Behind `[`.
    fn class(&mut self) -> Result<(), String> {
        let unclosed = || "a class is not closed".to_string();
        self.out.push('[');
        if let Some(rest) = self.rest.strip_prefix('^') {
            self.rest = rest;
            self.out.push('^');
        }
        let mut first = true;
        loop {
            let c = self.take().ok_or_else(unclosed)?;
            match c {
                ']' if !first => break,
                '[' if self.rest.starts_with(':') && self.rest.contains(":]") => {
                    let name = self.take_until(":]").ok_or_else(unclosed)?;
                    if !POSIX_CLASSES.contains(&name.trim_start_matches([':', '^'])) {
                        return Err(format!("[{name}:] is no class"));
                    }
                    let _ = write!(self.out, "[{name}:]");
                }
                c => self.class_item(c)?,
            }
            first = false;
        }
        self.out.push(']');
        Ok(())
    }

    /// A character, a range of them or a named class inside of a class.
    fn class_item(&mut self, c: char) -> Result<(), String> {
        if c == '\\'
            && let Some(class) = self.named_class()?
        {
            self.out.push_str(&class);
            return Ok(());
        }
        let low = self.class_char(c)?;
        push_char(&mut self.out, low);
        let range = self.rest.strip_prefix('-').filter(|after| !after.starts_with(']') && !after.is_empty());
        if let Some(after) = range {
            self.rest = after;
            let c = self.take().ok_or("a range has no end")?;
            let high = self.class_char(c)?;
            if high < low {
                return Err(format!("{low}-{high} is no range"));
            }
            self.out.push('-');
            push_char(&mut self.out, high);
        }
        Ok(())
    }

    fn class_char(&mut self, c: char) -> Result<char, String> {
        if c == '\\' { self.escaped_char() } else { Ok(c) }
    }
}

fn is_repetition(text: &str) -> bool {
    let (low, high) = text.split_once(',').unwrap_or((text, ""));
    let digits = |n: &str| n.bytes().all(|b| b.is_ascii_digit());
    !low.is_empty() && digits(low) && digits(high)
}

/// The character and nothing but the character, inside a class and outside.
fn push_char(out: &mut String, c: char) {
    if c.is_ascii() && !c.is_ascii_alphanumeric() {
        let _ = write!(out, "\\x{:02x}", c as u32);
    } else {
        out.push(c);
    }
}

#[cfg(test)]
mod tests {
    use regex_automata::meta::Regex;

    fn check(pattern: &str, yes: &[&str], no: &[&str]) {
        let hir = super::parse(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}"));
        let regex = Regex::builder()
            .configure(Regex::config().utf8_empty(false))
            .build_from_hir(&hir)
            .unwrap_or_else(|error| panic!("{pattern}: {error}"));
        let full = |text: &str| {
            // The leftmost match of none of the patterns below is shorter than what is asked for.
            regex.find(text).is_some_and(|found| found.range() == (0..text.len()))
        };
        for text in yes {
            assert!(full(text), "{pattern} must match {text:?}");
        }
        for text in no {
            assert!(!full(text), "{pattern} must not match {text:?}");
        }
    }

    #[test]
    fn braces_that_repeat_nothing_are_literals() {
        check("/api/{id}/x", &["/api/{id}/x"], &["/api//x"]);
        check("a{2}{b", &["aa{b"], &["a{b"]);
        check("a{,3}", &["a{,3}"], &["aa"]);
        check("a{1,}", &["aaaa"], &["a{1,}"]);
        check("{}", &["{}"], &[]);
        check("x{2,3}", &["xx", "xxx"], &["x"]);
    }

    #[test]
    fn perl_classes_are_ascii() {
        check("\\d+", &["123"], &["١٢"]);
        check("\\D", &["١", "ä"], &["1"]);
        check("\\w+", &["aZ_9"], &["ä"]);
        check("[\\w-]+", &["a-b"], &["a+b"]);
        check("[\\d-z]+", &["1-z"], &["y"]);
        check("[^\\D]", &["7"], &["x"]);
        check("\\s", &[" ", "\n"], &["\u{0b}", "\u{a0}"]);
        check("a\\b.", &["a."], &["ab"]);
    }

    #[test]
    fn classes_know_no_set_operators() {
        check("[[]", &["["], &[]);
        check("[a&&b]+", &["a&b"], &["c"]);
        check("[a~~b]+", &["a~b"], &["c"]);
        check("[+--]+", &["+,-"], &["."]);
        check("[]a]+", &["]a"], &["b"]);
        check("[^]a]+", &["b\n"], &["]"]);
        check("[a-]+", &["a-"], &["b"]);
        check("[[:alpha:]-]+", &["a-Z"], &["1"]);
        check("[[:^digit:]]", &["ä"], &["1"]);
        check("[\\]\\\\^]+", &["]\\^"], &["a"]);
        check("[\\pL1]+", &["ä1"], &["2"]);
    }

    #[test]
    fn escapes() {
        check("\\Qa.b{\\E.", &["a.b{x"], &["axb{x"]);
        check("\\Qa.b", &["a.b"], &["axb"]);
        check("\\x41\\x{e4}\\101\\0", &["AäA\0"], &[]);
        check("\\<a\\>\\/\\-", &["<a>/-"], &["a"]);
        check("\\pN\\p{Greek}\\P{^Greek}\\p{^Greek}", &["1αβa"], &["1αβγ"]);
        check("\\.\\n\\t", &[".\n\t"], &[]);
    }

    #[test]
    fn flags_groups_and_dots() {
        check("a.b", &["a\nb"], &["ab"]);
        check("(?i)aBc", &["AbC"], &["abd"]);
        check("(?i:a)b", &["Ab"], &["AB"]);
        check("(?P<x>a)(?<y>b)", &["ab"], &[]);
        check("(?-s).", &["a"], &["\n"]);
        check("^a$", &["a"], &[]);
        check("(a|)b", &["ab", "b"], &[]);
    }

    #[test]
    fn what_re2_refuses_is_refused() {
        let bad = [
            "a(",
            "a)",
            "[a",
            "*a",
            "a\\",
            "(?=a)",
            "(?x)a",
            "(?u)a",
            "\\1",
            "\\Z",
            "\\y",
            "\\x4",
            "\\x{110000}",
            "[z-a]",
            "a{1001}",
            "a{2,1}",
            "\\p{^}",
            "[[:nope:]]",
            "\\pé",
            "(?i",
            "(?P<a",
            "\\é",
            "[\\b]",
            "(?P<a>x)(?P<a>y)",
        ];
        for pattern in bad {
            let reason = super::parse(pattern).expect_err(pattern);
            assert!(!reason.contains('\n'), "{reason}");
        }
        let deep = "(".repeat(5000) + &")".repeat(5000);
        assert!(super::parse(&deep).is_err());
    }
}
