// What several tests make: a job's state as the server tells it.
import type { JobStateParams } from '../src/protocol.ts';

export function state(more: Partial<JobStateParams> = {}): JobStateParams {
  return {
    id: 7,
    action: 'explain',
    title: 'Explain average',
    uri: 'file:///p/stats.py',
    state: 'queued',
    message: 'queued',
    percentage: 0,
    promptTokens: 0,
    cachedTokens: 0,
    thoughtTokens: 0,
    answerTokens: 0,
    ...more,
  };
}
