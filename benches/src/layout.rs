//! Which series there are, in which order, and what they are called.
//!
//! 1. Targets are laid out node by node: node-exporter, cadvisor, kube-state-metrics, one Istio sidecar, and DCGM on
//!    every fourth node.
//! 2. A target is a row of blocks; a block is one [`Set`](crate::catalog::Set) about one subject. The last target is
//!    cut where the number of series is reached.
//! 3. Labels are stored once per set where they are the same everywhere and once per block where they depend on its
//!    subject (a few hundred bytes a block, some 10 bytes a series); a series' labels are put together from both.
//! 4. A replaced pod's labels are rewritten where they stand, which works because names keep their length.

use crate::catalog::{Catalog, Target as TargetSets};
use crate::label;
use crate::noise::Tables;
use crate::noise::hash;
use crate::shape::Shape;
use crate::value::{Class, Model, State};
use crate::world::{Field, GPUS_PER_NODE, PODS_PER_NODE, Subject};

/// Peers that call each sidecar's pod.
const PEERS_PER_POD: u32 = 4;
/// Every so many nodes one has GPUs.
const NODES_PER_GPU_NODE: u32 = 4;

/// Bytes in the arena.
#[derive(Debug, Clone, Copy)]
struct Fragment {
    at: u32,
    length: u32,
}

#[derive(Debug, Clone, Copy)]
enum Slot {
    Fixed(Fragment),
    /// The block's fragment of this number.
    Field(u8),
}

/// How the series of a set are put together.
#[derive(Debug)]
struct Plan {
    series: Vec<SeriesPlan>,
    fields: Vec<(&'static str, Field)>,
    is_about_scrape: bool,
    is_of_pod: bool,
}

#[derive(Debug)]
struct SeriesPlan {
    /// In the order of label names.
    slots: Vec<Slot>,
    model: Model,
    class: Class,
    /// The first bucket of the histogram, else 0.
    group: u8,
}

/// One set about one subject.
#[derive(Debug)]
pub(crate) struct Block {
    plan: u16,
    /// Series of the plan that exist: all, but in the very last block.
    length: u16,
    pub(crate) first_series: u32,
    pub(crate) subject: Subject,
    /// Times the pod has been replaced, as far as the labels tell.
    pub(crate) generation: u32,
    first_fragment: u32,
}

/// What one scrape scrapes.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) first_block: u32,
    pub(crate) end_block: u32,
    /// When in the step it is scraped.
    pub(crate) offset_ms: i64,
}

/// All targets, blocks and labels.
#[derive(Debug)]
pub(crate) struct Layout {
    seed: u64,
    arena: Vec<u8>,
    plans: Vec<Plan>,
    fragments: Vec<Fragment>,
    pub(crate) blocks: Vec<Block>,
    pub(crate) targets: Vec<Target>,
    block_of_series: Vec<u32>,
    series_count: usize,
    scratch: Vec<u8>,
}

impl Layout {
    pub(crate) fn new(shape: &Shape) -> Self {
        let catalog = Catalog::new();
        let mut layout = Self {
            seed: shape.seed,
            arena: Vec::new(),
            plans: Vec::new(),
            fragments: Vec::new(),
            blocks: Vec::new(),
            targets: Vec::new(),
            block_of_series: Vec::with_capacity(shape.series),
            series_count: shape.series,
            scratch: Vec::new(),
        };
        layout.plans = catalog.sets.iter().map(|set| plan(set, &mut layout.arena)).collect();
        let mut node = 0;
        while !layout.is_full() {
            layout.push_node(&catalog, node);
            node += 1;
        }
        let targets = layout.targets.len() as i64;
        for (number, target) in layout.targets.iter_mut().enumerate() {
            target.offset_ms = number as i64 * shape.spread_ms / targets;
        }
        layout
    }

    fn is_full(&self) -> bool {
        self.block_of_series.len() == self.series_count
    }

