//! A model's parameters under the names they have on disk, flattened: what optimizers, averages and files work on.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Gradients, Shape, Tensor};

/// A flat value by parameter name; the order is the names'.
pub type Named<T> = BTreeMap<String, T>;

/// Access to a model's parameters without knowing the model.
///
/// Names are timm's: the encoder's parameters carry no prefix (`blocks.0.attn.qkv.weight`), other parts carry theirs (`decoder.…`).
pub trait Parameters {
    /// Calls `visit(name, shape, value)` for every parameter, trained or not; the value is flat and not differentiated.
    fn visit_parameters(&self, visit: &mut dyn FnMut(&str, &[usize], Tensor<1>));

    /// Takes the gradient of every trained parameter out of `gradients`, flat.
    fn take_gradients(&self, gradients: &mut Gradients) -> Named<Tensor<1>>;

    /// Replaces every parameter by what `update(name, shape, value)` returns; values are flat and not differentiated.
    fn update_parameters(&mut self, update: &mut dyn FnMut(&str, &[usize], Tensor<1>) -> Tensor<1>);
}

impl<M: Module> Parameters for M {
    fn visit_parameters(&self, visit: &mut dyn FnMut(&str, &[usize], Tensor<1>)) {
        self.visit(&mut Visitor { path: Path::default(), visit });
    }

    fn take_gradients(&self, gradients: &mut Gradients) -> Named<Tensor<1>> {
        let mut collector = Collector { path: Path::default(), gradients, taken: Named::new() };
        self.visit(&mut collector);
        collector.taken
    }

    fn update_parameters(&mut self, update: &mut dyn FnMut(&str, &[usize], Tensor<1>) -> Tensor<1>) {
        // Values are taken out first: the one who has the only reference to a value can change it in place.
        let mut taken = Named::new();
        *self = self.clone().map(&mut Taker { path: Path::default(), taken: &mut taken });
        *self = self.clone().map(&mut Giver { path: Path::default(), taken, update });
    }
}

/// Where in the module tree a visit is.
#[derive(Default)]
struct Path(Vec<String>);

impl Path {
    /// Which of several kinds a part is stands in the recipe, and not in names.
    fn enter(&mut self, name: &str, container: &str) {
        self.0.push(if container.starts_with("Enum:") { String::new() } else { name.to_owned() });
    }

    fn name(&self) -> String {
        let path = self.0.iter().filter(|name| !name.is_empty()).map(String::as_str).collect::<Vec<_>>().join(".");
        path.strip_prefix("encoder.").map_or(path.clone(), str::to_owned)
    }
}

struct Visitor<'a> {
    path: Path,
    visit: &'a mut dyn FnMut(&str, &[usize], Tensor<1>),
}

impl ModuleVisitor for Visitor<'_> {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.path.enter(name, container_type);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.0.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let value = param.val().without_autodiff();
        (self.visit)(&self.path.name(), &value.dims(), value.reshape([-1]));
    }
}

struct Collector<'a> {
    path: Path,
    gradients: &'a mut Gradients,
    taken: Named<Tensor<1>>,
}

impl ModuleVisitor for Collector<'_> {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.path.enter(name, container_type);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.0.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = param.val().grad_remove(self.gradients) {
            self.taken.insert(self.path.name(), gradient.reshape([-1]));
        }
    }
}

/// A parameter's value with its shape.
type Shaped = (Vec<usize>, Tensor<1>);

/// Takes the values and leaves a number in the place of each.
struct Taker<'a> {
    path: Path,
    taken: &'a mut Named<Shaped>,
}

impl ModuleMapper for Taker<'_> {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.path.enter(name, container_type);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.0.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (id, tensor, mapper) = param.consume();
        let (trained, differentiated) = (tensor.is_require_grad(), tensor.is_autodiff());
        let value = tensor.without_autodiff();
        let empty = Tensor::empty([1; D], &value.device());
        let empty = if differentiated { empty.autodiff().set_require_grad(trained) } else { empty };
        self.taken.insert(self.path.name(), (value.dims().to_vec(), value.reshape([-1])));
        Param::from_mapped_value(id, empty, mapper)
    }
}

/// Gives the updated values back.
struct Giver<'a> {
    path: Path,
    taken: Named<Shaped>,
    update: &'a mut dyn FnMut(&str, &[usize], Tensor<1>) -> Tensor<1>,
}

impl ModuleMapper for Giver<'_> {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.path.enter(name, container_type);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.0.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let name = self.path.name();
        let Some((shape, value)) = self.taken.remove(&name) else { return param };
        let (id, empty, mapper) = param.consume();
        let updated = (self.update)(&name, &shape, value).reshape(Shape::from(shape));
        let updated = if empty.is_autodiff() { updated.autodiff().set_require_grad(empty.is_require_grad()) } else { updated };
        Param::from_mapped_value(id, updated, mapper)
    }
}
