//! Damage that keeps a file well formed: wrong values, types and keys in JSON, JSON lines, TOML and
//! the headers of safetensors and checkpoints.

use serde_json::{Value, json};

use super::draw::Draws;

/// Damages one value of a text or a header that can be parsed. Returns whether that was possible.
pub(super) fn mutate_value(bytes: &mut Vec<u8>, draws: &mut Draws) -> bool {
    let changed = match std::str::from_utf8(bytes) {
        Ok(text) => of_text(text, draws),
        Err(_) => of_header(bytes, draws),
    };
    if let Some(changed) = changed {
        *bytes = changed;
        return true;
    }
    false
}

fn of_text(text: &str, draws: &mut Draws) -> Option<Vec<u8>> {
    if let Ok(mut value) = serde_json::from_str(text) {
        change(&mut value, draws);
        return Some(value.to_string().into_bytes());
    }
    if let Ok(table) = toml::from_str::<toml::Table>(text) {
        let mut value = serde_json::to_value(table).ok()?;
        change(&mut value, draws);
        return Some(toml::to_string(&value).ok()?.into_bytes());
    }
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let chosen = draws.below(lines.len());
    let mut value = serde_json::from_str(lines.get(chosen)?).ok()?;
    change(&mut value, draws);
    lines[chosen] = value.to_string();
    Some((lines.join("\n") + "\n").into_bytes())
}

/// A header of JSON behind its length in 8 bytes, after a line that may stand before it.
fn of_header(bytes: &[u8], draws: &mut Draws) -> Option<Vec<u8>> {
    const LINE: &[u8] = b"scarce-checkpoint 1\n";
    let before = if bytes.starts_with(LINE) { LINE.len() } else { 0 };
    let length = u64::from_le_bytes(bytes.get(before..before + 8)?.try_into().ok()?);
    let end = before.checked_add(8)?.checked_add(usize::try_from(length).ok()?)?;
    let mut value = serde_json::from_slice(bytes.get(before + 8..end)?).ok()?;
    change(&mut value, draws);
    let header = value.to_string().into_bytes();
    let length = (header.len() as u64).to_le_bytes();
    Some([&bytes[..before], &length[..], &header[..], &bytes[end..]].concat())
}

/// Goes down to some value and puts another in its place.
fn change(value: &mut Value, draws: &mut Draws) {
    let children = match value {
        Value::Array(items) => items.len(),
        Value::Object(fields) => fields.len(),
        _ => 0,
    };
    if children == 0 || draws.once_in(8) {
        *value = another(value, draws);
        return;
    }
    let chosen = draws.below(children);
    match value {
        Value::Array(items) => match draws.below(10) {
            0 => drop(items.remove(chosen)),
            1 => items.push(items[chosen].clone()),
            _ => change(&mut items[chosen], draws),
        },
        Value::Object(fields) => {
            let key = fields.keys().nth(chosen).unwrap().clone();
            match draws.below(12) {
                0 => drop(fields.remove(&key)),
                1 => {
                    let inner = fields.remove(&key).unwrap();
                    fields.insert(format!("{key}\u{1b}[2J\u{202e}"), inner);
                }
                2 => {
                    let copied = fields[&key].clone();
                    fields.insert("x".repeat(1 + draws.below(1000)), copied);
                }
                _ => change(fields.get_mut(&key).unwrap(), draws),
            }
        }
        _ => {}
    }
}

/// A value in the place of another one: mostly of its type.
fn another(value: &Value, draws: &mut Draws) -> Value {
    let numbers = [
        json!(0),
        json!(1),
        json!(-1),
        json!(2),
        json!(255),
        json!(65_537),
        json!(u32::MAX),
        json!(u64::from(u32::MAX) + 1),
        json!(i64::MAX),
        json!(u64::MAX),
        json!(i64::MIN),
        json!(34_u64 << 30),
        json!(1e308),
        json!(-1e308),
        json!(5e-324),
        json!(0.5),
        json!(1e19),
    ];
    let texts = [
        json!(""),
        json!("\u{1b}]0;x\u{7}\u{9b}\u{202e}"),
        json!("x".repeat(70_000)),
        json!("../../x"),
        json!("F64"),
        json!("test"),
        json!("a\n[b]\n"),
        json!("0".repeat(64)),
        json!("nan"),
    ];
    let others = [json!([]), json!({}), json!(true), json!([[]]), json!({ "": 1 })];
    let pick = |values: &[Value], draws: &mut Draws| values[draws.below(values.len())].clone();
    match (draws.below(5), value) {
        (0, _) => pick(&others, draws),
        (1, _) => pick(&texts, draws),
        (_, Value::String(_)) => pick(&texts, draws),
        (2, Value::Number(number)) if number.is_u64() => {
            json!(number.as_u64().unwrap_or(0).wrapping_add(draws.bits() % 5).wrapping_sub(2))
        }
        _ => pick(&numbers, draws),
    }
}
