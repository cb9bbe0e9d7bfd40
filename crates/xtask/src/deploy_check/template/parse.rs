//! Pieces as a tree.

use std::collections::BTreeMap;

use super::lex::{Piece, Word};

/// A part of a template.
#[derive(Debug)]
pub enum Node {
    /// Is written as it is.
    Text(String),
    /// Its value is written.
    Output(Pipeline),
    /// `if` and its `else if`, in order; then what stands behind `else`.
    If { branches: Vec<(Pipeline, Vec<Node>)>, otherwise: Vec<Node> },
    /// Makes a value the dot if there is one.
    With { value: Pipeline, body: Vec<Node>, otherwise: Vec<Node> },
    /// Makes each entry the dot, and gives key and value names.
    Range { names: Option<(String, String)>, over: Pipeline, body: Vec<Node>, otherwise: Vec<Node> },
}

/// Calls that hand their value on to the next one as its last argument.
pub type Pipeline = Vec<Call>;

/// A function with its arguments; without a function the value of the only argument.
#[derive(Debug)]
pub struct Call {
    pub function: Option<String>,
    pub arguments: Vec<Operand>,
}

/// An argument.
#[derive(Debug)]
pub enum Operand {
    /// A field, a variable, a text or a number.
    Word(Word),
    /// What stands in brackets.
    Inner(Pipeline),
}

/// Why a list of nodes ended.
enum Ending {
    File,
    End,
    Else,
    ElseIf(Vec<Word>),
}

struct Parser<'a> {
    pieces: std::vec::IntoIter<Piece>,
    named: &'a mut BTreeMap<String, Vec<Node>>,
}

/// Makes a tree of a file; named templates go into `named`.
pub fn tree(pieces: Vec<Piece>, named: &mut BTreeMap<String, Vec<Node>>) -> Result<Vec<Node>, String> {
    let mut parser = Parser { pieces: pieces.into_iter(), named };
    match parser.nodes()? {
        (nodes, Ending::File) => Ok(nodes),
        _ => Err("an end or else without a beginning".to_string()),
    }
}

impl Parser<'_> {
    fn nodes(&mut self) -> Result<(Vec<Node>, Ending), String> {
        let mut nodes = Vec::new();
        while let Some(piece) = self.pieces.next() {
            let words = match piece {
                Piece::Text(text) => {
                    nodes.push(Node::Text(text));
                    continue;
                }
                Piece::Action(words) => words,
            };
            let keyword = if let Some(Word::Name(name)) = words.first() { name.as_str() } else { "" };
            match keyword {
                "end" => return Ok((nodes, Ending::End)),
                "else" if words.get(1) == Some(&Word::Name("if".to_string())) => {
                    return Ok((nodes, Ending::ElseIf(words[2..].to_vec())));
                }
                "else" => return Ok((nodes, Ending::Else)),
                "if" => nodes.push(self.conditional(&words[1..])?),
                "with" => {
                    let value = pipeline(&words[1..])?;
                    let (body, otherwise) = self.body()?;
                    nodes.push(Node::With { value, body, otherwise });
                }
                "range" => nodes.push(self.range(&words[1..])?),
                "define" => self.define(&words[1..])?,
                _ => nodes.push(Node::Output(pipeline(&words)?)),
            }
        }
        Ok((nodes, Ending::File))
    }

    fn conditional(&mut self, condition: &[Word]) -> Result<Node, String> {
        let mut branches = Vec::new();
        let mut condition = pipeline(condition)?;
        loop {
            let (body, ending) = self.nodes()?;
            branches.push((condition, body));
            match ending {
                Ending::End => return Ok(Node::If { branches, otherwise: Vec::new() }),
                Ending::Else => return Ok(Node::If { branches, otherwise: self.last_body()? }),
                Ending::ElseIf(words) => condition = pipeline(&words)?,
                Ending::File => return Err("an if has no end".to_string()),
            }
        }
    }

    fn range(&mut self, words: &[Word]) -> Result<Node, String> {
        let (names, words) = match words {
            [Word::Variable(key, _), Word::Sign(","), Word::Variable(value, _), Word::Sign(":="), rest @ ..] => {
                (Some((key.clone(), value.clone())), rest)
            }
            words => (None, words),
        };
        let over = pipeline(words)?;
        let (body, otherwise) = self.body()?;
        Ok(Node::Range { names, over, body, otherwise })
    }

    fn define(&mut self, words: &[Word]) -> Result<(), String> {
        let [Word::Text(name)] = words else {
            return Err("define wants a name".to_string());
        };
        let body = self.last_body()?;
        if self.named.insert(name.clone(), body).is_some() {
            return Err(format!("{name} is defined twice"));
        }
        Ok(())
    }

    /// What stands before `else` and behind it.
    fn body(&mut self) -> Result<(Vec<Node>, Vec<Node>), String> {
        match self.nodes()? {
            (body, Ending::End) => Ok((body, Vec::new())),
            (body, Ending::Else) => Ok((body, self.last_body()?)),
            _ => Err("a with or range has no end".to_string()),
        }
    }

    /// What stands before `end`.
    fn last_body(&mut self) -> Result<Vec<Node>, String> {
        match self.nodes()? {
            (body, Ending::End) => Ok(body),
            _ => Err("there is no end where one must be".to_string()),
        }
    }
}

fn pipeline(words: &[Word]) -> Result<Pipeline, String> {
    let mut rest = words;
    let found = calls(&mut rest)?;
    if rest.is_empty() { Ok(found) } else { Err(format!("unexpected {:?}", rest[0])) }
}

/// Reads calls up to a closing bracket or the end.
fn calls(rest: &mut &[Word]) -> Result<Pipeline, String> {
    let mut found = vec![call(rest)?];
    while let [Word::Sign("|"), behind @ ..] = *rest {
        *rest = behind;
        found.push(call(rest)?);
    }
    Ok(found)
}

fn call(rest: &mut &[Word]) -> Result<Call, String> {
    let mut function = None;
    if let [Word::Name(name), behind @ ..] = *rest {
        function = Some(name.clone());
        *rest = behind;
    }
    let mut arguments = Vec::new();
    loop {
        match *rest {
            [] | [Word::Sign(")" | "|"), ..] => break,
            [Word::Sign("("), behind @ ..] => {
                *rest = behind;
                arguments.push(Operand::Inner(calls(rest)?));
                let [Word::Sign(")"), behind @ ..] = *rest else {
                    return Err("a bracket is not closed".to_string());
                };
                *rest = behind;
            }
            [Word::Sign(sign), ..] => return Err(format!("unexpected {sign}")),
            [word, behind @ ..] => {
                arguments.push(Operand::Word(word.clone()));
                *rest = behind;
            }
        }
    }
    if function.is_none() && arguments.len() != 1 {
        return Err(format!("{} values where one must be", arguments.len()));
    }
    Ok(Call { function, arguments })
}
