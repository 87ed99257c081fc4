//! Literals in PHP source: the array that a file returns, and constants that it defines.
//!
//! Nothing is evaluated. A part that is no literal (a variable, a call, a concatenation) becomes `Value::Opaque` with its
//! line, so that whoever needs that part can refuse it, and the rest of the file still serves. Octets in, values out.

use super::php::{Array, DEPTH, Key, VALUES, Value};
use super::php_tokens::{Fault, Token, Tokens};

/// The value of the first `return` of a file.
///
/// # Errors
/// The line and what is wrong there, without the text.
pub fn returned(source: &[u8]) -> Result<Value, Fault> {
    let mut parser = Parser::new(source);
    loop {
        match parser.next()? {
            Token::Word(word) if word.eq_ignore_ascii_case(b"return") => return parser.value(0),
            Token::End => return Err(parser.fault("there is no return, so this is no PHP file with settings")),
            _ => {}
        }
    }
}

/// The constants that a file defines with `define('NAME', value)`, with their lines; the first definition counts.
///
/// # Errors
/// The line and what is wrong there, without the text.
pub fn constants(source: &[u8]) -> Result<Vec<(String, Value, usize)>, Fault> {
    let mut parser = Parser::new(source);
    let mut found: Vec<(String, Value, usize)> = Vec::new();
    loop {
        match parser.next()? {
            Token::End => return Ok(found),
            Token::Word(word) if word.eq_ignore_ascii_case(b"define") => {}
            _ => continue,
        }
        let line = parser.tokens.line();
        if *parser.peek()? != Token::Punctuation(b'(') {
            continue;
        }
        parser.next()?;
        let name = parser.value(0)?;
        if *parser.peek()? != Token::Punctuation(b',') {
            continue;
        }
        parser.next()?;
        let value = parser.value(0)?;
        if let Some(name) = name.text().filter(|name| found.iter().all(|(known, ..)| *known != **name)) {
            found.push((name.to_string(), value, line));
        }
    }
}

struct Parser<'s> {
    tokens: Tokens<'s>,
    ahead: Option<Token>,
    values: usize,
}

impl<'s> Parser<'s> {
    fn new(source: &'s [u8]) -> Self {
        Self { tokens: Tokens::new(source), ahead: None, values: 0 }
    }

    fn fault(&self, what: &str) -> Fault {
        Fault { line: self.tokens.line(), what: what.into() }
    }

    fn next(&mut self) -> Result<Token, Fault> {
        match self.ahead.take() {
            Some(token) => Ok(token),
            None => self.tokens.next(),
        }
    }

    fn peek(&mut self) -> Result<&Token, Fault> {
        let token = self.next()?;
        Ok(self.ahead.insert(token))
    }

    /// A whole expression, up to what ends it.
    fn value(&mut self, depth: usize) -> Result<Value, Fault> {
        self.values += 1;
        if depth > DEPTH || self.values > VALUES {
            return Err(self.fault("arrays are nested too deeply, or there are too many values"));
        }
        self.peek()?;
        let line = self.tokens.line();
        let value = self.primary(depth)?;
        if value.is_some() && ends_expression(self.peek()?) {
            return Ok(value.unwrap_or(Value::Opaque(line)));
        }
        self.skip()?;
        Ok(Value::Opaque(line))
    }

    /// A literal; `None` where something else begins, of which at least nothing that ends an expression was taken.
    fn primary(&mut self, depth: usize) -> Result<Option<Value>, Fault> {
        if ends_expression(self.peek()?) {
            return Ok(None);
        }
        Ok(match self.next()? {
            Token::Text(octets) => Some(Value::Text(octets)),
            Token::Int(number) => Some(Value::Int(number)),
            Token::Float(number) => Some(Value::Float(number)),
            Token::Punctuation(b'[') => Some(self.array(b']', depth)?),
            Token::Punctuation(b'-') => match self.next_if_number()? {
                Some(Token::Int(number)) => Some(Value::Int(number.wrapping_neg())),
                Some(Token::Float(number)) => Some(Value::Float(-number)),
                _ => None,
            },
            Token::Word(word) => match word.to_ascii_lowercase().as_slice() {
                b"true" => Some(Value::Bool(true)),
                b"false" => Some(Value::Bool(false)),
                b"null" => Some(Value::Null),
                b"array" if *self.peek()? == Token::Punctuation(b'(') => {
                    self.next()?;
                    Some(self.array(b')', depth)?)
                }
                _ => None,
            },
            open @ Token::Punctuation(b'(' | b'{') => {
                // What was opened belongs to what is skipped.
                self.skip_open(&open)?;
                None
            }
            _ => None,
        })
    }

