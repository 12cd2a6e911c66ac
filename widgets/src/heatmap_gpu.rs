//! Heat maps on the graphics card: maps are uploaded once, and each drawing is a callback of egui's renderer.

use std::ops::Range;
use std::sync::{Arc, Weak};

use egui::mutex::Mutex;
use egui::{Context, Id, PaintCallback, PaintCallbackInfo, Rect};
use egui_wgpu::wgpu::util::{BufferInitDescriptor, DeviceExt as _};
use egui_wgpu::{Callback, CallbackResources, CallbackTrait, ScreenDescriptor, wgpu};
use maskroom_shaders::{BindingKind, Shader, composite, heatmap};

use crate::heat_rows::{HeatRows, Maps};
use crate::heatmap::Uniforms;

/// What is uploaded at once: little enough for any device and for one frame.
pub(crate) const MAX_CHUNK_BYTES: usize = 32 << 20;
/// What may lie on the graphics card; beyond, what was not drawn for longest goes.
const MAX_RESIDENT_BYTES: u64 = 256 << 20;

/// Tells heat maps the format of the window's surface (`RenderState::target_format`). Call it once, before the first frame. Until then
/// they take it to be `Rgba8Unorm`, as a program without a window has it.
pub fn set_target_format(context: &Context, format: wgpu::TextureFormat) {
    context.data_mut(|data| data.insert_temp(target_format_id(), format));
}

fn target_format_id() -> Id {
    Id::unique("heat map target format")
}

/// A shape that draws a map over `rect`, of which `visible` can be seen. `chunk` holds the cells that the uniforms speak of.
pub(crate) fn callback(
    context: &Context,
    rows: &HeatRows,
    chunk: Range<usize>,
    uniforms: Uniforms,
    rect: Rect,
    visible: Rect,
) -> PaintCallback {
    let format = context.data(|data| data.get_temp(target_format_id())).unwrap_or(wgpu::TextureFormat::Rgba8Unorm);
    Callback::new_paint_callback(visible, Drawing { rows: rows.clone(), chunk, uniforms, rect, format, bind_group: Mutex::new(None) })
}

/// One map in one place in one frame.
struct Drawing {
    rows: HeatRows,
    chunk: Range<usize>,
    uniforms: Uniforms,
    /// The whole map, in points.
    rect: Rect,
    format: wgpu::TextureFormat,
    bind_group: Mutex<Option<wgpu::BindGroup>>,
}

impl CallbackTrait for Drawing {
    fn prepare(
        &self,
        device: &wgpu::Device,
        _queue: &wgpu::Queue,
        screen: &ScreenDescriptor,
        _encoder: &mut wgpu::CommandEncoder,
        resources: &mut CallbackResources,
    ) -> Vec<wgpu::CommandBuffer> {
        let gpu: &mut Gpu = resources.entry().or_insert_with(Gpu::default);
        let corner = self.rect.min * screen.pixels_per_point;
        let size = self.rect.size() * screen.pixels_per_point;
        let uniforms = self.uniforms.placed([corner.x, corner.y, size.x, size.y], self.format.is_srgb());
        let contents = match &uniforms {
            Uniforms::OneHead(uniforms) => bytemuck::bytes_of(uniforms),
            Uniforms::ManyHeads(uniforms) => bytemuck::bytes_of(uniforms),
        };
        let usage = wgpu::BufferUsages::UNIFORM;
        let uniforms = device.create_buffer_init(&BufferInitDescriptor { label: Some("heat map uniforms"), contents, usage });
        let cells = gpu.cells(device, &self.rows, &self.chunk);
        let pipeline = gpu.pipeline(device, self.shader(), self.format);
        *self.bind_group.lock() = Some(device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some("heat map"),
            layout: &pipeline.get_bind_group_layout(0),
            entries: &[
                wgpu::BindGroupEntry { binding: 0, resource: uniforms.as_entire_binding() },
                wgpu::BindGroupEntry { binding: 1, resource: cells.as_entire_binding() },
            ],
        }));
        Vec::new()
    }

    fn paint(&self, _info: PaintCallbackInfo, pass: &mut wgpu::RenderPass<'static>, resources: &CallbackResources) {
        // egui has set the viewport to what is visible, and the scissors to the clip.
        let pipeline = resources.get::<Gpu>().and_then(|gpu| gpu.made_pipeline(self.shader().name, self.format));
        if let (Some(pipeline), Some(bind_group)) = (pipeline, &*self.bind_group.lock()) {
            pass.set_pipeline(pipeline);
            pass.set_bind_group(0, bind_group, &[]);
            pass.draw(0..3, 0..1);
        }
    }
}

impl Drawing {
    fn shader(&self) -> &'static Shader {
        match self.uniforms {
            Uniforms::OneHead(_) => &heatmap::SHADER,
            Uniforms::ManyHeads(_) => &composite::SHADER,
        }
    }
}

