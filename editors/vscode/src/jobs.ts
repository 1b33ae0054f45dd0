// The jobs that the server tells of, with their texts as they grow: what hearth/jobState,
// hearth/textDelta, hearth/thoughtDelta and hearth/status say, added up. Shows nothing. Imports nothing
// of VS Code.
import type {
  JobState,
  JobStateParams,
  ModelStatus,
  Status,
  TextDelta,
  ThoughtDelta,
  Verb,
} from './protocol.ts';

export interface Job {
  id: number;
  state: JobStateParams;
  text: string; // the answer so far, or the change of a waiting job
  thought: string; // before the answer, so far; never a part of it
  begun: number; // when this window first heard of it, in milliseconds
  // Its text is not (all) here: it was another session's, or this window's before it was loaded.
  partial: boolean;
  // Another daemon goes on from what was written down, which may be less than what came here.
  beginsAnew: boolean;
  heard: boolean; // hearth/jobState tells of it
}

const endedStates: ReadonlySet<JobState> = new Set(['done', 'failed', 'cancelled']);
const runningStates: ReadonlySet<JobState> = new Set([
  'queued',
  'prefilling',
  'thinking',
  'generating',
]);

export const hasEnded = (state: JobState): boolean => endedStates.has(state);
export const runs = (state: JobState): boolean => runningStates.has(state);

export function applies(verb: Verb, state: JobState): boolean {
  switch (verb) {
    case 'pause':
      return runs(state);
    case 'resume':
      return state === 'paused';
    case 'cancel':
      return !hasEnded(state);
    case 'retry':
      return state === 'failed' || state === 'cancelled';
    case 'apply':
    case 'dismiss':
      return state === 'waiting';
  }
}

// How the text of a change begins that a person has dropped: in whatever window, or with `hearth jobs`.
const droppedWords = 'Nothing was changed: it was not wanted.';

// Whether a change ended without being made for a reason that a person is to read: not where it is
// that they dropped it.
export function isUnmade({ job, before, delta }: Change): boolean {
  const { state, edits, batch } = job.state;
  if (delta !== undefined || before === undefined || before === state) return false;
  if (edits !== true || batch || state !== 'done' || job.partial) return false;
  return job.text !== '' && !job.text.startsWith(droppedWords);
}

export type Change = { job: Job; before: JobState | undefined; delta: string | undefined };

export class Jobs {
  private readonly byId = new Map<number, Job>();
  private model: ModelStatus | undefined;
  private readonly listeners = new Set<(change: Change) => void>();
  private readonly now: () => number;

  constructor(now: () => number = Date.now) {
    this.now = now;
  }

