//! How much there is of a component: what an instance of it takes up, and what a compiler would meet,
//! counted before anything of it is compiled.
//!
//! Components nest, and instantiate each other: a few kilobytes can stand for more instances than
//! there are atoms. The count follows the definitions in the order of the file, in which each refers
//! to earlier ones only, so that it takes no longer than reading the file.

use wasmparser::{
    ComponentAlias, ComponentExternalKind, ComponentInstance, ComponentOuterAliasKind,
    ComponentTypeRef, Encoding, Instance, Parser, Payload,
};

/// The most component instances that one plugin may be made of, nested ones and all. One that was
/// composed of ten others has about a hundred.
const INSTANCES: u64 = 1000;

/// The most core instances: what the pool is told as well. A Rust plugin has three, a Python plugin some twenty.
pub(crate) const CORE_INSTANCES: u32 = 100;

/// The most memories: one for each language runtime in it, and some for those who share.
pub(crate) const MEMORIES: u32 = 8;

/// The most tables.
pub(crate) const TABLES: u32 = 100;

/// The largest body of a function, in bytes: compilers take more than their share of time for large
/// ones. The main loops of interpreters, the largest known to us, have a fifth of this.
const BODY: usize = 1 << 20;

/// What one instance of a component takes up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Extent {
    instances: u64,
    core_instances: u64,
    memories: u64,
    tables: u64,
}

/// Why a component is too much.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Excess {
    pub(crate) what: &'static str,
    pub(crate) most: u64,
}

impl Extent {
    /// Counts, and refuses what is more than a plugin may be.
    pub(crate) fn of(component: &[u8]) -> wasmparser::Result<Result<Self, Excess>> {
        let mut stack: Vec<Definition> = Vec::new();
        // The largest definition that ended, for what is referred to in ways that are not followed.
        let mut worst = Self::default();
        for payload in Parser::new(0).parse_all(component) {
            match payload? {
                Payload::Version { encoding, .. } => stack.push(Definition {
                    is_module: encoding == Encoding::Module,
                    ..Definition::default()
                }),
                Payload::End(_) => {
                    let Some(ended) = stack.pop() else { continue };
                    let extent = ended.extent();
                    worst = worst.max(extent);
                    match stack.last_mut() {
                        Some(parent) if ended.is_module => parent.modules.push(extent),
                        Some(parent) => parent.components.push(extent),
                        None => return Ok(extent.within_bounds()),
                    }
                }
                payload => {
                    if let Err(excess) = note(&payload, &mut stack, worst)? {
                        return Ok(Err(excess));
                    }
                }
            }
        }
        // It is cut short; whoever compiles it will say so.
        Ok(Ok(Self::default()))
    }

    /// How many places among those for instances one of this takes up, where each place has room for
    /// one memory and a number of core instances and tables.
    pub(crate) fn places(self, core_instances: u32, tables: u32) -> u32 {
        let places = self
            .memories
            .max(self.core_instances.div_ceil(core_instances.into()))
            .max(self.tables.div_ceil(tables.into()));
        u32::try_from(places).unwrap_or(u32::MAX).max(1)
    }

    fn add(&mut self, other: Self) {
        self.instances = self.instances.saturating_add(other.instances);
        self.core_instances = self.core_instances.saturating_add(other.core_instances);
        self.memories = self.memories.saturating_add(other.memories);
        self.tables = self.tables.saturating_add(other.tables);
    }

    fn max(self, other: Self) -> Self {
        Self {
            instances: self.instances.max(other.instances),
            core_instances: self.core_instances.max(other.core_instances),
            memories: self.memories.max(other.memories),
            tables: self.tables.max(other.tables),
        }
    }

    fn within_bounds(self) -> Result<Self, Excess> {
        for (count, what, most) in [
            (self.instances, "instances of components", INSTANCES),
            (
                self.core_instances,
                "instances of core modules",
                CORE_INSTANCES.into(),
            ),
            (self.memories, "memories", MEMORIES.into()),
            (self.tables, "tables", TABLES.into()),
        ] {
            if count > most {
                return Err(Excess { what, most });
            }
        }
        Ok(self)
    }
}

