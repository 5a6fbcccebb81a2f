//! States per second: explores orchestrators of components and says how long
//! it took.
//!
//! `cargo run --release -p sagahost-check --example states -- CHECK_FILE COMPONENT... [ORCHESTRATOR...]`

use std::path::PathBuf;

use sagahost_check::{Bounds, CheckFile, Program, explore};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let file = arguments.next().ok_or("name a check file, or - for none")?;
    let (components, names): (Vec<String>, Vec<String>) =
        arguments.partition(|argument| argument.ends_with(".wasm"));
    let components: Vec<PathBuf> = components.into_iter().map(PathBuf::from).collect();
    let file = match file.as_str() {
        "-" => CheckFile::default(),
        path => CheckFile::parse(&std::fs::read_to_string(path)?)?,
    };
    let program = Program::load(&components, None, None)?;
    for name in program.orchestrators() {
        if !names.is_empty() && !names.contains(&name) {
            continue;
        }
        let spec = file.spec(&name)?;
        let input = match spec.inputs.first() {
            Some(input) => input.clone(),
            None => program.made_input(&name)?,
        };
        let bounds = Bounds::new(spec.bounds.clone());
        let found = explore(&program, &name, &input, &spec, &bounds)?;
        println!(
            "{name}: {} states, {} steps, {:.3e} paths, {} runs, {:?}, {:.0} states/s, cut {:?}, ends {:?}",
            found.states,
            found.steps,
            found.paths,
            found.runs,
            found.took,
            found.states_per_second(),
            found.cut,
            found.ends,
        );
        for finding in &found.findings {
            let (rule, count) = (finding.rule.name(), finding.count);
            println!("    {rule} x{count}: {} [{}]", finding.detail, finding.story);
            let story =
                sagahost_check::tell(&program, &name, &input, &spec, &bounds, &finding.story)?;
            print!("{}", story.text());
        }
    }
    Ok(())
}
