//! Curves out of the window: a table of their numbers, or a picture of what is on the screen.

use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use crossbeam_channel::{Receiver, bounded};
use egui::{ColorImage, Context, Rect};
use maskroom_core::files::write_atomic;
use maskroom_core::inspect::picture::Picture;
use maskroom_widgets::chart_csv::csv_from_curves;
use maskroom_widgets::{Curve, Trace};

use crate::studio::desk::Desk;
use crate::studio::panels::save_as::SaveAs;

/// A curve with a name of its own, to be written on a thread.
pub struct Named {
    /// What it is called.
    pub name: String,
    /// What was logged.
    pub raw: Arc<Trace>,
    /// The same smoothed.
    pub smooth: Option<Arc<Trace>>,
}

/// Exports under way, one at most.
#[derive(Default)]
pub struct Export {
    /// Frames until the picture is taken: the menu must be closed by then.
    shot_in: Option<u8>,
    shot: Option<Receiver<Arc<ColorImage>>>,
    save_as: SaveAs,
}

impl Export {
    /// Begins to export a table.
    pub fn table(&mut self, desk: Desk<'_>, name: &str, x_label: &'static str, curves: Vec<Named>) {
        let write = move |path: &Path| {
            let curves: Vec<Curve<'_>> = (curves.iter())
                .map(|curve| {
                    let raw = Some(&*curve.raw).filter(|raw| !raw.is_empty());
                    Curve { name: &curve.name, raw, smooth: curve.smooth.as_deref(), ..Curve::default() }
                })
                .collect();
            Ok(write_atomic(path, csv_from_curves(x_label, &curves).as_bytes())?)
        };
        self.save_as.ask(desk, "Export curves as a table", name, ("Table", "csv"), write);
    }

    /// Begins to export a picture.
    pub fn picture(&mut self, context: &Context) {
        self.shot_in = Some(2);
        context.request_repaint();
    }

    /// Takes the next step of what is under way. `area` is where the charts are.
    pub fn go_on(&mut self, context: &Context, desk: Desk<'_>, name: &str, area: Rect) {
        match self.shot_in {
            Some(0) => {
                let (send, shot) = bounded(1);
                let waker = context.clone();
                context.request_screenshot(move |image| {
                    // A panel that is gone needs no picture.
                    let _ = send.try_send(image);
                    waker.request_repaint();
                });
                (self.shot, self.shot_in) = (Some(shot), None);
            }
            Some(frames) => {
                self.shot_in = Some(frames - 1);
                context.request_repaint();
            }
            None => {}
        }
        if let Some(image) = self.shot.as_ref().and_then(|shot| shot.try_recv().ok()) {
            self.shot = None;
            let part = cropped(&image, area, context.pixels_per_point());
            self.save_as.ask(desk, "Export the charts as a picture", name, ("Picture", "png"), move |path| save(&part, path));
        }
        self.save_as.go_on(context, desk);
    }
}

/// The part of the window's picture that lies in `area`, which is in points.
fn cropped(image: &ColorImage, area: Rect, pixels_per_point: f32) -> ColorImage {
    let pixel = |point: f32, limit: usize| ((point * pixels_per_point).max(0.0) as usize).min(limit);
    let [width, height] = image.size;
    let (left, top) = (pixel(area.left(), width), pixel(area.top(), height));
    let size = [pixel(area.right(), width).saturating_sub(left), pixel(area.bottom(), height).saturating_sub(top)];
    image.region_by_pixels([left, top], size)
}

fn save(image: &ColorImage, path: &Path) -> Result<()> {
    let [width, height] = image.size;
    let rgb = image.pixels.iter().flat_map(|pixel| [pixel.r(), pixel.g(), pixel.b()]).collect();
    Ok(Picture::from_rgb(height, width, rgb)?.save_png(path)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_picture_is_the_part_of_the_window_and_never_more_than_it() {
        let image = ColorImage::filled([40, 20], egui::Color32::TRANSPARENT);
        let area = |left, top, right, bottom| Rect::from_min_max(egui::pos2(left, top), egui::pos2(right, bottom));
        assert_eq!(cropped(&image, area(5.0, 2.0, 15.0, 6.0), 2.0).size, [20, 8]);
        assert_eq!(cropped(&image, area(-5.0, 2.0, 150.0, 60.0), 2.0).size, [40, 16]);
        assert_eq!(cropped(&image, area(90.0, 90.0, 99.0, 99.0), 1.0).size, [0, 0]);
    }
}
