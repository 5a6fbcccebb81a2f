//! Whether a file is a component of ours, before anything of it runs.

use wasmtime::Engine;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, ComponentExportIndex};

use crate::bindings::{PACKAGE, VERSION};
use crate::config::MAX_COMPONENT;
use crate::engines::Side;
use crate::error::Refusal;
use crate::linkers::OFFERED;

/// The first eight bytes: WebAssembly at all, and a component.
pub(crate) fn check_header(bytes: &[u8]) -> Result<(), Refusal> {
    if bytes.len() > MAX_COMPONENT {
        return Err(Refusal::TooLarge { size: bytes.len(), limit: MAX_COMPONENT });
    }
    if bytes.len() < 4 || !bytes.starts_with(b"\0asm") {
        return Err(Refusal::NotWasm);
    }
    match bytes.get(4..8) {
        Some([0x0d, 0, 1, 0]) => Ok(()),
        Some([1, 0, 0, 0]) => Err(Refusal::CoreModule),
        Some(&[a, b, c, d]) => Err(Refusal::UnknownBinary { version: [a, b, c, d] }),
        _ => Err(Refusal::Truncated { reason: "it has fewer than 8 bytes".to_owned() }),
    }
}

/// What the compiler's error means.
pub(crate) fn compile_refusal(error: &wasmtime::Error) -> Refusal {
    let reason = format!("{error:#}");
    let cut_off =
        ["unexpected end", "unexpected-end", "extends past end", "is out of bounds (bound = "];
    if cut_off.iter().any(|words| reason.contains(words)) {
        Refusal::Truncated { reason }
    } else {
        Refusal::Invalid { reason }
    }
}

/// The engine to try first: the one for orchestrators where the component
/// imports what only those use. A guess that saves one compilation.
pub(crate) fn likely_side(bytes: &[u8]) -> Side {
    let import = b"sagahost:saga/orchestration@";
    let found = bytes.windows(import.len()).any(|window| window == import.as_slice());
    if found { Side::Orchestrators } else { Side::Activities }
}

/// Whether a component may import something of WASI 0.3: names of imports stand
/// in it as they are.
pub(crate) fn may_import_0_3(bytes: &[u8]) -> bool {
    bytes.windows(5).any(|window| window == b"@0.3.")
}

/// Where the contract's functions are among a component's exports.
#[derive(Clone)]
pub(crate) struct Exports {
    pub(crate) describe: Option<ComponentExportIndex>,
    pub(crate) run_activity: Option<ComponentExportIndex>,
    pub(crate) run_orchestrator: Option<ComponentExportIndex>,
}

/// Finds the contract's exports, of any compatible version; other exports are
/// none of our business.
pub(crate) fn exports(engine: &Engine, component: &Component) -> Exports {
    let find = |interface: &str, function: &str| {
        let ty = component.component_type();
        let name = ty.exports(engine).find_map(|(name, _)| {
            let (found, version) = contract_name(name)?;
            (found == interface && is_compatible(version)).then(|| name.to_owned())
        })?;
        let instance = component.get_export_index(None, name.as_str())?;
        component.get_export_index(Some(&instance), function)
    };
    Exports {
        describe: find("describe", "describe"),
        run_activity: find("activities", "run-activity"),
        run_orchestrator: find("orchestrators", "run-orchestrator"),
    }
}

/// The names of what a component imports: functions, and interfaces that are
/// more than types.
pub(crate) fn imports(engine: &Engine, component: &Component) -> Vec<String> {
    let ty = component.component_type();
    ty.imports(engine)
        .filter(|(_, item)| match &item.ty {
            ComponentItem::ComponentInstance(instance) => {
                instance.exports(engine).any(|(_, item)| !matches!(item.ty, ComponentItem::Type(_)))
            }
            _ => true,
        })
        .map(|(name, _)| name.to_owned())
        .collect()
}

/// Checks that a component speaks our version of the contract, and imports
/// only what there is.
pub(crate) fn check_names(
    engine: &Engine,
    component: &Component,
    side: Side,
) -> Result<(), Refusal> {
    let ty = component.component_type();
    let names = ty
        .imports(engine)
        .map(|(name, _)| name.to_owned())
        .chain(ty.exports(engine).map(|(name, _)| name.to_owned()));
    for name in names {
        if let Some((_, version)) = contract_name(&name) {
            check_version(version)?;
        }
    }
    for (name, _) in ty.imports(engine) {
        check_import(name, side)?;
    }
    Ok(())
}

fn check_import(name: &str, side: Side) -> Result<(), Refusal> {
    let refuse = |advice: String| Err(Refusal::Import { import: name.to_owned(), advice });
    if contract_name(name).is_some() {
        return Ok(());
    }
    let Some((package, version)) = wasi_package(name) else {
        return refuse(format!(
            "a component may import `{PACKAGE}` and WASI ({OFFERED}), and nothing else"
        ));
    };
    if !OFFERED.split([',', ' ']).any(|offered| offered == format!("wasi:{package}")) {
        return refuse(format!("of WASI there are {OFFERED}"));
    }
    match (version, side) {
        (Some("0.2"), _) | (Some("0.3"), Side::Activities) => Ok(()),
        (Some("0.3"), Side::Orchestrators) => refuse(
            "orchestrators have WASI 0.2 only; put activities that want WASI 0.3 into a \
             component of their own"
                .to_owned(),
        ),
        _ => refuse("of WASI there are 0.2 and, for activities, 0.3".to_owned()),
    }
}

/// `sagahost:saga/describe@0.1.0` as `("describe", "0.1.0")`.
fn contract_name(name: &str) -> Option<(&str, &str)> {
    let rest = name.strip_prefix(PACKAGE)?.strip_prefix('/')?;
    Some(rest.split_once('@').unwrap_or((rest, "")))
}

/// `wasi:io/poll@0.2.3` as `("io", Some("0.2"))`.
fn wasi_package(name: &str) -> Option<(&str, Option<&str>)> {
    let (package, rest) = name.strip_prefix("wasi:")?.split_once('/')?;
    let version = rest.split_once('@').map(|(_, version)| version);
    let minor = version.and_then(|version| {
        let dots = version.match_indices('.').nth(1);
        dots.map(|(at, _)| &version[..at])
    });
    Some((package, minor))
}

/// Before 1.0 the minor version says what fits together.
fn is_compatible(version: &str) -> bool {
    minor(version).is_some_and(|found| Some(found) == minor(VERSION))
}

fn minor(version: &str) -> Option<(u64, u64)> {
    let mut parts = version.split('.').map(|part| part.parse().ok());
    Some((parts.next()??, parts.next()??))
}

fn check_version(version: &str) -> Result<(), Refusal> {
    if is_compatible(version) {
        return Ok(());
    }
    let newer = minor(version) > minor(VERSION);
    Err(Refusal::Version {
        found: version.to_owned(),
        ours: VERSION,
        advice: match newer {
            true => "update Sagahost, or build the component with an SDK of this version",
            false => "build the component again with the current SDK",
        },
    })
}

/// What a linker's error means: something is missing, or has another type.
pub(crate) fn link_refusal(error: &wasmtime::Error, imports: &[String]) -> Refusal {
    let reason = format!("{error:#}");
    let named = imports.iter().find(|import| reason.contains(import.as_str()));
    match named {
        Some(import) if contract_name(import).is_none() => Refusal::Import {
            import: import.clone(),
            advice: format!("{reason}; build it with a current toolchain"),
        },
        _ => Refusal::Mismatch { reason },
    }
}
