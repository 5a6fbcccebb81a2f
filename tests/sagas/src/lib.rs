//! Small sagas, right ones and broken ones, that `sagahost check` is tried on:
//! it has to find nothing wrong with the right ones, and in each broken one
//! the fault that was put there. What is expected of each stands in
//! `README.md`.
//!
//! The activities are never run. Of them only what `describe` tells counts:
//! names, outputs, retries, and what undoes what.

mod activities;
mod broken;
mod by_hand;
mod right;
mod talks;

/// What the steps are about; one is as good as another.
const ITEM: &str = "item 1";
const CAR: &str = "car 1";
const ROOM: &str = "room 1";
const ORDER: &str = "order 7";