  onChange(listener: (change: Change) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  find(id: number): Job | undefined {
    return this.byId.get(id);
  }

  // The youngest first.
  all(): Job[] {
    return [...this.byId.values()].sort((one, other) => other.id - one.id);
  }

  // What a person waits for: neither a batch in the background nor another window's job.
  running(): Job[] {
    return this.all().filter((job) => runs(job.state.state) && !job.state.batch && !job.partial);
  }

  // Nothing but hearth/status tells of some that go on.
  someAreElsewhere(): boolean {
    return this.all().some((job) => job.partial && !hasEnded(job.state.state));
  }

  // The youngest that `verb` can be said of.
  youngestFor(verb: Verb): Job | undefined {
    return this.all().find((job) => applies(verb, job.state.state));
  }

  heardState(state: JobStateParams): void {
    const known = this.byId.get(state.id);
    // What hearth/status alone has told of begins for this window now.
    const before = known?.heard ? known.state.state : undefined;
    const triedAgain = before !== undefined && hasEnded(before) && !hasEnded(state.state);
    // A change is in the code once it is made, and in `text` while it waits.
    const gone = state.edits === true && (hasEnded(state.state) || state.state === 'waiting');
    const keeps = known && !triedAgain && !gone && !known.beginsAnew;
    // The first message has all that is written so far, if anything is.
    const whole = state.text !== undefined || !known?.heard || hasEnded(state.state);
    const job: Job = known ?? {
      id: state.id,
      state,
      text: '',
      thought: '',
      begun: this.now(),
      partial: false,
      beginsAnew: false,
      heard: true,
    };
    job.heard = true;
    job.state = { ...state, ...keptRange(known, state) };
    job.text = state.text ?? (keeps ? job.text : '');
    job.thought = state.thought ?? (triedAgain ? '' : job.thought);
    job.partial = job.partial && !whole;
    job.beginsAnew = false;
    if (triedAgain) job.begun = this.now();
    this.byId.set(state.id, job);
    this.tell({ job, before, delta: undefined });
  }

  heardDelta(delta: TextDelta): void {
    const job = this.byId.get(delta.id);
    if (!job) return;
    job.text += delta.text;
    this.tell({ job, before: job.state.state, delta: delta.text });
  }

  heardThought(delta: ThoughtDelta): void {
    const job = this.byId.get(delta.id);
    if (!job) return;
    job.thought += delta.text;
    this.tell({ job, before: job.state.state, delta: undefined });
  }

  // Jobs that are known from hearth/status alone come without their text.
  heardStatus(status: Status): void {
    const before = this.model;
    if (before && before.state !== 'loading' && status.model.state === 'loading') {
      for (const job of this.byId.values()) {
        if (!hasEnded(job.state.state)) job.beginsAnew = true;
      }
    }
    this.model = status.model;
    const told = new Set<number>();
    for (const state of status.jobs) {
      told.add(state.id);
      const job = this.byId.get(state.id);
      if (!job) {
        this.add(state);
      } else if (job.partial) {
        job.state = { ...state, ...keptRange(job, state) };
        this.tell({ job, before: state.state, delta: undefined });
      } else if (job.state.state !== state.state && state.state !== 'waiting') {
        const was = job.state.state;
        job.state = { ...state, ...keptRange(job, state) };
        this.tell({ job, before: was, delta: undefined });
      }
    }
    for (const job of this.byId.values()) {
      if (told.has(job.id)) continue;
      // `hearth forget` removed it, or it is older than jobs.keep.
      if (hasEnded(job.state.state)) continue;
      const was = job.state.state;
      job.state = { ...job.state, state: 'failed', message: 'lost: the daemon does not know it' };
      this.tell({ job, before: was, delta: undefined });
    }
  }

  // What `hearth jobs show ID --json` says of a job that was told of without its text, or not at all.
  heardText(id: number, told: Record<string, unknown>): void {
    const text = told['text'];
    if (typeof text !== 'string') return;
    if (!this.byId.has(id)) this.add({ ...(told as unknown as JobStateParams), id });
    const job = this.byId.get(id);
    if (!job?.partial) return;
    job.text = text;
    job.thought = typeof told['thought'] === 'string' ? told['thought'] : '';
    job.partial = false;
    this.tell({ job, before: job.state.state, delta: undefined });
  }

  private add(state: JobStateParams): void {
    const job: Job = {
      id: state.id,
      state,
      text: '',
      thought: '',
      begun: this.now(),
      partial: true,
      beginsAnew: true,
      heard: false,
    };
    this.byId.set(state.id, job);
    // Known states: nobody is to be told that something began or ended.
    this.tell({ job, before: state.state, delta: undefined });
  }

  private tell(change: Change): void {
    for (const listener of this.listeners) listener(change);
  }
}

// hearth/status has no ranges.
function keptRange(job: Job | undefined, state: JobStateParams): Pick<JobStateParams, 'range'> {
  const range = state.range ?? job?.state.range;
  return range ? { range } : {};
}

// ── The tree of jobs ───────────────────────────────────────────────────────────────────────────

export type GroupName = 'running' | 'queued' | 'waiting' | 'paused' | 'done';
export const groupTitles: Readonly<Record<GroupName, string>> = {
  running: 'Running',
  queued: 'Queued',
  waiting: 'Waiting for review',
  paused: 'Paused',
  done: 'Done',
};

export function groupOf(state: JobState): GroupName {
  if (state === 'queued') return 'queued';
  if (state === 'waiting') return 'waiting';
  if (state === 'paused') return 'paused';
  return hasEnded(state) ? 'done' : 'running';
}

export interface BatchNode {
  kind: 'batch';
  id: number;
  title: string;
  size: number;
  jobs: Job[];
}
export interface JobNode {
  kind: 'job';
  job: Job;
}
export interface GroupNode {
  kind: 'group';
  name: GroupName;
  children: (JobNode | BatchNode)[];
}

// For screen readers: what a row shows by icons, indentation and in grey.
export function spokenOf(node: GroupNode | BatchNode | JobNode): string {
  if (node.kind === 'job') return `${node.job.state.title}, ${node.job.state.message}`;
  if (node.kind === 'group') {
    const jobs = node.children.reduce((sum, each) => sum + (each.kind === 'batch' ? each.jobs.length : 1), 0);
    return `${groupTitles[node.name]}, ${jobs === 1 ? '1 job' : `${jobs} jobs`}`;
  }
  const state = groupTitles[groupOf(node.jobs[0]?.state.state ?? 'queued')].toLowerCase();
  return `${node.title}, a batch: ${node.jobs.length} of ${node.size} files ${state}`;
}

// Groups that are not empty, in the order in which a person looks for them; in each the youngest
// job first, and the jobs of a batch together. `keepDone`: so many that ended are shown.
export function tree(jobs: readonly Job[], keepDone = 50): GroupNode[] {
  const order: GroupName[] = ['running', 'queued', 'waiting', 'paused', 'done'];
  const groups = new Map<GroupName, (JobNode | BatchNode)[]>();
  const batches = new Map<string, BatchNode>();
  let done = 0;
  for (const job of jobs) {
    const name = groupOf(job.state.state);
    if (name === 'done' && ++done > keepDone) continue;
    const children = groups.get(name) ?? [];
    groups.set(name, children);
    const batch = job.state.batch;
    if (!batch) {
      children.push({ kind: 'job', job });
      continue;
    }
    const key = `${name} ${batch.id}`;
    const node = batches.get(key);
    if (node) {
      node.jobs.push(job);
    } else {
      const made: BatchNode = { kind: 'batch', ...batch, jobs: [job] };
      batches.set(key, made);
      children.push(made);
    }
  }
  return order
    .filter((name) => groups.has(name))
    .map((name) => ({ kind: 'group', name, children: groups.get(name) ?? [] }));
}
