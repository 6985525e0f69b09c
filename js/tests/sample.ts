/** Snapshots as the kernel writes them, made from a number: the same number makes the same rows. */

import { type Cell, COLUMNS, type Fact, type PanelSnapshot, type TableName, type TableRows, type ViewName } from "../src/contract";
import type { Health } from "../src/protocol";

export const NOW = Date.UTC(2026, 10, 21, 14, 3, 20);
const MODELS = ["Qwen/Qwen3-8B", "meta-llama/Llama-3.3-70B-Instruct", "moonshotai/Kimi-K2.5", "openai/gpt-oss-20b"];
const PEOPLE = ["mia@example.org", "jo@example.org", "sam@example.org"];
const HALVES = [
  ["ACTIVE", "RUNNING", "ACTIVE"],
  ["ACTIVE", "DEPLOYING", "LOADING_MODEL"],
  ["INACTIVE", "STOPPED", "INACTIVE"],
  ["INACTIVE", "PREEMPTED", "INACTIVE"],
  ["ACTIVE", "SCALED_TO_ZERO", "SCALED_TO_ZERO"],
  ["INACTIVE", "FAILED", "UNHEALTHY"],
  ["ACTIVE", "RUNNING", "SOMETHING_NEW"],
] as const;

function id(i: number): string {
  return (Math.imul(i + 7, 2654435761) >>> 0).toString(36).padStart(7, "k").slice(0, 7);
}

const makers: Record<TableName, (i: number) => Record<string, Cell>> = {
  runs: (i) => {
    const [status, deployment, sampler] = HALVES[i % HALVES.length] as (typeof HALVES)[number];
    const gpus = deployment === "RUNNING" ? 8 : 0;
    return {
      id: id(i),
      name: i % 5 === 3 ? null : `grpo-math-${i}`,
      base_model: MODELS[i % MODELS.length] as string,
      status,
      deployment_status: i % 11 === 9 ? null : deployment,
      sampler_status: i % 11 === 9 ? null : sampler,
      spark: i % 2 ? "zfK0" : null,
      last_value: i % 2 ? 1 / (i + 1) : null,
      last_step: i % 2 ? 100 * i : null,
      gpus,
      last_checkpoint: i % 3 ? `step-${100 * i + 20}` : null,
      last_checkpoint_at: i % 3 ? NOW - (i + 1) * 190_000 : null,
      created_at: NOW - (i + 1) * 3_700_000,
      owner: PEOPLE[i % PEOPLE.length] as string,
      gpu_type: "H100",
      session_id: `s${id(i + 900)}`,
      deployment_id: `d${id(i + 500)}`,
      sampler_id: `m${id(i + 700)}`,
      finished: status === "INACTIVE",
    };
  },
  samplers: (i) => {
    const status = ["ACTIVE", "BUILDING", "SCALED_TO_ZERO", "BUILD_FAILED", "INACTIVE"][i % 5] as string;
    return {
      id: `m${id(i + 700)}`,
      base_model: MODELS[i % MODELS.length] as string,
      status,
      run_id: i % 4 === 1 ? id(i) : null,
      gpus: status === "ACTIVE" ? 2 : 0,
      gpu_type: "H100",
      created_at: NOW - (i + 1) * 5_400_000,
      owner: PEOPLE[i % PEOPLE.length] as string,
      base_checkpoint: i % 3 ? null : `bt://loops:${id(i)}/sampler_weights/step-${i}`,
      model_id: `mod${i}`,
      deployment_id: `dep${i}`,
      finished: status === "INACTIVE" || status === "BUILD_FAILED",
    };
  },
  deployments: (i) => {
    const [, status, sampler] = HALVES[i % HALVES.length] as (typeof HALVES)[number];
    return {
      id: `d${id(i + 500)}`,
      base_model: MODELS[i % MODELS.length] as string,
      status,
      sampler_status: sampler,
      active_run_id: status === "RUNNING" ? id(i) : null,
      latest_run_id: id(i),
      gpus: status === "RUNNING" ? 8 : 0,
      gpu_type: "H100",
      created_at: NOW - (i + 1) * 7_200_000,
      availability_model: i % 2 ? "spot" : "dedicated",
      owner: PEOPLE[i % PEOPLE.length] as string,
      sampler_id: `m${id(i + 700)}`,
      finished: ["STOPPED", "FAILED", "PREEMPTED"].includes(status),
    };
  },
  checkpoints: (i) => {
    const target = i % 2 ? "sampler" : "trainer";
    return {
      id: `c${id(i + 300)}`,
      checkpoint_id: `step-${20 * (400 - i)}`,
      step: 20 * (400 - i),
      target,
      size_bytes: target === "trainer" ? 402_653_184 + i : 134_217_728 + i,
      sync_status: i === 0 ? "SYNCING" : i % 7 === 5 ? null : "COMPLETE",
      created_at: NOW - (i + 1) * 240_000,
      run_id: "k4q95w5",
      base_model: MODELS[0] as string,
      uri: `bt://loops:k4q95w5/${target === "trainer" ? "weights" : "sampler_weights"}/step-${20 * (400 - i)}`,
      finished: false,
    };
  },
};