/// A component or a core module that is being read.
#[derive(Default)]
struct Definition {
    is_module: bool,
    extent: Extent,
    /// What the indices of its modules and components stand for.
    modules: Vec<Extent>,
    components: Vec<Extent>,
}

impl Definition {
    /// What an instance of it takes up, itself included.
    fn extent(&self) -> Extent {
        let mut extent = self.extent;
        if self.is_module {
            extent.core_instances = extent.core_instances.saturating_add(1);
        } else {
            extent.instances = extent.instances.saturating_add(1);
        }
        extent
    }
}

/// An index of the file, as one of a vector.
fn at(index: u32) -> usize {
    usize::try_from(index).unwrap_or(usize::MAX)
}

/// Counts what an alias stands for in the innermost definition.
fn note_alias(alias: &ComponentAlias<'_>, stack: &mut [Definition], worst: Extent) {
    let outer = |count: u32| stack.len().checked_sub(1)?.checked_sub(at(count));
    match *alias {
        ComponentAlias::Outer { kind, count, index } => {
            let definition = outer(count).map(|depth| &stack[depth]);
            let found = |of: fn(&Definition) -> &Vec<Extent>| {
                definition
                    .and_then(|definition| of(definition).get(at(index)).copied())
                    .unwrap_or(worst)
            };
            let (module, component) = (found(|d| &d.modules), found(|d| &d.components));
            let Some(top) = stack.last_mut() else { return };
            match kind {
                ComponentOuterAliasKind::CoreModule => top.modules.push(module),
                ComponentOuterAliasKind::Component => top.components.push(component),
                _ => {}
            }
        }
        ComponentAlias::InstanceExport { kind, .. } => {
            let Some(top) = stack.last_mut() else { return };
            match kind {
                ComponentExternalKind::Module => top.modules.push(worst),
                ComponentExternalKind::Component => top.components.push(worst),
                _ => {}
            }
        }
        ComponentAlias::CoreInstanceExport { .. } => {}
    }
}

