//! PHP source, PHP's serialized values and printed tables, as an import reads them: any octets give values or one fault
//! with its line; nothing overflows the stack, and nothing is evaluated.

#![no_main]

use libfuzzer_sys::fuzz_target;
use postrider::commands::import::{php::Value, php_literal, php_serialized, table::Table};

/// Looks at every part of a value.
fn walk(value: &Value, depth: usize) {
    assert!(depth <= 40);
    let _ = (value.text(), value.truth(), value.int(), value.opaque(), value.get("smtp"));
    if let Value::Array(pairs) = value {
        pairs.iter().for_each(|(_, value)| walk(value, depth + 1));
    }
}

fuzz_target!(|data: &[u8]| {
    let lines = 1 + data.iter().filter(|octet| **octet == b'\n').count();
    match php_literal::returned(data) {
        Ok(value) => walk(&value, 0),
        Err(fault) => assert!(fault.line >= 1 && fault.line <= lines),
    }
    match php_literal::constants(data) {
        Ok(found) => assert!(found.iter().all(|(_, _, line)| *line >= 1 && *line <= lines)),
        Err(fault) => assert!(fault.line >= 1 && fault.line <= lines),
    }
    match php_serialized::parse(data) {
        Ok(value) => walk(&value, 0),
        Err(what) => assert!(!what.contains('\n')),
    }
    if let Ok(table) = Table::parse(data) {
        for row in &table.rows {
            let _ = (table.text(row, "EMAIL"), table.cell(row, "OPTIONS"), row.line);
        }
    }
});
