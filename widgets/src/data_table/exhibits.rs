//! Tables of runs for the gallery.

use egui::{Ui, vec2};

use super::{Column, DataTable, Sort, TableState};
use crate::format;
use crate::gallery::Exhibit;

const COLUMNS: [Column<'static>; 5] = [
    Column { title: "Run", unit: "", numeric: false, width: f32::INFINITY },
    Column { title: "Method", unit: "", numeric: false, width: 96.0 },
    Column { title: "Loss", unit: "", numeric: true, width: 96.0 },
    Column { title: "Speed", unit: "img/s", numeric: true, width: 112.0 },
    Column { title: "Images seen", unit: "k", numeric: true, width: 128.0 },
];

const RUNS: [(&str, &str, f32, f32, u64); 6] = [
    ("brave-otter", "MAE", 0.4127, 85.2, 12_800),
    ("calm-heron", "MAE", 0.3986, 84.9, 25_600),
    ("vit_small_patch16_224_um_mae_imagenet100_seed17_longer_warmup", "UM-MAE", 0.4511, 141.0, 6_400),
    ("dusty-finch", "SimMIM", 0.2903, 33.7, 1_240),
    ("eager-lynx", "BEiT", 5.8210, 41.3, 900),
    ("faint-moth", "MaskFeat", 0.1180, 52.8, 3_000),
];

fn show_cell(ui: &mut Ui, item: usize, column: usize) {
    let (name, method, loss, speed, seen) = RUNS[item % RUNS.len()];
    let text = match column {
        0 => name.to_owned(),
        1 => method.to_owned(),
        2 => format!("{loss:.4}"),
        3 => format!("{speed:.1}"),
        _ => format::count(seen),
    };
    ui.label(text);
}

