//! Rows of a database table as `mysql --batch` (tabs, backslash escapes) or CSV (RFC 4180) print them, the first row
//! naming the columns. Octets in, rows out.

use zeroize::Zeroizing;

/// The most rows that are read.
const ROWS: usize = 100_000;
/// The most columns.
const COLUMNS: usize = 200;

/// A table.
pub struct Table {
    /// The columns' names in upper case.
    columns: Vec<String>,
    /// The rows with the line that each begins in.
    pub rows: Vec<Row>,
}

/// One row.
pub struct Row {
    /// Its first line, from 1.
    pub line: usize,
    cells: Vec<Option<Zeroizing<Vec<u8>>>>,
}

impl Table {
    /// Reads a table: tabs in the first line mean `mysql --batch`, commas or semicolons CSV.
    ///
    /// # Errors
    /// The line and what is wrong there.
    pub fn parse(data: &[u8]) -> Result<Self, (usize, String)> {
        let data = data.strip_prefix(b"\xef\xbb\xbf").unwrap_or(data);
        let header = data.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let mut rows = if header.contains(&b'\t') {
            batch(data)
        } else {
            let count = |separator: u8| header.iter().filter(|byte| **byte == separator).count();
            csv(data, if count(b';') > count(b',') { b';' } else { b',' })?
        };
        if rows.len() > ROWS {
            return Err((ROWS, format!("more than {ROWS} rows")));
        }
        if rows.is_empty() {
            return Err((1, "there is no row".into()));
        }
        let name = |cell: Option<Zeroizing<Vec<u8>>>| {
            cell.map(|name| String::from_utf8_lossy(&name).trim().to_uppercase()).unwrap_or_default()
        };
        let columns: Vec<String> = rows.remove(0).cells.into_iter().map(name).collect();
        if columns.len() > COLUMNS {
            return Err((1, format!("more than {COLUMNS} columns")));
        }
        if let Some(row) = rows.iter().find(|row| row.cells.len() != columns.len()) {
            let (have, want) = (row.cells.len(), columns.len());
            return Err((row.line, format!("{have} columns where the first row has {want}")));
        }
        Ok(Self { columns, rows })
    }

    /// Whether it has a column (upper case).
    #[must_use]
    pub fn has(&self, column: &str) -> bool {
        self.columns.iter().any(|name| name == column)
    }

    /// A cell; `None` where it is NULL or there is no such column.
    #[must_use]
    pub fn cell<'r>(&self, row: &'r Row, column: &str) -> Option<&'r [u8]> {
        let at = self.columns.iter().position(|name| name == column)?;
        row.cells.get(at)?.as_ref().map(|cell| cell.as_slice())
    }

    /// A cell as text; empty where there is none or where it is no UTF-8.
    #[must_use]
    pub fn text<'r>(&self, row: &'r Row, column: &str) -> &'r str {
        self.cell(row, column).and_then(|cell| std::str::from_utf8(cell).ok()).unwrap_or_default().trim()
    }
}

/// `\t`, `\n`, `\0` and `\\` are escapes; NULL alone in a cell is none.
fn batch(data: &[u8]) -> Vec<Row> {
    let lines = data.split(|byte| *byte == b'\n').enumerate().filter(|(_, line)| !line.trim_ascii().is_empty());
    lines
        .take(ROWS + 2)
        .map(|(index, line)| {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let cells = line.split(|byte| *byte == b'\t').map(|cell| (cell != b"NULL").then(|| unescape(cell)));
            Row { line: index + 1, cells: cells.take(COLUMNS + 1).collect() }
        })
        .collect()
}

fn unescape(cell: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut out = Zeroizing::new(Vec::with_capacity(cell.len()));
    let mut octets = cell.iter().copied();
    while let Some(c) = octets.next() {
        if c != b'\\' {
            out.push(c);
            continue;
        }
        match octets.next() {
            Some(b't') => out.push(b'\t'),
            Some(b'n') => out.push(b'\n'),
            Some(b'r') => out.push(b'\r'),
            Some(b'0') => out.push(0),
            Some(other) => out.push(other),
            None => out.push(b'\\'),
        }
    }
    out
}

/// How a CSV file is written.
struct Style {
    separator: u8,
    /// A quote in a quoted cell stands behind a backslash; else it is doubled.
    backslash: bool,
}