/// What outlives a frame.
#[derive(Default)]
struct Gpu {
    pipelines: Vec<(&'static str, wgpu::TextureFormat, wgpu::RenderPipeline)>,
    /// Drawn last comes last.
    chunks: Vec<Chunk>,
}

/// Uploaded maps.
struct Chunk {
    generation: u64,
    first_cell: usize,
    buffer: wgpu::Buffer,
    owner: Weak<Maps>,
}

impl Gpu {
    /// The buffer of a chunk, uploaded the first time.
    fn cells(&mut self, device: &wgpu::Device, rows: &HeatRows, range: &Range<usize>) -> wgpu::Buffer {
        // Maps that nobody holds any more cannot be drawn again.
        self.chunks.retain(|chunk| chunk.owner.strong_count() > 0);
        let known = self.chunks.iter().position(|chunk| (chunk.generation, chunk.first_cell) == (rows.generation(), range.start));
        let chunk = known.map(|index| self.chunks.remove(index)).unwrap_or_else(|| {
            let contents = bytemuck::cast_slice(&rows.0.cells[range.clone()]);
            let usage = wgpu::BufferUsages::STORAGE;
            let buffer = device.create_buffer_init(&BufferInitDescriptor { label: Some("heat map cells"), contents, usage });
            Chunk { generation: rows.generation(), first_cell: range.start, buffer, owner: Arc::downgrade(&rows.0) }
        });
        let buffer = chunk.buffer.clone();
        self.chunks.push(chunk);
        while self.resident_bytes() > MAX_RESIDENT_BYTES {
            self.chunks.remove(0);
        }
        buffer
    }

    fn resident_bytes(&self) -> u64 {
        self.chunks.iter().map(|chunk| chunk.buffer.size()).sum()
    }

    fn made_pipeline(&self, name: &str, format: wgpu::TextureFormat) -> Option<&wgpu::RenderPipeline> {
        self.pipelines.iter().find(|made| (made.0, made.1) == (name, format)).map(|made| &made.2)
    }

