//! A list of numbers, edited as text.

use egui::{Id, TextStyle, Ui};

use super::{Outcome, line_edit, number};

/// What is being written, and the values it began from: if they change elsewhere, it is forgotten.
#[derive(Clone)]
struct Draft {
    text: String,
    from: Vec<f64>,
}

pub(super) fn edit(ui: &mut Ui, label: Id, values: &mut Vec<f64>, hint: &str) -> Outcome {
    let id = label.with("draft");
    let kept: Option<Draft> = ui.data(|data| data.get_temp(id)).filter(|draft: &Draft| draft.from == *values);
    let mut text = kept.map_or_else(|| written(values), |draft| draft.text);
    let response = line_edit(ui, &mut text, hint, TextStyle::Monospace).labelled_by(label);
    let parsed = parsed(&text);
    let mut outcome = Outcome::default();
    if !response.has_focus() {
        if let Some(parsed) = &parsed {
            outcome.changed = parsed != values;
            values.clone_from(parsed);
        } else {
            outcome.problem = Some("Write numbers with commas between them");
        }
    }
    let done = parsed.is_some() && !response.has_focus();
    ui.data_mut(|data| {
        if done {
            data.remove::<Draft>(id);
        } else {
            data.insert_temp(id, Draft { text, from: values.clone() });
        }
    });
    outcome
}

fn written(values: &[f64]) -> String {
    values.iter().map(|&value| number::written(value, value.fract() == 0.0)).collect::<Vec<_>>().join(", ")
}

/// Brackets around the whole may be left out.
fn parsed(text: &str) -> Option<Vec<f64>> {
    let text = text.trim();
    let inner = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    if inner.trim().is_empty() {
        return Some(Vec::new());
    }
    inner.split(',').map(number::parsed).collect()
}

#[cfg(test)]
mod tests {
    use egui_kittest::Harness;
    use egui_kittest::kittest::Queryable as _;

    use super::*;
    use crate::Field;

    #[test]
    fn lists_are_read_with_and_without_brackets() {
        assert_eq!(parsed("[224, 224]"), Some(vec![224.0, 224.0]));
        assert_eq!(parsed("0.5,1e-3"), Some(vec![0.5, 1e-3]));
        assert_eq!(parsed(" "), Some(vec![]));
        assert_eq!(parsed("1, two"), None);
        assert_eq!(written(&[224.0, 0.5]), "224, 0.5");
    }

    #[test]
    fn a_list_is_taken_when_the_field_is_left_and_a_mistake_is_told() {
        let mut harness = Harness::builder().with_context_setup(crate::theme::install).build_ui_state(
            |ui, values: &mut Vec<f64>| {
                Field::new("Image size").numbers(ui, values);
            },
            vec![224.0, 224.0],
        );
        for (text, expected, wrong) in [("[96, 128]", vec![96.0, 128.0], false), ("96 by 96", vec![96.0, 128.0], true)] {
            harness.get_by_role(egui::Role::TextInput).focus();
            harness.run();
            harness.key_press_modifiers(egui::Modifiers::COMMAND, egui::Key::A);
            harness.get_by_role(egui::Role::TextInput).type_text(text);
            harness.run();
            harness.key_press(egui::Key::Enter);
            harness.run();
            assert_eq!(*harness.state(), expected, "{text}");
            assert_eq!(harness.query_by_label("Write numbers with commas between them").is_some(), wrong);
        }
    }
}