/// Counts what stands in one section of the innermost definition.
fn note(
    payload: &Payload<'_>,
    stack: &mut [Definition],
    worst: Extent,
) -> wasmparser::Result<Result<(), Excess>> {
    if stack.is_empty() {
        return Ok(Ok(()));
    }
    let top = stack.len() - 1;
    match payload {
        Payload::MemorySection(section) => {
            stack[top].extent.memories = section.count().into();
        }
        Payload::TableSection(section) => {
            stack[top].extent.tables = section.count().into();
        }
        Payload::CodeSectionEntry(body) if body.range().len() > BODY => {
            let what = "bytes in one function";
            return Ok(Err(Excess {
                what,
                most: BODY as u64,
            }));
        }
        Payload::InstanceSection(section) => {
            for instance in section.clone() {
                if let Instance::Instantiate { module_index, .. } = instance? {
                    let found = stack[top].modules.get(at(module_index));
                    let extent = found.copied().unwrap_or(worst);
                    stack[top].extent.add(extent);
                }
            }
        }
        Payload::ComponentInstanceSection(section) => {
            for instance in section.clone() {
                if let ComponentInstance::Instantiate {
                    component_index, ..
                } = instance?
                {
                    let found = stack[top].components.get(at(component_index));
                    let extent = found.copied().unwrap_or(worst);
                    stack[top].extent.add(extent);
                }
            }
        }
        Payload::ComponentAliasSection(section) => {
            for alias in section.clone() {
                note_alias(&alias?, stack, worst);
            }
        }
        Payload::ComponentImportSection(section) => {
            for import in section.clone() {
                // What stands for such a parameter is not known here, nor how much it is.
                if matches!(
                    import?.ty,
                    ComponentTypeRef::Component(_) | ComponentTypeRef::Module(_)
                ) {
                    let what = "parameters that are components or modules";
                    return Ok(Err(Excess { what, most: 0 }));
                }
            }
        }
        Payload::ComponentExportSection(section) => {
            for export in section.clone() {
                // An export is a new index for the same thing.
                let export = export?;
                match export.kind {
                    ComponentExternalKind::Module => {
                        let found = stack[top].modules.get(at(export.index));
                        let extent = found.copied().unwrap_or(worst);
                        stack[top].modules.push(extent);
                    }
                    ComponentExternalKind::Component => {
                        let found = stack[top].components.get(at(export.index));
                        let extent = found.copied().unwrap_or(worst);
                        stack[top].components.push(extent);
                    }
                    _ => {}
                }
            }
        }
        _ => {}
    }
    Ok(Ok(()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasm_encoder::{
        CodeSection, Component, ComponentAliasSection, ComponentInstanceSection,
        ComponentOuterAliasKind as OuterAlias, Function, FunctionSection, InstanceSection,
        MemorySection, MemoryType, Module, ModuleArg, ModuleSection, NestedComponentSection,
        TypeSection,
    };

    fn extent(component: &[u8]) -> Result<Extent, Excess> {
        Extent::of(component).unwrap()
    }

    /// A component that instantiates the one before it twice.
    fn doubling(before: u32) -> Component {
        let mut aliases = ComponentAliasSection::new();
        aliases.alias(wasm_encoder::Alias::Outer {
            kind: OuterAlias::Component,
            count: 1,
            index: before,
        });
        let mut instances = ComponentInstanceSection::new();
        for _ in 0..2 {
            let nothing: [(&str, wasm_encoder::ComponentExportKind, u32); 0] = [];
            instances.instantiate(0, nothing);
        }
        let mut component = Component::new();
        component.section(&aliases).section(&instances);
        component
    }

    fn doubled(times: u32) -> Vec<u8> {
        let mut root = Component::new();
        root.section(&NestedComponentSection(&Component::new()));
        for before in 0..times {
            root.section(&NestedComponentSection(&doubling(before)));
        }
        let mut instances = ComponentInstanceSection::new();
        let nothing: [(&str, wasm_encoder::ComponentExportKind, u32); 0] = [];
        instances.instantiate(times, nothing);
        root.section(&instances);
        root.finish()
    }

    #[test]
    fn a_few_bytes_that_stand_for_very_many_instances_are_refused() {
        assert_eq!(extent(&doubled(3)).unwrap().instances, 16);
        for times in [10, 40, 200] {
            let bomb = doubled(times);
            assert!(bomb.len() < 10_000);
            assert_eq!(extent(&bomb).unwrap_err().what, "instances of components");
        }
    }

    fn with_modules(module: &Module, instances: u32) -> Vec<u8> {
        let mut root = Component::new();
        root.section(&ModuleSection(module));
        let mut section = InstanceSection::new();
        for _ in 0..instances {
            let nothing: [(&str, ModuleArg); 0] = [];
            section.instantiate(0, nothing);
        }
        root.section(&section);
        root.finish()
    }

    #[test]
    fn memories_count_for_each_instance_of_their_module() {
        let mut memories = MemorySection::new();
        memories.memory(MemoryType {
            minimum: 1,
            maximum: None,
            memory64: false,
            shared: false,
            page_size_log2: None,
        });
        let mut module = Module::new();
        module.section(&memories);
        let two = extent(&with_modules(&module, 2)).unwrap();
        assert_eq!((two.core_instances, two.memories), (2, 2));
        assert_eq!(two.places(8, 8), 2);
        let many = extent(&with_modules(&module, 9)).unwrap_err();
        assert_eq!(many.what, "memories");
        let many = extent(&with_modules(&Module::new(), 101)).unwrap_err();
        assert_eq!(many.what, "instances of core modules");
    }

    #[test]
    fn a_function_of_unusual_size_is_refused() {
        let of_size = |bytes: usize| {
            let mut types = TypeSection::new();
            types.ty().function([], []);
            let mut functions = FunctionSection::new();
            functions.function(0);
            let mut body = Function::new([]);
            for _ in 0..bytes {
                body.instructions().nop();
            }
            body.instructions().end();
            let mut code = CodeSection::new();
            code.function(&body);
            let mut module = Module::new();
            module.section(&types).section(&functions).section(&code);
            extent(&with_modules(&module, 1))
        };
        assert!(of_size(BODY / 2).is_ok());
        assert_eq!(of_size(BODY + 1).unwrap_err().what, "bytes in one function");
    }
}
