use super::*;

fn mistake(text: &str) -> String {
    let entities = BTreeMap::from([("Shelf", vec!["take"]), ("Open", vec![])]);
    let wrong = |file: CheckFile| file.check_names(&["Pay", "Refund"], &["Saga"], &entities);
    let error = CheckFile::parse(text).and_then(wrong).expect_err("is wrong");
    error.to_string()
}

#[test]
fn what_is_said_of_one_goes_before_what_is_said_of_all() {
    let text = r#"
        input = {id = 1}
        [bounds]
        faults = 2
        [activities.Pay]
        outputs = [true, {value = false, applied = false}, {json = "null"}]
        absent = "allowed"
        [events.Go]
        raised = "maybe"
        [[invariants]]
        name = "paid"
        when = "completed"
        holds = "Pay == 1"
        [orchestrators.Saga]
        inputs = [[1], "a"]
        bounds = {faults = 5, loops = 3}
        [orchestrators.Saga.activities.Pay]
        absent = "refused"
        pure = true
    "#;
    let file = CheckFile::parse(text).expect("a check file");
    file.check_names(&["Pay"], &["Saga"], &BTreeMap::new()).expect("known names");
    let texts = |spec: &Spec| -> Vec<String> {
        spec.inputs.iter().map(|input| input.as_str().to_owned()).collect()
    };
    let other = file.spec("Other").expect("a spec");
    assert_eq!(texts(&other), [r#"{"id":1}"#]);
    assert_eq!((other.bounds.faults, other.bounds.loops), (Some(2), None));
    assert_eq!(other.events["Go"].raised, Raised::Maybe);
    let pay = &other.activities["Pay"];
    let outputs: Vec<_> = pay.outputs.iter().flatten().collect();
    let shown: Vec<_> = outputs.iter().map(|it| (it.value.as_str(), it.applied)).collect();
    assert_eq!(shown, [("true", true), ("false", false), ("null", true)]);
    assert_eq!((pay.absent, pay.effect), (Some(Absent::Allowed), None));
    let saga = file.spec("Saga").expect("a spec");
    assert_eq!(texts(&saga), ["[1]", "\"a\""]);
    assert_eq!((saga.bounds.faults, saga.bounds.loops), (Some(5), Some(3)));
    let pay = &saga.activities["Pay"];
    assert_eq!((pay.absent, pay.effect), (Some(Absent::Refused), Some(false)));
    assert_eq!(saga.invariants.len(), 1);
}

#[test]
fn mistakes_say_where_they_are() {
    let unknown = mistake("[activities.Pay]\noutput = [1]\n");
    assert!(unknown.starts_with("2:1: unknown field `output`, expected one of"), "{unknown}");
    let name = mistake("[activities.Pai]\n");
    assert_eq!(name, "1:13: there is no activity `Pai`; there are Pay, Refund");
    let saga = mistake("[orchestrators.Sage]\n");
    assert!(saga.contains("there is no orchestrator `Sage`; there are Saga"), "{saga}");
    let expr = mistake("[[invariants]]\nname = \"x\"\nholds = \"Pay = 1\"\n");
    assert!(expr.starts_with("3:14: `=` means nothing here"), "{expr}");
    let named = mistake("[[invariants]]\nname = \"x\"\nholds = \"Pai == 1\"\n");
    assert!(named.contains("no activity `Pai`"), "{named}");
    let json = mistake("input = {json = \"{\"}\n");
    assert!(json.starts_with("1:9: this is not JSON"), "{json}");
    let applied = mistake("activities.Pay.outputs = [{value = 1, applied = 2}]");
    assert!(applied.contains("`applied` is true or false"), "{applied}");
    assert!(mistake("bounds = {fault = 1}").contains("unknown field `fault`"));
}

#[test]
fn operations_of_entities_are_told_of_too() {
    let text = r#"
        [entities.Shelf.take]
        outputs = [true, false]
        [orchestrators.Saga.entities.Shelf.take]
        failures = []
    "#;
    let file = CheckFile::parse(text).expect("a check file");
    let entities = BTreeMap::from([("Shelf", vec!["take"])]);
    file.check_names(&[], &["Saga"], &entities).expect("known names");
    let name = ("Shelf".to_owned(), "take".to_owned());
    let take = |orchestrator: &str| {
        let mut operations = file.spec(orchestrator).expect("a spec").operations;
        operations.remove(&name).expect("it is told of")
    };
    assert_eq!(take("Saga").outputs.map(|outputs| outputs.len()), Some(2));
    assert_eq!(take("Saga").failures, Some(vec![]));
    assert_eq!(take("Other").failures, None);

    assert!(mistake("[entities.Self.take]\n").contains("no entity `Self`; there are Open, Shelf"));
    assert!(mistake("[entities.Shelf.give]\n").contains("no operation `give`; there are take"));
    let any = mistake("[entities.Open.whatever]\n[activities.Pai]\n");
    assert!(any.contains("no activity `Pai`"), "{any}");
}
