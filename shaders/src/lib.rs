//! Maskroom's WGSL: each shader in `wgsl/` has a module of the same name with the structs it is bound to and a CPU twin of what it computes.

pub mod composite;
pub mod heatmap;

/// One shader file and how to bind it.
#[derive(Debug, Clone, Copy)]
pub struct Shader {
    /// The file's name without `.wgsl`.
    pub name: &'static str,
    /// Its text.
    pub source: &'static str,
    /// The vertex entry point.
    pub vertex: &'static str,
    /// The fragment entry point.
    pub fragment: &'static str,
    /// What it is bound to.
    pub bindings: &'static [Binding],
}

/// One resource of a shader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Binding {
    /// Its bind group.
    pub group: u32,
    /// Its number in the group.
    pub binding: u32,
    /// What it is.
    pub kind: BindingKind,
}

/// The kinds of resources in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BindingKind {
    /// A uniform buffer of so many bytes.
    Uniform(usize),
    /// A read-only storage buffer of elements of so many bytes.
    Storage(usize),
}

/// Every shader.
pub static ALL: &[Shader] = &[composite::SHADER, heatmap::SHADER];

#[cfg(test)]
mod tests {
    use super::*;

    /// Parses and validates, and returns the module.
    fn checked(shader: &Shader) -> naga::Module {
        let module = naga::front::wgsl::parse_str(shader.source).unwrap_or_else(|error| panic!("{}", error.emit_to_string(shader.source)));
        let mut validator = naga::valid::Validator::new(naga::valid::ValidationFlags::all(), naga::valid::Capabilities::empty());
        validator.validate(&module).unwrap_or_else(|error| panic!("{}: {error:?}", shader.name));
        module
    }

    #[test]
    fn the_list_is_the_folder() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/wgsl");
        let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        files.sort();
        let listed: Vec<_> = ALL.iter().map(|shader| format!("{}.wgsl", shader.name)).collect();
        assert_eq!(files, listed);
    }

    #[test]
    fn every_shader_is_valid_and_has_its_entry_points() {
        for shader in ALL {
            let module = checked(shader);
            let points: Vec<_> = module.entry_points.iter().map(|point| (point.name.as_str(), point.stage)).collect();
            assert_eq!(
                points,
                [(shader.vertex, naga::ShaderStage::Vertex), (shader.fragment, naga::ShaderStage::Fragment)],
                "{}",
                shader.name
            );
        }
    }

    #[test]
    fn every_binding_has_the_size_that_the_shader_expects() {
        for shader in ALL {
            let module = checked(shader);
            let mut found: Vec<_> = module
                .global_variables
                .iter()
                .filter_map(|(_, variable)| {
                    let naga::ResourceBinding { group, binding } = variable.binding?;
                    let kind = match (&variable.space, &module.types[variable.ty].inner) {
                        (naga::AddressSpace::Uniform, inner) => BindingKind::Uniform(inner.size(module.to_ctx()) as usize),
                        (naga::AddressSpace::Storage { .. }, naga::TypeInner::Array { stride, .. }) => {
                            BindingKind::Storage(*stride as usize)
                        }
                        other => panic!("{}: a binding of another kind: {other:?}", shader.name),
                    };
                    Some(Binding { group, binding, kind })
                })
                .collect();
            found.sort_by_key(|binding| (binding.group, binding.binding));
            assert_eq!(found, shader.bindings, "{}", shader.name);
        }
    }

    /// Names and offsets of a WGSL struct's members.
    pub(crate) fn members(shader: &Shader, name: &str) -> Vec<(String, usize)> {
        let module = checked(shader);
        let (_, found) = module.types.iter().find(|(_, kind)| kind.name.as_deref() == Some(name)).unwrap();
        let naga::TypeInner::Struct { members, .. } = &found.inner else { panic!("{name} is no struct") };
        members.iter().map(|member| (member.name.clone().unwrap(), member.offset as usize)).collect()
    }
}