/// Cells in double quotes may hold separators, line ends, and quotes that are doubled or behind a backslash.
fn csv(data: &[u8], separator: u8) -> Result<Vec<Row>, (usize, String)> {
    let count = |pair: &[u8]| memchr::memmem::find_iter(data, pair).count();
    // Serialized options are full of quotes, so that whoever wrote the file shows how it writes them.
    let style = Style { separator, backslash: count(b"\\\"") > count(b"\"\"") };
    let mut rows = Vec::new();
    let mut rest = data;
    let mut line = 1;
    while !rest.is_empty() && rows.len() < ROWS + 2 {
        let begins = line;
        let mut cells = Vec::new();
        loop {
            let (cell, after) = cell(rest, &style, &mut line).ok_or((begins, "a quoted cell has no end".to_owned()))?;
            if cells.len() <= COLUMNS {
                cells.push(cell);
            }
            rest = after;
            match rest.split_first() {
                Some((next, after)) if *next == separator => rest = after,
                Some((b'\n', after)) => {
                    line += 1;
                    rest = after;
                    break;
                }
                Some(_) => return Err((line, "something follows a quoted cell".into())),
                None => break,
            }
        }
        // A line without anything is no row.
        if cells.len() > 1 || cells[0].as_ref().is_some_and(|cell| !cell.is_empty()) {
            rows.push(Row { line: begins, cells });
        }
    }
    Ok(rows)
}

type Cell = Option<Zeroizing<Vec<u8>>>;

/// One cell, and what follows it: a separator, a line feed or nothing.
fn cell<'d>(data: &'d [u8], style: &Style, line: &mut usize) -> Option<(Cell, &'d [u8])> {
    let Some(quoted) = data.strip_prefix(b"\"") else {
        let length = data.iter().position(|byte| *byte == style.separator || *byte == b'\n').unwrap_or(data.len());
        let (plain, rest) = data.split_at(length);
        let plain = plain.strip_suffix(b"\r").unwrap_or(plain);
        let null = matches!(plain, b"NULL" | b"\\N");
        return Some(((!null).then(|| Zeroizing::new(plain.to_vec())), rest));
    };
    let mut out = Zeroizing::new(Vec::new());
    let mut at = 0;
    loop {
        match (*quoted.get(at)?, quoted.get(at + 1)) {
            (b'\\', Some(&escaped @ (b'"' | b'\\'))) if style.backslash => {
                out.push(escaped);
                at += 2;
            }
            (b'"', Some(b'"')) => {
                out.push(b'"');
                at += 2;
            }
            (b'"', _) => {
                let rest = &quoted[at + 1..];
                return Some((Some(out), rest.strip_prefix(b"\r").unwrap_or(rest)));
            }
            (c, _) => {
                *line += usize::from(c == b'\n');
                out.push(c);
                at += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cells(data: &str) -> Vec<Vec<String>> {
        let table = Table::parse(data.as_bytes()).unwrap();
        let show = |cell: &Cell| cell.as_ref().map_or("-".into(), |cell| String::from_utf8_lossy(cell).into_owned());
        table.rows.iter().map(|row| row.cells.iter().map(show).collect()).collect()
    }

    #[test]
    fn as_mysql_prints_it() {
        assert_eq!(cells("id\tNAME\n1\ta\\tb\\nc\\\\n\n2\tNULL\n\n"), [["1", "a\tb\nc\\n"], ["2", "-"]]);
        let table = Table::parse(b"ID\tEMAIL\r\n1\ta@b\r\n").unwrap();
        assert_eq!((table.text(&table.rows[0], "EMAIL"), table.rows[0].line), ("a@b", 2));
        assert!(table.has("ID") && !table.has("NAME") && table.cell(&table.rows[0], "NAME").is_none());
    }

    #[test]
    fn as_csv_has_it() {
        let want = [["1", "a, \"b\"\nc"], ["2", "-"]];
        assert_eq!(cells("ID,NAME\n1,\"a, \"\"b\"\"\nc\"\n2,NULL\n"), want);
        assert_eq!(cells("\u{feff}\"ID\";\"NAME\"\r\n1;\"a, \\\"b\\\"\nc\"\r\n\"2\";\\N"), want);
        let rfc = "A,B\n\"a\\\"\"\",\"\"\"b\"\"\"\n\"\"\"\"\"\",\"b\\\"\n";
        assert_eq!(cells(rfc), [["a\\\"", "\"b\""], ["\"\"", "b\\"]]);
        let table = Table::parse(b"A,B\n\"x\ny\",1\n2,3\n").unwrap();
        assert_eq!(table.rows[1].line, 4);
    }

    #[test]
    fn faults_have_lines() {
        for (bad, line) in [("", 1), ("A,B\n1\n", 2), ("A\tB\n1\t2\n1\n", 3), ("A,B\n\"x,1\n", 2), ("A,B\n\"x\"y,1", 2)]
        {
            assert_eq!(Table::parse(bad.as_bytes()).err().unwrap().0, line, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_octets_give_a_table_or_a_fault(data in "[a,;\"\\\\\t\r\nN]{0,80}") {
            if let Ok(table) = Table::parse(data.as_bytes()) {
                prop_assert!(table.rows.iter().all(|row| row.cells.len() == table.columns.len()));
            }
        }
    }
}
