//! The field of one setting, made from its knob.

use egui::Ui;
use maskroom_core::knob::{Knob, Range, Value};
use maskroom_widgets::{Field, FieldResponse};

/// What a person wants of a setting.
#[derive(Debug, Clone, PartialEq)]
pub enum Wish {
    /// Another value, in the type that the knob asks for as far as what was written allows.
    Set(Value),
    /// The usual value.
    Reset,
}

/// Whole numbers of no wider a range get a slider.
const MAX_SLIDER_STEPS: i64 = 64;

/// Parts of keys that are written otherwise in a label.
const WORDS: [(&str, &str); 6] =
    [("lr", "learning rate"), ("mlp", "MLP"), ("ema", "averaging"), ("eps", "epsilon"), ("pos", "positions"), ("warmup", "warm-up")];

/// A key as a label: `min_lr` becomes `Min learning rate`.
pub fn title(key: &str) -> String {
    let word = |part: &str| WORDS.iter().find(|(known, _)| *known == part).map_or(part.to_owned(), |(_, word)| (*word).to_owned());
    let mut words = key.split('_').map(word).collect::<Vec<_>>().join(" ");
    if let Some(first) = words.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    words
}

/// Draws the control that the knob's range asks for. A value of another type than the range's is edited as text.
pub fn show(ui: &mut Ui, field: Field<'_>, knob: &Knob, value: &Value) -> Option<Wish> {
    let field = field.unit(knob.unit);
    match (knob.range, value, value.as_float()) {
        (Range::Int(low, high), &Value::Int(before), _) => {
            let mut number = before as f64;
            // A slider would pull a value that is out of range back into it.
            let field = if high - low <= MAX_SLIDER_STEPS && (low..=high).contains(&before) { field.slider() } else { field };
            wish(field.number(ui, &mut number, low as f64..=high as f64, true), || Value::Int(number as i64))
        }
        (Range::Float(low, high), _, Some(before)) => {
            let mut number = before;
            let field = if high - low <= 1.0 && (low..=high).contains(&before) { field.slider() } else { field };
            wish(field.number(ui, &mut number, low..=high, false), || Value::Float(number))
        }
        (Range::Bool, &Value::Bool(before), _) => {
            let mut on = before;
            wish(field.flag(ui, &mut on), || Value::Bool(on))
        }
        (Range::Choice(words), Value::Text(before), _) => {
            let mut word = before.clone();
            wish(field.choice(ui, &mut word, words), || Value::Text(word))
        }
        (Range::Ints(..) | Range::Floats(..), Value::Ints(_) | Value::Floats(_), _) => {
            let mut numbers = numbers_from_value(value);
            wish(field.numbers(ui, &mut numbers), || value_from_numbers(&knob.range, &numbers))
        }
        _ => {
            let mut text = text_from_value(value);
            wish(field.text(ui, &mut text), || value_from_text(&knob.range, &text))
        }
    }
}

fn wish(response: FieldResponse, value: impl FnOnce() -> Value) -> Option<Wish> {
    if response.reset { Some(Wish::Reset) } else { response.changed.then(|| Wish::Set(value())) }
}

fn numbers_from_value(value: &Value) -> Vec<f64> {
    match value {
        Value::Ints(list) => list.iter().map(|&number| number as f64).collect(),
        Value::Floats(list) => list.clone(),
        _ => Vec::new(),
    }
}

/// Whole numbers stay whole where those are asked for; a fraction among them is left for the check to find.
fn value_from_numbers(range: &Range, numbers: &[f64]) -> Value {
    let whole = numbers.iter().all(|number| number.fract() == 0.0);
    if matches!(range, Range::Ints(..)) && whole {
        Value::Ints(numbers.iter().map(|&number| number as i64).collect())
    } else {
        Value::Floats(numbers.to_vec())
    }
}

fn text_from_value(value: &Value) -> String {
    if let Value::Text(text) = value { text.clone() } else { value.to_string() }
}

/// Words are taken as they are; anything else is read as TOML has it.
fn value_from_text(range: &Range, text: &str) -> Value {
    if matches!(range, Range::Text | Range::Choice(_)) { Value::Text(text.into()) } else { Value::parse(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_takes_the_type_that_the_knob_asks_for() {
        let texts = Range::Texts;
        assert_eq!(value_from_text(&Range::Text, "12"), Value::Text("12".into()));
        assert_eq!(value_from_text(&texts, "[\"a.png\"]"), Value::Texts(vec!["a.png".into()]));
        assert_eq!(value_from_text(&texts, "[\"a.png\""), Value::Text("[\"a.png\"".into()), "kept as it stands while it is written");
        assert_eq!(value_from_text(&Range::Int(0, 9), "7"), Value::Int(7));
        assert_eq!(value_from_numbers(&Range::Ints(2, 4, 8192), &[224.0, 96.0]).to_toml().to_string(), "[224, 96]");
        assert_eq!(value_from_numbers(&Range::Ints(2, 4, 8192), &[224.5, 96.0]), Value::Floats(vec![224.5, 96.0]));
        assert_eq!(value_from_numbers(&Range::Floats(0.0, 1.0), &[0.2, 1.0]).to_toml().to_string(), "[0.2, 1.0]");
        assert_eq!(value_from_numbers(&Range::Floats(0.0, 1.0), &[]), Value::Floats(Vec::new()));
    }

    #[test]
    fn keys_become_labels() {
        assert_eq!(
            (title("warmup_epochs").as_str(), title("min_lr").as_str(), title("").as_str()),
            ("Warm-up epochs", "Min learning rate", "")
        );
    }
}