    fn push_node(&mut self, catalog: &Catalog, node: u32) {
        let first_pod = node * PODS_PER_NODE;
        let of_node = Subject { node, pod: first_pod, item: 0 };
        let pods: Vec<Subject> = (0..PODS_PER_NODE).map(|i| Subject { node, pod: first_pod + i, item: 0 }).collect();
        let gpus: Vec<Subject> =
            (0..GPUS_PER_NODE).map(|item| Subject { node, pod: first_pod + item % PODS_PER_NODE, item }).collect();
        let peers: Vec<Subject> = (0..PEERS_PER_POD).map(|item| Subject { node, pod: first_pod, item }).collect();
        self.push_target(&catalog.node_exporter, of_node, &[]);
        self.push_target(&catalog.cadvisor, of_node, &pods);
        self.push_target(&catalog.kube_state, of_node, &pods);
        self.push_target(&catalog.istio, of_node, &peers);
        if node % NODES_PER_GPU_NODE == 1 {
            self.push_target(&catalog.dcgm, of_node, &gpus);
        }
    }

    fn push_target(&mut self, sets: &TargetSets, of_node: Subject, each: &[Subject]) {
        if self.is_full() {
            return;
        }
        let first_block = self.blocks.len() as u32;
        self.push_block(sets.about_scrape, of_node);
        if let Some(set) = sets.of_node {
            self.push_block(set, of_node);
        }
        for &subject in each {
            for &set in &sets.of_each {
                self.push_block(set, subject);
            }
        }
        self.targets.push(Target { first_block, end_block: self.blocks.len() as u32, offset_ms: 0 });
    }

    fn push_block(&mut self, plan: u16, subject: Subject) {
        let first_series = self.block_of_series.len();
        let length = self.plans[usize::from(plan)].series.len().min(self.series_count - first_series);
        if length == 0 {
            return;
        }
        let number = self.blocks.len() as u32;
        self.block_of_series.resize(first_series + length, number);
        let first_fragment = self.fragments.len() as u32;
        for &(name, field) in &self.plans[usize::from(plan)].fields {
            self.scratch.clear();
            field.write(self.seed, subject, 0, &mut self.scratch);
            self.fragments.push(store(name, &self.scratch, &mut self.arena));
        }
        self.blocks.push(Block {
            plan,
            length: length as u16,
            first_series: first_series as u32,
            subject,
            generation: 0,
            first_fragment,
        });
    }

    /// Rewrites the labels of a block for another generation of its pod.
    pub(crate) fn relabel(&mut self, block: u32, generation: u32) {
        let Block { plan, subject, first_fragment, .. } = self.blocks[block as usize];
        let mut encoded = Vec::new();
        for (number, &(name, field)) in self.plans[usize::from(plan)].fields.iter().enumerate() {
            self.scratch.clear();
            field.write(self.seed, subject, generation, &mut self.scratch);
            encoded.clear();
            label::encode(name, &self.scratch, &mut encoded);
            let Fragment { at, length } = self.fragments[first_fragment as usize + number];
            self.arena[at as usize..(at + length) as usize].copy_from_slice(&encoded);
        }
        self.blocks[block as usize].generation = generation;
    }

    /// Appends all label fragments of a series, in the order of label names.
    #[inline]
    pub(crate) fn write_labels(&self, series: u32, generation: u32, out: &mut Vec<u8>) {
        let block = self.block(series);
        if block.generation != generation {
            return self.write_former_labels(series, generation, out);
        }
        let plan = &self.plans[usize::from(block.plan)].series[(series - block.first_series) as usize];
        for &slot in &plan.slots {
            out.extend_from_slice(self.fragment(block, slot));
        }
    }

    /// Labels of a generation that is no longer, or not yet, the one in the arena.
    #[cold]
    fn write_former_labels(&self, series: u32, generation: u32, out: &mut Vec<u8>) {
        let block = self.block(series);
        let plan = &self.plans[usize::from(block.plan)];
        let mut value = Vec::new();
        for &slot in &plan.series[(series - block.first_series) as usize].slots {
            match slot {
                Slot::Fixed(_) => out.extend_from_slice(self.fragment(block, slot)),
                Slot::Field(number) => {
                    let (name, field) = plan.fields[usize::from(number)];
                    value.clear();
                    field.write(self.seed, block.subject, generation, &mut value);
                    label::encode(name, &value, out);
                }
            }
        }
    }

    /// Names and values of a series' labels, in the order of names, as of the generation in the arena.
    pub(crate) fn labels(&self, series: u32) -> impl Iterator<Item = (&str, &str)> {
        let block = self.block(series);
        let plan = &self.plans[usize::from(block.plan)].series[(series - block.first_series) as usize];
        plan.slots.iter().map(|&slot| label::decode(self.fragment(block, slot)))
    }

