//! What runs often reads no table from end to end and sorts nothing, however much is queued.

use super::*;
use rusqlite::params_from_iter;
use rusqlite::types::Value;

fn plan(store: &SqliteStore, sql: &str, values: Vec<Value>) -> String {
    let connection = lock(&store.operator);
    let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    let lines = statement.query_map(params_from_iter(values), |row| row.get::<_, String>(3)).unwrap();
    lines.map(Result::unwrap).collect::<Vec<_>>().join("; ")
}

#[test]
fn indexes_answer_what_runs_often() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let (text, number) = (Value::Text("x".into()), Value::Integer(1));
    for (sql, values, index) in [
        (read::NEXT_LANE, vec![text.clone()], "message_due"),
        (read::OF_LANE, vec![text.clone(), number.clone(), number.clone()], "message_due"),
        (read::COUNTED, vec![number.clone()], "PRIMARY KEY"),
        ("DELETE FROM source WHERE slot < ?1", vec![number.clone()], "PRIMARY KEY"),
        (read::HISTORY, vec![number.clone(), number.clone()], "history_ended"),
        ("SELECT lane, since, until, reason, uid FROM halt WHERE lane = ?1", vec![text.clone()], "PRIMARY KEY"),
        ("SELECT message FROM submission WHERE id = ?1", vec![text.clone()], "PRIMARY KEY"),
        ("SELECT min(due) FROM recipient WHERE message = ?1", vec![number.clone()], "PRIMARY KEY"),
        ("SELECT 1 FROM message WHERE file = ?1", vec![text], "message_file"),
    ] {
        let plan = plan(&store, sql, values);
        assert!(plan.starts_with("SEARCH") && plan.contains(index), "{sql}: {plan}");
        assert!(!plan.contains("TEMP B-TREE"), "{sql}: {plan}");
    }
}

#[test]
fn lists_read_no_more_than_they_show() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for (filter, expected) in [
        // In order of the numbers: it ends at the limit.
        (Filter::default(), "SCAN message"),
        (Filter { uid: Some(33), ..Default::default() }, "message_uid"),
        (Filter { ids: vec![MessageId(1)], ..Default::default() }, "INTEGER PRIMARY KEY"),
    ] {
        let (sql, values) = read::query(&filter, 20);
        let plan = plan(&store, &sql, values);
        assert!(plan.contains(expected) && !plan.contains("TEMP B-TREE"), "{plan}");
    }
}
