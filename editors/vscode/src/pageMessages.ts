// What the page of answers and the extension say to each other. What comes from the page is checked
// here before it is believed. Imports nothing of VS Code.

export interface ShownTurn {
  key: number; // its place in the conversation
  question: string;
  attached: string[];
  job: number; // 0: none yet
  thought: string; // before the answer, so far: text, no HTML; empty: none
  thoughtTitle: string;
  html: string; // of the answer so far, safe
  state: string;
  message: string; // for people
  percentage: number;
  runs: boolean;
  paused: boolean;
  waits: boolean;
  failed: boolean; // or stopped
}

export interface ShownConversation {
  id: number; // 0: none yet
  title: string;
  turns: ShownTurn[];
}

export type ToPage =
  | { type: 'conversation'; conversation: ShownConversation }
  | { type: 'turn'; conversation: number; turn: ShownTurn }
  | { type: 'list'; conversations: { id: number; title: string }[] }
  | { type: 'attached'; names: string[] }
  | { type: 'focus' };

export type FromPage =
  | { type: 'ready' }
  | { type: 'ask'; text: string }
  | { type: 'new' }
  | { type: 'open'; conversation: number }
  | { type: 'attach' }
  | { type: 'detach'; index: number }
  | { type: 'stop' }
  | { type: 'job'; verb: JobVerb; job: number }
  | { type: 'block'; what: BlockVerb; job: number; block: number };

const jobVerbs = [
  'pause', 'resume', 'cancel', 'retry', 'preview', 'apply', 'dismiss', 'prompt', 'copy',
] as const;
const blockVerbs = ['copy', 'insert', 'apply'] as const;
export type JobVerb = (typeof jobVerbs)[number];
export type BlockVerb = (typeof blockVerbs)[number];

const longestQuestion = 100_000; // characters

const isNumber = (value: unknown): value is number =>
  typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;

function oneOf<Word extends string>(words: readonly Word[], value: unknown): value is Word {
  return typeof value === 'string' && (words as readonly string[]).includes(value);
}

// Undefined: it is no message that the page sends.
export function readFromPage(message: unknown): FromPage | undefined {
  if (typeof message !== 'object' || message === null) return undefined;
  const said = message as Record<string, unknown>;
  switch (said['type']) {
    case 'ready':
    case 'new':
    case 'attach':
    case 'stop':
      return { type: said['type'] };
    case 'ask': {
      const text = said['text'];
      if (typeof text !== 'string' || text.trim() === '' || text.length > longestQuestion) {
        return undefined;
      }
      return { type: 'ask', text };
    }
    case 'open':
      return isNumber(said['conversation'])
        ? { type: 'open', conversation: said['conversation'] }
        : undefined;
    case 'detach':
      return isNumber(said['index']) ? { type: 'detach', index: said['index'] } : undefined;
    case 'job':
      return oneOf(jobVerbs, said['verb']) && isNumber(said['job'])
        ? { type: 'job', verb: said['verb'], job: said['job'] }
        : undefined;
    case 'block':
      return oneOf(blockVerbs, said['what']) && isNumber(said['job']) && isNumber(said['block'])
        ? { type: 'block', what: said['what'], job: said['job'], block: said['block'] }
        : undefined;
    default:
      return undefined;
  }
}
