use super::*;

fn document() -> Value {
    FIXED.clone().whole("http://h:1", true)
}

/// All values under this key, wherever they stand.
fn all<'a>(value: &'a Value, key: &str, found: &mut Vec<&'a Value>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| all(item, key, found)),
        Value::Object(object) => {
            found.extend(object.get(key));
            object.values().for_each(|value| all(value, key, found));
        }
        _ => {}
    }
}

#[test]
fn every_reference_leads_somewhere() {
    let document = document();
    let mut references = Vec::new();
    all(&document, "$ref", &mut references);
    assert!(references.len() > 50, "{}", references.len());
    for reference in references {
        let pointer = reference.as_str().and_then(|text| text.strip_prefix('#')).expect("local");
        assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
    }
}

#[test]
fn every_operation_says_what_it_is() {
    for operation in routes::operations() {
        let Operation { id, summary, path, .. } = &operation;
        assert!(summary.ends_with('.'), "{id}: a summary is a sentence");
        assert!(!operation.tag.is_empty(), "{id}");
        let good = |answer: &Answer| (200..300).contains(&answer.status);
        assert!(operation.answers.iter().any(good), "{id}: what is the answer that is hoped for?");
        let in_path: Vec<&str> = path
            .split('/')
            .filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
            .collect();
        let said: Vec<&str> = operation
            .parameters
            .iter()
            .filter(|parameter| parameter.place == Place::Path)
            .map(|parameter| &*parameter.name)
            .collect();
        assert_eq!(in_path, said, "{id}: the path's parameters are described in its order");
        let mut names: Vec<_> = operation.parameters.iter().map(|known| &*known.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), operation.parameters.len(), "{id}: a parameter is there twice");
    }
}

#[test]
fn names_of_operations_are_unique() {
    let mut ids: Vec<_> = routes::operations().into_iter().map(|operation| operation.id).collect();
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), count);
}

#[test]
fn a_host_without_keys_asks_for_none() {
    let open = FIXED.clone().whole("http://h:1", false);
    assert_eq!(open["security"], json!([]));
    let closed = document();
    assert_eq!(closed["security"], json!([{ "x-functions-key": [] }, { "code": [] }]));
    assert_eq!(closed["servers"], json!([{ "url": "http://h:1" }]));
    assert_eq!(closed["paths"]["/healthz"]["get"]["security"], json!([]));
    assert_eq!(closed["paths"]["/admin/stats"]["get"]["x-sagahost-key"], "manage");
}

#[test]
fn a_start_leads_to_the_instance() {
    let document = document();
    let links =
        &document["paths"]["/api/orchestrators/{name}"]["post"]["responses"]["202"]["links"];
    assert_eq!(links["status"]["parameters"]["id"], "$response.body#/id");
    assert!(links.get("cancel").is_some() && links.get("list").is_none(), "{links}");
}
