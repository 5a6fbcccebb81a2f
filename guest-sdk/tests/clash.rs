//! Two functions of one name in one crate are both described, so that the
//! host sees the clash and refuses the component.
#![allow(clippy::unwrap_used)]

use sagahost::serde_json::Value;

mod one {
    #[sagahost::activity]
    pub(super) async fn greet(name: String) -> String {
        name
    }
}

mod two {
    #[sagahost::activity(name = "Greet")]
    pub(super) async fn hello() {}
}

#[test]
fn both_are_described() {
    let described: Value =
        sagahost::serde_json::from_str(&sagahost::__private::describe()).unwrap();
    let names: Vec<_> = described["functions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| f["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["Greet", "Greet"]);
    assert!(std::mem::size_of_val(&one::greet) + std::mem::size_of_val(&two::hello) == 0);
}