export function rowOf(table: TableName, i: number, over: Record<string, Cell> = {}): Cell[] {
  const made = { ...makers[table](i), ...over };
  return COLUMNS[table].map((column) => made[column.name] ?? null);
}

export function tableOf(table: TableName, count: number): TableRows {
  return { rows: Array.from({ length: count }, (_, i) => rowOf(table, i)), total: count };
}

export const LIVE: Health = { state: "live", looked_at: NOW - 3000, every: 2, since: null, next_at: null, reason: "", hint: "" };

export const FAILING: Health = {
  state: "failing",
  looked_at: NOW - 95_000,
  every: 8,
  since: NOW - 90_000,
  next_at: NOW + 6000,
  reason: "Connection refused by http://127.0.0.1:8787.",
  hint: "Start the local service again: %loops local start",
};

const TITLES: Record<ViewName, string> = {
  fleet: "Runs",
  run: "Run k4q95w5",
  samplers: "Samplers",
  deployments: "Deployments",
  checkpoints: "Checkpoints of Qwen/Qwen3-8B",
  dashboard: "Dashboard",
};
const HELD: Record<ViewName, readonly TableName[]> = {
  fleet: ["runs", "samplers"],
  run: ["checkpoints"],
  samplers: ["samplers"],
  deployments: ["deployments"],
  checkpoints: ["checkpoints"],
  dashboard: ["runs", "samplers", "deployments", "checkpoints"],
};
const FACTS: Fact[] = [
  { label: "Alive", value: "7 of 12 runs", tone: "good", code: "" },
  { label: "GPUs in use", value: "32", tone: null, code: "" },
  { label: "GPUs idle", value: "8", tone: "idle", code: "" },
  { label: "Stuck", value: "1 run deploying for 2 h", tone: "bad", code: "" },
];

export function snapshot(view: ViewName, count = 12, over: Partial<PanelSnapshot> = {}): PanelSnapshot {
  const tables: PanelSnapshot["tables"] = {};
  for (const name of HELD[view]) tables[name] = tableOf(name, view === "fleet" && name === "samplers" ? Math.min(3, count) : count);
  return {
    type: "snapshot",
    seq: 1,
    now: NOW,
    view,
    title: TITLES[view],
    line: view === "run" ? "%loops watch k4q95w5" : view === "fleet" ? "%loops watch" : `%loops watch ${view}`,
    tables,
    facts: view === "run" ? [] : FACTS,
    run:
      view === "run"
        ? {
            id: "k4q95w5",
            name: "grpo-math",
            base_model: "Qwen/Qwen3-8B",
            parts: [
              { what: "run", id: "k4q95w5", status: "ACTIVE", since: NOW - 4_000_000, gpus: "" },
              { what: "deployment", id: "dep_def456", status: "RUNNING", since: NOW - 1_900_000, gpus: "8 × H100" },
              { what: "sampler", id: "samp_def789", status: "LOADING_MODEL", since: NOW - 30_000, gpus: "2 × H100" },
            ],
            facts: [
              { label: "Session", value: "2qjl22w", tone: null, code: "2qjl22w" },
              { label: "Deployment", value: "dep_def456", tone: null, code: "dep_def456" },
              { label: "Sampler", value: "samp_def789", tone: null, code: "samp_def789" },
            ],
            timeline: [
              { what: "run", status: "ACTIVE", start: NOW - 4_000_000, until: null, exact: false },
              { what: "deployment", status: "CREATED", start: NOW - 4_000_000, until: NOW - 3_900_000, exact: false },
              { what: "deployment", status: "DEPLOYING", start: NOW - 3_900_000, until: NOW - 1_900_000, exact: true },
              { what: "deployment", status: "RUNNING", start: NOW - 1_900_000, until: null, exact: true },
              { what: "sampler", status: "BUILDING", start: NOW - 3_800_000, until: NOW - 2_500_000, exact: true },
              { what: "sampler", status: "SCALED_TO_ZERO", start: NOW - 2_500_000, until: NOW - 30_000, exact: true },
              { what: "sampler", status: "LOADING_MODEL", start: NOW - 30_000, until: null, exact: true },
            ],
            finished: false,
          }
        : null,
    health: LIVE,
    notices: [],
    commands: [],
    notify: false,
    ready: true,
    selected_runs: view === "dashboard" ? [] : null,
    curves: null,
    ...over,
  };
}

export const NOTICES: PanelSnapshot["notices"] = [
  {
    id: "n1",
    at: NOW - 40_000,
    tone: "bad",
    text: "Run k4q95w5 was preempted.",
    hint: "Its checkpoints stay: start a new run from step-7980.",
    about: "k4q95w5",
  },
  { id: "n2", at: NOW - 400_000, tone: "good", text: "Run a1b2c3d is running.", hint: "", about: "a1b2c3d" },
];
