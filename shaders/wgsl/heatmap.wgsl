// A heat map over an image: one value per patch, colored along a ramp; patches outside the chosen share of the mass are dimmed.
//
// Drawn as one triangle that covers the viewport; where a pixel lies in the map follows from its position on the target, so that the
// viewport may be any visible part of the image. One buffer holds the maps of every query and head, sorted and summed once on the CPU
// (`Cell::mass`): moving the threshold, the query or the head changes uniforms alone and uploads nothing.
// `color_at` and `shade` in Rust are the twins of `fs_main` and `shade` here: change both.

struct Heatmap {
    // Colors from nothing to most, sRGB as stored in images (gamma-encoded), not premultiplied.
    ramp: array<vec4<f32>, 16>,
    // Left, top, width and height of the whole map on the target, in pixels.
    area: vec4<f32>,
    // Columns and rows of patches.
    grid: vec2<u32>,
    // Values that map to the first and to the last color.
    range: vec2<f32>,
    // Share of the whole mass to keep, 0 to 1; 1 keeps every patch that has any.
    mass: f32,
    // Opacity of kept patches.
    opacity: f32,
    // Opacity of the others.
    dimmed: f32,
    // Where the map begins in `cells`.
    first: u32,
    // 1 to blend values between the centers of patches; which patches are kept stays sharp.
    is_smooth: u32,
    // 1 if the target encodes colors itself and wants them linear.
    is_linear: u32,
    reserved: vec2<u32>,
}

struct Cell {
    value: f32,
    // Share of the whole mass in this patch and in all patches that sort before it, smallest first.
    mass: f32,
}

@group(0) @binding(0) var<uniform> heatmap: Heatmap;
// Map after map; row by row, `grid.x * grid.y` cells each.
@group(0) @binding(1) var<storage, read> cells: array<Cell>;

@vertex
fn vs_main(@builtin(vertex_index) index: u32) -> @builtin(position) vec4<f32> {
    let corner = vec2<f32>(f32((index << 1u) & 2u), f32(index & 2u));
    return vec4<f32>(corner.x * 2.0 - 1.0, 1.0 - corner.y * 2.0, 0.0, 1.0);
}

@fragment
fn fs_main(@builtin(position) position: vec4<f32>) -> @location(0) vec4<f32> {
    let size = vec2<f32>(max(heatmap.grid, vec2<u32>(1u)));
    let place = clamp((position.xy - heatmap.area.xy) / heatmap.area.zw, vec2<f32>(0.0), vec2<f32>(1.0)) * size;
    var cell = cell_at(floor(place));
    if heatmap.is_smooth == 1u {
        cell.value = smooth_value(place - 0.5);
    }
    let color = shade(cell);
    return vec4<f32>(select(color.rgb, linear_from_gamma(color.rgb), heatmap.is_linear == 1u), color.a);
}

// The cell in a column and row; outside, the nearest one.
fn cell_at(place: vec2<f32>) -> Cell {
    let grid = max(heatmap.grid, vec2<u32>(1u));
    let at = min(vec2<u32>(max(place, vec2<f32>(0.0))), grid - 1u);
    return cells[min(heatmap.first + at.y * grid.x + at.x, arrayLength(&cells) - 1u)];
}

// The value between four centers of patches, which lie at whole numbers.
fn smooth_value(place: vec2<f32>) -> f32 {
    let low = floor(place);
    let share = place - low;
    let top = mix(cell_at(low).value, cell_at(low + vec2<f32>(1.0, 0.0)).value, share.x);
    let bottom = mix(cell_at(low + vec2<f32>(0.0, 1.0)).value, cell_at(low + vec2<f32>(1.0, 1.0)).value, share.x);
    return mix(top, bottom, share.y);
}

// Premultiplied color of one patch.
fn shade(cell: Cell) -> vec4<f32> {
    let span = max(heatmap.range.y - heatmap.range.x, 1e-12);
    let place = clamp((cell.value - heatmap.range.x) / span, 0.0, 1.0) * 15.0;
    let stop = min(u32(place), 14u);
    let color = mix(heatmap.ramp[stop], heatmap.ramp[stop + 1u], place - f32(stop));
    // Strictly more, as in the DINO authors' code: the largest values whose mass reaches the share.
    let is_kept = cell.mass > 1.0 - heatmap.mass;
    let alpha = color.a * select(heatmap.dimmed, heatmap.opacity, is_kept);
    return vec4<f32>(color.rgb * alpha, alpha);
}

// IEC 61966-2-1.
fn linear_from_gamma(color: vec3<f32>) -> vec3<f32> {
    return select(pow((color + 0.055) / 1.055, vec3<f32>(2.4)), color / 12.92, color <= vec3<f32>(0.04045));
}