fn show_runs(ui: &mut Ui, columns: &[Column<'_>], order: &[usize], mut state: TableState) {
    let table = DataTable::new("Runs", columns, order).empty("No runs yet", "Choose a recipe and start one");
    // Exhibits stand beside each other and must not share widths.
    ui.push_id((columns.len(), order.len(), state.sort.column, state.selected.len()), |ui| table.show(ui, &mut state, show_cell));
}

pub(crate) const EXHIBITS: &[Exhibit] = &[
    Exhibit {
        name: "data_table",
        size: vec2(640.0, 192.0),
        show: |ui| {
            let state = TableState { sort: Sort { column: 2, descending: false }, selected: [1, 2].into(), ..TableState::default() };
            show_runs(ui, &COLUMNS, &[5, 3, 1, 0, 2, 4], state);
        },
    },
    Exhibit {
        name: "data_table_many",
        size: vec2(640.0, 144.0),
        show: |ui| {
            let order: Vec<usize> = (0..10_000).collect();
            show_runs(ui, &COLUMNS, &order, TableState { sort: Sort { column: 0, descending: true }, ..TableState::default() });
        },
    },
    Exhibit {
        name: "data_table_narrow",
        size: vec2(320.0, 144.0),
        show: |ui| {
            show_runs(ui, &COLUMNS, &[0, 1, 2, 3], TableState { sort: Sort { column: 1, descending: false }, ..TableState::default() });
        },
    },
    Exhibit {
        name: "data_table_focused",
        size: vec2(640.0, 144.0),
        show: |ui| {
            ui.push_id("focused", |ui| {
                let id = ui.make_persistent_id("Runs");
                let mut state = TableState { selected: [3].into(), cursor: Some(3), ..TableState::default() };
                DataTable::new("Runs", &COLUMNS, &[0, 1, 3, 4]).show(ui, &mut state, show_cell);
                ui.memory_mut(|memory| memory.request_focus(id));
            });
        },
    },
    Exhibit { name: "data_table_empty", size: vec2(640.0, 176.0), show: |ui| show_runs(ui, &COLUMNS, &[], TableState::default()) },
];

#[cfg(test)]
mod tests {
    use egui::{Key, Modifiers};
    use egui_kittest::Harness;
    use egui_kittest::kittest::Queryable as _;

    use super::super::TableResponse;
    use super::*;

    #[derive(Default)]
    struct Window {
        order: Vec<usize>,
        state: TableState,
        happened: TableResponse,
        num_cells: usize,
    }

    fn shown(num_rows: usize) -> Harness<'static, Window> {
        // Items are counted against the order of rows, so that a mix-up of both is noticed.
        let window = Window { order: (0..num_rows).rev().collect(), ..Window::default() };
        let mut harness =
            Harness::builder().with_step_dt(0.05).with_size(vec2(640.0, 240.0)).with_context_setup(crate::theme::install).build_ui_state(
                |ui, window: &mut Window| {
                    window.num_cells = 0;
                    let response = DataTable::new("Runs", &COLUMNS, &window.order).show(ui, &mut window.state, |ui, item, column| {
                        window.num_cells += 1;
                        ui.label(format!("{item}/{column}"));
                    });
                    if response != TableResponse::default() {
                        window.happened = response;
                    }
                },
                window,
            );
        harness.run();
        harness
    }

    fn press(harness: &mut Harness<'_, Window>, modifiers: Modifiers, key: Key) {
        harness.key_press_modifiers(modifiers, key);
        harness.run();
    }

    fn click(harness: &mut Harness<'_, Window>, modifiers: Modifiers, cell: &str) {
        harness.get_by_label(cell).click_modifiers(modifiers);
        harness.run();
        // Two clicks in quick succession would be a double click.
        for _ in 0..10 {
            harness.step();
        }
    }

    fn selected(harness: &Harness<'_, Window>) -> Vec<usize> {
        harness.state().state.selected.iter().copied().collect()
    }

    #[test]
    fn only_rows_in_sight_are_drawn() {
        let harness = shown(10_000);
        assert!((COLUMNS.len()..20 * COLUMNS.len()).contains(&harness.state().num_cells), "{}", harness.state().num_cells);
    }

    #[test]
    fn clicks_choose_one_several_or_a_range() {
        let mut harness = shown(6);
        click(&mut harness, Modifiers::NONE, "4/0");
        assert_eq!(selected(&harness), [4]);
        click(&mut harness, Modifiers::COMMAND, "2/1");
        assert_eq!(selected(&harness), [2, 4]);
        click(&mut harness, Modifiers::SHIFT, "0/2");
        assert_eq!(selected(&harness), [0, 1, 2]);
        click(&mut harness, Modifiers::COMMAND, "1/2");
        assert_eq!(selected(&harness), [0, 2]);
    }

    #[test]
    fn keys_move_choose_and_open() {
        let mut harness = shown(6);
        click(&mut harness, Modifiers::NONE, "4/0");
        press(&mut harness, Modifiers::NONE, Key::ArrowDown);
        assert_eq!(selected(&harness), [3]);
        press(&mut harness, Modifiers::SHIFT, Key::ArrowDown);
        assert_eq!(selected(&harness), [2, 3]);
        press(&mut harness, Modifiers::NONE, Key::End);
        press(&mut harness, Modifiers::NONE, Key::ArrowDown);
        assert_eq!(selected(&harness), [0]);
        press(&mut harness, Modifiers::NONE, Key::Enter);
        assert_eq!(harness.state().happened.opened, Some(0));
        press(&mut harness, Modifiers::COMMAND, Key::A);
        assert_eq!(selected(&harness).len(), 6);
    }

    #[test]
    fn the_cursor_stays_in_sight() {
        let mut harness = shown(1_000);
        click(&mut harness, Modifiers::NONE, "999/0");
        press(&mut harness, Modifiers::NONE, Key::End);
        assert!(harness.query_by_label("0/0").is_some());
    }

    #[test]
    fn a_double_click_opens() {
        let mut harness = shown(6);
        for _ in 0..2 {
            harness.get_by_label("3/0").click();
            harness.step();
        }
        harness.run();
        assert_eq!(harness.state().happened.opened, Some(3));
    }

    #[test]
    fn headers_sort_and_turn_around() {
        let mut harness = shown(6);
        for descending in [false, true, false] {
            harness.get_by_label("Sort by Loss").click();
            harness.run();
            assert!(harness.state().happened.sorted);
            assert_eq!(harness.state().state.sort, Sort { column: 2, descending });
        }
    }

    #[test]
    fn a_row_has_a_menu_for_what_is_chosen() {
        let mut harness = Harness::builder().with_size(vec2(640.0, 240.0)).with_context_setup(crate::theme::install).build_ui_state(
            |ui, (state, opened_for): &mut (TableState, Option<usize>)| {
                let mut menu = |ui: &mut Ui, item: usize| {
                    *opened_for = Some(item);
                    let _ = ui.button("Delete…");
                };
                let table = DataTable::new("Runs", &COLUMNS, &[2, 1, 0]).menu(&mut menu);
                table.show(ui, state, |ui, item, column| drop(ui.label(format!("{item}/{column}"))));
            },
            (TableState::default(), None),
        );
        harness.run();
        harness.get_by_label("1/3").click_secondary();
        harness.run();
        assert!(harness.query_by_label("Delete…").is_some());
        assert_eq!(harness.state().1, Some(1));
        assert_eq!(harness.state().0.selected, [1].into());
    }
}
