// Several attention heads over one image: each paints the patches that hold its mass in a color of its own, stronger where it attends
// more; where heads overlap their colors mix by strength.
//
// Drawn like `heatmap.wgsl`, from the same buffer of cells.
// `color_at` and `strength_at` in Rust are the twins of `fs_main` and `strength_at` here: change both.

struct Composite {
    // Each head's color, sRGB as stored in images (gamma-encoded), and its own opacity.
    colors: array<vec4<f32>, 16>,
    // Where each head's map begins in `cells`, four to a vector.
    first: array<vec4<u32>, 4>,
    // Each head's largest value, which paints at full strength, four to a vector.
    maximum: array<vec4<f32>, 4>,
    // Left, top, width and height of the whole map on the target, in pixels.
    area: vec4<f32>,
    // Columns and rows of patches.
    grid: vec2<u32>,
    // Bit `n` shows the head in slot `n`.
    shown: u32,
    // Share of each head's mass to keep, 0 to 1; 1 keeps every patch that has any.
    mass: f32,
    // Opacity at full strength.
    opacity: f32,
    // 1 to blend strengths between the centers of patches.
    is_smooth: u32,
    // 1 if the target encodes colors itself and wants them linear.
    is_linear: u32,
    reserved: u32,
}

struct Cell {
    value: f32,
    // Share of the whole mass in this patch and in all patches that sort before it, smallest first.
    mass: f32,
}

@group(0) @binding(0) var<uniform> composite: Composite;
// Map after map; row by row, `grid.x * grid.y` cells each.
@group(0) @binding(1) var<storage, read> cells: array<Cell>;

@vertex
fn vs_main(@builtin(vertex_index) index: u32) -> @builtin(position) vec4<f32> {
    let corner = vec2<f32>(f32((index << 1u) & 2u), f32(index & 2u));
    return vec4<f32>(corner.x * 2.0 - 1.0, 1.0 - corner.y * 2.0, 0.0, 1.0);
}

@fragment
fn fs_main(@builtin(position) position: vec4<f32>) -> @location(0) vec4<f32> {
    let size = vec2<f32>(max(composite.grid, vec2<u32>(1u)));
    let place = clamp((position.xy - composite.area.xy) / composite.area.zw, vec2<f32>(0.0), vec2<f32>(1.0)) * size;
    var sum = vec3<f32>(0.0);
    var weight = 0.0;
    var strongest = 0.0;
    for (var slot = 0u; slot < 16u; slot++) {
        if (composite.shown & (1u << slot)) != 0u {
            let strength = strength_at(slot, place) * composite.colors[slot].a;
            sum += composite.colors[slot].rgb * strength;
            weight += strength;
            strongest = max(strongest, strength);
        }
    }
    let alpha = strongest * composite.opacity;
    let color = sum / max(weight, 1e-12) * alpha;
    return vec4<f32>(select(color, linear_from_gamma(color), composite.is_linear == 1u), alpha);
}

// How strongly a head paints at a place in the grid, 0 to 1.
fn strength_at(slot: u32, place: vec2<f32>) -> f32 {
    if composite.is_smooth == 0u {
        return strength(slot, floor(place));
    }
    // Centers of patches lie at whole numbers.
    let low = floor(place - 0.5);
    let share = place - 0.5 - low;
    let top = mix(strength(slot, low), strength(slot, low + vec2<f32>(1.0, 0.0)), share.x);
    let bottom = mix(strength(slot, low + vec2<f32>(0.0, 1.0)), strength(slot, low + vec2<f32>(1.0, 1.0)), share.x);
    return mix(top, bottom, share.y);
}

// How strongly a head paints one patch, given by column and row; outside, the nearest one.
fn strength(slot: u32, place: vec2<f32>) -> f32 {
    let grid = max(composite.grid, vec2<u32>(1u));
    let at = min(vec2<u32>(max(place, vec2<f32>(0.0))), grid - 1u);
    let first = composite.first[slot >> 2u][slot & 3u];
    let cell = cells[min(first + at.y * grid.x + at.x, arrayLength(&cells) - 1u)];
    let share = clamp(cell.value / max(composite.maximum[slot >> 2u][slot & 3u], 1e-12), 0.0, 1.0);
    return select(0.0, share, cell.mass > 1.0 - composite.mass);
}

// IEC 61966-2-1.
fn linear_from_gamma(color: vec3<f32>) -> vec3<f32> {
    return select(pow((color + 0.055) / 1.055, vec3<f32>(2.4)), color / 12.92, color <= vec3<f32>(0.04045));
}
