// What the status bar says, in a few words: ready, loading with its share, generating with the time
// left, paused, a change that waits, offline. Imports nothing of VS Code.
import type { Job } from './jobs.ts';
import { runs } from './jobs.ts';
import type { JobStateParams, ModelStatus } from './protocol.ts';

export type Connection = 'missing' | 'starting' | 'running' | 'offline';

export interface StatusInput {
  connection: Connection;
  model: ModelStatus | undefined;
  jobs: readonly Job[]; // the youngest first
  asking: boolean; // something was asked for, and no job tells of it yet
  completing: number; // inline completions that are asked for now
  by: string | undefined; // who wrote the one that shows, where that is said
  snoozedUntil: number; // milliseconds; 0: not
  now: number;
}

export interface StatusLine {
  text: string; // with codicons
  spoken: string; // for screen readers
  tooltip: string;
  kind: 'normal' | 'warning' | 'error';
}

// "45 s", "3 min", "2 h"; about.
export function time(milliseconds: number): string {
  const seconds = Math.max(1, Math.ceil(milliseconds / 1000));
  if (seconds < 120) return `${seconds} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 120 ? `${minutes} min` : `${Math.round(minutes / 60)} h`;
}

function line(
  icon: string,
  words: string,
  tooltip: string,
  kind: StatusLine['kind'] = 'normal',
): StatusLine {
  const text = words === '' ? `$(${icon}) hearth` : `$(${icon}) hearth: ${words}`;
  return { text, spoken: words === '' ? 'hearth' : `hearth: ${words}`, tooltip, kind };
}

const many = (count: number, one: string, more: string): string =>
  count === 1 ? `1 ${one}` : `${count} ${more}`;

// What the fold with a job's thought is called.
export function thoughtTitle({ state, thoughtTokens }: JobStateParams): string {
  const tokens = many(thoughtTokens, 'token', 'tokens');
  return state === 'thinking' ? `Thinking, ${tokens}` : `Thought for ${tokens}`;
}

function ofJob(job: Job, others: number): StatusLine {
  const { state, percentage, etaMs, firstTokenMs, title, message } = job.state;
  const behind = others > 0 ? ` (+${others})` : '';
  const tooltip = `${title}: ${message}\nEscape in an editor stops it; select for a menu.`;
  if (state === 'queued') {
    const wait = firstTokenMs === undefined ? '' : `, ${time(firstTokenMs)}`;
    return line('clock', `queued${wait}${behind}`, tooltip);
  }
  const left = etaMs === undefined ? '' : `, ${time(etaMs)} left`;
  const words = state === 'generating' ? 'generating' : state === 'thinking' ? 'thinking' : 'reading';
  return line('loading~spin', `${words} ${percentage} %${left}${behind}`, tooltip);
}

function ofModel(model: ModelStatus): StatusLine | undefined {
  if (model.state === 'failed') {
    return line('error', 'no model', model.error ?? 'The model could not be loaded.', 'error');
  }
  if (model.state !== 'loading') return undefined;
  const share = model.percentage === undefined ? '' : ` ${model.percentage} %`;
  const left = model.etaMs === undefined ? '' : `, ${time(model.etaMs)} left`;
  return line('loading~spin', `loading${share}${left}`, 'The model is being loaded.');
}

export function statusLine(input: StatusInput): StatusLine {
  if (input.connection === 'missing') {
    return line('warning', 'not installed', 'The program hearth was not found.', 'warning');
  }
  if (input.connection === 'offline') {
    return line('debug-disconnect', 'offline', 'hearth is not connected.', 'warning');
  }
  if (input.connection === 'starting' || !input.model) {
    return line('loading~spin', 'starting', 'hearth is starting.');
  }
  const loading = ofModel(input.model);
  if (loading) return loading;
  const running = input.jobs.filter((job) => runs(job.state.state) && !job.partial);
  // What a person waits for goes before what runs in the background.
  const shown = running.filter((job) => !job.state.batch);
  const among = shown.length > 0 ? shown : running;
  const first = among.find((job) => job.state.state !== 'queued') ?? among.at(-1);
  if (first) return ofJob(first, running.length - 1);
  if (input.asking) return line('loading~spin', 'asking', 'hearth is being asked. Escape stops it.');
  if (input.completing > 0) {
    return line('loading~spin', 'completing', 'A completion is being written. Escape stops it.');
  }
  if (input.by !== undefined) {
    return line('flame', `by ${input.by}`, `The last completion is by ${input.by}.`);
  }
  const waiting = input.jobs.filter((job) => job.state.state === 'waiting').length;
  if (waiting > 0) {
    const words = many(waiting, 'change waits', 'changes wait');
    return line('git-pull-request', words, 'Review it in the view of jobs.');
  }
  const paused = input.jobs.filter((job) => job.state.state === 'paused').length;
  if (paused > 0) return line('debug-pause', 'paused', many(paused, 'job', 'jobs') + ' paused.');
  const name = input.model.name ?? 'ready';
  if (input.snoozedUntil > input.now) {
    const left = time(input.snoozedUntil - input.now);
    return line('bell-slash', 'snoozed', `No completion unasked for another ${left}.`);
  }
  const machines = (input.model.sentTo ?? []).join(', ');
  if (machines === '') return line('flame', '', `Ready. Model: ${name}.`);
  const leaves = `What is asked, with code in it, goes to ${machines}.`;
  return line('flame', `→ ${machines}`, `Ready. Model: ${name}.\n${leaves}`);
}

// Beside the code that a job is about, in an editor.
export function markText({ state }: Job): string {
  return `hearth: ${state.message} (Escape stops it)`;
}
