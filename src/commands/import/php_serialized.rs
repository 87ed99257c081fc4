//! PHP's `serialize()` format, as databases hold it: `a:1:{s:4:"smtp";b:1;}`.
//!
//! Objects are not made: they are refused. Lengths are checked against what is there. Octets in, a value out.

use super::php::{Array, DEPTH, Key, VALUES, Value};
use zeroize::Zeroizing;

/// Reads one value; blanks around it are passed over.
///
/// # Errors
/// What is wrong, with the octet where it stands, without the text.
pub fn parse(data: &[u8]) -> Result<Value, String> {
    let data = data.trim_ascii();
    let mut reader = Reader { all: data, at: 0, values: 0 };
    let value = reader.value(0)?;
    if reader.at != data.len() {
        return Err(reader.fault("something follows the value"));
    }
    Ok(value)
}

struct Reader<'d> {
    all: &'d [u8],
    at: usize,
    values: usize,
}

impl<'d> Reader<'d> {
    fn fault(&self, what: &str) -> String {
        format!("not PHP-serialized at octet {}: {what}", self.at)
    }

    fn take(&mut self, count: usize) -> Result<&'d [u8], String> {
        let end = self.at.checked_add(count).filter(|end| *end <= self.all.len());
        let end = end.ok_or_else(|| self.fault("the text ends too early"))?;
        let taken = &self.all[self.at..end];
        self.at = end;
        Ok(taken)
    }

    fn expect(&mut self, wanted: &[u8]) -> Result<(), String> {
        if self.all.get(self.at..).is_some_and(|rest| rest.starts_with(wanted)) {
            self.at += wanted.len();
            return Ok(());
        }
        Err(self.fault(&format!("{} is missing", String::from_utf8_lossy(wanted))))
    }

    /// The text up to an octet, which is taken too; at most 40 octets.
    fn until(&mut self, end: u8) -> Result<&'d str, String> {
        let rest = self.all.get(self.at..).unwrap_or_default();
        let length = memchr::memchr(end, &rest[..rest.len().min(40)]);
        let length = length.ok_or_else(|| self.fault(&format!("{} is missing", char::from(end))))?;
        let text = std::str::from_utf8(&rest[..length]).map_err(|_| self.fault("no number"))?;
        self.at += length + 1;
        Ok(text)
    }

    fn number<T: std::str::FromStr>(&mut self, end: u8) -> Result<T, String> {
        let text = self.until(end)?;
        text.parse().map_err(|_| self.fault("no number"))
    }

    fn value(&mut self, depth: usize) -> Result<Value, String> {
        self.values += 1;
        if depth > DEPTH || self.values > VALUES {
            return Err(self.fault("arrays are nested too deeply, or there are too many values"));
        }
        match self.take(1)? {
            b"N" => self.expect(b";").map(|()| Value::Null),
            b"b" => {
                self.expect(b":")?;
                Ok(Value::Bool(self.number::<u8>(b';')? != 0))
            }
            b"i" => {
                self.expect(b":")?;
                Ok(Value::Int(self.number(b';')?))
            }
            b"d" => {
                self.expect(b":")?;
                let text = self.until(b';')?;
                let number = match text {
                    "INF" => Ok(f64::INFINITY),
                    "-INF" => Ok(f64::NEG_INFINITY),
                    "NAN" => Ok(f64::NAN),
                    digits => digits.parse(),
                };
                number.map(Value::Float).map_err(|_| self.fault("no number"))
            }
            b"s" => {
                let text = self.text()?;
                self.expect(b";")?;
                Ok(Value::Text(Zeroizing::new(text.to_vec())))
            }
            b"a" => self.array(depth),
            b"O" | b"C" | b"E" | b"r" | b"R" => Err(self.fault("objects and references are not read")),
            _ => Err(self.fault("no known type")),
        }
    }

    /// `:length:"octets"`.
    fn text(&mut self) -> Result<&'d [u8], String> {
        self.expect(b":")?;
        let length = self.number(b':')?;
        self.expect(b"\"")?;
        let text = self.take(length)?;
        self.expect(b"\"")?;
        Ok(text)
    }

    /// `:count:{key value ...}`.
    fn array(&mut self, depth: usize) -> Result<Value, String> {
        self.expect(b":")?;
        let count: usize = self.number(b':')?;
        self.expect(b"{")?;
        let mut array = Array::default();
        for _ in 0..count {
            let key = match self.value(depth + 1)? {
                Value::Int(number) => Key::Int(number),
                Value::Text(octets) => Key::of(&octets),
                _ => return Err(self.fault("a key is a number or a text")),
            };
            let value = self.value(depth + 1)?;
            array.add(Some(key), value);
        }
        self.expect(b"}")?;
        Ok(array.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_type() {
        let value = parse(
            b"a:6:{s:4:\"smtp\";a:1:{i:0;s:4:\"a\";b\";}s:1:\"t\";b:1;s:1:\"i\";i:-5;s:1:\"d\";d:0.5;s:1:\"n\";N;s:2:\"\xd0\xb6\";s:0:\"\";}\n",
        )
        .unwrap();
        let inner = value.get("smtp").unwrap().get("0").unwrap().text().unwrap();
        assert_eq!(inner.as_str(), "a\";b", "lengths count, not quotes");
        assert_eq!((value.get("t"), value.get("i")), (Some(&Value::Bool(true)), Some(&Value::Int(-5))));
        assert_eq!((value.get("d"), value.get("n")), (Some(&Value::Float(0.5)), Some(&Value::Null)));
        assert_eq!(value.get("ж"), Some(&Value::Text(Zeroizing::new(Vec::new()))));
    }

    #[test]
    fn hostile_input_is_refused_without_its_text() {
        let deep = "a:1:{i:0;".repeat(10_000);
        for bad in [
            "",
            "x",
            "s:5:\"abc\";",
            "s:99999999999999999999:\"a\";",
            "s:18446744073709551615:\"a\";",
            "a:4000000000:{}",
            "i:1",
            "O:7:\"hunter2\":0:{}",
            "a:1:{N;N;}",
            "b:1;b:1;",
            "r:1;",
            deep.as_str(),
            "s:-1:\"\";",
        ] {
            let error = parse(bad.as_bytes()).expect_err(bad);
            assert!(error.contains("not PHP-serialized") && !error.contains("hunter2"), "{error}");
        }
    }

    fn tree() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Bool),
            any::<i64>().prop_map(Value::Int),
            prop::collection::vec(any::<u8>(), 0..20).prop_map(|octets| Value::Text(Zeroizing::new(octets))),
        ];
        leaf.prop_recursive(4, 40, 5, |inner| {
            prop::collection::vec(("[a-z]{0,5}", inner), 0..5).prop_map(|pairs| {
                let mut array = Array::default();
                pairs.into_iter().for_each(|(key, value)| array.add(Some(Key::of(key.as_bytes())), value));
                array.finish()
            })
        })
    }

    fn serialize(value: &Value, out: &mut Vec<u8>) {
        match value {
            Value::Null => out.extend(b"N;"),
            Value::Bool(is) => out.extend(format!("b:{};", u8::from(*is)).bytes()),
            Value::Int(number) => out.extend(format!("i:{number};").bytes()),
            Value::Text(octets) => {
                out.extend(format!("s:{}:\"", octets.len()).bytes());
                out.extend(octets.iter());
                out.extend(b"\";");
            }
            Value::Array(pairs) => {
                out.extend(format!("a:{}:{{", pairs.len()).bytes());
                for (key, value) in pairs {
                    match key {
                        Key::Int(number) => serialize(&Value::Int(*number), out),
                        Key::Text(octets) => serialize(&Value::Text(Zeroizing::new(octets.clone())), out),
                    }
                    serialize(value, out);
                }
                out.push(b'}');
            }
            Value::Float(_) | Value::Opaque(_) => unreachable!("not made here"),
        }
    }

    proptest! {
        #[test]
        fn what_was_serialized_comes_back(value in tree()) {
            let mut text = Vec::new();
            serialize(&value, &mut text);
            prop_assert_eq!(parse(&text).unwrap(), value);
        }

        #[test]
        fn any_octets_give_a_value_or_an_error(data in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&data);
        }

        #[test]
        fn text_that_looks_like_it_too(data in "([abdisNOR]:?|[0-9]{1,3}|[:;{}\"]){0,60}") {
            let _ = parse(data.as_bytes());
        }
    }
}