    fn next_if_number(&mut self) -> Result<Option<Token>, Fault> {
        let number = matches!(self.peek()?, Token::Int(_) | Token::Float(_));
        if number { self.next().map(Some) } else { Ok(None) }
    }

    /// Elements up to the closing token; the opening one is taken already.
    fn array(&mut self, close: u8, depth: usize) -> Result<Value, Fault> {
        let mut array = Array::default();
        loop {
            match self.peek()? {
                Token::Punctuation(end) if *end == close => {
                    self.next()?;
                    return Ok(array.finish());
                }
                Token::Punctuation(b',') => {
                    self.next()?;
                    continue;
                }
                Token::End => return Err(self.fault("the file ends inside an array")),
                Token::Punctuation(b')' | b']' | b'}' | b';') => {
                    return Err(self.fault("a bracket is closed by another kind, or the array has no end"));
                }
                _ => {}
            }
            let first = self.value(depth + 1)?;
            if *self.peek()? != Token::Arrow {
                array.add(None, first);
                continue;
            }
            self.next()?;
            let value = self.value(depth + 1)?;
            if let Some(key) = key(&first) {
                array.add(Some(key), value);
            }
        }
    }

    /// The rest of an expression that is no literal.
    fn skip(&mut self) -> Result<(), Fault> {
        while !ends_expression(self.peek()?) {
            let token = self.next()?;
            self.skip_open(&token)?;
        }
        Ok(())
    }

    /// Where a token opens a bracket: everything up to its end.
    fn skip_open(&mut self, token: &Token) -> Result<(), Fault> {
        let mut open = usize::from(matches!(token, Token::Punctuation(b'(' | b'[' | b'{')));
        while open > 0 {
            match self.next()? {
                Token::Punctuation(b'(' | b'[' | b'{') => open += 1,
                Token::Punctuation(b')' | b']' | b'}') => open -= 1,
                Token::End => return Err(self.fault("the file ends inside a bracket")),
                _ => {}
            }
        }
        Ok(())
    }
}

fn ends_expression(token: &Token) -> bool {
    matches!(token, Token::Punctuation(b',' | b')' | b']' | b'}' | b';') | Token::Arrow | Token::End)
}

