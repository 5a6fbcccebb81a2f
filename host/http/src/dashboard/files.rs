//! The files of the pages.

/// Puts the files of `dashboard/` into the program, each with its path there.
macro_rules! files {
    ($($path:literal,)*) => {
        [$(($path, include_bytes!(concat!("../../dashboard/", $path)))),*]
    };
}

/// Every file of `dashboard/`; a test says which is not listed.
#[rustfmt::skip]
pub(super) const FILES: &[(&str, &[u8])] = &files![
    "css/base.css",
    "css/functions.css",
    "css/overview.css",
    "css/parts.css",
    "css/sagas.css",
    "css/tokens.css",
    "favicon.svg",
    "index.html",
    "js/app.js",
    "js/lib/api.js",
    "js/lib/dialog.js",
    "js/lib/dom.js",
    "js/lib/format.js",
    "js/lib/icons.js",
    "js/lib/json-view.js",
    "js/lib/json.js",
    "js/lib/sse.js",
    "js/pages/changes.js",
    "js/pages/chart.js",
    "js/pages/overview.js",
    "js/pages/sagas.js",
    "js/pages/sagas/batch.js",
    "js/pages/sagas/columns.js",
    "js/pages/sagas/filters.js",
    "js/pages/sagas/grid.js",
    "js/pages/sagas/histogram.js",
    "js/pages/sagas/listing.js",
    "js/pages/sagas/query.js",
    "js/pages/sagas/selection.js",
    "js/saga/.gitkeep",
    "js/saga/actions.js",
    "js/saga/bars.js",
    "js/saga/details.js",
    "js/saga/diagram.js",
    "js/saga/glyphs.js",
    "js/saga/head.js",
    "js/saga/journal.js",
    "js/saga/layout.js",
    "js/saga/model-mail.js",
    "js/saga/model-state.js",
    "js/saga/model-undo.js",
    "js/saga/model.js",
    "js/saga/page.js",
    "js/saga/repairs.js",
    "js/saga/replay.js",
    "js/saga/scale.js",
    "js/saga/source.js",
    "js/saga/table.js",
    "js/saga/timeline.js",
    "js/saga/words.js",
    "js/theme.js",
];
