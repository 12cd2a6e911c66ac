// A heat map over an image: one value per patch, colored along a ramp; patches outside the chosen share of the mass are dimmed.
//
// Drawn as one triangle that covers the viewport, which the caller sets to the image's rectangle. Values are sorted and summed once on
// the CPU (`Cell::mass`), so that moving the threshold costs one comparison a pixel and no upload.
// `shade` here and `heatmap::shade` in Rust are twins: change both.

struct Heatmap {
    // Colors from nothing to most, linear, not premultiplied.
    ramp: array<vec4<f32>, 5>,
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
    reserved: f32,
}

struct Cell {
    value: f32,
    // Share of the whole mass in this patch and in all patches that sort before it, smallest first.
    mass: f32,
}

@group(0) @binding(0) var<uniform> heatmap: Heatmap;
// Row by row; `grid.x * grid.y` of them.
@group(0) @binding(1) var<storage, read> cells: array<Cell>;

struct Corner {
    @builtin(position) position: vec4<f32>,
    // 0 to 1 over the viewport, from the top left.
    @location(0) uv: vec2<f32>,
}

@vertex
fn vs_main(@builtin(vertex_index) index: u32) -> Corner {
    let uv = vec2<f32>(f32((index << 1u) & 2u), f32(index & 2u));
    return Corner(vec4<f32>(uv.x * 2.0 - 1.0, 1.0 - uv.y * 2.0, 0.0, 1.0), uv);
}

@fragment
fn fs_main(corner: Corner) -> @location(0) vec4<f32> {
    let grid = max(heatmap.grid, vec2<u32>(1u));
    let at = min(vec2<u32>(clamp(corner.uv, vec2<f32>(0.0), vec2<f32>(1.0)) * vec2<f32>(grid)), grid - 1u);
    return shade(cells[min(at.y * grid.x + at.x, arrayLength(&cells) - 1u)]);
}

// Premultiplied color of one patch.
fn shade(cell: Cell) -> vec4<f32> {
    let span = max(heatmap.range.y - heatmap.range.x, 1e-12);
    let place = clamp((cell.value - heatmap.range.x) / span, 0.0, 1.0) * 4.0;
    let stop = min(u32(place), 3u);
    let color = mix(heatmap.ramp[stop], heatmap.ramp[stop + 1u], place - f32(stop));
    // Strictly more, as in the DINO authors' code: the largest values whose mass reaches the share.
    let kept = cell.mass > 1.0 - heatmap.mass;
    let alpha = color.a * select(heatmap.dimmed, heatmap.opacity, kept);
    return vec4<f32>(color.rgb * alpha, alpha);
}
