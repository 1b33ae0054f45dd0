// The hearth/* messages as lsp/protocol/extension.hpp has them, and the names of the server's
// commands. Imports nothing of VS Code.

export const protocolVersion = 3;
export const features = ['jobs', 'inlineCompletion', 'status', 'thoughts'] as const;

export type JobState =
  | 'queued'
  | 'prefilling'
  | 'thinking'
  | 'generating'
  | 'paused'
  | 'waiting'
  | 'done'
  | 'failed'
  | 'cancelled';

export interface Position {
  line: number;
  character: number;
}
export interface Range {
  start: Position;
  end: Position;
}

export interface JobStateParams {
  id: number;
  action: string;
  title: string;
  uri: string;
  range?: Range;
  state: JobState;
  message: string;
  percentage: number;
  firstTokenMs?: number;
  etaMs?: number;
  endMs?: [number, number];
  promptTokens: number;
  cachedTokens: number;
  thoughtTokens: number;
  answerTokens: number;
  promptMs?: number;
  answerMs?: number;
  edits?: boolean;
  batch?: { id: number; title: string; size: number };
  thought?: string;
  text?: string;
  error?: string;
  by?: string;
}

export interface TextDelta {
  id: number;
  text: string;
}

export interface ThoughtDelta {
  id: number;
  text: string;
}

export interface ModelStatus {
  state: 'loading' | 'ready' | 'failed';
  name?: string;
  error?: string;
  percentage?: number;
  etaMs?: number;
  sentTo?: string[];
}

export interface Status {
  version: string;
  protocol: number;
  model: ModelStatus;
  jobs: JobStateParams[];
}

export interface InlineCompletionReady {
  uri: string;
  version: number;
  position: Position;
}

// A completion as the server gives it, as far as it is read here.
export interface InlineCompletionItem {
  hearth?: { by?: string };
}

export const method = {
  jobState: 'hearth/jobState',
  textDelta: 'hearth/textDelta',
  thoughtDelta: 'hearth/thoughtDelta',
  status: 'hearth/status',
  inlineCompletion: 'textDocument/inlineCompletion',
  inlineCompletionReady: 'hearth/inlineCompletionReady',
} as const;

// What a person can say of a job: hearth.session.VERB {"job": id}.
export type Verb = 'pause' | 'resume' | 'cancel' | 'retry' | 'apply' | 'dismiss';

export const actionCommand = (action: string): string => `hearth.server.${action}`;
export const sessionCommand = (name: string): string => `hearth.session.${name}`;

// The action of a command of the server's; undefined: it is none.
export function actionOf(command: string): string | undefined {
  const prefix = 'hearth.server.';
  return command.startsWith(prefix) ? command.slice(prefix.length) : undefined;
}
