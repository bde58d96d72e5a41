//! Canonical text: the bytes that are hashed into an identity.
//!
//! Every field is written, defaults included, so that a changed default never changes what an old
//! text means. Only fields that joined *after* the first format are left out while they hold their
//! frozen origin value (the behavior before the field existed), so that old identities stay.
//! Reals are written as shortest round-trip decimals.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

/// A field that joined after the first format.
#[derive(Clone, Copy, Debug)]
pub struct LaterField {
    /// Its dotted key.
    pub key: &'static str,
    /// Its frozen origin value as canonical text.
    pub origin: &'static str,
}

/// The canonical text of `spec`: `scarce KIND 1`, then `key = value` lines sorted by key.
///
/// # Panics
/// If the spec holds a non-finite number: those are rejected where specs are read.
pub fn text(kind: &str, spec: &impl Serialize, later: &[LaterField]) -> String {
    let mut lines = format!("scarce {kind} 1\n");
    for (key, value) in flatten(&to_value(spec)) {
        let value = scalar(&value);
        let at_origin = later.iter().any(|field| field.key == key && field.origin == value);
        if !at_origin {
            lines.push_str(&format!("{key} = {value}\n"));
        }
    }
    lines
}

/// A leaf as text. Reals go through the standard library's shortest round-trip form and not
/// through serde_json's, whose exponent threshold has changed between releases.
fn scalar(value: &Value) -> String {
    match value {
        Value::Number(number) if number.is_f64() => {
            format!("{:?}", number.as_f64().expect("just checked"))
        }
        other => other.to_string(),
    }
}

/// The spec as a tree of values.
pub(super) fn to_value(spec: &impl Serialize) -> Value {
    serde_json::to_value(spec).expect("specs are plain data with string keys and finite numbers")
}

/// Leaves of a tree under their dotted keys. List elements are numbered from 0; an empty list has
/// no leaf.
#[must_use]
pub fn flatten(tree: &Value) -> BTreeMap<String, Value> {
    fn walk(prefix: &str, node: &Value, leaves: &mut BTreeMap<String, Value>) {
        let join = |key: &str| match prefix {
            "" => key.to_owned(),
            _ => format!("{prefix}.{key}"),
        };
        match node {
            Value::Object(fields) => {
                fields.iter().for_each(|(key, child)| walk(&join(key), child, leaves));
            }
            Value::Array(items) => {
                let numbered = items.iter().enumerate();
                numbered.for_each(|(i, child)| walk(&join(&i.to_string()), child, leaves));
            }
            leaf => {
                assert!(!leaf.is_null(), "`{prefix}` is not a finite number");
                leaves.insert(prefix.to_owned(), leaf.clone());
            }
        }
    }
    let mut leaves = BTreeMap::new();
    walk("", tree, &mut leaves);
    leaves
}

/// The inverse of [`flatten`]: objects whose keys are 0, 1, 2 ... become lists.
#[must_use]
pub fn unflatten(leaves: &BTreeMap<String, Value>) -> Value {
    let mut root = serde_json::Map::new();
    for (key, value) in leaves {
        let mut node = &mut root;
        let mut parts = key.split('.').peekable();
        while let Some(part) = parts.next() {
            if parts.peek().is_none() {
                node.insert(part.to_owned(), value.clone());
                break;
            }
            let child = node.entry(part).or_insert_with(|| Value::Object(serde_json::Map::new()));
            let Value::Object(fields) = child else { break };
            node = fields;
        }
    }
    lists(Value::Object(root))
}

fn lists(node: Value) -> Value {
    let Value::Object(fields) = node else { return node };
    let numbered =
        !fields.is_empty() && (0..fields.len()).all(|i| fields.contains_key(&i.to_string()));
    if !numbered {
        return Value::Object(fields.into_iter().map(|(k, child)| (k, lists(child))).collect());
    }
    let mut items: Vec<_> = fields.into_iter().collect();
    items.sort_by_key(|(key, _)| key.parse::<usize>().unwrap_or(usize::MAX));
    Value::Array(items.into_iter().map(|(_, child)| lists(child)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_later_field_at_its_origin_leaves_the_identity_alone() {
        let later = [LaterField { key: "optim.nesterov", origin: "false" }];
        let old = json!({"optim": {"lr": 0.01}});
        let same = json!({"optim": {"lr": 0.01, "nesterov": false}});
        let other = json!({"optim": {"lr": 0.01, "nesterov": true}});
        assert_eq!(text("train", &old, &later), "scarce train 1\noptim.lr = 0.01\n");
        assert_eq!(text("train", &same, &later), text("train", &old, &later));
        assert_ne!(text("train", &other, &later), text("train", &old, &later));
    }

    #[test]
    fn reals_are_shortest_round_trip_decimals() {
        let spec = json!({"a": 1e-8, "b": 0.1 + 0.2, "c": 3.0, "d": u64::MAX});
        let expected =
            "scarce t 1\na = 1e-8\nb = 0.30000000000000004\nc = 3.0\nd = 18446744073709551615\n";
        assert_eq!(text("t", &spec, &[]), expected);
    }

    #[test]
    fn flattening_is_invertible() {
        let tree = json!({"a": {"b": [{"c": 1}, {"c": 2}], "d": "x"}, "e": true});
        assert_eq!(unflatten(&flatten(&tree)), tree);
    }
}
