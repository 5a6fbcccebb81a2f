//! The parts of a saga, and in which order what is in them is undone.

use crate::{ScopeId, TaskId, UndoId};

/// How deep scopes nest at most.
pub(crate) const MAX_SCOPE_DEPTH: u32 = 64;

#[derive(Clone, Copy, Debug, PartialEq, Hash)]
enum Entry {
    Step(TaskId),
    Scope(ScopeId),
}

#[derive(Clone, Debug, PartialEq)]
struct Scope {
    parent: ScopeId,
    depth: u32,
    parallel: bool,
    /// Steps as they were scheduled, scopes as they were opened.
    entries: Vec<Entry>,
}

/// All scopes of a saga; the first is the saga itself.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Scopes(Vec<Scope>);

/// What is left to undo of one step: in order, with the stage of each.
pub(crate) type Left<'a> = &'a dyn Fn(TaskId) -> Vec<(u32, UndoId)>;

impl Scopes {
    pub(crate) fn new() -> Self {
        Scopes(vec![Scope { parent: 0, depth: 0, parallel: false, entries: Vec::new() }])
    }

    fn get(&self, scope: ScopeId) -> Option<&Scope> {
        self.0.get(scope as usize)
    }

    pub(crate) fn exists(&self, scope: ScopeId) -> bool {
        self.get(scope).is_some()
    }

    /// The number that the next scope gets.
    pub(crate) fn next(&self) -> ScopeId {
        self.0.len() as ScopeId
    }

    /// Whether another scope can be opened in this one.
    pub(crate) fn has_room(&self, parent: ScopeId) -> bool {
        self.get(parent).is_some_and(|scope| scope.depth < MAX_SCOPE_DEPTH)
    }

    pub(crate) fn open(&mut self, parent: ScopeId) {
        let number = self.next();
        let Some(outer) = self.0.get_mut(parent as usize) else { return };
        let depth = outer.depth + 1;
        outer.entries.push(Entry::Scope(number));
        self.0.push(Scope { parent, depth, parallel: false, entries: Vec::new() });
    }

    pub(crate) fn parent(&self, scope: ScopeId) -> ScopeId {
        self.get(scope).map_or(0, |scope| scope.parent)
    }

    pub(crate) fn set_parallel(&mut self, scope: ScopeId) {
        if let Some(scope) = self.0.get_mut(scope as usize) {
            scope.parallel = true;
        }
    }

    pub(crate) fn add_step(&mut self, scope: ScopeId, task: TaskId) {
        if let Some(scope) = self.0.get_mut(scope as usize) {
            scope.entries.push(Entry::Step(task));
        }
    }

    /// Whether `inner` is `outer`, or within it.
    pub(crate) fn contains(&self, outer: ScopeId, inner: ScopeId) -> bool {
        let mut at = inner;
        loop {
            if at == outer {
                return true;
            }
            if at == 0 {
                return false;
            }
            at = self.parent(at);
        }
    }

    /// Whether of two steps, each with its scope, the first one has to be
    /// undone before the second one: where their ways part, it comes later,
    /// and nobody said that the order does not matter.
    pub(crate) fn is_undone_before(
        &self,
        (scope_of_later, later): (ScopeId, TaskId),
        (scope_of_earlier, earlier): (ScopeId, TaskId),
    ) -> bool {
        let mut outer = scope_of_later;
        while !self.contains(outer, scope_of_earlier) {
            outer = self.parent(outer);
        }
        let Some(common) = self.get(outer) else { return false };
        let place = |scope: ScopeId, step: TaskId| {
            common.entries.iter().position(|entry| match *entry {
                Entry::Step(task) => task == step && scope == outer,
                Entry::Scope(inner) => scope != outer && self.contains(inner, scope),
            })
        };
        !common.parallel && place(scope_of_later, later) > place(scope_of_earlier, earlier)
    }

    /// Writes down what decides the order of undos.
    pub(crate) fn write_state(&self, state: &mut impl std::hash::Hasher) {
        use std::hash::Hash;
        for scope in &self.0 {
            scope.parallel.hash(state);
            if self.0.len() > 1 {
                // With one scope alone the order is that of the task ids.
                scope.entries.hash(state);
            }
        }
    }

    /// All steps of a scope and of those within it that were scheduled before
    /// the task `below`.
    pub(crate) fn steps(&self, scope: ScopeId, below: TaskId) -> Vec<TaskId> {
        let mut steps = Vec::new();
        self.collect(scope, below, &mut steps);
        steps
    }

