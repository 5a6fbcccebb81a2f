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
    component(&format!(
        r#"(component
            {imports}
            (core module $m
                {core_imports}
                (memory (export "memory") 1)
                (data (i32.const 68) "\80\00\00\00\{len:02x}\00\00\00")
                (data (i32.const 128) "{data}")
                (data (i32.const 1024) "{description}")
                (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 8192))
                (func (export "describe") (result i32)
                    (i32.store (i32.const 0) (i32.const 1024))
                    (i32.store (i32.const 4) (i32.const {description_len}))
                    (i32.const 0))
                (func (export "run") (param i32 i32 i32 i32) (result i32) {body}))
            (core instance $i (instantiate $m {with}))
            (func $describe (result string)
                (canon lift (core func $i "describe") (memory (core memory $i "memory"))))
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
                (canon lift (core func $i "run") (memory (core memory $i "memory"))
                    (realloc (core func $i "realloc"))))
            (instance $runs (instantiate $shim (with "failure" (type $failure)) (with "run" (func $run))))
            (export "sagahost:saga/activities@0.1.0" (instance $runs))
            (export "sagahost:saga/orchestrators@0.1.0" (instance $runs)))"#,
        data = text.replace('"', "\\22"),
        len = text.len(),
        description_len = description.len(),
        description = description.replace('"', "\\22"),
    ))
}

/// A component that imports this interface, with a function in it.
pub(crate) fn importing(interface: &str) -> Vec<u8> {
    component(&format!(r#"(component (import "{interface}" (instance (export "f" (func)))))"#))
}

pub(crate) fn component(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}