    fn pipeline(&mut self, device: &wgpu::Device, shader: &Shader, format: wgpu::TextureFormat) -> wgpu::RenderPipeline {
        if let Some(pipeline) = self.made_pipeline(shader.name, format) {
            return pipeline.clone();
        }
        let pipeline = create_pipeline(device, shader, format);
        self.pipelines.push((shader.name, format, pipeline.clone()));
        pipeline
    }
}

fn create_pipeline(device: &wgpu::Device, shader: &Shader, format: wgpu::TextureFormat) -> wgpu::RenderPipeline {
    let entry = |binding: &maskroom_shaders::Binding| {
        let (kind, bytes) = match binding.kind {
            BindingKind::Uniform(bytes) => (wgpu::BufferBindingType::Uniform, bytes),
            BindingKind::Storage(bytes) => (wgpu::BufferBindingType::Storage { read_only: true }, bytes),
        };
        let min_binding_size = std::num::NonZeroU64::new(bytes as u64);
        wgpu::BindGroupLayoutEntry {
            binding: binding.binding,
            visibility: wgpu::ShaderStages::FRAGMENT,
            ty: wgpu::BindingType::Buffer { ty: kind, has_dynamic_offset: false, min_binding_size },
            count: None,
        }
    };
    let entries: Vec<_> = shader.bindings.iter().map(entry).collect();
    let label = Some(shader.name);
    let bindings = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label, entries: &entries });
    let layout = wgpu::PipelineLayoutDescriptor { label, bind_group_layouts: &[Some(&bindings)], immediate_size: 0 };
    let layout = device.create_pipeline_layout(&layout);
    let source = wgpu::ShaderSource::Wgsl(shader.source.into());
    let module = device.create_shader_module(wgpu::ShaderModuleDescriptor { label, source });
    let target =
        wgpu::ColorTargetState { format, blend: Some(wgpu::BlendState::PREMULTIPLIED_ALPHA_BLENDING), write_mask: wgpu::ColorWrites::ALL };
    device.create_render_pipeline(&wgpu::RenderPipelineDescriptor {
        label,
        layout: Some(&layout),
        vertex: wgpu::VertexState {
            module: &module,
            entry_point: Some(shader.vertex),
            compilation_options: wgpu::PipelineCompilationOptions::default(),
            buffers: &[],
        },
        fragment: Some(wgpu::FragmentState {
            module: &module,
            entry_point: Some(shader.fragment),
            compilation_options: wgpu::PipelineCompilationOptions::default(),
            targets: &[Some(target)],
        }),
        primitive: wgpu::PrimitiveState::default(),
        depth_stencil: None,
        multisample: wgpu::MultisampleState::default(),
        multiview_mask: None,
        cache: None,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use egui::{Color32, Pos2, Vec2};
    use egui_kittest::Harness;

    use super::*;
    use crate::Tokens;
    use crate::heatmap::Heatmap;

    /// A rectangle that lies across pixels and reaches beyond the clip, as in a page that is scrolled halfway.
    const AREA: Rect = Rect { min: Pos2::new(10.37, -20.61), max: Pos2::new(85.94, 71.43) };
    const CLIP: Rect = Rect { min: Pos2::new(4.0, 8.0), max: Pos2::new(70.0, 60.0) };

    type Look = fn(Heatmap<'_>) -> Heatmap<'_>;

    static HEADS: LazyLock<Vec<(usize, Color32)>> =
        LazyLock::new(|| Tokens::dark().series.into_iter().enumerate().step_by(2).take(3).collect());

    /// Draws a map with the graphics card and compares every pixel with what the twin says.
    fn check(look: Look, pixels_per_point: f32) {
        let rows = crate::sample::attention();
        let background = Tokens::dark().surface_field;
        let (size, drawn) = (Vec2::new(100.0, 80.0), rows.clone());
        let mut harness = Harness::builder().with_size(size).with_pixels_per_point(pixels_per_point).wgpu().build_ui(move |ui| {
            let painter = ui.painter().with_clip_rect(Rect::EVERYTHING);
            painter.rect_filled(Rect::EVERYTHING, 0.0, background);
            look(Heatmap::new(&drawn)).paint(&painter.with_clip_rect(CLIP), AREA);
        });
        harness.run();
        let image = harness.render().unwrap();

        let area = AREA * pixels_per_point;
        let uniforms = look(Heatmap::new(&rows)).uniforms(0).placed([area.left(), area.top(), area.width(), area.height()], false);
        let mut num_drawn = 0;
        for (x, y, pixel) in image.enumerate_pixels() {
            let center = Pos2::new(x as f32 + 0.5, y as f32 + 0.5);
            let is_inside = (AREA.intersect(CLIP) * pixels_per_point).contains(center);
            let color = if is_inside { uniforms.color_at(&rows, center.into()) } else { [0.0; 4] };
            num_drawn += usize::from(color[3] > 0.0);
            for channel in 0..3 {
                let expected = 255.0 * color[channel] + f32::from(background.to_array()[channel]) * (1.0 - color[3]);
                let difference = (f32::from(pixel[channel]) - expected).abs();
                assert!(difference <= 2.0, "{x}, {y}: {pixel:?}, channel {channel} should be {expected}");
            }
        }
        assert!(num_drawn > 1000, "{num_drawn}");
    }

    #[test]
    fn the_card_draws_what_the_twins_say() {
        let looks: [Look; 5] = [
            |map| map.query(40).head(1),
            |map| map.query(107).head(5).mass(0.5).opacity(0.6).dimmed(0.2).range([0.1, 0.8]),
            |map| map.query(3).head(2).smooth(true),
            |map| map.query(40).composite(&HEADS).mass(0.7),
            |map| map.query(90).composite(&HEADS).smooth(true).opacity(0.5),
        ];
        for look in looks {
            for pixels_per_point in [1.0, 1.5] {
                check(look, pixels_per_point);
            }
        }
    }

    #[test]
    fn maps_are_uploaded_once_and_go_with_their_owner() {
        let setup = egui_kittest::wgpu::default_wgpu_setup();
        let state = egui_kittest::wgpu::create_render_state(setup, egui_wgpu::RendererOptions::PREDICTABLE);
        let mut gpu = Gpu::default();
        let values: Vec<_> = (0..64).map(|value| value as f32).collect();
        let make = || HeatRows::from_values(&values, 2, 2, [4, 4]).unwrap();
        let (one, other) = (make(), make());
        let first = gpu.cells(&state.device, &one, &(0..64));
        assert_eq!(first, gpu.cells(&state.device, &one.clone(), &(0..64)));
        assert_ne!(first, gpu.cells(&state.device, &other, &(0..64)));
        assert_ne!(first, gpu.cells(&state.device, &one, &(32..64)));
        assert_eq!((gpu.chunks.len(), gpu.resident_bytes()), (3, (64 + 64 + 32) * 8));
        drop(one);
        gpu.cells(&state.device, &other, &(0..64));
        assert_eq!(gpu.chunks.len(), 1);
    }

    #[test]
    fn each_target_format_has_pipelines_of_its_own() {
        let setup = egui_kittest::wgpu::default_wgpu_setup();
        let state = egui_kittest::wgpu::create_render_state(setup, egui_wgpu::RendererOptions::PREDICTABLE);
        let mut gpu = Gpu::default();
        for format in [wgpu::TextureFormat::Rgba8UnormSrgb, wgpu::TextureFormat::Bgra8Unorm] {
            for shader in maskroom_shaders::ALL {
                gpu.pipeline(&state.device, shader, format);
            }
        }
        assert_eq!(gpu.pipelines.len(), 4);
    }
}