    pub(crate) fn class(&self, series: u32) -> Class {
        let block = self.block(series);
        self.plans[usize::from(block.plan)].series[(series - block.first_series) as usize].class
    }

    pub(crate) fn is_about_scrape(&self, block: &Block) -> bool {
        self.plans[usize::from(block.plan)].is_about_scrape
    }

    pub(crate) fn is_of_pod(&self, block: &Block) -> bool {
        self.plans[usize::from(block.plan)].is_of_pod
    }

    pub(crate) fn models(&self, block: &Block) -> impl Iterator<Item = Model> {
        self.plans[usize::from(block.plan)].series[..usize::from(block.length)].iter().map(|series| series.model)
    }

    /// The states of a block's series as its subject's generation begins.
    pub(crate) fn birth(&self, block: &Block, aged: bool, now_s: i64, tables: &Tables, states: &mut [State]) {
        let life = hash(self.seed ^ u64::from(block.first_series) << 20, u64::from(block.generation));
        let plan = &self.plans[usize::from(block.plan)];
        for (number, (series, state)) in plan.series.iter().zip(states).enumerate() {
            let own = hash(life, number as u64 + 1);
            let group = hash(life, u64::from(series.group) << 32);
            *state = series.model.birth(own, group, aged, now_s, tables);
        }
    }

    pub(crate) fn series_of(&self, block: &Block) -> std::ops::Range<usize> {
        let first = block.first_series as usize;
        first..first + usize::from(block.length)
    }

    pub(crate) fn block_number(&self, series: u32) -> u32 {
        self.block_of_series[series as usize]
    }

    fn block(&self, series: u32) -> &Block {
        &self.blocks[self.block_of_series[series as usize] as usize]
    }

    /// The generation whose labels stand in the arena.
    pub(crate) fn generation(&self, series: u32) -> u32 {
        self.block(series).generation
    }

    fn fragment(&self, block: &Block, slot: Slot) -> &[u8] {
        let Fragment { at, length } = match slot {
            Slot::Fixed(fragment) => fragment,
            Slot::Field(number) => self.fragments[block.first_fragment as usize + usize::from(number)],
        };
        &self.arena[at as usize..(at + length) as usize]
    }
}

fn store(name: &str, value: &[u8], arena: &mut Vec<u8>) -> Fragment {
    let at = arena.len();
    label::encode(name, value, arena);
    assert!(arena.len() < u32::MAX as usize, "labels of all blocks stay below 4 GiB");
    Fragment { at: at as u32, length: (arena.len() - at) as u32 }
}

fn plan(set: &crate::catalog::Set, arena: &mut Vec<u8>) -> Plan {
    let shared: Vec<(&str, Slot)> = set
        .fixed
        .iter()
        .map(|&(name, value)| (name, Slot::Fixed(store(name, value.as_bytes(), arena))))
        .chain(set.fields.iter().enumerate().map(|(number, &(name, _))| (name, Slot::Field(number as u8))))
        .collect();
    let mut series: Vec<SeriesPlan> = Vec::with_capacity(set.series.len());
    for (number, one) in set.series.iter().enumerate() {
        let mut slots = shared.clone();
        slots.push(("__name__", Slot::Fixed(store("__name__", one.name.as_bytes(), arena))));
        for &(name, value) in &one.labels {
            slots.push((name, Slot::Fixed(store(name, value.as_bytes(), arena))));
        }
        slots.sort_by_key(|&(name, _)| name);
        assert!(slots.windows(2).all(|pair| pair[0].0 < pair[1].0), "{} has a label twice", one.name);
        let class = match one.model {
            Model::Mirror(back) => series[number - usize::from(back)].class,
            model => model.class(),
        };
        let group = match one.model {
            Model::Bucket { index, .. } => (number - usize::from(index)) as u8 + 1,
            _ => 0,
        };
        series.push(SeriesPlan {
            slots: slots.into_iter().map(|(_, slot)| slot).collect(),
            model: one.model,
            class,
            group,
        });
    }
    Plan { series, fields: set.fields.clone(), is_about_scrape: set.is_about_scrape, is_of_pod: set.is_of_pod }
}
