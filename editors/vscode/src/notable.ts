// Whether a person who looks elsewhere is told of what became of a job. Imports nothing of VS Code.
import { hasEnded, type Job } from './jobs.ts';
import type { JobState } from './protocol.ts';

export interface Moment {
  job: Job;
  before: JobState; // the state that it had until now
  now: number;
  after: number; // milliseconds that a job has to have taken
  elsewhere: boolean; // the window has not the focus
}

export function isNotable({ job, before, now, after, elsewhere }: Moment): boolean {
  const { state, batch } = job.state;
  // The server tells of a failure by itself, and a person knows of what they have stopped.
  const isOver = state === 'done' || state === 'waiting';
  if (!elsewhere || batch || !isOver || state === before) return false;
  if (hasEnded(before) || before === 'waiting') return false;
  return now - job.begun >= after;
}
