//! Small pictures for exhibits and tests, computed from the tokens.

use std::sync::LazyLock;

use egui::{Color32, ColorImage, Context, Id, Vec2};

use crate::Tokens;
use crate::heat_rows::HeatRows;
use crate::picture::{Picture, PictureTextures};

/// Hills under a low sun, 96 by 72 pixels; each variant has its own hills and light.
pub(crate) fn scene(ctx: &Context, variant: usize) -> Picture {
    picture(ctx, ("scene", variant), || scene_image([96, 72], variant))
}

/// The same hills, blurred by squares as a weak model would paint them.
pub(crate) fn rough_scene(ctx: &Context, variant: usize) -> Picture {
    picture(ctx, ("rough scene", variant), || {
        let fine = scene_image([96, 72], variant);
        let pixels = (0..96 * 72).map(|index| fine.pixels[(index / 96 / 6 * 6 + 3) * 96 + index % 96 / 6 * 6 + 3]).collect();
        ColorImage::new([96, 72], pixels)
    })
}

/// A disk on nothing, 96 by 96 pixels.
pub(crate) fn cut_out(ctx: &Context) -> Picture {
    picture(ctx, ("cut-out", 0), || {
        let (tokens, size) = (Tokens::dark(), 96);
        let pixels = (0..size * size).map(|index| {
            let distance = (Vec2::new((index % size) as f32, (index / size) as f32) - Vec2::splat(47.5)).length() / 36.0;
            tokens.series[1].lerp_to_gamma(tokens.series[0], distance.min(1.0)).gamma_multiply(((1.0 - distance) * 12.0).clamp(0.0, 1.0))
        });
        ColorImage::new([size, size], pixels.collect())
    })
}

/// The picture itself, for whoever wants pixels.
pub(crate) fn scene_image([width, height]: [usize; 2], variant: usize) -> ColorImage {
    let tokens = Tokens::dark();
    let [night, _, dusk, glow, light] = tokens.heat;
    let ground = tokens.series[(variant + 3) % tokens.series.len()].lerp_to_gamma(night, 0.45);
    let seed = variant as f32;
    let sun = Vec2::new(0.25 + 0.5 * (seed * 0.37).fract(), 0.32 + 0.1 * (seed * 1.7).sin());
    let aspect = width as f32 / height as f32;
    let color = |x: f32, y: f32| -> Color32 {
        let distance = (Vec2::new(x, y) - sun) * Vec2::new(aspect, 1.0);
        let sky = dusk.lerp_to_gamma(glow, (y * 1.6).min(1.0)).lerp_to_gamma(night, (0.55 - y).max(0.0) * 1.2);
        let ridge =
            |place: f32, height: f32, pace: f32| place + height * ((x * pace + seed).sin() + 0.4 * (x * pace * 2.7 + seed * 2.0).sin());
        if y > ridge(0.78, 0.05, 7.0) {
            ground.lerp_to_gamma(night, ((y - 0.7) * 1.6).clamp(0.0, 0.7))
        } else if y > ridge(0.6, 0.07, 4.0) {
            ground.lerp_to_gamma(dusk, 0.35)
        } else {
            sky.lerp_to_gamma(light, (1.0 - distance.length() * 2.6).clamp(0.0, 1.0).powi(2))
                .lerp_to_gamma(light, f32::from(distance.length() < 0.11))
        }
    };
    let pixels = (0..width * height).map(|index| color((index % width) as f32 / width as f32, (index / width) as f32 / height as f32));
    ColorImage::new([width, height], pixels.collect())
}

/// Loads a picture the first time.
fn picture(ctx: &Context, key: (&'static str, usize), image: impl FnOnce() -> ColorImage) -> Picture {
    let id = Id::unique(key);
    if let Some(textures) = ctx.data(|data| data.get_temp::<PictureTextures>(id)) {
        return (&textures).into();
    }
    let textures = PictureTextures::load(ctx, key.0, image());
    ctx.data_mut(|data| data.insert_temp(id, textures.clone()));
    (&textures).into()
}

/// The same as a small picture.
pub(crate) fn scene_thumb(ctx: &Context, variant: usize) -> crate::thumb::Thumb {
    let variant = variant % 12;
    let id = Id::unique(("scene thumb", variant));
    let texture = ctx.data(|data| data.get_temp::<egui::TextureHandle>(id)).unwrap_or_else(|| {
        let size = [[64, 48], [48, 64], [64, 64]][variant % 3];
        let texture = ctx.load_texture("scene thumb", scene_image(size, variant), egui::TextureOptions::LINEAR);
        ctx.data_mut(|data| data.insert_temp(id, texture.clone()));
        texture
    });
    crate::thumb::Thumb::Ready(texture.id(), texture.size())
}

/// Attention of 108 patches (9 rows of 12), six heads: each head looks at its own distance and direction from the query, and at the sun.
pub(crate) fn attention() -> HeatRows {
    static ATTENTION: LazyLock<Option<HeatRows>> = LazyLock::new(|| {
        let place = |patch: usize| Vec2::new((patch % 12) as f32, (patch / 12) as f32);
        let mut values = Vec::with_capacity(108 * 6 * 108);
        for query in 0..108 {
            for head in 0..6 {
                let aim = place(query) + 3.5 * Vec2::angled(head as f32);
                values.extend((0..108).map(|patch| {
                    let (near, sun) = ((place(patch) - aim).length_sq(), (place(patch) - Vec2::new(3.0, 3.0)).length_sq());
                    (-near / 6.0).exp() + 0.4 * (-sun / 2.0).exp() + 0.05
                }));
            }
        }
        HeatRows::from_values(&values, 108, 6, [9, 12])
    });
    ATTENTION.clone().unwrap_or_else(|| unreachable!("the lengths fit"))
}
