//! Components too small or too strange for a toolchain.

/// A component of our contract that describes itself with this text.
pub(crate) fn describing(text: &str) -> Vec<u8> {
    describing_with("0.1.0", text, "")
}

/// The same, of another version, and with more in it.
pub(crate) fn describing_with(version: &str, text: &str, more: &str) -> Vec<u8> {
    component(&format!(
        r#"(component
            {more}
            (core module $m
                (memory (export "memory") 1)
                (data (i32.const 16) "{data}")
                (func (export "describe") (result i32)
                    (i32.store (i32.const 0) (i32.const 16))
                    (i32.store (i32.const 4) (i32.const {len}))
                    (i32.const 0)))
            (core instance $i (instantiate $m))
            (func $describe (result string)
                (canon lift (core func $i "describe") (memory (core memory $i "memory"))))
            (instance $e (export "describe" (func $describe)))
            (export "sagahost:saga/describe@{version}" (instance $e)))"#,
        data = text.replace('"', "\\22"),
        len = text.len(),
    ))
}

/// A component whose activity `A` and orchestrator `O` run the core code
/// `body`, which gives the address of a result; at 64 stand a discriminant,
/// an address and a length, at 128 `text`.
pub(crate) fn running(
    imports: &str,
    with: &str,
    core_imports: &str,
    body: &str,
    text: &str,
) -> Vec<u8> {
    let description = r#"{"functions": [{"name": "A", "kind": "activity"}, {"name": "O", "kind": "orchestrator"}]}"#;
    running_as(description, imports, with, core_imports, body, text)
}

/// The same, with this description.
pub(crate) fn running_as(
    description: &str,
    imports: &str,
    with: &str,
    core_imports: &str,
    body: &str,
    text: &str,
) -> Vec<u8> {
    component(&format!(
        r#"(component
            (core module $heap
                (memory (export "memory") 1)
                (global $free (mut i32) (i32.const 8192))
                (func (export "realloc") (param i32 i32 i32 i32) (result i32)
                    (global.get $free)
                    (global.set $free (i32.and (i32.const -8) (i32.add (i32.const 7)
                        (i32.add (global.get $free) (local.get 3)))))))
            (core instance $heap (instantiate $heap))
            (alias core export $heap "memory" (core memory $memory))
            (alias core export $heap "realloc" (core func $realloc))
            {imports}
            (core module $m
                {core_imports}
                (import "heap" "memory" (memory 1))
                (data (i32.const 68) "\80\00\00\00\{len:02x}\00\00\00")
                (data (i32.const 128) "{data}")
                (data (i32.const 1024) "{description}")
                (func (export "describe") (result i32)
                    (i32.store (i32.const 0) (i32.const 1024))
                    (i32.store (i32.const 4) (i32.const {description_len}))
                    (i32.const 0))
                (func (export "run") (param i32 i32 i32 i32) (result i32) {body}))
            (core instance $i (instantiate $m (with "heap" (instance $heap)) {with}))
            (func $describe (result string)
                (canon lift (core func $i "describe") (memory $memory)))
            (instance $e (export "describe" (func $describe)))
            (export "sagahost:saga/describe@0.1.0" (instance $e))
            (component $shim
                (type $f (record (field "code" string) (field "message" string)
                    (field "details" (option string)) (field "retryable" bool)))
                (import "failure" (type $failure (eq $f)))
                (import "run" (func $run (param "name" string) (param "input" string)
                    (result (result string (error $failure)))))
                (type $g (record (field "code" string) (field "message" string)
                    (field "details" (option string)) (field "retryable" bool)))
                (export $exported "failure" (type $g))
                (export "run-activity" (func $run) (func (param "name" string) (param "input" string)
                    (result (result string (error $exported)))))
                (export "run-orchestrator" (func $run) (func (param "name" string) (param "input" string)
                    (result (result string (error $exported))))))
            (type $failure (record (field "code" string) (field "message" string)
                (field "details" (option string)) (field "retryable" bool)))
            (func $run (param "name" string) (param "input" string)
                (result (result string (error $failure)))
                (canon lift (core func $i "run") (memory $memory) (realloc (core func $realloc))))
            (instance $runs (instantiate $shim (with "failure" (type $failure)) (with "run" (func $run))))
            (export "sagahost:saga/activities@0.1.0" (instance $runs))
            (export "sagahost:saga/orchestrators@0.1.0" (instance $runs)))"#,
        data = escaped(text.as_bytes()),
        len = text.len(),
        description_len = description.len(),
        description = escaped(description.as_bytes()),
    ))
}

/// The parts of a [`running`] component that imports functions of the contract:
/// what the component imports, what its module is given, and what that imports.
pub(crate) struct Imports {
    pub(crate) component: String,
    pub(crate) with: String,
    pub(crate) core: String,
}

impl Imports {
    /// Of an interface, with its items as they stand in a component's text;
    /// and of each function its name and its core type.
    pub(crate) fn of(interface: &str, items: &str, functions: &[(&str, &str)]) -> Self {
        let (mut lowered, mut exports, mut core) = (String::new(), String::new(), String::new());
        for (name, ty) in functions {
            lowered += &format!(
                r#"(core func ${name} (canon lower (func $host "{name}")
                    (memory $memory) (realloc (core func $realloc))))"#
            );
            exports += &format!(r#"(export "{name}" (func ${name}))"#);
            core += &format!(r#"(import "host" "{name}" (func ${name} {ty}))"#);
        }
        let imported =
            format!(r#"(import "sagahost:saga/{interface}@0.1.0" (instance $host {items}))"#);
        Imports {
            component: imported + &lowered,
            with: format!(r#"(with "host" (instance {exports}))"#),
            core,
        }
    }
}

/// Bytes as they stand in a data segment.
pub(crate) fn escaped(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("\\{byte:02x}")).collect()
}

/// A component that imports this interface, with a function in it.
pub(crate) fn importing(interface: &str) -> Vec<u8> {
    component(&format!(r#"(component (import "{interface}" (instance (export "f" (func)))))"#))
}

pub(crate) fn component(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}