    fn collect(&self, scope: ScopeId, below: TaskId, steps: &mut Vec<TaskId>) {
        for entry in self.get(scope).into_iter().flat_map(|scope| &scope.entries) {
            match *entry {
                Entry::Step(task) if task < below => steps.push(task),
                Entry::Step(_) => {}
                Entry::Scope(inner) => self.collect(inner, below, steps),
            }
        }
    }

    /// What is left to undo in a scope, in order. What has the same stage can
    /// be undone at the same time; a stage begins when those before it are
    /// done, as far as the scopes want an order at all.
    pub(crate) fn plan(&self, scope: ScopeId, below: TaskId, left: Left<'_>) -> Vec<(u32, UndoId)> {
        let mut plan = Vec::new();
        self.stages(scope, below, 0, left, &mut plan);
        plan.sort_by_key(|(stage, _)| *stage);
        plan
    }

    /// Adds what is left in this scope, and returns the first stage after it.
    fn stages(
        &self,
        scope: ScopeId,
        below: TaskId,
        first: u32,
        left: Left<'_>,
        plan: &mut Vec<(u32, UndoId)>,
    ) -> u32 {
        let Some(scope) = self.get(scope) else { return first };
        let mut next = first;
        for entry in scope.entries.iter().rev() {
            let begin = if scope.parallel { first } else { next };
            let end = match *entry {
                Entry::Step(task) if task < below => {
                    let left = left(task);
                    let end = left.iter().map(|(stage, _)| begin + stage + 1).max();
                    plan.extend(left.into_iter().map(|(stage, undo)| (begin + stage, undo)));
                    end.unwrap_or(begin)
                }
                Entry::Step(_) => begin,
                Entry::Scope(inner) => self.stages(inner, below, begin, left, plan),
            };
            next = next.max(end);
        }
        next
    }

    /// What comes next of what is left: the first stage of [`Self::plan`],
    /// without looking at the others.
    pub(crate) fn frontier(&self, scope: ScopeId, below: TaskId, left: Left<'_>) -> Vec<UndoId> {
        let Some(scope) = self.get(scope) else { return Vec::new() };
        let mut frontier = Vec::new();
        for entry in scope.entries.iter().rev() {
            match *entry {
                Entry::Step(task) if task < below => {
                    let left = left(task);
                    let first = left.iter().map(|(stage, _)| *stage).min();
                    let of_first = left.into_iter().filter(|(stage, _)| Some(*stage) == first);
                    frontier.extend(of_first.map(|(_, undo)| undo));
                }
                Entry::Step(_) => {}
                Entry::Scope(inner) => frontier.extend(self.frontier(inner, below, left)),
            }
            if !scope.parallel && !frontier.is_empty() {
                break;
            }
        }
        frontier
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(task: TaskId) -> Vec<(u32, UndoId)> {
        vec![(0, task.into())]
    }

    /// 0, scope 1 (1, scope 2 (2, 3), 4), 5; what is in scope 2 is parallel.
    fn tree() -> Scopes {
        let mut scopes = Scopes::new();
        scopes.add_step(0, 0);
        scopes.open(0);
        scopes.add_step(1, 1);
        scopes.open(1);
        scopes.set_parallel(2);
        scopes.add_step(2, 2);
        scopes.add_step(2, 3);
        scopes.add_step(1, 4);
        scopes.add_step(0, 5);
        scopes
    }

    fn order(plan: &[(u32, UndoId)]) -> Vec<(u32, TaskId)> {
        plan.iter().map(|(stage, undo)| (*stage, undo.task)).collect()
    }

    #[test]
    fn scopes_are_undone_as_one_where_they_were_opened() {
        let tree = tree();
        let plan = tree.plan(0, TaskId::MAX, &one);
        assert_eq!(order(&plan), [(0, 5), (1, 4), (2, 3), (2, 2), (3, 1), (4, 0)]);
        assert_eq!(order(&tree.plan(1, 4, &one)), [(0, 3), (0, 2), (1, 1)]);
        assert_eq!(tree.steps(1, TaskId::MAX), [1, 2, 3, 4]);
        assert!(tree.contains(1, 2) && tree.contains(0, 1) && !tree.contains(2, 1));
    }

    #[test]
    fn the_frontier_is_the_first_stage() {
        let tree = tree();
        for done in 0..64u32 {
            let left = |task: TaskId| if done & (1 << task) == 0 { one(task) } else { Vec::new() };
            let mut plan: Vec<_> = tree
                .plan(0, TaskId::MAX, &left)
                .into_iter()
                .filter(|(stage, _)| *stage == 0)
                .map(|(_, undo)| undo)
                .collect();
            let mut frontier = tree.frontier(0, TaskId::MAX, &left);
            plan.sort_unstable();
            frontier.sort_unstable();
            assert_eq!(plan, frontier, "{done:b}");
        }
    }
}
