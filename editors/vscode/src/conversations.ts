// Conversations: a question, its answer, what was asked on. The answers are jobs; here is which
// belong together and what was asked, which the daemon does not know. Imports nothing of VS Code.

export interface Attached {
  uri: string;
  range?: { start: { line: number; character: number }; end: { line: number; character: number } };
  name: string; // for people: "stats.py", "stats.py:3-7"
}

export interface Turn {
  question: string; // a person's own words, or an action's title
  attached: Attached[];
  job?: number; // once the server has told of it
  error?: string; // why there is none
}

export interface Conversation {
  id: number;
  title: string;
  turns: Turn[];
}

const kept = 50;

export class Conversations {
  private all: Conversation[] = []; // the one that was last asked in comes first
  private next = 1;
  private readonly save: (all: Conversation[]) => void;

  constructor(saved: unknown, save: (all: Conversation[]) => void) {
    this.save = save;
    if (Array.isArray(saved)) this.all = saved.filter(isConversation);
    this.next = 1 + this.all.reduce((most, { id }) => Math.max(most, id), 0);
    for (const conversation of this.all) {
      // It was never answered: the window was closed before the server heard of it.
      for (const turn of conversation.turns) {
        if (turn.job === undefined) turn.error ??= 'The window was closed before it was asked.';
      }
    }
  }

  list(): readonly Conversation[] {
    return this.all;
  }

  find(id: number): Conversation | undefined {
    return this.all.find((each) => each.id === id);
  }

  ofJob(job: number): Conversation | undefined {
    return this.all.find(({ turns }) => turns.some((turn) => turn.job === job));
  }

  begin(turn: Turn): Conversation {
    const conversation = { id: this.next++, title: titleOf(turn.question), turns: [turn] };
    this.all.unshift(conversation);
    this.all.splice(kept);
    this.changed();
    return conversation;
  }

  add(conversation: Conversation, turn: Turn): void {
    conversation.turns.push(turn);
    this.all = [conversation, ...this.all.filter((each) => each !== conversation)];
    this.changed();
  }

  changed(): void {
    this.save(this.all);
  }

  forget(id: number): void {
    this.all = this.all.filter((each) => each.id !== id);
    this.changed();
  }
}

// The beginning of a person's words, on one line.
export function titleOf(question: string): string {
  const line = question.trim().split(/\r?\n/, 1)[0] ?? '';
  const characters = [...line];
  return characters.length <= 60 ? line : characters.slice(0, 59).join('') + '…';
}

function isConversation(value: unknown): value is Conversation {
  const it = value as Partial<Conversation> | null;
  return (
    typeof it === 'object' &&
    it !== null &&
    typeof it.id === 'number' &&
    typeof it.title === 'string' &&
    Array.isArray(it.turns) &&
    it.turns.every(
      (turn) => typeof turn?.question === 'string' && Array.isArray(turn.attached),
    )
  );
}