/// What PHP makes of a key; `None` for what can be none.
fn key(value: &Value) -> Option<Key> {
    match value {
        Value::Text(octets) => Some(Key::of(octets)),
        Value::Int(number) => Some(Key::Int(*number)),
        Value::Bool(is) => Some(Key::Int(i64::from(*is))),
        #[expect(clippy::cast_possible_truncation, reason = "PHP cuts off what is behind the point")]
        Value::Float(number) => Some(Key::Int(*number as i64)),
        Value::Null => Some(Key::Text(Vec::new())),
        Value::Array(_) | Value::Opaque(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn value(source: &str) -> Value {
        returned(source.as_bytes()).unwrap()
    }

    fn text(value: Option<&Value>) -> String {
        value.and_then(Value::text).map(|text| text.to_string()).unwrap_or_default()
    }

    #[test]
    fn both_kinds_of_arrays_nested() {
        let settings = value(
            "<?php\n// a comment with return\n/* [ */ # (\nreturn array(\n 'smtp' => array('value' => ['enabled' => TRUE, 'port' => 0x1d1,\n\
             'negative' => -7, 'octal' => 010, 'f' => 1.5e1, 'n' => null, 5 => 'five', 'six', \"7\" => 'seven'],),\n);\n?>\ntext",
        );
        let smtp = settings.get("smtp").unwrap().get("value").unwrap();
        assert_eq!(smtp.get("enabled"), Some(&Value::Bool(true)));
        assert_eq!(smtp.get("port"), Some(&Value::Int(465)));
        assert_eq!((smtp.get("negative"), smtp.get("octal")), (Some(&Value::Int(-7)), Some(&Value::Int(8))));
        assert_eq!((smtp.get("f"), smtp.get("n")), (Some(&Value::Float(15.0)), Some(&Value::Null)));
        assert_eq!(
            (text(smtp.get("5")), text(smtp.get("6")), text(smtp.get("7"))),
            ("five".into(), "six".into(), "seven".into())
        );
    }

    #[test]
    fn strings_with_their_escapes() {
        let list =
            value(r#"<?php return ['it\'s \\ \n', "a\"b\\\n\t\x41\101\u{436}\$x \q { $ 1", 'a' => 'x', 'a' => 'y'];"#);
        assert_eq!(text(list.get("0")), r"it's \ \n");
        assert_eq!(text(list.get("1")), "a\"b\\\n\tAAж$x \\q { $ 1");
        assert_eq!(text(list.get("a")), "y");
    }

    #[test]
    fn what_is_no_literal_is_opaque_and_the_rest_is_read() {
        let settings = value(
            "<?php\nreturn [\n'cache' => $_SERVER['DOCUMENT_ROOT'].'#01',\n'a' => 'b' . 'c',\n'd' => \"x $y\",\n\
             'e' => getenv('X') ?: array(1, 2),\n'f' => (string) env('P', [1]),\n'g' => fn($x) => [$x, ';'],\n\
             'h' => function () { return [1]; },\n'i' => Foo\\Bar::class, 'z' => 'last'];",
        );
        for (key, line) in [("cache", 3), ("a", 4), ("d", 5), ("e", 6), ("f", 7), ("h", 9), ("i", 10)] {
            assert_eq!(settings.get(key), Some(&Value::Opaque(line)), "{key}");
        }
        assert_eq!(text(settings.get("z")), "last");
        assert_eq!(settings.opaque(), Some(3));
    }

    #[test]
    fn faults_have_lines_and_no_text() {
        for (source, line) in [
            ("<?php\nreturn ['hunter2' => 'x\n", 3),
            ("<?php return [1, 2", 1),
            ("<?php\n\nreturn [1);", 3),
            ("no php", 1),
            ("<?php\n/* x", 2),
            ("<?php return <<<X\nhunter2\nX;", 1),
        ] {
            let fault = returned(source.as_bytes()).unwrap_err();
            assert_eq!(fault.line, line, "{source}: {}", fault.what);
            assert!(!fault.what.contains("hunter2"));
        }
        let deep = format!("<?php return {}", "[".repeat(100_000));
        assert!(returned(deep.as_bytes()).unwrap_err().what.contains("too deeply"));
    }

    #[test]
    fn constants_of_a_configuration() {
        let source = b"<?php\ndefine( 'DB', 'x' );\nif (!defined('A')) { Define(\"WPMS_ON\", true); }\n// define('NO', 1);\n\
            define('WPMS_ON', false);\n$x = 'define(';\ndefine('CALL', (int) env('P', 587));\ndefine('PORT', 587, true) ;\n?>define('HTML',1)";
        let found = constants(source).unwrap();
        let names: Vec<(&str, usize)> = found.iter().map(|(name, _, line)| (name.as_str(), *line)).collect();
        assert_eq!(names, [("DB", 2), ("WPMS_ON", 3), ("CALL", 7), ("PORT", 8)]);
        assert_eq!(found[1].1, Value::Bool(true));
        assert_eq!(found[2].1, Value::Opaque(7));
    }

    proptest! {
        #[test]
        fn any_octets_give_a_value_or_a_fault(source in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = returned(&source);
            let _ = constants(&source);
        }

        #[test]
        fn php_like_text_too(
            source in "(<\\?php )?((return|define|array|true|null|fn|\\$x|=>|->|::|'a'|\"b\\\\x4\"|\"\\{\\$|<<<|/\\*|//|#|\\?>|[0-9.x_]{1,4}|[-\\[\\](){},;. \n'\"\\\\])){0,60}"
        ) {
            for fault in [returned(source.as_bytes()).err(), constants(source.as_bytes()).err()].into_iter().flatten() {
                prop_assert!(fault.line <= 1 + source.matches('\n').count());
            }
        }
    }
}
